#!/usr/bin/env python3
"""`mimi bench`: its figures are all there and agree with each other. Not how good they are."""
import json
import unittest

from cli_support import FLAC, FLAC_SAMPLES, RATE, CliTest

STAGES = ("seanet", "transformer", "quantizer")


def flop(speed, stage):
    figures = speed["stages"][stage]
    return figures["gflops"] * figures["seconds"]


class Bench(CliTest):
    def bench(self, *args, **options):
        return json.loads(self.mimi("bench", "--json", *args, out=None, **options))

    def near(self, found, expected, share=1e-6):
        self.assertAlmostEqual(found / expected, 1, delta=share)

    def test_built_in_recording(self):
        report = self.bench("--seconds", "1", "--runs", "2", "--threads", "2")
        version = self.mimi("--version", out=None).decode()
        self.assertIn(f"mimi {report['version']}\n", version)
        self.assertIn(f"instruction set {report['isa']} ", version)
        self.assertEqual(report["model"], "mimi-small")
        self.assertEqual((report["audio_seconds"], report["runs"], report["levels"]), (1, 2, 8))
        self.assertTrue(report["cpu"])
        for key in ("load_seconds", "peak_memory_mb", "parameters"):
            self.assertGreater(report[key], 0)
        self.check_peaks(report)
        self.check_speeds(report)
        self.check_latencies(report)

    def check_peaks(self, report):
        self.assertEqual([peak["threads"] for peak in report["peaks"]], [1, 2])
        for peak in report["peaks"]:
            self.near(peak["gflops"],
                      peak["flop_per_cycle"] * report["clock_ghz"] * peak["threads"])

    def check_speeds(self, report):
        peaks = {peak["threads"]: peak["gflops"] for peak in report["peaks"]}
        kinds = [(speed["direction"], speed["threads"]) for speed in report["speeds"]]
        self.assertEqual(kinds, [("encode", 1), ("decode", 1), ("encode", 2), ("decode", 2)])
        for speed in report["speeds"]:
            self.assertLessEqual(speed["best_seconds"], speed["median_seconds"])
            self.near(speed["times_real_time"] * speed["real_time_factor"], 1)
            self.near(speed["times_real_time"] * speed["median_seconds"], report["audio_seconds"])
            self.near(speed["best_times_real_time"] * speed["best_seconds"],
                      report["audio_seconds"])
            for figures in (speed, *speed["stages"].values()):
                self.near(figures["share_of_peak"] * peaks[speed["threads"]], figures["gflops"])
            self.assertEqual(tuple(speed["stages"]), STAGES)
            self.near(sum(flop(speed, stage) for stage in STAGES),
                      speed["gflops"] * speed["median_seconds"])
            spent = sum(stage["seconds"] for stage in speed["stages"].values())
            self.assertLessEqual(spent, speed["median_seconds"])
        one, two = report["speeds"][:2], report["speeds"][2:]
        for a, b in zip(one, two):
            for stage in STAGES:
                self.near(flop(a, stage), flop(b, stage))

    def check_latencies(self, report):
        self.assertEqual([(line["direction"], line["threads"]) for line in report["latencies"]],
                         [("encode", 1), ("decode", 1), ("encode", 2), ("decode", 2)])
        for line in report["latencies"]:
            self.assertGreater(line["frames"], 0)
            self.assertGreater(line["median_ms"], 0)
            self.assertLessEqual(line["median_ms"], line["p99_ms"])

    def test_given_recording_and_levels(self):
        reports = [self.bench(FLAC, "--runs", "1", "--threads", "1", "-l", levels)
                   for levels in ("8", "32")]
        for report in reports:
            self.assertEqual(report["recording"], FLAC)
            self.near(report["audio_seconds"], FLAC_SAMPLES / RATE)
            self.assertEqual([peak["threads"] for peak in report["peaks"]], [1])
        # 24 levels more: for each of 42 frames 2048 entries of 32 multiply-adds.
        few, many = (flop(report["speeds"][0], "quantizer") for report in reports)
        self.near((many - few) * 1e9, 24 * 42 * 2 * 2048 * 32, 1e-5)
        cut = self.bench(FLAC, "--seconds", "2", "--runs", "1", "--threads", "1")
        self.assertEqual(cut["audio_seconds"], 2)

    def test_table(self):
        table = self.mimi("bench", "--seconds", "1", "--runs", "1", "--threads", "2",
                          out=None).decode()
        for pattern in (r"mimi \d+\.\d+\.\d+, .+, \w+\n",
                        r"model mimi-small, 12\.3 M parameters, 8 levels; 1\.0 s of the built-in",
                        r"peak, threads 1: [\d.]+ GFLOP/s, [\d.]+ FLOP per cycle at [\d.]+ GHz\n",
                        r"\nencode +1 +[\d.]+x +[\d.]+x ", r"\ndecode +2 +[\d.]+x +[\d.]+x ",
                        r"\nencode, threads 1 +[\d.]+ +[\d.]+\n",
                        r"\nload [\d.]+ s, peak memory \d+ MB\n"):
            self.assertRegex(table, pattern)

    def test_errors(self):
        self.fails("bench", "missing.wav", err="missing.wav: .+")
        self.put("empty.wav", b"")
        self.fails("bench", "empty.wav", err="empty.wav: .+")
        self.fails("bench", "--levels", "33", code=2, err=".+33.+")
        self.fails("bench", "--runs", "0", code=2, err="--runs: .+")
        self.fails("bench", "--isa", "mmx", code=2, err=".+'mmx'.+")
        self.assertEqual(self.files(), ["empty.wav"])


if __name__ == "__main__":
    unittest.main()
