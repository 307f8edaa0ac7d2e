#!/usr/bin/env python3
"""Sound in and out of the command line: formats, rates, channels, exact lengths."""
import ctypes
import os
import struct
import subprocess
import unittest

import numpy as np

from cli_support import (FLAC, FLAC_SAMPLES, FORMATS, FRAME, MIMI, RATE, CliTest, noise, pcm,
                         read_wav, wav)

TINY = ["--model", os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")]
SIZE_UNKNOWN = (0, 0xFFFFFFFF)
SOX_SIZE, OPUSDEC_SIZE, ARECORD_SIZE = 0x7FFFF000, 0x7FFFFFFF, 0x80000000  # of what has no end yet
VORBIS, OPUS, FLAC_16 = 0x200060, 0x200064, 0x170002  # libsndfile's numbers of formats
AU_LITTLE_ENDIAN = 0x10030002
WAV_ULAW, AIFF, AU, SVX, NIST, W64, CAF = (0x010010, 0x020002, 0x030002, 0x060002, 0x070002,
                                           0x0B0002, 0x180002)


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def mp3(samples, rate, kbps=None, tag=True):
    """By LAME: at a constant rate of bits, or of a constant quality; `tag` tells the length."""
    lame = ctypes.CDLL("libmp3lame.so.0")
    lame.lame_init.restype = ctypes.c_void_p
    lame.lame_get_lametag_frame.restype = ctypes.c_size_t
    state = ctypes.c_void_p(lame.lame_init())
    constant = [("brate", kbps), ("disable_reservoir", 1)] if kbps else [("VBR", 4), ("VBR_q", 4)]
    for name, value in [("in_samplerate", rate), ("out_samplerate", rate), ("num_channels", 1),
                        ("mode", 3), ("bWriteVbrTag", int(tag)), *constant]:
        getattr(lame, f"lame_set_{name}")(state, value)
    assert lame.lame_init_params(state) >= 0
    buffer = ctypes.create_string_buffer(2 * len(samples) + 10000)
    size = lame.lame_encode_buffer(state, pcm(samples, "s16"), None, len(samples), buffer,
                                   len(buffer))
    assert size >= 0
    data = buffer.raw[:size]
    size = lame.lame_encode_flush(state, buffer, len(buffer))
    data += buffer.raw[:size]
    size = lame.lame_get_lametag_frame(state, buffer, len(buffer)) if tag else 0
    lame.lame_close(state)
    return buffer.raw[:size] + data[size:]


def by_libsndfile(path, form, samples, rate=RATE):
    class Info(ctypes.Structure):
        _fields_ = [("frames", ctypes.c_int64)] + [
            (name, ctypes.c_int) for name in ("rate", "channels", "form", "sections", "seekable")]
    sndfile = ctypes.CDLL("libsndfile.so.1")
    sndfile.sf_open.restype = ctypes.c_void_p
    sndfile.sf_write_double.restype = ctypes.c_int64
    info = Info(0, rate, 1, form, 0, 0)
    file = ctypes.c_void_p(sndfile.sf_open(path.encode(), 0x20, ctypes.byref(info)))
    values = np.ascontiguousarray(samples, dtype=np.float64)
    written = sndfile.sf_write_double(file, values.ctypes.data_as(ctypes.c_void_p),
                                      ctypes.c_int64(len(values)))
    assert (written, sndfile.sf_close(file)) == (len(values), 0)


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


class Whole(CliTest):
    """Nothing of a sound file is left out in silence."""
    ENDS_EARLY = r"goes on for \d+ bytes where libsndfile takes it to end \(byte \d+\); convert .+"

    def length(self, data):
        """As a file and through a pipe."""
        self.put("in", data)
        self.mimi(*TINY, "encode", "-f", "-l", "1", "in", "-o", "file.mimi")
        self.mimi(*TINY, "encode", "-f", "-l", "1", "-", "-o", "pipe.mimi", stdin=data)
        samples, again = [info["source_samples"] for info in self.info("file.mimi", "pipe.mimi")]
        self.assertEqual(samples, again)
        return samples

    def refused(self, data, err):
        self.put("in", data)
        self.fails(*TINY, "encode", "in", "-o", "out", err=f"in: {err}")
        self.fails(*TINY, "encode", "-", "-o", "out", stdin=data, err=f"standard input: {err}")
        self.assertNotIn("out", self.files())

    def test_mp3(self):
        for rate, kbps in ((16000, (64, 160)), (22050, (64,)), (44100, (64, 320)), (48000, (128,))):
            for seconds in (1, 4):
                sound = noise(rate * seconds)
                for bits in (*kbps, None):
                    with self.subTest(rate=rate, bits=bits, seconds=seconds):
                        self.assertEqual(self.length(mp3(sound, rate, bits)), rate * seconds)
                    if bits:  # what is encoded is padded to whole frames
                        found = self.length(mp3(sound, rate, bits, tag=False)) - rate * seconds
                        self.assertTrue(0 <= found <= 3 * 1152, found)

    def test_mp3_that_is_longer_than_guessed(self):
        """Without a tag, libsndfile takes all frames to be as large as the first."""
        joined = [mp3(noise(44100), 44100, kbps, tag=False) for kbps in (320, 32, 32, 32)]
        self.refused(b"".join(joined), self.ENDS_EARLY)
        whole = mp3(noise(16000), 16000, 64)
        for between in (b"", b"ID3\4\0\0\0\0\1\0" + b"x" * 128):
            self.refused(whole + between + whole, self.ENDS_EARLY)
        for rate in (16000, 44100):
            for seconds in (1, 5):
                self.refused(mp3(noise(rate * seconds), rate, tag=False), self.ENDS_EARLY)

    def test_tags_behind_the_sound(self):
        def ape(flags):  # its header, or its footer
            return struct.pack("<8sIIIIQ", b"APETAGEX", 2000, 20032, 1, flags, 0)
        tags = (b"TAG" + b"x" * 125,
                ape(0xA0000000) + b"x" * 20000 + ape(0x80000000),
                b"LYRICSBEGIN" + b"x" * 9000 + b"009011LYRICS200",
                b"ID3\4\0\x10\0\0\x40\0" + b"x" * 8192 + b"3DI\4\0\x10\0\0\x40\0")
        sound = mp3(noise(44100), 44100, 64)
        for behind in (*tags, b"".join(tags[::-1]), bytes(4096)):
            self.assertEqual(self.length(sound + behind), 44100)
        for behind in (b"x" * 5000, tags[0] * 100, b"LYRICSBEGIN" + b"x" * 9000 + b"00901xLYRICS200"):
            self.refused(sound + behind, self.ENDS_EARLY)

        with open(FLAC, "rb") as file:
            flac = file.read()
        for behind in (*tags, b"\n", bytes(4000)):
            self.assertEqual(self.length(flac + behind), FLAC_SAMPLES)
        by_libsndfile(self.path("short.flac"), FLAC_16, noise(500))
        for before, behind in ((flac, bytes(5000)), (flac, self.get("short.flac")),
                               (self.get("short.flac"), self.get("short.flac"))):
            self.refused(before + behind, self.ENDS_EARLY)

    def test_tags_before_the_sound(self):
        with open(FLAC, "rb") as file:
            files = {"flac": file.read(), "wav": wav(noise(24001)),
                     "mp3": mp3(noise(44100), 44100, 64)}
        for form in (WAV_ULAW, AIFF, AU, W64, CAF, VORBIS, OPUS):
            by_libsndfile(self.path("a"), form, noise(24001))
            files[form] = self.get("a")
        tags = [b"ID3\4\0\0" + struct.pack("BBBB", 0, 0, size >> 7, size & 127) + bytes(size)
                for size in (128, 9000)]
        for form, data in files.items():
            with self.subTest(form=form):
                self.length(data)
                codes = self.codes("file.mimi")
                for before in (*tags, b"".join(tags)):
                    self.length(before + data)
                    self.assertEqual(self.codes("file.mimi"), codes)
        self.refused(b"ID3\4\0\0\0\0\0\0" * 65 + files["wav"], r"begins with more than 64 ID3 tags .byte 650.")
        cut = files["wav"][:-100]
        self.refused(tags[0] + cut, r"WAV header: cut short: RIFF chunk of 48038 bytes, .+")

    def test_cut_short(self):
        """Of formats of which libsndfile reads what is left."""
        for form in (AIFF, AU, AU_LITTLE_ENDIAN, SVX, NIST, W64):
            by_libsndfile(self.path("a"), form, noise(24000))
            data = self.get("a")
            self.assertEqual(self.length(data), 24000)
            for size in (20, 20000):
                self.refused(data[:-size], r"cut short: by its header, \d+ bytes or more are "
                             rf"missing \(byte {len(data) - size}\)")
        for form in (VORBIS, OPUS):
            by_libsndfile(self.path("a"), form, noise(48000))
            data = self.get("a")
            last = data.rindex(b"OggS")
            for size in (len(data) - 1, last, last - 1):
                self.refused(data[:size], r"(cut short: its last page is not the end of a stream "
                             r"\(.+\)|not a sound file .+ malformed)")
        for bits in (64, None):
            data = mp3(noise(44100), 44100, bits)
            for size in (100, len(data) // 2):
                self.refused(data[:-size], r"cut short: \d+ of its 44100 samples are there")
            self.refused(data[:3000] + bytes(3000) + data[6000:], "cannot read on after .+")

    def test_sizes_of_what_went_into_a_pipe(self):
        def field(data, at, value):
            return data[:at] + struct.pack(">I", value) + data[at + 4:]
        files = {}
        for form in (AIFF, AU, AU_LITTLE_ENDIAN, NIST):
            by_libsndfile(self.path("a"), form, noise(24000))
            files[form] = self.get("a")
        sox = files[AIFF]
        for at, value in ((4, 0x7F00002E), (sox.index(b"COMM") + 10, 0x3F800000),
                          (sox.index(b"SSND") + 4, 0x7F000008)):
            sox = field(sox, at, value)
        for data in (sox, *(field(files[au], 8, 0xFFFFFFFF) for au in (AU, AU_LITTLE_ENDIAN)),
                     files[NIST].replace(b"sample_count", b"sample_COUNT")):
            self.assertEqual(self.length(data), 24000)

    def test_never_finished(self):
        """The header as it is before the sound is written."""
        for form, begin in ((AIFF, 54), (AU, 24), (CAF, 4096)):
            by_libsndfile(self.path("empty"), form, [])
            by_libsndfile(self.path("a"), form, noise(24000))
            self.assertEqual(self.length(self.get("empty")), 0)
            self.refused(self.get("empty")[:begin] + self.get("a")[begin:],
                         "its header tells of no samples, though 48000 bytes follow "
                         rf"\(byte {begin}\): it was never finished")

    def test_compressed_wav_of_a_stream(self):
        by_libsndfile(self.path("a"), WAV_ULAW, noise(24000))
        data = self.get("a")
        at = data.index(b"data") + 4

        def with_sizes(riff, size):
            return (data[:4] + struct.pack("<I", riff) + data[8:at] + struct.pack("<I", size) +
                    data[at + 4:])
        for riff, size in ((SOX_SIZE + 50, SOX_SIZE), (0xFFFFFFFF, 0xFFFFFFFF), (8, 0)):
            self.assertEqual(self.length(with_sizes(riff, size)), 24000)
        self.refused(with_sizes(50, 0), "its header tells of no samples, though 24000 bytes .+")

    def test_flac_that_tells_too_few_samples(self):
        with open(FLAC, "rb") as file:
            flac = bytearray(file.read())
        self.assertEqual(struct.unpack(">I", flac[22:26])[0], FLAC_SAMPLES)
        flac[22:26] = struct.pack(">I", 40960)
        self.refused(bytes(flac), self.ENDS_EARLY)

    def test_ogg_of_several_recordings(self):
        for form in (VORBIS, OPUS):
            ogg = []
            for name, samples in (("a.ogg", 24000), ("b.ogg", 48000)):
                by_libsndfile(self.path(name), form, noise(samples))
                ogg.append(self.get(name))
                self.assertEqual(self.length(ogg[-1]), samples)
            for junk in (b"", b"OggX" * 3000):
                self.refused(ogg[0] + junk + ogg[1], "holds several recordings, one after the other, "
                             f"the second from byte {len(ogg[0] + junk)} on; split it first")


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
        self.mimi("encode", FLAC, "-o", "loud.mimi", *TINY)  # a loud one
        self.mimi("decode", "loud.mimi", "--format", "f32", "-o", "f32.wav", *TINY)
        self.sound = read_wav(self.get("f32.wav"))[1][:, 0]
        loud = int(np.sum(np.abs(self.sound) > 1))
        self.assertGreater(loud, 1)
        for name, bits in (("s16.wav", 16), ("s24.flac", 24)):
            self.mimi("decode", "loud.mimi", "--format", name[:3], "-o", name, *TINY,
                      err=f"mimi: {name}: {loud} samples beyond full scale clipped\n")
        self.assertTrue(np.array_equal(read_wav(self.get("s16.wav"))[1][:, 0], self.quantized(16)))
        self.mimi("decode", "loud.mimi", "-q", "-f", "-o", "s16.wav", *TINY)


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
