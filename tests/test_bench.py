#!/usr/bin/env python3
"""`mimi bench`: its figures are all there and agree with each other. Not how good they are."""
import json
import re
import unittest

from cli_support import FLAC, FLAC_SAMPLES, FRAME, RATE, CliTest, noise, wav

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
        for key in ("peak_memory_mb", "parameters"):
            self.assertGreater(report[key], 0)
        self.check_dtypes(report, ["f32"])

    def test_less_than_a_frame(self):
        self.put("short.wav", wav(noise(FRAME - 1)))
        self.fails("bench", "short.wav", err="short.wav: has 1919 samples at 24000 Hz, fewer than a "
                                             "frame of 1920")
        self.put("frame.wav", wav(noise(FRAME)))
        report = self.bench("frame.wav", "--runs", "1", "--threads", "1")
        self.assertEqual(report["audio_seconds"], FRAME / RATE)

    def test_all_dtypes(self):
        dtypes = ["f32", "bf16", "int8"]
        report = self.bench("--seconds", "1", "--runs", "1", "--threads", "2", "--dtype", "all")
        self.check_dtypes(report, dtypes)
        table = self.mimi("bench", "--seconds", "1", "--runs", "1", "--threads", "1", "--dtype",
                          "all", out=None).decode()
        for dtype in dtypes:
            self.assertRegex(table, rf"\n{dtype} +encode +1 +[\d.]+x ")
            self.assertRegex(table, rf"load in {dtype} [\d.]+ s, ")
        self.fails("--dtype", "all", "encode", FLAC, code=2, err="--dtype: all is for bench")

    def test_streams(self):
        report = self.bench("--seconds", "1", "--runs", "1", "--threads", "2", "--streams", "3")
        together = report["streams"]
        self.assertEqual([(t["direction"], t["threads"], t["streams"]) for t in together],
                         [("encode", 1, 3), ("decode", 1, 3), ("encode", 2, 3), ("decode", 2, 3)])
        for figures in together:
            whole = next(s for s in report["speeds"] if s["direction"] == figures["direction"] and
                         s["threads"] == figures["threads"])
            share = figures["times_real_time"] / whole["times_real_time"]
            self.assertAlmostEqual(figures["share_of_whole"], share)
        table = self.mimi("bench", "--seconds", "1", "--runs", "1", "--threads", "1",
                          "--streams", "3", out=None).decode()
        self.assertRegex(table, r"3 streams together.*\n.*encode, threads 1 .*% of a whole")

    def check_dtypes(self, report, dtypes):
        self.assertEqual([load["dtype"] for load in report["loads"]], dtypes)
        for load in report["loads"]:
            self.assertGreater(load["seconds"], 0)
        for key in ("peaks", "speeds", "latencies"):
            self.assertEqual(list(dict.fromkeys(line["dtype"] for line in report[key])), dtypes)
        for dtype in dtypes:
            one = {key: [line for line in lines if line.get("dtype", dtype) == dtype]
                   if isinstance(lines, list) else lines for key, lines in report.items()}
            self.check_peaks(one)
            self.check_speeds(one)
            self.check_latencies(one)

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
        # 24 levels more: for each of 42 frames 2048 entries of 128 multiply-adds.
        few, many = (flop(report["speeds"][0], "quantizer") for report in reports)
        self.near((many - few) * 1e9, 24 * 42 * 2 * 2048 * 128, 1e-5)
        cut = self.bench(FLAC, "--seconds", "2", "--runs", "1", "--threads", "1")
        self.assertEqual(cut["audio_seconds"], 2)

    def test_table(self):
        table = self.mimi("bench", "--seconds", "1", "--runs", "1", "--threads", "2",
                          out=None).decode()
        for pattern in (r"mimi \d+\.\d+\.\d+, .+, \w+\n",
                        r"model mimi-small, 18\.7 M parameters, 8 levels; 1\.0 s of the built-in",
                        r"peak, f32, threads 1: [\d.]+ GFLOP/s, [\d.]+ FLOP per cycle at [\d.]+ GHz\n",
                        r"\nf32 +encode +1 +[\d.]+x +[\d.]+x ", r"\nf32 +decode +2 +[\d.]+x +[\d.]+x ",
                        r"\nf32 +encode, threads 1 +[\d.]+ +[\d.]+\n",
                        r"\nload in f32 [\d.]+ s, peak memory \d+ MB\n"):
            self.assertRegex(table, pattern)

    def kernels(self, *args):
        isa = self.bench("--seconds", "1", "--runs", "1", "--threads", "1")["isa"]
        return isa, self.bench("--kernels", "--runs", "1", "--isa", isa, *args)

    def test_kernels(self):
        isa, report = self.kernels()
        self.assertGreater(report["read_gigabytes_per_second"], 0)
        self.assertEqual([(peak["isa"], peak["dtype"]) for peak in report["peaks"]],
                         [(isa, "f32"), (isa, "bf16"), (isa, "int8")])
        peaks = {peak["dtype"]: peak["gflops"] for peak in report["peaks"]}
        limits = {line["dtype"]: line for line in report["frame_limits"]}
        self.assertEqual(list(limits), ["f32", "bf16", "int8"])
        # No less than reading the 43 million numbers that encoding needs, or the 40 million of
        # decoding, with 8.2 MB of keys and values, and no less than all multiply-adds.
        read = report["read_gigabytes_per_second"] * 1e6  # bytes a ms
        self.assertGreater(limits["f32"]["encode_ms"], max(180e6 / read, 433e6 / peaks["f32"] / 1e6))
        self.assertGreater(limits["f32"]["decode_ms"], max(167e6 / read, 429e6 / peaks["f32"] / 1e6))
        for faster, slower in (("bf16", "f32"), ("int8", "bf16")):
            if peaks[faster] >= peaks[slower]:
                self.assertLess(limits[faster]["decode_ms"], limits[slower]["decode_ms"])
        for line in report["kernels"]:
            self.assertEqual(line["isa"], isa)
            self.near(line["gigabytes_per_second"],
                      line["share_of_read_bandwidth"] * report["read_gigabytes_per_second"])
            if "gflops" in line:
                self.near(line["gflops"], line["share_of_peak"] * peaks[line["dtype"]])
            if line["kernel"].endswith("panel"):
                rows, depth, columns = map(int, line["shape"].split(": ")[1].split(" x "))
                self.near(line["gflops"] * line["microseconds"] * 1e3, 2 * rows * depth * columns)
        kinds = {(line["dtype"], line["kernel"]) for line in report["kernels"]}
        self.assertEqual(kinds, {
            ("f32", "f32_panel"), ("f32", "nearest"), ("f32", "dot_rows"), ("f32", "layer_norm"),
            ("f32", "attention"), ("bf16", "bf16.panel"), ("bf16", "bf16.round_rows"),
            ("int8", "int8.panel"), ("int8", "int8.quantize_rows")})

    def change(self, report, name, factor):
        """Another report in which every figure was `factor` times as good as in this one."""
        changed = json.loads(json.dumps(report))
        for speed in changed["speeds"]:
            speed["best_times_real_time"] *= factor
        for latency in changed["latencies"]:
            latency["median_ms"] /= factor
        for load in changed["loads"]:
            load["seconds"] /= factor
        changed["peak_memory_mb"] /= factor
        return self.put(name, json.dumps(changed).encode())

    def test_compare(self):
        options = ("--seconds", "1", "--runs", "1", "--threads", "1")
        report = self.bench(*options)
        # A thousand times as good or as bad, so that no noise can make up for it.
        worse, better = (self.change(report, name, factor)
                         for name, factor in (("worse.json", 1e-3), ("better.json", 1e3)))
        comparison = self.bench(*options, "--compare", worse)["comparison"]
        self.assertEqual([line["figure"] for line in comparison],
                         ["encode, f32, threads 1", "decode, f32, threads 1",
                          "encode, f32, threads 1, a frame", "decode, f32, threads 1, a frame",
                          "load, f32", "peak memory, f32"])
        for line in comparison:
            faster = line["now"] / line["before"]
            self.near(line["ratio"], faster if line["unit"] == "x" else 1 / faster)
            self.assertGreater(line["ratio"], 10)
        # What the earlier run lacks is left out, and what this one lacks.
        comparison = self.bench(*options, "--dtype", "all", "--compare", worse)["comparison"]
        self.assertEqual([line["figure"] for line in comparison][-1], "load, f32")
        self.assertEqual(len(comparison), 5)
        fell = r"mimi: better.json: 6 of 6 figures fell by more than 20 %\n"
        out = self.mimi("bench", *options, "--compare", better, "--fall", "20", code=3, err=fell,
                        out=None).decode()
        self.assertEqual(out.count("  FELL\n"), 6)
        self.assertRegex(out, r"\n +[\d.e+]+ +[\d.e+]+ x +0\.\d+  encode, f32, threads 1  FELL\n")
        self.mimi("bench", *options, "--compare", better, "--fall", "100", out=None)

    def test_compare_tells_what_else_differs(self):
        options = ("--seconds", "1", "--runs", "1", "--threads", "1")
        report = self.bench(*options)
        told = "mimi: here.json: '{}' was {}, and is {} now\n"
        for changed in ({}, {"cpu": "another\x1b"}, {"isa": "other", "audio_seconds": 2}):
            self.put("here.json", json.dumps({**report, **changed}).encode())
            lines = [told.format(key, json.dumps(value), json.dumps(report[key]))
                     for key, value in changed.items()]
            # 100 %: not how fast it is.
            args = ("bench", *options, "--compare", "here.json", "--fall", "100")
            self.mimi(*args, out=None, err=re.escape("".join(lines)))
            self.mimi(*args, "-q", out=None)

    def test_compare_errors(self):
        options = ("bench", "--seconds", "1", "--runs", "1", "--threads", "1", "--compare")
        self.fails(*options, "missing.json", err="missing.json: No such file or directory")
        text = self.put("text.json", b"fast")
        self.fails(*options, text, err="text.json: is not what 'mimi bench --json' prints: .+")
        self.fails(*options, ".", err=r"\.: is a directory")
        self.put("empty.json", b"")
        self.fails(*options, "empty.json", err="empty.json: is not what .+: it is empty")
        self.put("binary.json", bytes(range(256)))
        self.fails(*options, "binary.json", err="binary.json: is not what .+: it is not JSON")
        self.fails(*options, "/dev/zero", err="/dev/zero: is not what .+: it is too long")
        self.put("list.json", b"[1]")
        self.fails(*options, "list.json", err="list.json: is not what .+")
        self.put("zero.json", b'{"cpu": "a", "speeds": [{"direction": "encode", "dtype": "f32", '
                              b'"threads": 1, '
                              b'"best_times_real_time": 0}]}')
        self.fails(*options, "zero.json", err="zero.json: is not what .+ is not above 0")
        self.put("other.json", b'{"cpu": "a", "model": "other", "levels": 8}')
        quiet = ("--json",)
        # Before anything is measured, which would take hours.
        long = ("bench", "--seconds", "3600", "--runs", "1000", "--compare")
        self.fails(*long, "other.json", timeout=60,
                   err="other.json: was measured with 'model' \"other\", this run with .+")
        self.put("levels.json", b'{"cpu": "a", "model": "mimi-small", "levels": 4}')
        self.fails(*long, "levels.json", timeout=60,
                   err="levels.json: was measured with 'levels' 4, this run with 8")
        self.fails("bench", "--kernels", "--runs", "1000", "--compare", "levels.json", timeout=60,
                   err="levels.json: was measured with 'model' \"mimi-small\", this run with null")
        self.put("none.json", b'{"cpu": "a", "model": "mimi-small", "levels": 8}')
        self.fails(*options, "none.json", *quiet, err="none.json: has no figure in common .+")
        self.fails("bench", "--fall", "5", code=2, err=".+--compare.+")
        self.fails("bench", "--compare", "none.json", "--fall", "-1", code=2, err="--fall: .+")
        self.fails("bench", "--kernels", FLAC, code=2, err=".+")
        self.fails("bench", "--kernels", "--seconds", "1", code=2, err="--seconds excludes .+")

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
