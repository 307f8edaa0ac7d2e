#!/usr/bin/env python3
"""The commands that work on token files alone."""
import os
import shutil
import subprocess
import unittest

import numpy as np

from cli_support import FLAC, FLAC_SAMPLES, FRAME, RATE, CliTest, noise, wav

TINY = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")


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


if __name__ == "__main__":
    unittest.main()
