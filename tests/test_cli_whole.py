#!/usr/bin/env python3
"""Sound files of which a part is missing, or might be left out in silence."""
import ctypes
import struct
import unittest

import numpy as np

from cli_support import FLAC, FLAC_SAMPLES, RATE, SOX_SIZE, TINY, CliTest, noise, pcm, wav

VORBIS, OPUS, FLAC_16 = 0x200060, 0x200064, 0x170002  # libsndfile's numbers of formats
AU_LITTLE_ENDIAN = 0x10030002
WAV_ULAW, AIFF, AU, SVX, NIST, W64, CAF = (0x010010, 0x020002, 0x030002, 0x060002, 0x070002,
                                           0x0B0002, 0x180002)


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


class Whole(CliTest):
    """Nothing of a sound file is left out in silence."""
    ENDS_EARLY = r"goes on for \d+ bytes where libsndfile takes it to end \(byte \d+\); convert .+"

    def length(self, data):
        """As a file and through a pipe."""
        self.put("in", data)
        self.mimi("--model", TINY, "encode", "-f", "-l", "1", "in", "-o", "file.mimi")
        self.mimi("--model", TINY, "encode", "-f", "-l", "1", "-", "-o", "pipe.mimi", stdin=data)
        samples, again = [info["source_samples"] for info in self.info("file.mimi", "pipe.mimi")]
        self.assertEqual(samples, again)
        return samples

    def refused(self, data, err):
        self.put("in", data)
        self.fails("--model", TINY, "encode", "in", "-o", "out", err=f"in: {err}")
        self.fails("--model", TINY, "encode", "-", "-o", "out", stdin=data, err=f"standard input: {err}")
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


if __name__ == "__main__":
    unittest.main()
