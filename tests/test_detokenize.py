#!/usr/bin/env python3
"""Datasets turned back into sound."""
import json
import os
import random
import shutil
import subprocess
import unittest

import numpy as np

from cli_support import MIMI, noise, wav
from dataset_support import DONE, FORMS, MODEL, DatasetTest, tree


class Detokenize(DatasetTest):
    def detokenize(self, *args, code=0, **options):
        return self.mimi("--model", MODEL, "detokenize", *args, code=code,
                         err=DONE.replace("tokenized", "detokenized"), **options)

    def test_every_form_gives_the_sound_of_decode(self):
        self.corpus(6)
        for form in FORMS:
            self.tokenize("in", "--out", form, "--as", form, "--shard-size", "4")
            self.detokenize(form, "--out", form + "-sound")
            rows = self.lines(form + "-sound/manifest.jsonl")
            self.assertEqual([row["samples"] for row in rows],
                             [row["samples"] for row in self.lines(form + "/manifest.jsonl")])
            for row in rows:
                self.mimi("--model", MODEL, "decode", "-q", "-f", f"mimi/{row['id']}.mimi",
                          "-o", "x.wav")
                self.assertEqual(self.get(f"{form}-sound/{row['output']}"), self.get("x.wav"))
            self.fails("verify", form + "-sound", err=r".* holds sound, not tokens")

    def test_rates_and_formats(self):
        self.put("a.wav", wav(noise(44100 * 2), rate=44100))
        self.tokenize("a.wav", "--out", "out")
        self.detokenize("out", "--out", "flac", "--as", "flac", "--format", "s24", "--rate", "44100")
        told = self.mimi("--model", MODEL, "detokenize", "out", "--out", "flac", "--as", "flac",
                         "--format", "s24", "--rate", "44100", "--dry-run", out=None)
        self.assertRegex(told.decode(), r"\A1 recording, 0.0 hours, in 1 shard, as flac at 44100 Hz, "
                                        r"into flac\nof this call's 1 shard 1 are finished\n\Z")
        row = self.lines("flac/manifest.jsonl")[0]
        self.assertEqual((row["samples"], row["rate"], row["output"]), (88200, 44100, "a.flac"))
        self.mimi("--model", MODEL, "decode", "-q", "--rate", "44100", "--format", "s24",
                  "out/a.mimi", "-o", "x.flac")
        self.assertEqual(self.get("flac/a.flac"), self.get("x.flac"))
        for args, told in (
                (("ogg", "--format", "s16"), "--as ogg: --format is not for Ogg Vorbis"),
                (("flac", "--format", "f32"), "--as flac: FLAC holds integers: --format s16 or s24"),
                (("ogg", "--rate", "300000"),
                 "--rate 300000 --as ogg: Ogg Vorbis is of at most 200000 Hz, not 300000"),
                (("flac", "--rate", "3000000"),
                 "--rate 3000000 --as flac: FLAC is of at most 655350 Hz, not 3000000")):
            for more in ((), ("--dry-run",)):
                self.fails("--model", MODEL, "detokenize", "out", "--out", "x", "--as", *args, *more,
                           code=2, err=told)
        self.assertFalse(os.path.exists(self.path("x")))
        self.fails("detokenize", "out", "--out", "x", err=r"out: was made with the model .*")

    def test_a_damaged_manifest(self):
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--out", "out")
        row = self.lines("out/manifest.jsonl")[0]
        for change in ({"id": 5}, {"output": None}, {"samples": "x"}, {"codes_crc32c": 1},
                       {"source_rate": 1 << 40}, {"source_rate": 0},
                       {"frames": -1}):
            changed = {key: value for key, value in {**row, **change}.items() if value is not None}
            self.put("out/manifest.jsonl", json.dumps(changed).encode() + b"\n")
            self.fails("--model", MODEL, "detokenize", "out", "--out", "sound",
                       err="out/manifest.jsonl: line 1 is missing or damaged")
            shutil.rmtree(self.path("sound"))

    def test_another_codec_than_the_model_s(self):
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--out", "out", "--as", "npy")
        about = json.loads(self.get("out/dataset.json"))
        for key in ("sample_rate", "frame_samples", "codebook_size", "levels"):
            value = about[key] + 1
            most = "at most " if key == "levels" else ""
            self.put("out/dataset.json", json.dumps({**about, key: value}).encode())
            for command in (("detokenize", "out", "--out", "sound"), ("verify", "--resample", "1", "out")):
                self.fails("--model", MODEL, *command,
                           err=f"out: its '{key}' is {value}, that of its model {most}{about[key]}")

    def test_lines_that_the_dataset_does_not_know_of(self):
        self.corpus(2)
        self.tokenize("in", "--out", "out")
        lines = self.get("out/manifest.jsonl").splitlines(True)
        for changed in (lines + lines[:1], lines + [b"{"], lines[:1]):
            self.put("out/manifest.jsonl", b"".join(changed))
            self.fails("--model", MODEL, "detokenize", "out", "--out", "sound",
                       err=f"out/manifest.jsonl: has {len(changed)} lines, dataset.json says 2")

    def test_more_rows_than_there_are(self):
        """What is claimed costs no work: neither to merge nor to make sound of."""
        self.corpus(2)
        self.tokenize("in", "--out", "out", "--shard-size", "1")
        about = json.loads(self.get("out/dataset.json"))
        args = ["--model", MODEL, "detokenize", "out", "--out", "sound", "--shard", "2/3"]
        for rows, told in (
                (2**31, "out/manifest.jsonl: has 2 lines, dataset.json says 2147483648"),
                (2**33, "out/dataset.json: its numbers do not fit together"),
                (2**41, "out/dataset.json: 'rows' is no number from 1 to 1099511627776")):
            self.put("out/dataset.json", json.dumps({**about, "rows": rows, "shards": rows,
                                                     "done": rows}).encode())
            for more in ((), ("--dry-run",)):
                self.fails(*args, *more, err=told, timeout=20)
        self.put("out/dataset.json", json.dumps({**about, "rows": 2**32, "shards": 2**32,
                                                 "complete": False}).encode())
        self.fails("merge", "out", timeout=20, err="out: of 4294967296 shards these are not finished: "
                                                   "0-4294967295")
        os.makedirs(self.path("out/.work"))
        for shard in (0, 1, 5, 9):
            self.put(f"out/.work/shard-{shard:06}.jsonl", b"")
        self.fails("merge", "out", timeout=20, err=r"out: of 4294967296 shards these are not finished: "
                                                   r"2-4, 6-8, 10-4294967295")

    def test_codes_of_another_shape(self):
        """Of half the levels and twice the frames the same codes, in the same order."""
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--out", "out", "--as", "npy")
        codes = np.load(self.path("out/a.npy"))
        self.assertEqual(codes.shape, (6, 2))
        np.save(self.path("out/a.npy"), np.ascontiguousarray(codes.T.reshape(4, 3).T))
        self.detokenize("out", "--out", "sound", code=3)
        self.assertEqual(self.lines("sound/errors.jsonl")[0]["error"],
                         "a.npy: has 3 levels of 4 frames, expected 6 of 2")

    def test_a_damaged_shard(self):
        """Its recordings fail, and no others."""
        self.corpus(6)
        for form, byte in (("wds", 10), ("safetensors", 10), ("parquet", -1)):
            self.tokenize("in", "--out", form, "--as", form, "--shard-size", "2")
            name = self.lines(form + "/manifest.jsonl")[2]["output"]
            data = bytearray(self.get(f"{form}/{name}"))
            data[byte] ^= 1
            self.put(f"{form}/{name}", data)
            self.detokenize(form, "--out", form + "-sound", code=3)
            self.assertEqual([row["row"] for row in self.lines(form + "-sound/manifest.jsonl")],
                             [0, 1, 4, 5])
            for row, error in zip((2, 3), self.lines(form + "-sound/errors.jsonl"), strict=True):
                self.assertEqual(error["row"], row)
                self.assertTrue(error["error"].startswith(f"{form}/{name}: "), error)
            self.fails("--model", MODEL, "detokenize", form, "--out", "strict-" + form, "--strict",
                       err=f"{form}/{name}: .*")

    def test_a_reader_of_parquet_that_is_killed(self):
        """By the machine, most often: no fault of the recordings."""
        self.corpus(2)
        self.tokenize("in", "--out", "out", "--as", "parquet")
        self.put("killed", b'#!/bin/sh\n[ "$3" = --back ] && kill -9 $$\nexec ' +
                 os.environ["MIMI_PYTHON"].encode() + b' "$@"\n')
        os.chmod(self.path("killed"), 0o755)
        args = ["--model", MODEL, "-q", "detokenize", "out", "--out", "sound"]
        self.fails(*args, env={"MIMI_PYTHON": "./killed"}, err="./killed: ended by signal 9")
        self.mimi(*args)

    def test_ids_as_long_as_tokenize_takes_them(self):
        self.put("a.wav", wav(noise(3000)))
        names = ["x" * 240, "y" * 241]
        self.put("in.jsonl", b"".join(json.dumps({"path": "a.wav", "id": name}).encode() + b"\n"
                                      for name in names))
        for form, as_wav in (("npy", "wav"), ("wds", "flac")):
            self.tokenize("in.jsonl", "--out", form, "--as", form, code=0 if form == "wds" else 3)
            self.detokenize(form, "--out", form + "-sound", "--as", as_wav,
                            code=3 if form == "wds" else 0)
            self.assertEqual([row["id"] for row in self.lines(form + "-sound/manifest.jsonl")],
                             names[:1])

    def test_ids_that_need_a_folder_where_a_file_is(self):
        self.put("a.wav", wav(noise(3000)))
        for number, (ids, told) in enumerate((
                (("a", "a.wav/b"), "the id 'a' gives the file 'a.wav', which another id needs as a "
                                   "folder; another --as has other names"),
                (("x/a.wav/b/c", "x/a"), "the id 'x/a' gives the file 'x/a.wav', which .*"),
                (("manifest.jsonl/b",), "an id begins with 'manifest.jsonl/', which is a file of the "
                                        "dataset"))):
            self.put("in.jsonl", b"\n".join(json.dumps({"path": "a.wav", "id": name}).encode()
                                            for name in ids))
            out = f"out{number}"
            self.tokenize("in.jsonl", "--out", out, "--as", "wds")
            for more in ((), ("--dry-run",)):
                self.fails("--model", MODEL, "detokenize", out, "--out", "sound", *more,
                           err=f"{out}: {told}")
            self.assertFalse(os.path.exists(self.path("sound")))
            if len(ids) > 1:
                self.detokenize(out, "--out", out + "-flac", "--as", "flac")

    def test_a_place_that_cannot_be_examined(self):
        self.corpus(2)
        self.tokenize("in", "--out", "out", "--shard-size", "1")
        args = ["--model", MODEL, "-q", "detokenize", "out", "--out", "sound", "--shard"]
        self.mimi(*args, "1/2")
        os.makedirs(self.path("sound/1"))
        os.symlink("r1.wav", self.path("sound/1/r1.wav"))
        self.fails(*args, "2/2",
                   err="sound/1/r1.wav: cannot be examined: Too many levels of symbolic links")
        os.remove(self.path("sound/1/r1.wav"))
        self.mimi(*args, "2/2")

    def test_kills_shares_and_failures(self):
        chance = random.Random(9)
        self.corpus(12)
        self.tokenize("in", "--out", "out", "--as", "npy", "--shard-size", "3")
        self.put("out/0/r2.npy", self.get("out/0/r2.npy")[:-1])
        args = ["detokenize", "out", "--out"]
        self.detokenize("out", "--out", "whole", code=3)
        errors = self.lines("whole/errors.jsonl")
        self.assertEqual([row["id"] for row in errors], ["0/r2"])
        self.assertIn("its length is not that of its codes", errors[0]["error"])
        kills = 0
        while kills < 4:
            with subprocess.Popen([MIMI, "--model", MODEL, "-q", *args, "killed"],
                                  cwd=self.dir) as process:
                try:
                    process.wait(chance.uniform(0.005, 0.1))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
        self.assertEqual(self.quietly(*args, "killed"), 3)
        for share in ("2/2", "1/2"):
            self.assertIn(self.quietly(*args, "shares", "--shard", share), (0, 3))
        self.assertEqual(self.quietly("merge", "shares"), 3)
        for name in ("killed", "shares"):
            self.assertEqual(tree(self.path(name)), tree(self.path("whole")))
        self.fails("--model", MODEL, *args, "whole", "--rate", "16000",
                   err=r"whole: was begun with 'rate' 24000, not 16000; .*")
        self.fails("--model", MODEL, *args, "strict", "--strict", err=r"out/0/r2.npy: .*")


if __name__ == "__main__":
    unittest.main()
