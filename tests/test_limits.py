#!/usr/bin/env python3
"""Inputs that lie: each is refused in one line that names it, with exit code 1, in less than 100 MB
and without a second's work."""
import hashlib
import os
import re
import resource
import shutil
import subprocess
import unittest

import malformed
from cli_support import MIMI, CliTest, noise, read_wav, wav

MOST_KB = 100 * 1024
MOST_CPU_S = 5  # for a machine that is busy or slow; a loop that does not end is what it finds


class Limits(CliTest):
    cases = 0
    slowest_s = 0.0
    most_kb = 0
    seen = {}  # group -> digests of its cases

    def measure(self, *arguments):
        """The exit code, both outputs, and what it took."""
        process = subprocess.Popen(
            [MIMI, *arguments], cwd=self.dir, stdin=subprocess.DEVNULL,
            env={**os.environ, "MIMI_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S)))
        out, err = process.stdout.read(), process.stderr.read().decode()
        process.stdout.close()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, out, err, usage

    def refused(self, name, pattern, *arguments):
        """`name` begins the line after "mimi: "; `pattern` is for the rest of it."""
        before = self.files()
        code, out, err, usage = self.measure(*arguments)
        after = self.files()
        for left in set(after) - set(before):
            os.remove(self.path(left))
        self.assertEqual(code, 1, err)
        self.assertEqual(out, b"", err)
        self.assertIsNotNone(re.fullmatch(f"mimi: {re.escape(name)}: {pattern}\n", err), err)
        self.assertTrue(err.isascii() and err.isprintable() or err[:-1].isprintable(), repr(err))
        self.assertLess(usage.ru_maxrss, MOST_KB)
        self.assertEqual(after, before)
        cls = type(self)
        cls.cases += 1
        cls.slowest_s = max(cls.slowest_s, usage.ru_utime + usage.ru_stime)
        cls.most_kb = max(cls.most_kb, usage.ru_maxrss)

    def distinct(self, group, cases):
        for name, data, pattern in cases:
            digest = hashlib.sha256(data).digest()
            self.assertNotIn(digest, self.seen.setdefault(group, set()), name)
            self.seen[group].add(digest)
            yield name, data, pattern

    def check_all(self, cases, suffix, *arguments):
        for name, data, pattern in self.distinct(suffix, cases):
            with self.subTest(name):
                self.put("bad" + suffix, data)
                self.refused("bad" + suffix, pattern, *arguments, "bad" + suffix, "-o", "out")

    def test_wav(self):
        self.check_all(malformed.wav_cases(), ".wav", "--model", malformed.TINY, "encode")

    def test_flac(self):
        self.check_all(malformed.flac_cases(), ".flac", "--model", malformed.TINY, "encode")

    def test_raw(self):
        for name, data, pattern in malformed.raw_cases():
            with self.subTest(name):
                self.put("bad.raw", data)
                self.refused("bad.raw", pattern, "--model", malformed.TINY, "encode", "--raw",
                             name.split("-")[0], "bad.raw", "-o", "out")

    def model_cases(self, file, cases):
        self.put("a.wav", wav(noise(100)))
        shutil.copytree(malformed.TINY, self.path("model"))
        os.chmod(self.path("model/" + file), 0o644)
        for name, data, pattern in self.distinct(file, cases):
            with self.subTest(name):
                self.put("model/" + file, data)
                self.refused("model/" + file, pattern, "encode", "--model", "model", "a.wav",
                             "-o", "out")

    def test_safetensors(self):
        self.model_cases("model.safetensors", malformed.safetensors_cases())

    def test_config(self):
        self.model_cases("config.json", malformed.config_cases())

    def test_mimi(self):
        self.put("a.wav", wav(noise(200 * 1920 // 8)))
        self.mimi("encode", "--model", malformed.TINY, "a.wav", "-o", "whole", "--block-frames", "4")
        for command in (["test"], ["decode", "--model", malformed.TINY, "-o", "out"]):
            for name, data, pattern in malformed.mimi_cases(self.get("whole")):
                with self.subTest(command=command[0], name=name):
                    self.put("bad.mimi", data)
                    self.refused("bad.mimi", pattern, *command, "bad.mimi")

    def test_lost_frames(self):
        """A table has a code for each lost one."""
        for frames in (700_000, 2**32 - 1):
            self.put("lost.mimi", malformed.mimi_of_a_gap(frames))
            self.mimi("test", "-q", "lost.mimi")
            for form in ("npy", "safetensors", "moshi", "text", "mimi"):
                self.refused("lost.mimi", r"has at least \d+ codes of lost frames, a table of it can have \d+",
                             "convert", "lost.mimi", "--as", form, "-o", "out")
            # 2^32 frames are more than a decoder can go on from.
            self.mimi("--model", malformed.TINY, "decode", "lost.mimi", "--to", "1", "-o", "a.wav", "-f")
            _, samples = read_wav(self.get("a.wav"))
            self.assertEqual((len(samples), samples.any()), (24000, False))
        self.put("lost.mimi", malformed.mimi_of_a_gap(500_000))
        self.mimi("convert", "-q", "lost.mimi", "--as", "mimi", "-o", "same.mimi")
        self.assertEqual(self.get("same.mimi"), self.get("lost.mimi"))

    def test_lost_lines(self):
        """Of 255 streams of 64 levels each line stands for 16320 codes."""
        self.put("a.wav", wav(noise(100)))
        self.mimi("encode", "--model", malformed.TINY, "a.wav", "-o", "a.mimi")
        self.mimi("convert", "a.mimi", "--as", "text", "-o", "a.txt")
        first = self.get("a.txt").decode().splitlines()[0]
        first = first.replace('"levels":6', '"levels":64').replace('"streams":1', '"streams":255')
        self.put("lost.txt", (first + "\n" + "lost\n" * 4000).encode())
        self.refused("lost.txt", r"has at least \d+ codes of lost frames, a table of it can have \d+",
                     "convert", "lost.txt", "--as", "mimi", "-o", "out")

    def test_streams_without_frames(self):
        """A decoder's memory is taken for streams that have something to decode: 300 bytes can name 255."""
        self.put("a.raw", b"")
        self.mimi("encode", "--raw", "s16", "a.raw", "-o", "a.mimi")
        self.mimi("convert", "a.mimi", "--as", "text", "-o", "a.txt")
        self.put("b.txt", self.get("a.txt").replace(b'"streams":1,', b'"streams":255,'))
        self.mimi("convert", "b.txt", "--as", "mimi", "-o", "b.mimi")
        code, _, err, usage = self.measure("decode", "b.mimi", "-o", "b.wav")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(int.from_bytes(self.get("b.wav")[22:24], "little"), 255)
        self.assertLess(usage.ru_maxrss, MOST_KB)

    def test_many_keys(self):
        """In a time that grows with their number alone."""
        keys = ",".join(f'"k{i}":0' for i in range(200_000))
        self.put("keys.txt", ("# mimi {" + keys + "}\n1 2\n").encode())
        self.refused("keys.txt", "description: 'mimi' is missing", "convert", "keys.txt", "--as", "mimi",
                     "-o", "out")

    def test_what_looks_like_records(self):
        """At every fourth byte a block seems to begin."""
        self.put("forged.mimi", b"\xfeMRB" * (3 << 19))
        self.refused("forged.mimi", "holds neither a whole header nor a whole block of a .mimi file",
                     "repair", "forged.mimi", "-o", "out")

    def test_dataset(self):
        """What is not so: a whole dataset is damaged in one place each."""
        self.put("a.wav", wav(noise(3000)))
        self.mimi("-q", "--model", malformed.TINY, "tokenize", "a.wav", "--out", "good", "--as", "npy")
        for name, file, data, pattern in malformed.dataset_cases(
                {name: self.get("good/" + name) for name in os.listdir(self.path("good"))}):
            with self.subTest(name):
                shutil.copytree(self.path("good"), self.path("bad"))
                self.put("bad/" + file, data)
                self.refused("bad/" + file, pattern, "verify", "-q", "bad")
                shutil.rmtree(self.path("bad"))

    @classmethod
    def tearDownClass(cls):
        counts = {group: len(digests) for group, digests in cls.seen.items()}
        print(f"{cls.cases} malformed files refused, of which {counts}; the slowest took "
              f"{cls.slowest_s:.2f} s, the largest {cls.most_kb} kB")
        assert sum(counts.values()) >= 400 and cls.cases >= 600, (counts, cls.cases)


if __name__ == "__main__":
    unittest.main()
