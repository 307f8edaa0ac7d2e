#!/usr/bin/env python3
"""The commands that work on token files alone."""
import json
import os
import re
import shutil
import subprocess
import unittest

import numpy as np

from cli_support import FLAC, FLAC_SAMPLES, FRAME, RATE, TINY, CliTest, noise, read_wav, wav



class TokenTest(CliTest):
    def encode(self, name, sound, *options, rate=RATE):
        self.put("in.wav", wav(sound, rate=rate))
        self.mimi("encode", "--model", TINY, "-f", "in.wav", "-o", name, *options)

    def decode(self, name, *options):
        raw = self.mimi("decode", "--model", TINY, name, "--raw", "f32", "-o", "-", *options,
                        out=None)
        return np.frombuffer(raw, "<f4")


    def made_up(self, name):
        """A file of write_token_samples."""
        folder = self.path("made-up")
        os.mkdir(folder)
        subprocess.run([os.path.join(os.environ["MIMI_BUILD_DIR"], "write_token_samples"), folder],
                       check=True, stdout=subprocess.DEVNULL)
        return os.path.join(folder, name + ".mimi")


class Test(TokenTest):
    def test_a_line_a_file(self):
        self.mimi("encode", FLAC, "-o", "a.mimi")
        line = f"a.mimi: ok, {FLAC_SAMPLES / RATE:.2f} s, {-(-FLAC_SAMPLES // FRAME)} frames\n"
        self.mimi("test", "a.mimi", out=line.encode())
        self.mimi("test", "-", stdin=self.get("a.mimi"),
                  out=line.replace("a.mimi", "standard input").encode())
        self.mimi("test", "-q", "a.mimi")
        damaged = bytearray(self.get("a.mimi"))
        damaged[100] ^= 1
        self.put("b.mimi", damaged)
        self.mimi("test", "b.mimi", "a.mimi", "c.mimi", code=1, out=line.encode(),
                  err="mimi: b.mimi: .* at byte \\d+.*\nmimi: c.mimi: No such file or directory\n")

    def test_lost_frames_are_told(self):
        shutil.copy(self.made_up("segmented"), self.path("a.mimi"))
        self.mimi("test", "a.mimi", out=b"a.mimi: ok, 1.12 s, 17 frames, 5 of them lost\n")


class Cut(TokenTest):
    def test_a_part_decodes_to_the_bits_of_the_whole(self):
        self.encode("a.mimi", noise(8 * RATE + 777))
        whole = self.decode("a.mimi")
        for start, end in ((0, 3), (1, 2), (4.125, 8), (5.0001, 5.0002), (7.9, None)):
            with self.subTest(start=start, end=end):
                options = ["--from", str(start)] + (["--to", str(end)] if end else [])
                # 3 seconds are more than the receptive field of this model.
                self.mimi("cut", "-f", "a.mimi", "--lead-in", "3", *options)
                part = self.decode("a.cut.mimi")
                first = round(start * RATE)
                last = round(end * RATE) if end else len(whole)
                np.testing.assert_array_equal(part, whole[first:last])
        self.mimi("cut", "-f", "a.mimi", "--lead-in", "0", "--from", "5")
        cold = self.decode("a.cut.mimi")
        self.assertEqual(len(cold), len(whole) - 5 * RATE)
        self.assertFalse(np.array_equal(cold, whole[5 * RATE:]))
        # By default all is kept that any model can need.
        self.mimi("cut", "a.mimi", "--from", "5", "-o", "default.mimi")
        np.testing.assert_array_equal(self.decode("default.mimi"), whole[5 * RATE:])
        self.assertEqual(self.info("default.mimi")[0]["segments"][0]["lead_in_samples"], 5 * RATE)

    def test_parts_of_parts_and_joined_parts(self):
        self.encode("a.mimi", noise(70001), rate=16000)
        self.mimi("cut", "a.mimi", "--to", "2.5", "-o", "first.mimi")
        self.mimi("cut", "a.mimi", "--from", "2.5", "-o", "second.mimi")
        self.mimi("cat", "first.mimi", "second.mimi", "-o", "both.mimi")
        np.testing.assert_array_equal(self.decode("both.mimi"), self.decode("a.mimi"))
        self.assertEqual(self.info("both.mimi")[0]["source_samples"], 70001)
        self.mimi("cut", "second.mimi", "--from", "0.5", "--to", "1", "-o", "part.mimi")
        np.testing.assert_array_equal(self.decode("part.mimi"),
                                      self.decode("a.mimi")[3 * RATE:3 * RATE + RATE // 2])

    def test_a_lead_in_of_more_frames_than_can_be_numbered(self):
        self.encode("a.mimi", noise(10 * 1920))
        self.mimi("convert", "a.mimi", "--as", "text", "-o", "a.txt")
        text = self.get("a.txt").decode()
        for now, then in (("sample_rate", 2**31 - 1), ("frame_samples", 1), ("padding_samples", 0)):
            text = re.sub(f'"{now}":[0-9]+', f'"{now}":{then}', text)
        self.put("fast.txt", text.encode())
        self.mimi("convert", "fast.txt", "-o", "fast.mimi")
        # 2^32 + 1 frames, and the part begins in the fifth.
        self.mimi("cut", "fast.mimi", "--lead-in", "2.000000001", "--from", "0.000000002")
        self.assertEqual(self.info("fast.cut.mimi")[0]["segments"][0]["lead_in_samples"], 4)

    def test_levels(self):
        self.encode("a.mimi", noise(50000), "-l", "4", "--channels", "keep")
        self.encode("b.mimi", noise(50000), "-l", "2", "--channels", "keep")
        self.mimi("cut", "a.mimi", "-l", "2")
        self.assertEqual(self.get("a.cut.mimi"), self.get("b.mimi"))
        self.fails("cut", "-f", "b.mimi", "-l", "3", err="b.mimi: has 2 levels, 3 are asked for")

    def test_outputs(self):
        self.encode("a.mimi", noise(50000))
        self.mimi("cut", "-", "--to", "1", stdin=self.get("a.mimi"), out=None)
        self.mimi("cut", "a.mimi", "--out-dir", "parts")
        self.assertEqual(self.get("parts/a.cut.mimi"), self.get("a.mimi"))
        self.fails("cut", "a.mimi", "-o", "a.mimi", "-f", code=2,
                   err="a.mimi: would be overwritten by its own output")
        self.fails("cut", "a.mimi", "--from", "3", "-o", "b.mimi",
                   err="a.mimi: ends at 2.083 s, the part reaches 3.000 s")
        self.assertEqual(self.files(), ["a.mimi", "in.wav", "parts"])


class Cat(TokenTest):
    def test_each_decodes_as_it_did_alone(self):
        names = []
        for i in range(3):
            self.encode(f"{i}.mimi", noise(20000 + 1000 * i, seed=i))
            names.append(f"{i}.mimi")
        self.mimi("cat", *names, "-o", "all.mimi")
        alone = np.concatenate([self.decode(name) for name in names])
        np.testing.assert_array_equal(self.decode("all.mimi"), alone)
        self.put("piped.mimi", self.mimi("cat", *names, out=None))
        np.testing.assert_array_equal(self.decode("piped.mimi"), alone)
        self.mimi("cat", "0.mimi", "-o", "copy.mimi")
        self.assertEqual(self.get("copy.mimi"), self.get("0.mimi"))

    def test_refusals(self):
        self.encode("a.mimi", noise(5000))
        self.encode("b.mimi", noise(5000), "-l", "2")
        self.mimi("encode", FLAC, "-o", "c.mimi")
        self.fails("cat", "a.mimi", "b.mimi", "-o", "d.mimi",
                   err="b.mimi: level count is 2, expected \\d")
        self.fails("cat", "a.mimi", "c.mimi", "-o", "d.mimi",
                   err="c.mimi: was encoded with the model 'mimi-small' .*")
        damaged = bytearray(self.get("a.mimi"))
        damaged[-80] ^= 1
        self.put("damaged.mimi", damaged)
        self.fails("cat", "a.mimi", "damaged.mimi", "-o", "d.mimi", err="damaged.mimi: .* byte .*")
        self.fails("cat", "a.mimi", "-f", "-o", "a.mimi", code=2,
                   err="a.mimi: would be overwritten by its own output")
        self.assertEqual(self.files(), ["a.mimi", "b.mimi", "c.mimi", "damaged.mimi", "in.wav"])


class Repair(TokenTest):
    def test_all_but_the_damaged_block(self):
        self.encode("a.mimi", noise(8 * RATE), "--block-frames", "10")
        whole = self.get("a.mimi")
        damaged = bytearray(whole)
        damaged[whole.index(b"\xfeMRB", 400) + 20] ^= 1
        self.put("b.mimi", damaged)
        self.mimi("repair", "b.mimi", err=r"b.mimi: 9 blocks saved in b.repaired.mimi, 1 with 10 "
                  r"frames lost\n  lost: frames \d+0 to \d+9\n")
        self.mimi("test", "-q", "b.repaired.mimi")
        before, after = self.decode("a.mimi"), self.decode("b.repaired.mimi")
        self.assertEqual(len(after), len(before))
        lost = self.info("b.repaired.mimi")[0]["gaps"][0]
        self.assertRegex(self.mimi("info", "b.repaired.mimi", out=None).decode(),
                         r"\n *gap +10 frames lost from frame \d+0 on, 1 block\n")
        first = lost["first_frame"] * FRAME
        np.testing.assert_array_equal(after[:first], before[:first])
        np.testing.assert_array_equal(after[first:first + 10 * FRAME], 0)

    def test_nothing_to_repair(self):
        self.encode("a.mimi", noise(70000))
        self.mimi("repair", "a.mimi", err="a.mimi: 1 block saved in a.repaired.mimi, none lost\n")
        self.assertEqual(self.get("a.repaired.mimi"), self.get("a.mimi"))
        self.mimi("repair", "-q", "-f", "a.mimi")
        self.mimi("repair", "-q", "-", stdin=self.get("a.mimi"), out=self.get("a.mimi"))

    def test_what_must_be_guessed_is_told(self):
        self.encode("a.mimi", noise(70000))
        whole = self.get("a.mimi")
        segment = whole.index(b"\xfeMRS")
        self.put("b.mimi", whole[segment:-150])
        self.mimi("repair", "b.mimi", err="b.mimi: 1 block saved in b.repaired.mimi, none lost\n"
                  "  both headers lost: .*\n")
        self.put("c.mimi", whole[:segment] + whole[segment + 30:])
        self.mimi("repair", "c.mimi", err="c.mimi: 1 block saved .*, none lost\n"
                  "  1 segment's beginning lost: .*\n")
        self.assertEqual(self.get("c.repaired.mimi"), whole)
        self.put("twice.mimi", whole + whole)
        self.mimi("repair", "twice.mimi", err="twice.mimi: 2 blocks saved .*, none lost\n")
        self.mimi("cat", "a.mimi", "a.mimi", "-o", "cat.mimi")
        self.assertEqual(self.get("twice.repaired.mimi"), self.get("cat.mimi"))
        self.put("twice.mimi", whole + whole[9:])
        self.mimi("repair", "-f", "twice.mimi", err=r"twice.mimi: 1 block saved in \S+\n"
                  r"  7 whole records left out, which do not fit those before, of them 1 block\n")
        self.assertEqual(self.get("twice.repaired.mimi"), whole)
        block = whole.index(b"\xfeMRB")
        self.put("d.mimi", whole[:block + 100])
        self.mimi("repair", "d.mimi", err="d.mimi: 0 blocks saved .*, 1 with 37 frames lost\n"
                  "  lost: frames 0 to 36\n  1 segment's end lost: .*\n")
        self.assertEqual(len(self.decode("d.repaired.mimi")), len(self.decode("a.mimi")))
        # A pipe does not tell beforehand how much comes.
        piped = self.mimi("encode", "-q", "--raw", "s16", "-", stdin=bytes(40000), out=None)
        self.put("p.mimi", piped[:-300])
        self.mimi("repair", "p.mimi", err=r"p.mimi: \d blocks saved in p.repaired.mimi\n"
                  r"  lost: an unknown number of frames from \d on\n  1 segment's end lost: .*\n")
        self.put("e.mimi", b"nothing of the kind")
        self.fails("repair", "e.mimi", err="e.mimi: holds neither a whole header nor .*")
        self.assertNotIn("e.repaired.mimi", self.files())


class Convert(TokenTest):
    def setUp(self):
        super().setUp()
        self.encode("a.mimi", noise(70001), "--channels", "keep", "-l", "3", rate=16000)
        self.put("in2.wav", wav(np.stack([noise(50000), noise(50000, 2)], axis=1)))
        self.mimi("encode", "--model", TINY, "in2.wav", "-o", "two.mimi", "--channels", "keep")

    def read_npy(self, name):
        """By the script that is written from the specification alone."""
        script = os.path.join(os.environ["MIMI_SOURCE_DIR"], "scripts/read_mimi.py")
        subprocess.run(["/usr/bin/python3", script, self.path(name), self.path("expected.npy")],
                       check=True)
        return np.load(self.path("expected.npy"))

    def test_npy(self):
        for name in ("a.mimi", "two.mimi"):
            expected = self.read_npy(name)
            for dtype in ("uint16", "int16", "int32", "int64"):
                with self.subTest(name=name, dtype=dtype):
                    self.mimi("convert", name, "-f", "-o", "x.npy", "--dtype", dtype)
                    codes = np.load(self.path("x.npy"))
                    self.assertEqual(codes.dtype, np.dtype(dtype))
                    np.testing.assert_array_equal(codes, expected)
                    for order in (codes, np.asfortranarray(codes)):
                        np.save(self.path("y.npy"), order)
                        self.mimi("convert", "-f", "y.npy", "-o", "y.mimi", "--like", name)
                        np.testing.assert_array_equal(self.read_npy("y.mimi"), expected)
        self.mimi("convert", name, "-f", "-o", "x.npy")
        self.assertEqual(self.get("x.npy"), self.get("expected.npy"))

    def test_frames_that_are_lost_in_part(self):
        np.save(self.path("p.npy"), np.array([[-1, 5], [6, -1], [7, 8]], np.int32))
        for kind in ("text", "safetensors", "moshi", "npy", "mimi"):
            self.fails("convert", "p.npy", "--as", kind, "-o", "x",
                       err="p.npy: code 1 of frame 0 is 6, expected -1 as of a lost frame")

    def test_dtypes_of_later_versions_are_kept(self):
        text = self.get_text("a.mimi").replace('"dtype":"f32"', '"dtype":9')
        self.put("late.txt", text.encode())
        self.mimi("convert", "late.txt", "-o", "late.mimi")
        self.assertEqual(self.get_text("late.mimi"), text)

    def get_text(self, name):
        self.mimi("convert", "-f", name, "--as", "text", "-o", "x.txt")
        return self.get("x.txt").decode()

    def test_formats_that_keep_all(self):
        self.mimi("cut", "a.mimi", "--from", "1", "-o", "part.mimi", "--lead-in", "1")
        self.mimi("cat", "a.mimi", "part.mimi", "-o", "b.mimi")
        damaged = bytearray(self.get("b.mimi"))
        damaged[300] ^= 1
        self.put("damaged.mimi", damaged)
        self.mimi("repair", "-q", "damaged.mimi", "-o", "c.mimi")
        shutil.copy(self.made_up("segmented"), self.path("d.mimi"))
        for name in ("a.mimi", "two.mimi", "b.mimi", "c.mimi", "d.mimi"):
            for kind in ("safetensors", "text"):
                with self.subTest(name=name, kind=kind):
                    self.mimi("convert", "-f", name, "--as", kind, "-o", "x")
                    self.mimi("convert", "-f", "x", "--as", "mimi", "-o", "y.mimi")
                    self.mimi("convert", "-f", name, "-o", "again.mimi")
                    self.assertEqual(self.get("y.mimi"), self.get("again.mimi"))
                    old, new = self.info(name)[0], self.info("y.mimi")[0]
                    for different in ("file", "bytes", "blocks", "largest_block_frames", "gaps"):
                        del old[different], new[different]
                    self.assertEqual(new, old)

    def test_safetensors(self):
        self.mimi("convert", "--as", "safetensors", "a.mimi")
        data = self.get("a.safetensors")
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        self.assertEqual((8 + size) % 8, 0)
        self.assertEqual(header["codes"]["dtype"], "I64")
        codes = np.frombuffer(data[8 + size:], "<i8").reshape(header["codes"]["shape"])
        np.testing.assert_array_equal(codes, self.read_npy("a.mimi"))
        # As other programs write it: no description, a batch of one, 32 bits.
        plain = json.dumps({"codes": {"dtype": "U32", "shape": [1, *codes.shape],
                                      "data_offsets": [0, 4 * codes.size]}}).encode()
        self.put("plain.safetensors", len(plain).to_bytes(8, "little") + plain +
                 codes.astype("<u4").tobytes())
        self.mimi("convert", "plain.safetensors", "-o", "plain.mimi", "--like", "a.mimi")
        self.assertEqual(self.codes("plain.mimi"), self.codes("a.mimi"))

    def test_moshi_and_codec(self):
        codes = self.read_npy("a.mimi")
        self.mimi("convert", "--as", "moshi", "a.mimi")
        expected = b"MIMI" + (3).to_bytes(4, "little") + codes.T.astype("<i2").tobytes()
        self.assertEqual(self.get("a.moshi.mimi"), expected)
        self.mimi("convert", "a.moshi.mimi", "--like", "a.mimi", "--as", "mimi", "-o", "b.mimi")
        self.assertEqual(self.codes("b.mimi"), self.codes("a.mimi"))
        self.mimi("convert", "--as", "codec", "a.mimi")
        self.assertEqual(np.load(self.path("a.npy")).dtype, np.int32)
        self.fails("convert", "--as", "moshi", "two.mimi",
                   err="two.mimi: has 2 streams, moshi.cpp's files hold one")

    def test_text(self):
        self.mimi("convert", "--as", "text", "a.mimi")
        lines = self.get("a.txt").decode().splitlines()
        self.assertTrue(lines[0].startswith("# mimi {"))
        codes = [[int(code) for code in line.split(" ")] for line in lines[1:]]
        np.testing.assert_array_equal(codes, self.read_npy("a.mimi").T)
        self.put("b.txt", b"# made by hand\n1 2 3\n4 5 6\nlost\n")
        self.mimi("convert", "--as", "mimi", "b.txt")
        info = self.info("b.mimi")[0]
        self.assertEqual((info["levels"], info["frames"], info["lost_frames"]), (3, 3, 1))
        self.assertEqual((info["sample_rate"], info["fingerprint"]), (24000, "00000000"))

    def test_what_a_format_does_not_keep_is_told(self):
        shutil.copy(self.made_up("segmented"), self.path("d.mimi"))
        self.mimi("convert", "d.mimi", "-o", "d.npy", err="mimi: d.mimi: this format does not keep "
                  "where its segments begin, that its beginning is a lead-in, 5 lost frames but as "
                  "65535\n")
        np.testing.assert_array_equal(np.load(self.path("d.npy")), self.read_npy("d.mimi"))
        for options in (("--dtype", "int16"), ("--as", "codec")):
            self.mimi("convert", "d.mimi", "-o", "x.npy", "-f", *options,
                      err="mimi: d.mimi: .+ 5 lost frames but as -1\n")

    def test_refusals(self):
        cases = {
            "short.npy": (b"\x93NUMPY\x01\0", "npy file is cut short"),
            "float.npy": (None, "npy array is of type '<f8', expected little-endian integers .*"),
            "big.npy": (None, "npy array is of type '>i4', expected little-endian integers .*"),
            "rank.npy": (None, r"array has the shape \[4\], expected .*"),
            "large.npy": (None, "code of level 1, frame 0 is 2048, expected 0 to 2047"),
            "huge.npy": (b"\x93NUMPY\x01\0\x76\0" + b"{'descr': '<i8', 'fortran_order': False, "
                         b"'shape': (4611686018427387904, 4), }".ljust(118),
                         r"array of shape \[4611686018427387904,4\] is too large"),
            "a.moshi": (b"MIMI\x03\0\0\0\1\0", "moshi.cpp's file ends within a frame .*"),
            "none.moshi": (b"MIMI\0\0\0\0", "moshi.cpp's file has 0 levels, .*"),
            "a.txt": (b"1 2\n3\n", "line 2 has 1 codes, expected 2"),
            "b.txt": (b"1 2\n3 x\n", "line 2 is '3 x', expected the codes .*"),
            "c.txt": (b"2048\n", "code 0 of frame 0 is 2048, expected 0 to 2047"),
            "d.txt": (b"", "holds no codes"),
            "e.txt": (b"# mimi {\n1\n", "description is not valid JSON"),
            "f.txt": (b'# mimi {"mimi":2}\n1\n', "description is of another version .*"),
        }
        np.save(self.path("float.npy"), np.zeros((2, 2)))
        np.save(self.path("big.npy"), np.zeros((2, 2), ">i4"))
        np.save(self.path("rank.npy"), np.zeros(4, np.int16))
        np.save(self.path("large.npy"), np.array([[1], [2048]]))
        for name, (data, error) in cases.items():
            with self.subTest(name):
                if data is not None:
                    self.put(name, data)
                self.fails("convert", name, "-o", "out.mimi", err=f"{name}: {error}")
        self.fails("convert", "a.mimi", code=2, err="--as FORMAT, or -o with the suffix .*")
        self.fails("convert", "a.mimi", "--as", "text", "--dtype", "int16", code=2,
                   err="--dtype is for npy and safetensors")
        like = self.get("a.mimi")
        for output in ("a.mimi", "./a.mimi"):
            self.fails("convert", "rank.npy", "-o", output, "--like", "a.mimi", "-f", code=2,
                       err="a.mimi: would be overwritten by the output of rank.npy")
        self.assertEqual(self.get("a.mimi"), like)
        self.assertNotIn("out.mimi", self.files())


class Seek(TokenTest):
    """Parts are encoded and decoded to the bits of the whole."""

    def test_decode(self):
        self.encode("a.mimi", noise(8 * RATE + 777))
        self.encode("b.mimi", noise(50001, seed=2), rate=16000)
        self.mimi("cat", "a.mimi", "b.mimi", "-o", "c.mimi")
        whole = self.decode("c.mimi")
        for start, end in ((0, None), (0, 3), (1, 2), (4.125, 8), (5.0001, 5.0002), (7.9, None),
                           (7.5, 9.5), (8.5, 8.6), (11, None)):
            with self.subTest(start=start, end=end):
                options = ["--from", str(start)] + (["--to", str(end)] if end else [])
                part = self.decode("c.mimi", *options)
                last = round(end * RATE) if end else len(whole)
                np.testing.assert_array_equal(part, whole[round(start * RATE):last])
        cold = self.decode("c.mimi", "--from", "5", "--warm-up", "0")
        self.assertEqual(len(cold), len(whole) - 5 * RATE)
        self.assertFalse(np.array_equal(cold, whole[5 * RATE:]))
        np.testing.assert_array_equal(
            self.decode("c.mimi", "--from", "5", "--warm-up", "3"), whole[5 * RATE:])

    def test_decode_through_a_gap(self):
        self.encode("a.mimi", noise(8 * RATE), "--block-frames", "10")
        damaged = bytearray(self.get("a.mimi"))
        damaged[damaged.index(b"\xfeMRB", 400) + 20] ^= 1
        self.put("b.mimi", damaged)
        self.mimi("repair", "-q", "b.mimi")
        whole = self.decode("b.repaired.mimi")
        for start in range(0, len(whole), 7777):
            part = self.decode("b.repaired.mimi", "--from", f"{start / RATE:.9f}")
            np.testing.assert_array_equal(part, whole[start:])

    def test_decode_at_another_rate(self):
        self.encode("a.mimi", noise(60001), rate=16000)
        for options, frames in (([], 60001), (["--from", "1"], 44001), (["--to", "1.5"], 24000),
                                (["--from", "1", "--to", "1.0001"], 1)):
            part = self.decode("a.mimi", "--rate", "16000", *options)
            self.assertEqual(len(part), frames)

    def test_encode(self):
        for rate in (RATE, 16000):
            sound = noise(8 * rate + 777)
            self.encode("a.mimi", sound, rate=rate)
            self.mimi("convert", "-f", "a.mimi", "-o", "a.npy")
            whole = np.load(self.path("a.npy"))
            total = self.info("a.mimi")[0]["samples"]
            for start, end in ((0, None), (0, 3), (1, 2), (4.125, 8), (5.0001, 5.0002),
                               (7.9, None), (6.4, 7.2)):
                with self.subTest(rate=rate, start=start, end=end):
                    options = ["--from", str(start)] + (["--to", str(end)] if end else [])
                    self.encode("b.mimi", sound, *options, rate=rate)
                    self.mimi("convert", "-qf", "b.mimi", "-o", "b.npy")
                    first = int(start * RATE) // FRAME
                    last = -(-round(end * RATE) // FRAME) if end else whole.shape[1]
                    np.testing.assert_array_equal(np.load(self.path("b.npy")),
                                                  whole[:, first:last])
                    info = self.info("b.mimi")[0]
                    finish = round(end * RATE) if end else total
                    self.assertEqual(info["samples"], finish - round(start * RATE))
                    self.assertAlmostEqual(info["source_samples"] * RATE / rate, info["samples"],
                                           delta=RATE / rate)
                    self.assertEqual(info["segments"][0]["origin_frame"], first)

    def test_warm_up_of_encode(self):
        sound = noise(8 * RATE)
        self.encode("a.mimi", sound, "--from", "5")
        self.encode("b.mimi", sound, "--from", "5", "--warm-up", "3")
        self.assertEqual(self.get("b.mimi"), self.get("a.mimi"))
        self.encode("c.mimi", sound, "--from", "5", "--warm-up", "0")
        self.assertNotEqual(self.codes("c.mimi"), self.codes("a.mimi"))

    def test_parts_that_are_not_there(self):
        self.encode("a.mimi", noise(2 * RATE))
        ends = "ends at 2.000 s, before the part does"
        for options in (["--from", "2"], ["--to", "2.1"], ["--from", "5", "--to", "6"]):
            self.fails("decode", "--model", TINY, "a.mimi", "-o", "b.wav", *options,
                       err=f"a.mimi: {ends}")
            self.fails("encode", "--model", TINY, "in.wav", "-o", "b.mimi", *options,
                       err=f"in.wav: {ends}")
        self.fails("encode", "--model", TINY, "in.wav", "-o", "b.mimi", "--from", "900000000",
                   err="in.wav: first frame: found 11249999[0-9]*, expected 0 to 536870912")
        empty = ["--from", "0.1", "--to", "0.1000001"]  # the same sample
        for command in (("encode", "--model", TINY, "in.wav"), ("decode", "--model", TINY, "a.mimi"),
                        ("cut", "a.mimi")):
            self.fails(*command, *empty, "-o", "b.wav", err=f"{command[-1]}: the part is empty")
        self.fails("decode", "a.mimi", "--from", "2", "--to", "1", code=2,
                   err="--to is not after --from")
        self.assertEqual(self.files(), ["a.mimi", "in.wav"])


class Lengths(TokenTest):
    """At another rate the source's count decides, where it can be so."""

    def claiming(self, rate, samples):
        """The codes of 2 s of a source that is said to have so many samples at that rate."""
        self.encode("a.mimi", noise(2 * RATE))
        self.mimi("convert", "-f", "a.mimi", "--as", "text", "-o", "a.txt")
        text = re.sub('"source_rate":[0-9]+', f'"source_rate":{rate}', self.get("a.txt").decode())
        text = re.sub('"source_samples":[0-9]+', f'"source_samples":{samples}', text)
        text = text.replace(f'"source_samples":{samples},"model"', '"source_samples":null,"model"')
        self.put("claim.txt", text.encode())
        self.mimi("convert", "-f", "claim.txt", "-o", "claim.mimi")

    def length(self, name, rate, *options):
        self.mimi("decode", "--model", TINY, "-f", "-q", name, "--rate", str(rate), "-o", "x.wav", *options)
        return len(read_wav(self.get("x.wav"))[1])

    def test_claims_of_the_source(self):
        for rate, samples, expected in ((44100, 88199, 96000 - 1), (44100, 88190, 96000),
                                        (24000, 2**53 - 1, 96000), (24000, 0, 96000), (24000, 1, 96000),
                                        (2**32 - 1, 2**53 - 1, 96000), (1, 2**53 - 1, 96000),
                                        (1, 2, 96000)):
            with self.subTest(rate=rate, samples=samples):
                self.claiming(rate, samples)
                self.assertEqual(self.length("claim.mimi", 48000), expected)

    def test_a_part_of_little_of_a_slow_source(self):
        self.encode("slow.mimi", noise(94), rate=94)
        self.mimi("cut", "slow.mimi", "--to", "0.004", "-o", "part.mimi")
        self.assertEqual(self.length("part.mimi", 48000, "--resampler", "fast"), 192)

    def test_many_recordings_joined(self):
        """Each is rounded up to a codec's sample; the whole has what the sources had."""
        self.encode("a.mimi", noise(3), rate=44100)  # 1.63 samples, which are 2
        self.mimi("cat", *["a.mimi"] * 200, "-o", "many.mimi")
        self.assertEqual(self.info("many.mimi")[0]["source_samples"], 600)
        self.assertEqual(self.length("many.mimi", 44100, "--resampler", "fast"), 600)

    def test_more_channels_than_a_file_has_streams(self):
        self.put("many.raw", bytes(2 * 256 * 100))
        self.fails("encode", "--model", TINY, "--raw", "s16", "--raw-channels", "256", "--channels",
                   "keep", "many.raw",
                   err="many.raw: has 256 channels, a token file holds at most 255 streams")
        self.assertEqual(self.files(), ["many.raw"])

    def test_too_many_channels_for_another_rate(self):
        self.put("many.raw", bytes(2 * 129 * 100))
        self.fails("encode", "--model", TINY, "--raw", "s16", "--rate", "48000", "--raw-channels", "129",
                   "--channels", "keep", "many.raw", "-o", "many.mimi",
                   err="many.raw: of 129 channels the rate cannot be changed, but of at most 128")
        self.mimi("encode", "--model", TINY, "-q", "--raw", "s16", "--rate", "24000", "--raw-channels",
                  "129", "--channels", "keep", "many.raw", "-o", "many.mimi")
        self.fails("decode", "--model", TINY, "many.mimi", "--rate", "48000", "-o", "x.wav",
                   err="x.wav: of 129 channels the rate cannot be changed, but of at most 128")
        self.assertNotIn("x.wav", self.files())


class Verify(TokenTest):
    def test_verify(self):
        self.put("a.wav", wav(noise(50000)))
        self.mimi("encode", "--model", TINY, "a.wav", "-o", "a.mimi")
        self.mimi("encode", "--model", TINY, "a.wav", "-o", "b.mimi", "--verify")
        self.assertEqual(self.get("b.mimi"), self.get("a.mimi"))
        # Nothing is sent down a pipe that cannot be verified.
        self.fails("encode", "--model", TINY, "a.wav", "-o", "-", "--verify", code=2,
                   err="standard output: --verify reads back what was written, and needs a file: .*")


if __name__ == "__main__":
    unittest.main()
