#!/usr/bin/env python3
"""`mimi plot`: what is drawn, where, and what is refused."""
import os
import signal
import time
import unittest
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image

from cli_support import FLAC, RATE, CliTest, wav

SIZE = (1600, 1120)
# Of the panels: left, top, right, bottom, as cli/plot/figure.cpp places them.
SPECTROGRAMS = (85, 325, 1500, 565)
TOKENS = (85, 655, 985, 1055)
CHANGES = (1170, 655, 1500, 1055)
GAP = 24
SVG = "{http://www.w3.org/2000/svg}"
BAR = (33, 94, 168)  # the colour of a level's bar


def tone(hertz, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


class Plot(CliTest):
    def picture(self, *args, name="out.png", **options):
        """[rows, columns, colours] of what `mimi plot` draws."""
        self.mimi("plot", *args, "-o", name, **options)
        return self.pixels(name)

    def pixels(self, name):
        with Image.open(self.path(name)) as image:
            self.assertEqual((image.format, image.size, image.mode), ("PNG", SIZE, "RGB"))
            return np.asarray(image).astype(int)

    def panel(self, picture, box):
        left, top, right, bottom = box
        return picture[top + 2:bottom - 1, left + 2:right - 1]

    def spectrogram(self, picture, index, count):
        left, top, right, bottom = SPECTROGRAMS
        width = (right - left - GAP * (count - 1)) / count
        begin = left + index * (width + GAP)
        return self.panel(picture, (int(begin), top, int(begin + width), bottom))

    def loudest_hertz(self, spectrogram):
        """Of a steady sound: where the row is brightest, by green, which viridis has ever more of."""
        green = spectrogram[:, :, 1].mean(axis=1)
        return (1 - (np.argmax(green) + 2) / (SPECTROGRAMS[3] - SPECTROGRAMS[1])) * RATE / 2

    def test_tone_is_where_it_should_be(self):
        for hertz in (1000, 5000, 10000):
            self.put("tone.wav", wav(tone(hertz)))
            picture = self.picture("-f", "-l", "1", "tone.wav")
            found = self.loudest_hertz(self.spectrogram(picture, 0, 2))
            self.assertAlmostEqual(found, hertz, delta=75)

    def test_part(self):
        """A tone that changes at 3 s, in the part from 2 to 4 s."""
        self.put("two.wav", wav(np.concatenate([tone(2000, 3), tone(8000, 3)])))
        picture = self.picture("-l", "1", "--from", "2", "--to", "4", "two.wav")
        original = self.spectrogram(picture, 0, 2)
        half = original.shape[1] // 2
        self.assertAlmostEqual(self.loudest_hertz(original[:, :half - 9]), 2000, delta=75)
        self.assertAlmostEqual(self.loudest_hertz(original[:, half + 9:]), 8000, delta=75)

    def test_tokens(self):
        """Each code is a rectangle: equal colours where codes are equal."""
        picture = self.picture("-l", "4", FLAC)
        self.mimi("encode", "-q", "-l", "4", FLAC, "-o", "tokens.mimi")
        self.mimi("convert", "tokens.mimi", "-q", "-o", "codes.npy")
        codes = np.load(self.path("codes.npy"))
        left, top, right, bottom = TOKENS
        rows = top + ((np.arange(4) + 0.5) * (bottom - top) / 4).astype(int)
        frames = codes.shape[1]
        columns = left + ((np.arange(frames) + 0.5) * (right - left) / frames).astype(int)
        green = picture[rows][:, columns][:, :, 1]
        order = np.argsort(codes, axis=None)
        # Viridis has more green for every larger value, but for rounding.
        self.assertGreaterEqual(np.diff(green.reshape(-1)[order]).min(), -1)
        self.assertGreater(np.ptp(green), 150)

    def test_levels_have_bars(self):
        for levels in (1, 8):
            changes = self.panel(self.picture("-f", "-l", str(levels), FLAC), CHANGES)
            at_left = np.all(abs(changes[:, 1] - BAR) <= 1, axis=1)
            bars = np.count_nonzero(np.diff(at_left.astype(int)) == 1)
            self.assertEqual(bars, levels)

    def test_svg(self):
        name = "a <b> & c.flac"
        with open(FLAC, "rb") as file:
            self.put(name, file.read())
        self.mimi("plot", "-l", "8", name, "-o", "out.svg")
        root = ElementTree.fromstring(self.get("out.svg"))
        self.assertEqual(root.tag, SVG + "svg")
        self.assertEqual(root.get("viewBox"), f"0 0 {SIZE[0]} {SIZE[1]}")
        self.assertEqual(root.find(SVG + "title").text,
                         "a <b> & c.flac, 0.00 to 3.30 s; model mimi-small")
        self.assertRegex(root.find(SVG + "desc").text,
                         "original, of 1 level, of 4 levels and of 8 levels. Below: the tokens")
        images = [node for node in root.iter(SVG + "image")]
        self.assertEqual(len(images), 7)  # 4 spectrograms, the tokens, 2 colour bars

    def test_outputs(self):
        self.put("tone.wav", wav(tone(440)))
        strange = os.fsdecode(b"\xff\x01.wav")
        self.put(strange, wav(tone(440)))
        self.mimi("plot", "-l", "1", "tone.wav")
        first = self.get("tone.png")
        self.fails("plot", "tone.wav", err="tone.png: already exists; -f overwrites it")
        self.mimi("plot", "-l", "1", "--threads", "1", "-f", "tone.wav")
        self.assertEqual(self.get("tone.png"), first)
        self.mimi("plot", "-l", "1", "--out-dir", "all", "tone.wav", strange)
        self.assertEqual(len(os.listdir(self.path("all"))), 2)

    def test_samples_at_the_end_of_their_range(self):
        """Their spectrum is beyond what a float holds."""
        huge = np.where(np.arange(RATE) // 7 % 2, 3.4e38, -3.4e38)
        self.put("huge.wav", wav(huge, encoding="f32"))
        self.put("loud.wav", wav(np.sign(huge)))
        huge, loud = (self.spectrogram(self.picture("-f", "-l", "1", name), 0, 2)
                      for name in ("huge.wav", "loud.wav"))
        self.assertLess(abs(huge - loud).mean(), 40)
        self.assertGreater(np.ptp(huge[:, :, 1]), 100)
        self.mimi("plot", "-l", "1", "huge.wav", "-o", "huge.svg")
        self.assertNotRegex(self.get("huge.svg"), b"nan|inf")

    def test_pipe(self):
        data = wav(tone(440, 12))
        self.put("tone.wav", data)
        self.mimi("plot", "-l", "1", "tone.wav", "-o", "file.svg")
        svg = self.get("file.svg").decode()
        self.assertIn("<title>tone.wav, 0.00 to 10.00 s; model mimi-small</title>", svg)
        piped = self.mimi("plot", "-l", "1", "-", stdin=data, out=None)
        self.assertEqual(piped[:8], b"\x89PNG\r\n\x1a\n")

    def test_roundtrip(self):
        self.mimi("roundtrip", "-q", "-l", "4", FLAC, "out.wav", "--plot", "out.png")
        self.mimi("plot", "-l", "4", FLAC, "-o", "same.png")
        np.testing.assert_array_equal(self.pixels("out.png"), self.pixels("same.png"))
        self.fails("roundtrip", FLAC, "more.wav", "--plot", "out.png",
                   err="out.png: already exists; -f overwrites it")
        self.fails("roundtrip", FLAC, "more.wav", "--plot", "out.jpg", code=2,
                   err="out.jpg: a picture is .png or .svg by its suffix")
        self.fails("roundtrip", FLAC, "-", "--plot", "-", code=2, err="standard output: would be both .+")
        self.fails("roundtrip", FLAC, "more.wav", "--channels", "keep", "--plot", "more.png", code=2,
                   err="--plot draws one channel, .+")
        self.assertEqual(self.files(), ["out.png", "out.wav", "same.png"])

    def test_roundtrip_keeps_the_recording_and_the_sound(self):
        recording = wav(tone(440))
        self.put("rec.png", recording)
        os.symlink("rec.png", self.path("link.png"))
        for plot in ("rec.png", "./rec.png", "link.png"):
            self.fails("roundtrip", "rec.png", "out.wav", "--plot", plot, "-f", code=2,
                       err="rec.png: would be overwritten by its own plot")
        self.put("in.raw", bytes(2 * RATE))
        for plot in ("rt.png", "./rt.png", self.path("rt.png")):
            self.fails("roundtrip", "in.raw", "rt.png", "--raw", "s16", "--plot", plot, "-f", code=2,
                       err=f"{plot}: would be both the sound and its plot")
        self.assertEqual(self.get("rec.png"), recording)
        self.assertEqual(self.files(), ["in.raw", "link.png", "rec.png"])

    def test_roundtrip_of_nothing_leaves_nothing(self):
        self.put("none.wav", wav(np.zeros(0)))
        self.fails("roundtrip", "-q", "none.wav", "out.wav", "--plot", "out.png",
                   err="none.wav: ends before the part .+")
        self.assertEqual(self.files(), ["none.wav"])

    def test_a_signal_leaves_neither_sound_nor_picture(self):
        process = self.start("roundtrip", "-q", "--raw", "s16", "-", "out.wav", "--plot", "out.png")
        process.stdin.write(bytes(2 * RATE))
        process.stdin.flush()
        while len(self.files()) < 2:
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.terminate()
        self.assertEqual(process.wait(), -signal.SIGTERM)
        self.assertEqual(self.files(), [])

    def test_errors(self):
        self.put("tone.wav", wav(tone(440)))
        for args, code, err in (
                (("missing.wav",), 1, "missing.wav: No such file or directory"),
                (("tone.wav", "-o", "out.jpg"), 2, "out.jpg: a picture is .png or .svg .+"),
                (("tone.wav", "-o", "no/such.png"), 1, "no/such.png: cannot create: No such .+"),
                (("tone.wav", "--from", "2"), 1, "tone.wav: ends before the part .+"),
                (("tone.wav", "--to", "2"), 1, "tone.wav: ends before the part .+"),
                (("tone.wav", "--from", "1", "--to", "62"), 2, "--to: .+ at most 60 seconds"),
                (("tone.wav", "--from", "1", "--to", "1"), 2, "--to is not after --from"),
                (("tone.wav", "--channels", "keep"), 2, "--channels: keep is not .+"),
                (("tone.wav", "-l", "33"), 2, "--levels: .+ has 32, 33 were asked for")):
            with self.subTest(args):
                self.fails("plot", *args, code=code, err=err)
        self.assertEqual(self.files(), ["tone.wav"])
        self.mimi("plot", "tone.wav", "-o", "/dev/full", code=2,
                  err="mimi: /dev/full: a picture is .+\n")


if __name__ == "__main__":
    unittest.main()
