#!/usr/bin/env python3
"""Every recording of a dataset exactly once: kills, shares, full disks."""
import json
import os
import random
import resource
import signal
import subprocess
import unittest

from cli_support import MIMI, noise, wav
from dataset_support import FORMS, MODEL, DatasetTest, tree


class ExactlyOnce(DatasetTest):
    def test_kills(self):
        chance = random.Random(5)
        self.corpus(24)
        self.put("in/0/bad.wav", b"junk")
        for form in FORMS:
            args = [MIMI, "--model", MODEL, "-q", "tokenize", "in", "--as", form,
                    "--shard-size", "4", "--out"]
            whole = subprocess.run([*args, form + "-whole"], cwd=self.dir, check=False)
            self.assertEqual(whole.returncode, 3)
            kills = 0
            while kills < 3:
                with subprocess.Popen([*args, form], cwd=self.dir) as process:
                    try:
                        process.wait(chance.uniform(0.005, 0.15))
                        break
                    except subprocess.TimeoutExpired:
                        process.send_signal(signal.SIGKILL)
                        kills += 1
            self.assertEqual(subprocess.run([*args, form], cwd=self.dir, check=False).returncode, 3)
            self.assertEqual(tree(self.path(form)), tree(self.path(form + "-whole")))

    def test_torn_journal(self):
        """What a power failure leaves of a journal: a part of it, or zeros at its end."""
        self.corpus(6)
        self.put("in/0/last.wav", b"junk")
        args = ["in", "--as", "npy", "--shard-size", "100", "--out"]
        self.tokenize(*args, "whole", code=3)
        self.tokenize(*args, "out", "--strict", code=1, err="mimi: in/0/last.wav: .*\n")
        journal = self.path("out/.work/shard-000000.journal")
        with open(journal, "rb") as file:
            data = file.read()
        for torn in (data[:-1], data[:len(data) // 2], data + bytes(4096), data[:5], b""):
            with open(journal, "wb") as file:
                file.write(torn)
            self.tokenize(*args, "out", "--strict", code=1, err="mimi: in/0/last.wav: .*\n")
        self.tokenize(*args, "out", code=3)
        self.assertEqual(tree(self.path("out")), tree(self.path("whole")))

    def test_shares(self):
        self.corpus(11)
        self.put("in/1/bad.wav", b"")
        for form in FORMS:
            args = ["in", "--as", form, "--shard-size", "2", "--out"]
            self.tokenize(*args, form + "-whole", code=3)
            for share in ("2/3", "3/3"):
                self.assertIn(self.quietly("tokenize", *args, form, "--shard", share), (0, 3))
            self.fails("merge", form, err=rf"{form}: of 6 shards these are not finished: 0, 3")
            self.assertIn(self.quietly("tokenize", *args, form, "--shard", "1/3"), (0, 3))
            self.assertFalse(os.path.exists(self.path(form + "/manifest.jsonl")))
            self.mimi("merge", form, code=3, err=rf"mimi: {form}: 11 recordings, 1 failed\n")
            self.mimi("merge", form, code=3, err=rf"mimi: {form}: 11 recordings, 1 failed\n")
            self.assertEqual(tree(self.path(form)), tree(self.path(form + "-whole")))

    def test_failures_of_an_earlier_call_count(self):
        """For the exit code, and for --strict: they are there before."""
        self.corpus(4)
        self.put("in/0/r0.wav", b"junk")
        self.tokenize("in", "--out", "tokens", code=3)
        os.remove(self.path("tokens/0/r2.mimi"))
        for maker in (["tokenize", "in"], ["detokenize", "tokens"]):
            out = maker[0]
            args = ["--model", MODEL, *maker, "--out", out, "--shard", "1/2"]
            for before in ("0 there before", r"\d there before, 1 of them failed"):
                self.mimi(*args, code=3, err=rf"mimi: {out}d .*, {before}; .*; "
                                             rf"why: {out}/errors\.jsonl, once it is merged\n")
            self.fails(*args, "--strict", err=".*(in/0/r0.wav: not a sound|tokens/0/r2.mimi: ).*")
            self.assertEqual(self.quietly("merge", out), 3)

    def test_one_folder_one_dataset(self):
        self.corpus(3)
        self.tokenize("in", "--out", "out", "--as", "wds")
        for change, cause in [(["--as", "npy"], "'as' \"wds\", not \"npy\""),
                              (["--shard-size", "7"], "'shard_size' 1000, not 7"),
                              (["-l", "2"], "'levels' .*, not 2"),
                              (["--window", "rust"], "'window' \"offline\", not \"rust\"")]:
            args = ["--model", MODEL, "tokenize", "in", "--out", "out", "--as", "wds", *change]
            self.fails(*args, err=rf"out: was begun with {cause}; .*")
        self.fails("tokenize", "in", "--out", "out", "--as", "wds", "-l", "4",
                   err=r"out: was begun with 'fingerprint' .*")
        self.fails("verify", "--resample", "1", "out", err=r"out: was made with the model .*")
        self.put("in/0/more.wav", wav(noise(3000)))
        self.fails("--model", MODEL, "tokenize", "in", "--out", "out", "--as", "wds",
                   err=r"out: was begun with other inputs, of 'rows' 3, not 4; give the same, .*")
        os.remove(self.path("in/0/more.wav"))
        os.rename(self.path("in/0/r2.wav"), self.path("in/0/other.wav"))
        self.fails("--model", MODEL, "tokenize", "in", "--out", "out", "--as", "wds",
                   err=r"out: was begun with other inputs; give the same, or another --out")
        os.rename(self.path("in/0/other.wav"), self.path("in/0/r2.wav"))
        dataset = self.get("out/dataset.json")
        self.put("out/dataset.json", dataset.replace(b'"mimi 0', b'"mimi 9'))
        self.fails("--model", MODEL, "tokenize", "in", "--out", "out", "--as", "wds",
                   err=r"out: was begun by another version, \"mimi 9.*\", not \"mimi 0.*\"; use that one, "
                       r"or another --out")
        self.put("out/dataset.json", dataset)
        self.fails("--model", MODEL, "tokenize", "in", "--out", "in",
                   err="in: is the output folder itself, which is not gone into")
        self.fails("--model", MODEL, "tokenize", "in", "--out", ".",
                   err=r"\.: holds other things and no dataset")

    def test_merge_refuses_what_does_not_fit(self):
        self.corpus(4)
        args = ["in", "--as", "wds", "--shard-size", "2"]
        for share in ("1/2", "2/2"):
            self.tokenize(*args, "--out", "a", "--shard", share)
            self.tokenize(*args, "--out", "b", "--shard", share, "-l", "2")
        part = "/.work/shard-000001.jsonl"
        own = self.get("a" + part)
        self.put("a" + part, self.get("b" + part))
        self.fails("merge", "a", err=r"a/.*1.jsonl: is of a dataset with other settings")
        lines = own.splitlines(True)
        for wrong, cause in [(lines[:-1], "row 3 is missing"), (lines + lines[-1:], "has more .*"),
                             (lines[:1] + lines[:0:-1], "has row 3 where row 2 must be"),
                             (self.get("a/.work/shard-000000.jsonl").splitlines(True),
                              "is not the shard that its name says")]:
            self.put("a" + part, b"".join(wrong))
            self.fails("merge", "a", err=rf"a/.*1.jsonl: {cause}")
        self.put("a" + part, own)
        os.rename(self.path("a/shard-000001.tar"), self.path("a/x"))
        self.fails("merge", "a", err=r".* its output a/shard-000001.tar is missing")
        os.symlink("shard-000001.tar", self.path("a/shard-000001.tar"))
        self.fails("merge", "a", err="a/shard-000001.tar: cannot be examined: Too many levels of .*")
        os.rename(self.path("a/x"), self.path("a/shard-000001.tar"))
        self.mimi("merge", "a", err=r"mimi: a: 4 recordings, 0 failed\n")

    def test_merge_refuses_numbers_that_no_recording_has(self):
        self.corpus(2)
        self.tokenize("in", "--out", "out", "--shard", "1/2")
        part = "out/.work/shard-000000.jsonl"
        head, first, second = self.get(part).splitlines()
        for key in ("samples", "frames"):
            for number in (-1, 1e300, 2**60, "1", None):
                row = json.dumps({**json.loads(first), key: number}).encode()
                self.put(part, b"\n".join((head, row, second, b"")))
                self.fails("merge", "out", err=rf"{part}: line 2 is damaged")
        os.remove(self.path(part))
        os.mkfifo(self.path(part))
        self.fails("merge", "out", err=rf"{part}: is not a regular file", timeout=20)

    def test_full_disk(self):
        """As far as a limit on the size of files is one."""
        for i in range(5):
            self.put(f"r{i}.wav", wav(noise(24000 * 40, seed=i)))
        args = [*(f"r{i}.wav" for i in range(5)), "-l", "4", "--as"]
        for form in FORMS:
            self.tokenize(*args, form, "--out", form + "-whole")
            limits = [2000, 12000]
            if form == "wds":  # larger than the journal
                limits.append(os.path.getsize(self.path("wds-whole/shard-000000.tar")) - 1)
            for limit in limits:
                self.tokenize(*args, form, "--out", form, code=1,
                              err=rf"mimi: {form}/.*: cannot write: File too large\n",
                              preexec_fn=lambda limit=limit: resource.setrlimit(
                                  resource.RLIMIT_FSIZE, (limit, limit)))
            self.tokenize(*args, form, "--out", form)
            self.assertEqual(tree(self.path(form)), tree(self.path(form + "-whole")))

    def test_a_long_recording_is_shared_out_exactly(self):
        self.put("in.wav", wav(noise(24000 * 90)))
        for threads in ("1", "2", "5"):
            self.tokenize("in.wav", "--threads", threads, "--out", threads)
        self.mimi("--model", MODEL, "encode", "in.wav")
        for threads in ("1", "2", "5"):
            self.assertEqual(self.get(threads + "/in.mimi"), self.get("in.mimi"))

    def test_a_long_recording_goes_on_where_it_was(self):
        self.put("in.wav", wav(noise(24000 * 120)))
        args = [MIMI, "--model", MODEL, "-q", "tokenize", "in.wav", "--out", "out"]
        journal = self.path("out/.work/shard-000000.journal")
        with subprocess.Popen(args, cwd=self.dir) as process:
            while not os.path.exists(journal) or os.path.getsize(journal) < 500:
                if process.poll() is not None:
                    break
            process.kill()
        self.assertEqual(self.quietly("tokenize", "in.wav", "--out", "out"), 0)
        self.mimi("--model", MODEL, "encode", "in.wav")
        self.assertEqual(self.get("out/in.mimi"), self.get("in.mimi"))


if __name__ == "__main__":
    unittest.main()
