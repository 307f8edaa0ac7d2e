#!/usr/bin/env python3
"""What `mimi tokenize` says of its work."""
import json
import os
import unittest

from dataset_support import MODEL, DatasetTest


class Watching(DatasetTest):
    def test_json_progress(self):
        self.corpus(3)
        out = self.tokenize("in", "--out", "out", "--json-progress", out=None, err="")
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual((summary["event"], summary["rows"], summary["done"], summary["failed"]),
                         ("summary", 3, 3, 0))
        self.assertAlmostEqual(summary["audio_hours"], (3000 + 5500 + 8000) / 24000 / 3600)

    def test_json_progress_into_a_full_disk(self):
        self.corpus(1)
        with open("/dev/full", "wb") as full:
            done = self.start("--model", MODEL, "tokenize", "in", "--out", "out", "--json-progress",
                              stdout=full)
            self.assertEqual(done.wait(), 1)
        self.assertEqual(done.stderr.read(),
                         b"mimi: standard output: cannot write: No space left on device\n")
        self.assertIn("dataset.json", os.listdir(self.path("out")))  # the work is done all the same

    def test_dry_run_writes_nothing(self):
        self.corpus(5)
        out = self.tokenize("in", "--out", "out", "--shard-size", "2", "--shard", "2/2",
                            "--dry-run", out=None, err="")
        self.assertRegex(out.decode(), r"^5 recordings \(0 other files passed over\) in 3 shards, "
                                       r"as mimi, .* into out\nof this call's 1 shard 0 are "
                                       r"finished; to do: 2 recordings, about 0.0 hours\n$")
        self.assertEqual(self.files(), ["in"])

    def test_an_input_that_is_not_there(self):
        """A slip of the hand begins no dataset."""
        self.corpus(1)
        for names in (("corpsu",), ("in", "corpsu"), ("corpsu.jsonl",), ("in/r9.wav",)):
            self.fails("--model", MODEL, "tokenize", *names, "--out", "out",
                       err=f"{names[-1]}: No such file or directory")
        self.assertEqual(self.files(), ["in"])

    def test_where_failures_are_told(self):
        self.corpus(2)
        self.put("in/0/bad.wav", b"junk")
        self.tokenize("in", "--out", "out", code=3, err="mimi: tokenized 0.00 hours: 2 done, 1 failed, 0 there "
                                                        "before; .* hours a core-hour; why: out/errors.jsonl\n")

    def test_dry_run_refuses_what_a_call_refuses(self):
        self.corpus(2)
        self.tokenize("in", "--out", "tokens")
        os.mkdir(self.path("out"))
        self.put("out/dear", b"a stranger's")
        self.put("file", b"")
        for args in (("tokenize", "in"), ("detokenize", "tokens")):
            for more in ((), ("--dry-run",)):
                whole = ["--model", MODEL, *args, *more, "--out"]
                self.fails(*whole, "out", err="out: holds other things and no dataset")
                self.fails(*whole, "file", err="file: is not a folder")
        self.assertEqual(os.listdir(self.path("out")), ["dear"])


if __name__ == "__main__":
    unittest.main()
