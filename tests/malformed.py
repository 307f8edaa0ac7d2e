"""Files that no program should trust: (name, bytes, a pattern of what must be said of them). The
names of the groups are those of the readers."""
import json
import os
import struct
import sys

import numpy as np

from cli_support import FLAC, FLAC_SAMPLES, SOURCE, TINY, noise, pcm, wav

sys.path.insert(0, os.path.join(SOURCE, "scripts"))
from read_mimi import crc32c  # noqa: E402  (pylint: disable=wrong-import-position)

NO_SOUND = "not a sound file that can be read: (?!.*rror).+"


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def with_format(tag=1, channels=1, rate=24000, block=None, bits=16, size=16, extra=b"",
                data=b"\0" * 64, data_size=None):
    block = channels * bits // 8 if block is None else block
    layout = struct.pack("<HHIIHH", tag, channels & 0xFFFF, rate, (rate * block) & 0xFFFFFFFF,
                         block & 0xFFFF, bits) + extra
    body = b"WAVEfmt " + struct.pack("<I", size) + layout
    body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav_cases():
    whole = wav(noise(400))
    for size in list(range(0, 60)) + [100, 500, len(whole) - 1]:
        yield f"cut-{size}", whole[:size], (NO_SOUND if size < 12 else
                                            r"WAV header: cut short: .+ \(byte \d+\)")
    for channels in (0, 257, 1000, 65535):
        yield f"channels-{channels}", with_format(channels=channels), ".+"
    for rate in (0, 1, 10, 93, 6144001, 10_000_000, 2**31, 2**32 - 1):
        yield f"rate-{rate}", with_format(rate=rate), ".*(rate|Hz|sound file|WAV).*"
    for bits in (0, 1, 7, 8, 31, 33, 63, 65, 255, 65535):
        yield f"bits-{bits}", with_format(bits=bits, block=2), ".+"
    for bits in (8, 16, 24):
        yield f"float-{bits}", with_format(tag=3, bits=bits), NO_SOUND
    yield "float-33", with_format(tag=3, bits=33), "WAV header: 4 bytes for 1 samples of 33 bits .+"
    yield "channels-and-bits", with_format(tag=2, channels=65535, bits=65535, block=0), ".+"
    for tag in (0, 4, 0x7FFF, 0xFFFF):
        yield f"tag-{tag}", with_format(tag=tag), ".+"
    for block in (1, 3, 65535):
        yield f"block-{block}", with_format(block=block), ".+"
    for size in (0, 1, 14, 15, 2**31, 2**32 - 1):
        yield f"fmt-size-{size}", with_format(size=size), ".+"
    for size in (65, 66, 1000, 2**31, 2**32 - 2):
        yield f"data-size-{size}", with_format(data_size=size), ".+"
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    for name, form in (("guid", struct.pack("<HHI", 22, 16, 0) + b"\xff" * 16),
                       ("short", struct.pack("<H", 22)),
                       ("valid-bits", struct.pack("<HHI", 22, 99, 0) + guid)):
        yield f"extensible-{name}", with_format(tag=0xFFFE, size=16 + len(form), extra=form), ".+"
    for at, bad in ((0, np.nan), (17, np.inf), (399, -np.inf)):
        for encoding in ("f32", "f64"):
            values = np.append(noise(400), 0.0)
            values[at] = bad
            yield (f"{encoding}-{at}", wav(values, encoding=encoding),
                   f"sample {at} of channel 1 is (not a number|infinite)")
    yield "no-fmt", b"RIFF\x14\0\0\0WAVEdata\x04\0\0\0\0\0\0\0", ".+"
    yield "no-data", whole[:4] + b"\x1c\0\0\0" + whole[8:36], ".*'data'.*"
    yield "text", b"this is not sound at all, only words that someone wrote", NO_SOUND
    yield "zeros", bytes(5000), NO_SOUND
    yield "ones", b"\xff" * 5000, NO_SOUND
    yield "aiff", b"FORM\0\0\0\x40AIFFCOMM" + bytes(20), NO_SOUND
    yield "rf64", b"RF64\xff\xff\xff\xffWAVEds64\xff\xff\xff\xff" + bytes(20), ".+"


def flac_cases():
    whole = read(FLAC)
    for size in [1, 2, 3, 4, 5, 8, 20, 41, 42, 43, 60] + [len(whole) * i // 23 for i in range(1, 23)]:
        yield f"cut-{size}", whole[:size], "(cut short: .+|not a sound file .+|cannot read on .+)"
    for at in range(4):
        yield f"magic-{at}", whole[:at] + b"\0" + whole[at + 1:], NO_SOUND
    rate, channels, bits, samples = 24000, 1, 16, FLAC_SAMPLES

    def described(rate=rate, channels=channels, bits=bits, samples=samples):
        """With another STREAMINFO."""
        packed = rate << 44 | channels - 1 << 41 | bits - 1 << 36 | samples
        return whole[:18] + packed.to_bytes(8, "big") + whole[26:]
    assert described() == whole
    yield "rate-0", described(rate=0), NO_SOUND
    yield "rate-1", described(rate=1), "its sample rate, 1 Hz, is more than 256 times away .+"
    for other in (2, 8):
        yield f"channels-{other}", described(channels=other), "cannot read on after 0 samples: .+"
    for other in (1, 4, 32):
        yield f"bits-{other}", described(bits=other), NO_SOUND
    for other in (samples + 1, 2 * samples, 2**36 - 1):
        yield f"samples-{other}", described(samples=other), f"cut short: 79115 of its {other} samples .+"
    for size in (0, 33, 35, 2**24 - 1):
        yield f"description-{size}", whole[:5] + size.to_bytes(3, "big") + whole[8:], NO_SOUND
    yield "description-of-another-type", whole[:4] + b"\x7f" + whole[5:], NO_SOUND
    yield "no-description", whole[:4] + whole[42:], NO_SOUND
    frames = whole.index(b"\xff\xf8")
    yield "block-of-2^24", whole[:42] + b"\x81\xff\xff\xff" + whole[frames:], NO_SOUND
    yield "no-frames", whole[:frames], "cut short: 0 of its 79115 samples are there"
    yield "more-behind", whole + b"garbage" * 1000, "goes on for .+"
    yield "frames-dropped", whole[:frames + 3000] + whole[frames + 6000:], "cannot read on after .+"
    yield "zeros-before", bytes(10) + whole, NO_SOUND
    for at in range(frames, len(whole), (len(whole) - frames) // 25):
        flipped = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:]
        yield f"flip-{at}", flipped, "(cannot read on after|not a sound file).+"
    for place in (2, 3, 4, 5):
        start = len(whole) * place // 6
        yield f"zeroed-{place}", whole[:start] + bytes(4000) + whole[start + 4000:], ".+"
    yield "twice-its-head", whole[:4] + whole, ".+"


def safetensors_file(header, data=b"", size=None):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def safetensors_cases():
    whole = read(TINY, "model.safetensors")
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8:8 + length])
    data = whole[8 + length:]
    name = "encoder.layers.0.conv.weight"
    for size in [0, 1, 7, 8, 9, 100, 7 + length, 8 + length, 9 + length, len(whole) // 2,
                 len(whole) - 1]:
        yield f"cut-{size}", whole[:size], ".+"
    for size in (0, 1, length - 1, length + 1, 10**8 + 1, 2**31, 2**32, 2**60, 2**63, 2**64 - 1):
        yield f"header-{size}", struct.pack("<Q", size) + whole[8:], ".+"
    yield "longer", whole + b"x", "1 bytes follow the last tensor"

    def changed(**fields):
        other = json.loads(json.dumps(header))
        for field, value in fields.items():
            if value is None:
                del other[name][field]
            else:
                other[name][field] = value
        return safetensors_file(other, data)

    begin, end = header[name]["data_offsets"]
    for kind in ("F64", "I64", "U8", "BOOL", "F8_E4M3", "F128", "", "f32", 5, [], {}):
        yield f"dtype-{kind}", changed(dtype=kind), ".*(dtype|bytes|F32|BOOL|U8).*"
    shapes = ([2**40], [2**40, 2**40], [2**63, 2], [2**64 - 1], [1] * 9, [-1], [1.5], [[1]], ["4"],
              [4, 1], [], [0], [4, 1, 8], [7, 1, 4])
    for i, shape in enumerate(shapes):
        yield f"shape-{i}", changed(shape=shape), ".+"
    offsets = ([begin], [], [begin, end, end], [end, begin], [begin, end + 4], [begin + 4, end + 4],
               [2**63, 2**63 + 112], [2**64 - 112, 2**64], [-1, end], [0, 2**40], "all", [begin, end - 4])
    for i, place in enumerate(offsets):
        yield f"offsets-{i}", changed(data_offsets=place), ".+"
    for field in ("dtype", "shape", "data_offsets"):
        yield f"without-{field}", changed(**{field: None}), ".* is missing"
    yield "extra-field", changed(device="gpu"), ".*'device' is not a part of the format"

    missing = {key: value for key, value in header.items() if key != name}
    yield "hole", safetensors_file(missing, data), ".+"
    renamed = dict(missing, unheard_of=header[name])
    yield "renamed", safetensors_file(renamed, data), ".*(encoder.layers.0.conv.weight|unheard_of).*"
    twin = json.dumps(header).encode()[:-1] + b', "%s": %s}' % (
        name.encode(), json.dumps(header[name]).encode())
    yield "twin", safetensors_file(twin, data), ".*twice"
    for i, text in enumerate((b"", b"{", b"[]", b"null", b"{}x", b'{"a"}', b'{"a":1}', b'{"a":null}',
                              b'{"a":{}}', b'{"a":[]}', b'{"__metadata__":5}', b"\xff{}", b"{'a':1}",
                              b'{"\xff":{}}', b'{"a":' * 3000, b"[" * 3000, b'{"a":1e999}',
                              b'{"__metadata__":{"a":1}}', b"{}")):
        yield f"json-{i}", safetensors_file(text), "(header|tensor '[a-z.0-9]+' is missing).+"
    for i, bad in enumerate((np.nan, np.inf, -np.inf)):
        values = bytearray(data)
        values[begin:begin + 4] = struct.pack("<f", bad)
        yield f"value-{i}", safetensors_file(header, bytes(values)), f".*'{name}'.*(number|finite|infinite|nan|inf).*"


def config_cases():
    good = json.loads(read(TINY, "config.json"))
    for key in ("hidden_size", "num_filters", "kernel_size", "last_kernel_size",
                "residual_kernel_size", "compress", "codebook_size", "codebook_dim",
                "num_quantizers", "num_hidden_layers", "intermediate_size", "num_attention_heads",
                "sliding_window", "sampling_rate"):
        for value in (0, -1, 2**31, 1.5, "8", []):
            text = json.dumps(dict(good, **{key: value})).encode()
            yield f"{key}-{value}", text, f"'{key}' is .+, expected .+"
    for i, ratios in enumerate(([], [0], [-1, 2], [8, 6, 5, "4"], 8, [2**31, 2], [1] * 100,
                                [8, 6, 5, 4.5])):
        text = json.dumps(dict(good, upsampling_ratios=ratios)).encode()
        yield f"ratios-{i}", text, "'upsampling_ratios' is .+, expected .+"
    for key, value in (("norm_eps", -1), ("norm_eps", "small"), ("rope_theta", 0),
                       ("rope_theta", -5), ("hidden_act", "relu"), ("use_causal_conv", False),
                       ("pad_mode", "reflect"), ("num_key_value_heads", 1), ("head_dim", 16),
                       ("audio_channels", 2), ("frame_rate", 50), ("model_type", "encodec"),
                       ("num_semantic_quantizers", 6)):
        text = json.dumps(dict(good, **{key: value})).encode()
        yield f"{key}-{value}", text, f"'{key}' is .+, expected .+"
    for i, text in enumerate((b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe{}", b"{,}",
                              b'{"hidden_size":1e999}', b"[" * 100000, b'{"a":' * 50 + b"1" + b"}" * 50,
                              b'{"hidden_size":32,"hidden_size":32}', b"{}" * 2, b" " * 2_000_000)):
        yield f"json-{i}", text, "(is|has|holds) .+"


def dataset_cases(files):
    """(name, file, bytes, pattern), of the files of a dataset of one recording, as npy."""
    about = json.loads(files["dataset.json"])
    for key, most in (("rows", 2**40), ("shard_size", 2**50), ("levels", 64), ("frame_samples", 2**24),
                      ("codebook_size", 2**16), ("sample_rate", 2**24), ("done", 2**40)):
        for value in (-1, most + 1, 2**63, 2**64 - 1, 2**64, 1.5, 1e300, "1", None):
            text = json.dumps(dict(about, **{key: value})).encode()
            yield (f"{key}-{value}", "dataset.json", text,
                   f"'{key}' is no number from [01] to {most}")
    for key, value in (("channels", -2**31), ("channels", 0), ("shards", 2), ("as", "x"),
                       ("window", "x"), ("resampler", "x"), ("version", 2), ("complete", 5)):
        text = json.dumps(dict(about, **{key: value})).encode()
        yield f"{key}-{value}", "dataset.json", text, ".+"
    for i, text in enumerate((b"", b"{", b"[]", b"null", b"{}", b"[" * 100000)):
        yield f"json-{i}", "dataset.json", text, "is not a dataset.*"
    row = json.loads(files["manifest.jsonl"])
    for key in ("row", "samples", "source_samples", "frames", "levels"):
        for value in (-1, 2**50 + 1, 2**64, 0.5, 1e300, "1", None, []):
            text = json.dumps(dict(row, **{key: value})).encode() + b"\n"
            yield f"{key}-{value}", "manifest.jsonl", text, "line 1 is damaged"
    for i, text in enumerate((b"{", b"[]\n", b"5\n", b"[" * 100000 + b"\n")):
        yield f"line-{i}", "manifest.jsonl", text, "line 1 is damaged"
    for shape in ("(-1, 2)", "(0, 2)", "(8, 2305843009213693954)", "(65537, 2)", "(8, 1.5)"):
        head = b"{'descr': '<u2', 'fortran_order': False, 'shape': " + shape.encode() + b", }"
        head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
        text = b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + files["a.npy"][-32:]
        yield f"shape-{shape}", "a.npy", text, "is not a .npy file of codes as mimi writes it"


def record(kind, payload):
    body = b"\xfeMR" + kind + struct.pack("<H", len(payload)) + payload
    return body + struct.pack("<I", crc32c(body))


SIGNATURE = b"\x89MIMI\r\n\x1a\n"


def token_header(version=1, reserved=0, rate=24000, frame=1920, levels=2, streams=1, codebook=64,
                 bits=6, window=0, source_rate=0, source_samples=2**64 - 1, name=b"x", texts=0,
                 rest=b""):
    return (struct.pack("<HHIHBBIBBBBIQIB", version, reserved, rate, frame, levels, streams, codebook,
                        bits, window, 1, 1, source_rate, source_samples, 0, len(name)) + name +
            struct.pack("<H", texts) + rest)


def mimi_of_a_gap(frames):
    """A valid file of some 300 bytes, all frames lost."""
    header = record(b"H", token_header(levels=6))
    segment = SIGNATURE + header
    gap = segment + record(b"S", struct.pack("<5I", 0, 0, 0, 0, 0))
    end = gap + record(b"G", struct.pack("<4IHH", 0, (frames + 124) // 125, 0, frames, 0, 0))
    index = end + record(b"E", struct.pack("<IIQQ", 0, frames, 1920 * frames, 0))
    entry = "<cBHIIIQ"
    tail = index + record(b"I", struct.pack(entry, b"S", 0, 0, 0, 1, 0, len(segment)) +
                          struct.pack(entry, b"G", 0, 0, 0, (frames + 124) // 125, 0, len(gap)))
    return tail + header + record(b"T", struct.pack("<6I4Q", frames, 0, 1, 1, frames, 0, 1920 * frames,
                                                    0, len(index), len(tail)))


def mimi_cases(whole):
    step = max(1, len(whole) // 40)
    for size in list(range(0, 12)) + list(range(12, len(whole), step)):
        yield f"cut-{size}", whole[:size], ".*(byte|empty).*"
    for at in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        yield f"flip-{at}", bytes(flipped), ".+"
    for name, fields in {
            "version-0": {"version": 0}, "version-2": {"version": 2}, "version-65535": {"version": 65535},
            "reserved": {"reserved": 1}, "rate-0": {"rate": 0}, "rate-2^31": {"rate": 2**31},
            "frame-0": {"frame": 0}, "levels-0": {"levels": 0}, "levels-65": {"levels": 65},
            "streams-0": {"streams": 0}, "codebook-0": {"codebook": 0}, "codebook-1": {"codebook": 1},
            "codebook-2^32-1": {"codebook": 2**32 - 1}, "bits-7": {"bits": 7}, "bits-0": {"bits": 0},
            "window-3": {"window": 3}, "samples-without-rate": {"source_samples": 5},
            "samples-2^53": {"source_rate": 1, "source_samples": 2**53}, "name": {"name": b"\xff"},
            "texts": {"texts": 65535}, "rest": {"rest": b"x"},
            "key-0": {"texts": 1, "rest": b"\0\0\0"}, "value": {"texts": 1, "rest": b"\1k\xff\xff"},
    }.items():
        yield f"header-{name}", SIGNATURE + record(b"H", token_header(**fields)), "header at byte 9.*"
    head = SIGNATURE + record(b"H", token_header())
    segment = record(b"S", struct.pack("<5I", 0, 0, 0, 0, 0))
    for name, body in {
            "gap-of-2^32": segment + record(b"G", struct.pack("<4IHH", 0, 2**32 - 1, 0, 2**32 - 1, 0, 0)),
            "gap-outside": record(b"G", struct.pack("<4IHH", 0, 1, 0, 1, 0, 0)),
            "block-short": segment + record(b"B", b""),
            "block-of-255": segment + record(b"B", struct.pack("<IIHBBBB", 0, 0, 0, 255, 2, 6, 1)),
            "block-of-0": segment + record(b"B", struct.pack("<IIHBBBB", 0, 0, 0, 0, 2, 6, 1)),
            "block-later": segment + record(b"B", struct.pack("<IIHBBBB", 9, 9, 0, 1, 2, 6, 1) + b"\0\0"),
            "block-padding": segment + record(b"B", struct.pack("<IIHBBBB", 0, 0, 1920, 1, 2, 6, 1) + b"\0\0"),
            "block-bits": segment + record(b"B", struct.pack("<IIHBBBB", 0, 0, 0, 1, 2, 6, 1) + b"\0\xf0"),
            "lead-in-2^32": record(b"S", struct.pack("<5I", 0, 0, 0, 2**32 - 1, 0)) +
                            record(b"E", struct.pack("<IIQQ", 0, 0, 0, 0)),
            "end-of-10^12": segment + record(b"E", struct.pack("<IIQQ", 0, 2**32 - 1, 10**12 * 1920, 0)),
            "totals-of-10^12": record(b"T", struct.pack("<6I4Q", *[2**32 - 1] * 6, 10**12, 0, 0, 0)),
            "index-of-65535": record(b"I", bytes(65535)), "unknown-type": record(b"Z", b""),
            "type-0": record(b"\0", b""), "header-thrice": record(b"H", token_header()) * 2,
            "nothing-more": b"", "length-lies": b"\xfeMRB\xff\xff" + bytes(100),
            "sync-only": b"\xfeMR", "small-letter": record(b"a", bytes(65535)),
    }.items():
        yield f"body-{name}", head + body, ".*byte.*"
    for name, start in {"text-mode-1": b"\x89MIMI\n\x1a\n", "text-mode-2": b"\x89MIMI\r\r\n\x1a\r\n",
                        "7-bit": b"\x09MIMI\r\n\x1a\n", "moshi": b"MIMI\x08\0\0\0",
                        "wav": b"RIFF", "utf-16": b"\xff\xfe\x89\0M\0"}.items():
        yield f"signature-{name}", start + whole[9:], "(signature is damaged|not a .mimi file).+"


def raw_cases():
    """Headerless PCM, whose options are the test's."""
    for size in (1, 3, 401):
        yield f"s16-{size}", bytes(size), r"ends within a sample \(byte \d+\)"
    for at, bad in ((0, np.nan), (5, np.inf), (2999, -np.inf)):
        values = np.zeros(3000)
        values[at] = bad
        yield f"f32-{at}", pcm(values, "f32"), f"sample {at} of channel 1 is .+"
