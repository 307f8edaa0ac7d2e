#!/usr/bin/env python3
"""`mimi eval`: its figures are those of NumPy on what `mimi encode` and `mimi decode` make."""
import json
import os
import sys
import unittest

import numpy as np

from cli_support import FLAC, RATE, SOURCE, CliTest, noise, read_wav, wav

sys.path.insert(0, os.path.join(SOURCE, "scripts", "evaluate"))
from distances import mel_distance, si_sdr_db, spectral_convergence
from ogg import packet_bytes

LEVELS = (1, 3, 32)
# The program's spectra are in single precision.
NEAR = 1e-6


def measures(original, decoded):
    return {"si_sdr_db": si_sdr_db(original, decoded),
            "mel_distance": mel_distance(original, decoded, RATE),
            "spectral_convergence": spectral_convergence(original, decoded)}


def ogg_page(*packets):
    """A page on which these packets, given by their lengths, end."""
    segments = b"".join(b"\xff" * (length // 255) + bytes([length % 255]) for length in packets)
    return b"OggS" + bytes(22) + bytes([len(segments)]) + segments + bytes(sum(packets))


class Ogg(unittest.TestCase):
    def test_packet_bytes(self):
        """scripts/evaluate.py does not count the container's bytes as Opus's."""
        headers = ogg_page(19) + ogg_page(800)
        self.assertEqual(packet_bytes(headers), 0)
        self.assertEqual(packet_bytes(headers + ogg_page(10, 255, 300) + ogg_page(7)), 572)
        with self.assertRaisesRegex(ValueError, "no Ogg page at byte 47"):
            packet_bytes(ogg_page(19) + b"OggX")


class Eval(CliTest):
    def eval(self, *args, **options):
        return json.loads(self.mimi("eval", "--json", "--quiet", *args, out=None, **options))

    def speech(self):
        """A recording of speech, 24 kHz, with a loud tone that the codec cannot follow."""
        self.mimi("roundtrip", "-q", FLAC, "speech.wav", "--format", "f32")
        values = read_wav(self.get("speech.wav"))[1][:, 0].astype(np.float64)
        values += 0.05 * np.sin(np.arange(len(values)) * 0.7)
        self.put("speech.wav", wav(values, encoding="f32"))
        return values.astype(np.float32).astype(np.float64)

    def decoded(self, name, levels):
        """What a token file of so many levels decodes to, and its size in bytes."""
        self.mimi("encode", "-qf", "-l", str(levels), name, "-o", "tokens.mimi")
        self.mimi("decode", "-qf", "--raw", "f32", "tokens.mimi", "-o", "decoded.raw")
        return (np.frombuffer(self.get("decoded.raw"), "<f4").astype(np.float64),
                len(self.get("tokens.mimi")))

    def near(self, found, expected):
        for name, value in expected.items():
            self.assertAlmostEqual(found[name], value, delta=NEAR * max(1, abs(value)), msg=name)

    def test_figures(self):
        original = self.speech()
        report = self.eval("--levels", "32,1,3", "speech.wav")
        self.assertEqual(report["model"], "mimi-small")
        (recording,) = report["recordings"]
        self.assertEqual(recording["name"], "speech.wav")
        self.assertAlmostEqual(recording["seconds"], len(original) / RATE)
        self.assertEqual([line["levels"] for line in recording["levels"]], list(LEVELS))
        self.assertEqual(report["mean"], recording["levels"])
        for line in recording["levels"]:
            decoded, size = self.decoded("speech.wav", line["levels"])
            self.near(line, measures(original, decoded))
            self.assertAlmostEqual(line["bits_per_second"] * recording["seconds"], 8 * size)

    def test_faults_would_be_found(self):
        """The tolerance is small beside what a wrong definition would change."""
        original = self.speech()
        decoded, _ = self.decoded("speech.wav", 32)
        right = measures(original, decoded)
        late = measures(original, np.roll(decoded, 1))
        later = measures(original, np.roll(decoded, 128))  # less hardly moves magnitudes
        loud = measures(original, decoded * 1.01)
        self.assertGreater(abs(late["si_sdr_db"] - right["si_sdr_db"]), 10 * NEAR)
        for name in ("mel_distance", "spectral_convergence"):
            self.assertGreater(abs(later[name] - right[name]), 10 * NEAR, name)
        self.assertGreater(abs(loud["mel_distance"] - right["mel_distance"]), 10 * NEAR)
        self.assertGreater(abs(loud["spectral_convergence"] - right["spectral_convergence"]),
                           10 * NEAR)
        self.assertAlmostEqual(loud["si_sdr_db"], right["si_sdr_db"])

    def test_codes(self):
        self.put("noise.wav", wav(noise(3 * RATE)))
        report = self.eval("-l", "4", "noise.wav", FLAC)
        counts = [{}, {}, {}, {}]
        for name in ("noise.wav", FLAC):
            self.mimi("encode", "-qf", "-l", "4", name, "-o", "tokens.mimi")
            self.mimi("convert", "-qf", "tokens.mimi", "-o", "codes.npy")
            for level, codes in enumerate(np.load(self.path("codes.npy"))):
                for code in codes.tolist():
                    counts[level][code] = counts[level].get(code, 0) + 1
        self.assertEqual(report["frames"], sum(counts[0].values()))
        for level, (line, found) in enumerate(zip(report["codes"], counts, strict=True)):
            shares = np.array(list(found.values())) / report["frames"]
            self.assertEqual((line["level"], line["entries_used"]), (level, len(found)))
            self.assertAlmostEqual(line["share_used"], len(found) / 2048)
            self.assertAlmostEqual(line["entropy_bits"], -np.sum(shares * np.log2(shares)))

    def test_mean_leaves_out_what_is_not_defined(self):
        self.put("silence.wav", wav(np.zeros(5000)))
        report = self.eval("-l", "1", "silence.wav", FLAC)
        silence, speech = (recording["levels"][0] for recording in report["recordings"])
        self.assertIsNone(silence["si_sdr_db"])
        self.assertIsNone(silence["spectral_convergence"])
        self.assertEqual(report["mean"][0]["si_sdr_db"], speech["si_sdr_db"])
        self.assertAlmostEqual(report["mean"][0]["mel_distance"],
                               (silence["mel_distance"] + speech["mel_distance"]) / 2)

    def test_any_cut(self):
        """A pipe comes in other pieces than a file."""
        data = wav(noise(50001))
        self.put("noise.wav", data)
        one, piped = self.eval("noise.wav"), self.eval("-", stdin=data)
        piped["recordings"][0]["name"] = "noise.wav"
        # Of a pipe the header does not know the length, which takes no other number of bytes.
        self.assertEqual(piped, one)
        self.assertEqual([line["levels"] for line in one["mean"]], [1, 2, 4, 8, 16, 32])

    def test_table(self):
        warning = "mimi: these figures .* misrank generative codecs.*\n"
        self.put("noise.wav", wav(noise(5000)))
        table = self.mimi("eval", "-l", "1,8", "noise.wav", FLAC, out=None, err=warning).decode()
        for pattern in (r"^mimi \d.*, model mimi-small \(f32\), 2 recordings, 3\.5 s\n",
                        r"\n +8 +\d+ +-?[\d.]+ +[\d.]+ +[\d.]+  noise.wav\n",
                        r"\n +1 +\d+ +-?[\d.]+ +[\d.]+ +[\d.]+  mean\n",
                        r"\n +7 +[\d.]+ +\d+ of 2048, \d %\n$"):
            self.assertRegex(table, pattern)

    def test_errors(self):
        self.fails("eval", "missing.wav", err="missing.wav: No such file or directory")
        self.put("none.wav", wav(np.zeros(0)))
        self.fails("eval", "none.wav", err="none.wav: has no samples")
        self.fails("eval", "--levels", "1,x", FLAC, code=2, err="--levels: '1,x' is not a list .+")
        self.fails("eval", "--levels", "", FLAC, code=2, err="--levels: '' is not a list .+")
        self.fails("eval", "--levels", "33", FLAC, code=2, err="--levels: .+ has 32, 33 were .+")
        self.fails("eval", "--channels", "keep", FLAC, code=2, err="--channels: keep is not .+")
        # What can be measured is.
        out = self.mimi("eval", "-q", "-l", "1", "missing.wav", FLAC, code=1, out=None,
                        err="mimi: missing.wav: .+\n")
        self.assertIn(b"1 recording,", out)


if __name__ == "__main__":
    unittest.main()
