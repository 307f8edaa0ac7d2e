#!/usr/bin/env python3
"""Sound in and out of the command line: formats, rates, channels, exact lengths."""
import os
import struct
import subprocess
import unittest

import numpy as np

from cli_support import (FLAC, FLAC_SAMPLES, FORMATS, FRAME, MIMI, RATE, SOX_SIZE, TINY, CliTest,
                         noise, pcm, read_wav, wav)

SIZE_UNKNOWN = (0, 0xFFFFFFFF)
OPUSDEC_SIZE, ARECORD_SIZE = 0x7FFFFFFF, 0x80000000  # as SOX_SIZE


def chunk(name, data):
    """Of a RIFF file, padded to an even length."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


class Reading(CliTest):
    """Everything that is read is compared by its codes with raw PCM of the same samples."""

    def setUp(self):
        super().setUp()
        self.sound = noise(5000)
        self.mimi("encode", "--raw", "f32", "-", "-o", "expected.mimi", stdin=pcm(self.sound, "f32"))
        self.expected = self.codes("expected.mimi")

    def same(self, data, *options):
        """`data` as a file and through a pipe."""
        self.put("in", data)
        self.mimi("encode", "in", "-f", "-o", "file.mimi", *options)
        self.mimi("encode", "-", "-f", "-o", "pipe.mimi", *options, stdin=data)
        self.assertEqual(self.codes("file.mimi"), self.expected)
        self.assertEqual(self.codes("pipe.mimi"), self.expected)

    def wrong(self, data, err, *options):
        self.put("in", data)
        self.fails("encode", "in", "-o", "out", *options, err="in: " + err)
        self.fails("encode", "-", "-o", "out", *options, err="standard input: " + err, stdin=data)
        self.assertNotIn("out", self.files())

    def test_wav_encodings(self):
        for encoding in FORMATS:
            for extensible in (False, True):
                with self.subTest(encoding=encoding, extensible=extensible):
                    self.same(wav(self.sound, encoding=encoding, extensible=extensible))

    def test_raw(self):
        for encoding in ("s16", "f32"):
            self.same(pcm(self.sound, encoding), "--raw", encoding)
        self.wrong(pcm(self.sound, "s16")[:-1], r"ends within a sample \(byte 9999\)", "--raw", "s16")
        self.wrong(b"\0" * 6, r"ends within a sample \(byte 6\)", "--raw", "s16",
                   "--raw-channels", "2")

    def test_wav_of_unknown_size(self):
        for size in SIZE_UNKNOWN:
            # No samples in a known whole are no samples; a program that was stopped leaves 8 or 36.
            for riff_size in (8, 36, *SIZE_UNKNOWN) if size == 0 else (None, *SIZE_UNKNOWN):
                with self.subTest(size=size, riff_size=riff_size):
                    self.same(wav(self.sound, data_size=size, riff_size=riff_size))

    def test_wav_beyond_4_gb(self):
        """RF64, whose sizes are in a chunk of their own."""
        whole = wav(self.sound, riff_size=0xFFFFFFFF, data_size=0xFFFFFFFF)
        sizes = struct.pack("<QQQI", len(whole) + 28, 2 * len(self.sound), len(self.sound), 0)
        self.same(b"RF64" + whole[4:12] + chunk(b"ds64", sizes) + whole[12:] + b"no sound any more")
        unfinished = struct.pack("<qQQI", -8, 0, 0, 0)
        self.same(b"RF64" + whole[4:12] + chunk(b"ds64", unfinished) + whole[12:])
        self.wrong(b"RF64" + whole[4:12] + chunk(b"ds64", sizes[:12]) + whole[12:],
                   r"WAV header: ends within the 'ds64' chunk \(byte 20\)")

    def test_wav_of_a_stream(self):
        """The size that stands for one that is not known yet."""
        for encoding, size in (("s16", SOX_SIZE), ("s24", SOX_SIZE // 3 * 3), ("s24", ARECORD_SIZE)):
            self.same(wav(self.sound, encoding=encoding, data_size=size, riff_size=size + 36))
        self.same(wav(self.sound, data_size=OPUSDEC_SIZE, riff_size=OPUSDEC_SIZE))
        self.put("in", wav(self.sound, data_size=SOX_SIZE, riff_size=10036))
        self.fails("encode", "in", "-o", "out", err="in: WAV header: cut short: 'data' chunk of .+")
        self.fails("encode", "-", "-o", "out", stdin=wav(self.sound, data_size=0x7FFFF002),
                   err="standard input: WAV file cut short: .+")

    def test_wav_whose_size_wrapped(self):
        """Some writers count beyond 4 GiB from 0 again."""
        self.put("in", wav(self.sound))
        os.truncate(self.path("in"), 2**32 + 10044)
        self.fails("encode", "in", "-o", "out", err="in: WAV header: the file goes on for "
                   r"4294967296 bytes behind the 'data' chunk, .+ 4 GiB \(byte 44\)")

    def test_wav_that_goes_on_behind_its_sizes(self):
        """Those of Python's wave, stopped before it mends them, are of the first part."""
        whole = wav(self.sound)
        for behind in (bytes(4096), b"TAG" + b"x" * 125):
            self.same(whole + behind)
        tag = chunk(b"id3 ", b"x" * 20000)
        self.same(wav(self.sound, riff_size=len(whole + tag) - 8) + tag)
        for riff_size in (None, 836, 44, 0):
            self.wrong(wav(self.sound, data_size=800, riff_size=riff_size),
                       r"WAV file goes on behind its 'data' chunk with what is no whole chunk, and "
                       r"may be sound \(byte 844\)")

    def test_wav_with_chunks_behind_the_samples(self):
        odd = wav(self.sound[:999], encoding="u8")
        for padding in (b"\0", b""):  # which some writers leave out
            for behind in ([b"x" * 601], [b"x" * 5000, b""], [b"x" * 4999, b"y"]):
                chunks = padding.join(chunk(b"LIST", data)[:8 + len(data)] for data in behind)
                self.put("in.wav", odd + padding + chunks)
                self.mimi("encode", "in.wav", "-f", "-o", "file.mimi")
                self.mimi("encode", "-", "-f", "-o", "pipe.mimi", stdin=odd + padding + chunks)
                lengths = [info["source_samples"] for info in self.info("file.mimi", "pipe.mimi")]
                self.assertEqual(lengths, [999, 999])
        for before in (b"", chunk(b"LIST", b"x" * 9)):
            whole = wav(self.sound) + before
            self.wrong(whole + wav(self.sound)[36:],
                       rf"WAV file has a second 'data' chunk \(byte {len(whole)}\)")
        self.wrong(wav(self.sound) + b"LIST" + struct.pack("<I", 9000) + b"x" * 8000,
                   r"WAV file goes on behind its 'data' chunk with what is no whole chunk, .+")

    def test_wav_without_samples(self):
        """What stands behind them is not taken for samples."""
        for behind in (b"", chunk(b"LIST", b"INFO" * 100)):
            size = len(wav([])) - 8 + len(behind)
            data = wav([], riff_size=size) + behind
            self.put("in.wav", data)
            for name in ("in.wav", "-"):
                self.mimi("encode", name, "-f", "-o", "out.mimi", stdin=data)
                self.assertEqual(self.info("out.mimi")[0]["samples"], 0)

    def test_wav_with_other_chunks(self):
        bext = chunk(b"bext", b"x" * 601)
        self.same(wav(self.sound, before=bext) + chunk(b"LIST", b"INFO"))
        self.same(wav(self.sound) + chunk(b"LIST", b"x" * 100))
        # Between the format and the samples.
        for size in (0, 601, 9000):
            data = wav(self.sound)
            whole = data[:36] + chunk(b"LIST", b"x" * size) + data[36:]
            self.same(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])

    def test_wav_of_much_before_its_format(self):
        data = wav(self.sound, before=chunk(b"id3 ", b"x" * 2000000))
        self.put("in", data)
        self.mimi("encode", "in", "-o", "file.mimi")
        self.assertEqual(self.codes("file.mimi"), self.expected)
        self.fails("encode", "-", "-o", "out", stdin=data, err=r"standard input: WAV header: "
                   r"no 'fmt ' chunk in the first 1 MiB \(byte 20\)")

    def test_wav_of_strange_sample_sizes(self):
        def with_block(data, block_bytes, bits):
            return data[:32] + struct.pack("<HH", block_bytes, bits) + data[36:]
        self.same(with_block(wav(self.sound), 0, 16))
        for encoding, block_bytes, bits in (("s16", 4, 16), ("s32", 4, 24)):  # may be one of several
            self.wrong(with_block(wav(self.sound, encoding=encoding), block_bytes, bits),
                       rf"WAV header: {block_bytes} bytes for 1 samples of {bits} bits \(byte 36\)")

    def test_truncated_wav(self):
        whole = wav(self.sound)
        self.put("in", wav(self.sound, riff_size=10144) + chunk(b"LIST", b"x" * 100)[:-20])
        self.fails("encode", "in", "-o", "out", err=r"in: WAV header: cut short: RIFF chunk of 10144 "
                   r"bytes, the file has 10124 of them \(byte 12\)")
        self.fails("encode", "-", "-o", "out", stdin=whole[:-2],
                   err=r"standard input: WAV file cut short: 2 bytes .* \(byte 10042\)")
        self.put("in", wav(self.sound, riff_size=0)[:-5000])
        self.fails("encode", "in", "-o", "out", err=r"in: WAV header: cut short: 'data' chunk of "
                   r"10000 bytes, the file has 5000 of them \(byte 44\)")
        self.assertEqual(self.files(), ["expected.mimi", "in"])

    def test_damaged_wav(self):
        whole = wav(self.sound)
        for length in range(12, 44):  # each cut in the header
            with self.subTest(length=length):
                self.put("in", whole[:4] + b"\0\0\0\0" + whole[8:length])
                self.fails("encode", "in", "-o", "out", err=r"in: WAV header: ends .* \(byte .*\)")
        form = bytearray(whole)
        form[22] = 0  # channels
        self.wrong(bytes(form), r"WAV header: no channels \(byte 36\)")
        no_data = b"RIFF" + struct.pack("<I", 28) + whole[8:36]
        self.wrong(no_data, r"WAV header: ends before the 'data' chunk .*")

    def test_wav_of_odd_chunks(self):
        """Padding stands behind every chunk of an odd size."""
        whole = wav(self.sound)
        form, data = whole[20:36], whole[36:]
        self.same(whole[:4] + b"\0" * 4 + b"WAVE" + chunk(b"fmt ", form + b"\0") + data)

    def test_wav_of_strange_chunks(self):
        start = b"RIFF\0\0\0\0WAVE"
        form, data = chunk(b"fmt ", wav([])[20:36]), wav(self.sound)[36:]
        adpcm = struct.pack("<HHIIHHHH", 17, 1, RATE, RATE // 2, 256, 4, 2, 505)
        self.wrong(start + form + chunk(b"fmt ", adpcm) + data,
                   r"WAV header: a second 'fmt ' chunk \(byte 44\)")
        for before, byte, last in ((b"", 20, 524308), (form, 44, 524324)):
            self.wrong(start + before + b"\0" * 5000,
                       rf"WAV header: no chunk where one should begin \(byte {byte}\)")
            self.wrong(start + before + b"a\0\x1bb" + struct.pack("<I", 5000),
                       r"WAV header: ends within the 'a\\x00\\x1bb' chunk \(byte .+\)")
            self.wrong(start + before + chunk(b"LIST", b"") * 65537 + form + data,
                       rf"WAV header: more than 65536 chunks \(byte {last}\)")

    def test_not_finite(self):
        for bad, word in ((np.nan, "not a number"), (np.inf, "infinite"), (-np.inf, "infinite")):
            sound = np.stack([self.sound, self.sound], axis=1)
            sound[4321, 1] = bad
            err = f"sample 4321 of channel 2 is {word}"
            self.wrong(wav(sound, encoding="f32"), err)
            self.wrong(wav(sound, encoding="f64", rate=48000), err)  # on the thread that resamples

    def test_flac_through_a_pipe(self):
        with open(FLAC, "rb") as file:
            flac = file.read()
        self.mimi("encode", FLAC, "-o", "file.mimi")
        self.mimi("encode", "-", "-o", "pipe.mimi", stdin=flac)
        self.assertEqual(self.codes("pipe.mimi"), self.codes("file.mimi"))
        self.put("cut.flac", flac[:60000])
        self.fails("encode", "cut.flac", err="cut.flac: cannot read on after 43008 samples: .*")
        self.fails("encode", "-", "-o", "out", stdin=flac[:60000],
                   err="standard input: (cut short: .*|cannot read on .*)")
        self.fails("encode", "-", "-o", "out", stdin=b"",
                   err="standard input: not a sound file that can be read: .*")
        self.assertNotIn("out", self.files())

    def test_channels(self):
        left, right = noise(5000), noise(5000, seed=2)
        self.put("both.wav", wav(np.stack([left, right], axis=1)))
        self.put("left.wav", wav(left))
        self.put("right.wav", wav(right))
        self.put("mean.wav", wav((left + right) / 2, encoding="f32"))
        self.mimi("encode", "left.wav", "right.wav", "mean.wav")
        for channels, same in (("mix", "mean"), ("left", "left"), ("right", "right"), ("1", "left"),
                               ("2", "right")):
            self.mimi("encode", "both.wav", "-f", "--channels", channels)
            self.assertEqual(self.codes("both.mimi"), self.codes(f"{same}.mimi"), channels)
        self.mimi("encode", "both.wav", "-f")
        self.assertEqual(self.codes("both.mimi"), self.codes("mean.mimi"))
        self.fails("encode", "both.wav", "-f", "--channels", "3",
                   err="both.wav: has 2 channels, --channels asks for number 3")
        self.fails("encode", "left.wav", "-f", "--channels", "right",
                   err="left.wav: has 1 channel, --channels asks for number 2")

    def test_keep(self):
        sounds = [noise(5000, seed) for seed in (1, 2, 3)]
        self.put("all.wav", wav(np.stack(sounds, axis=1)))
        self.mimi("encode", "all.wav", "--channels", "keep")
        self.assertEqual(self.info("all.mimi")[0]["streams"], 3)
        self.mimi("decode", "all.mimi", "-o", "decoded.wav")
        self.mimi("roundtrip", "-q", "all.wav", "round.wav", "--channels", "keep")
        self.assertEqual(self.get("round.wav"), self.get("decoded.wav"))
        decoded = read_wav(self.get("decoded.wav"))[1]
        for i, sound in enumerate(sounds):
            self.put("one.wav", wav(sound))
            self.mimi("roundtrip", "-q", "-f", "one.wav", "one-decoded.wav")
            self.assertTrue(np.array_equal(read_wav(self.get("one-decoded.wav"))[1][:, 0],
                                           decoded[:, i]))
        self.mimi("decode", "all.mimi", "--rate", "48000", "-o", "48.wav")
        self.assertEqual(read_wav(self.get("48.wav"))[1].shape, (10000, 3))
        raw = pcm(np.stack(sounds, axis=1).reshape(-1), "s16")
        self.mimi("encode", "--raw", "s16", "--raw-channels", "3", "--channels", "keep", "-", "-o",
                  "raw.mimi", stdin=raw)
        self.assertEqual(self.codes("raw.mimi"), self.codes("all.mimi"))

    def test_libopus_can_find_what_stands_before_its_own(self):
        """Without it nothing differs but the time."""
        symbols = subprocess.check_output(["nm", "--dynamic", "--defined-only", MIMI], text=True)
        self.assertRegex(symbols, r" T opus_custom_mode_create\n")


class Writing(CliTest):
    def setUp(self):
        super().setUp()
        self.mimi("encode", FLAC, "-o", "a.mimi")
        raw = self.mimi("decode", "a.mimi", "--raw", "f32", "-o", "-", out=None)
        self.sound = np.frombuffer(raw, "<f4")
        self.assertEqual(len(self.sound), FLAC_SAMPLES)

    def quantized(self, bits):
        scale = 2.0**(bits - 1)
        return np.clip(np.rint(self.sound * scale), -scale, scale - 1) / scale

    def test_wav(self):
        self.mimi("decode", "a.mimi", "--format", "f32", "-o", "f32.wav")
        self.assertTrue(np.array_equal(read_wav(self.get("f32.wav"))[1][:, 0], self.sound))
        for name, bits in (("s16", 16), ("s24", 24)):
            self.mimi("decode", "a.mimi", "--format", name, "-o", f"{name}.wav")
            self.assertTrue(np.array_equal(read_wav(self.get(f"{name}.wav"))[1][:, 0],
                                           self.quantized(bits)), name)
        self.mimi("decode", "a.mimi", "-o", "default.WAV")
        self.assertEqual(self.get("default.WAV"), self.get("s16.wav"))
        s16 = self.mimi("decode", "a.mimi", "--raw", "s16", "-o", "-", out=None)
        self.assertEqual(s16, self.get("s16.wav")[44:])

    def test_wav_on_stdout_has_no_size(self):
        for name in ("s16", "s24", "f32"):
            self.mimi("decode", "a.mimi", "--format", name, "-o", "file.wav", "-f")
            out = self.mimi("decode", "-", "--format", name, stdin=self.get("a.mimi"), out=None)
            self.assertEqual(out[4:8], b"\xff" * 4)
            self.assertTrue(np.array_equal(read_wav(out)[1], read_wav(self.get("file.wav"))[1]))

    def test_flac(self):
        """What is written is read back through another encode, whose codes must be those of a WAV of
        the same samples."""
        for name, bits in (("s16", 16), ("s24", 24)):
            self.mimi("decode", "a.mimi", "--format", name, "-o", f"{name}.flac")
            self.assertEqual(self.get(f"{name}.flac")[:4], b"fLaC")
            self.put("same.wav", wav(self.quantized(bits), encoding="s24"))
            self.mimi("encode", "-f", f"{name}.flac", "same.wav", "-l", "32")
            self.assertEqual(self.codes(f"{name}.mimi"), self.codes("same.mimi"))
            self.assertEqual(self.info(f"{name}.mimi")[0]["source_samples_in_header"], FLAC_SAMPLES)

    def test_ogg(self):
        self.mimi("decode", "a.mimi", "-o", "a.ogg")
        self.assertEqual(self.get("a.ogg")[:4], b"OggS")
        self.mimi("decode", "a.mimi", "-o", "same.ogg")
        self.assertEqual(self.get("same.ogg"), self.get("a.ogg"))
        self.mimi("encode", "a.ogg", "-o", "again.mimi")
        info = self.info("again.mimi")[0]
        self.assertEqual((info["source_samples"], info["source_rate"]), (FLAC_SAMPLES, RATE))

    def test_limits_of_formats(self):
        for rate, name, err in ((200001, "a.ogg", "Ogg Vorbis is of at most 200000 Hz, not 200001"),
                                (655351, "a.flac", "FLAC is of at most 655350 Hz, not 655351"),
                                (65541, "a.flac", "FLAC of more than 65535 Hz is of whole tens of "
                                 "them, not 65541")):
            self.fails("decode", "a.mimi", "--rate", str(rate), "-o", name, err=f"{name}: {err}")
        for rate, name in ((200000, "a.ogg"), (655350, "a.flac"), (65540, "b.flac"),
                           (65535, "c.flac")):
            self.mimi("decode", "a.mimi", "--resampler", "fast", "--to", "0.2", "--rate", str(rate),
                      "-o", name)
        self.put("9.wav", wav(np.zeros((100, 9))))
        self.mimi("encode", "9.wav", "-l", "1", "--channels", "keep")
        self.fails("decode", "9.mimi", "-o", "9.flac",
                   err="9.flac: FLAC holds at most 8 channels, not 9")

    def test_clipping_is_counted_and_does_not_wrap(self):
        self.mimi("encode", FLAC, "-o", "loud.mimi", "--model", TINY)  # a loud one
        self.mimi("decode", "loud.mimi", "--format", "f32", "-o", "f32.wav", "--model", TINY)
        self.sound = read_wav(self.get("f32.wav"))[1][:, 0]
        loud = int(np.sum(np.abs(self.sound) > 1))
        self.assertGreater(loud, 1)
        for name, bits in (("s16.wav", 16), ("s24.flac", 24)):
            self.mimi("decode", "loud.mimi", "--format", name[:3], "-o", name, "--model", TINY,
                      err=f"mimi: {name}: {loud} samples beyond full scale clipped\n")
        self.assertTrue(np.array_equal(read_wav(self.get("s16.wav"))[1][:, 0], self.quantized(16)))
        self.mimi("decode", "loud.mimi", "-q", "-f", "-o", "s16.wav", "--model", TINY)


class Lengths(CliTest):
    RATES = (8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000)

    @staticmethod
    def resampled(n, a, b):
        return 0 if n == 0 else max(1, (2 * n * b + a) // (2 * a))

    def test_every_rate(self):
        for rate in self.RATES:
            names, frame = {}, rate * FRAME // RATE
            for n in (0, 1, 2, 3, rate // 100 + 1, 2 * frame, 2 * frame + 1):
                names[f"{n}"] = n
                self.put(f"{n}.wav", wav(noise(n), rate=rate))
            self.check(rate, names)

    def check(self, rate, names):
        wavs = [f"{name}.wav" for name in names]
        tokens = [f"{name}.mimi" for name in names]
        self.mimi("encode", "-f", "--resampler", "fast", *wavs)
        for info, n in zip(self.info(*tokens), names.values()):
            m = self.resampled(n, rate, RATE)
            found = info["source_rate"], info["source_samples"], info["samples"], info["frames"]
            self.assertEqual(found, (rate, n, m, -(-m // 1920)))
        self.mimi("decode", "-f", *tokens)
        self.mimi("decode", "-f", "--resampler", "fast", "--rate", str(rate), "--out-dir", "back",
                  *tokens)
        for name, n in names.items():
            self.assertEqual(read_wav(self.get(f"{name}.wav"))[1].shape,
                             (self.resampled(n, rate, RATE), 1))
            found_rate, back = read_wav(self.get(f"back/{name}.wav"))
            self.assertEqual((found_rate, back.shape), (rate, (n, 1)), name)

    def test_every_resampler_through_pipes(self):
        for quality in ("best", "medium", "fast"):
            sound = wav(noise(11025), rate=11025, data_size=0xFFFFFFFF)
            tokens = self.mimi("encode", "-", "--resampler", quality, stdin=sound, out=None)
            out = self.mimi("decode", "-", "--resampler", quality, "--rate", "11025", stdin=tokens,
                            out=None)
            self.assertEqual(read_wav(out)[1].shape, (11025, 1))

    def test_resampling_keeps_the_sound(self):
        """No delay and the same level: a sine at 44.1 kHz and one at 24 kHz give the same codes, or
        nearly."""
        def sine(rate):
            return 0.4 * np.sin(2 * np.pi * 330 * np.arange(rate) / rate)
        self.put("24.wav", wav(sine(24000), encoding="f32"))
        self.put("44.wav", wav(sine(44100), rate=44100, encoding="f32"))
        self.mimi("roundtrip", "-q", "24.wav", "24-out.wav")
        self.mimi("roundtrip", "-q", "44.wav", "44-out.wav")
        a, b = (read_wav(self.get(f"{name}-out.wav"))[1][2400:-2400, 0] for name in ("24", "44"))
        self.assertLess(np.abs(a - b).mean(), 0.1 * np.abs(a).mean())

    def test_nothing_at_all(self):
        self.mimi("encode", "--raw", "s16", "-", "-o", "empty.mimi")
        info, = self.info("empty.mimi")
        self.assertEqual((info["frames"], info["samples"], info["blocks"]), (0, 0, 0))
        for name in ("empty.wav", "empty.flac", "empty.ogg"):
            self.mimi("decode", "empty.mimi", "-o", name)
        self.assertEqual(read_wav(self.get("empty.wav"))[1].shape, (0, 1))
        self.mimi("decode", "empty.mimi", "--raw", "s16", "-o", "-", "--rate", "8000")
        for name in ("empty.wav", "empty.flac"):
            self.mimi("encode", "-f", name, "-o", "again.mimi")
            self.assertEqual(self.info("again.mimi")[0]["frames"], 0)

    def test_impossible_rate(self):
        for rate in (50, 7000000):
            self.put("a.wav", wav(noise(100), rate=rate))
            self.fails("encode", "a.wav", err=f"a.wav: its sample rate, {rate} Hz, is more than 256 "
                       "times away from 24000 Hz")


if __name__ == "__main__":
    unittest.main()
