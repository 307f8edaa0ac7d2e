#!/usr/bin/env python3
"""Datasets: `mimi tokenize`, `merge` and `verify`, from every kind of input to every form, with
broken recordings, kills, shares and full disks."""
import ast
import csv
import hashlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import tarfile
import unittest

import numpy as np

from cli_support import FLAC, MIMI, CliTest, noise, wav

MODEL = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")
FORMS = ("mimi", "npy", "wds", "safetensors", "parquet")
DONE = r"mimi: tokenized .* x real time, .* hours a core-hour\n"


def tree(folder):
    """What is in a folder: path -> digest."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(os.path.join(path, name), folder)] = digest
    return found


def read_safetensors(data):
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__")
    tensors = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        assert tensor["dtype"] == "U16"
        codes = np.frombuffer(data[8 + size + begin:8 + size + end], "<u2")
        tensors[name] = codes.reshape(tensor["shape"])
    return tensors


class DatasetTest(CliTest):
    def tokenize(self, *args, code=0, err=DONE, **options):
        return self.mimi("--model", MODEL, "tokenize", *args, code=code, err=err, **options)

    def quietly(self, *args):
        """The exit code, with nothing said but errors."""
        return subprocess.run([MIMI, "--model", MODEL, "-q", *args], cwd=self.dir,
                              check=False).returncode

    def lines(self, name):
        return [json.loads(line) for line in self.get(name).decode().splitlines()]

    def corpus(self, count=7, folder="in"):
        """Short recordings of different lengths, in folders."""
        for i in range(count):
            os.makedirs(self.path(f"{folder}/{i % 2}"), exist_ok=True)
            self.put(f"{folder}/{i % 2}/r{i}.wav", wav(noise(3000 + 2500 * i, seed=i)))
        return folder


class Forms(DatasetTest):
    def parquet_row(self, name, number):
        """As pyarrow reads it, and the file's metadata."""
        read = ("import json, sys, pyarrow.parquet as parquet; "
                "table = parquet.read_table(sys.argv[1]); "
                "print(json.dumps(table.to_pylist()[int(sys.argv[2])])); "
                "print(table.schema.metadata)")
        row, metadata = subprocess.check_output(
            [os.environ["MIMI_PYTHON"], "-c", read, self.path(name), str(number)]).splitlines()
        return json.loads(row), ast.literal_eval(metadata.decode())

    def codes_of(self, form, row):
        """[levels, frames] as a reader of that form finds them."""
        data = self.get(os.path.join(form, row["output"]))
        if form == "parquet":
            found, metadata = self.parquet_row(os.path.join(form, row["output"]), row["row"] % 3)
            self.assertEqual(metadata[b"model"], b"tiny-hf")
            codes = np.array(found.pop("codes"), np.uint16)
            self.assertEqual({key: value for key, value in found.items() if value is not None}, {
                "path" if key == "source" else key: value for key, value in row.items()
                if key != "output"})
            return codes
        if form == "npy":
            return np.load(io.BytesIO(data))
        if form == "wds":
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar:
                    self.assertEqual((member.mtime, member.uid, member.gid, member.uname,
                                      member.mode), (0, 0, 0, "", 0o644))
                about = json.load(tar.extractfile(row["id"] + ".json"))
                self.assertEqual(about, row)
                return np.load(io.BytesIO(tar.extractfile(row["id"] + ".npy").read()))
        return read_safetensors(data)[row["id"]]

    def test_each_form_has_the_codes_of_encode(self):
        self.corpus()
        for form in FORMS:
            self.tokenize("in", "--out", form, "--as", form, "--shard-size", "3")
            rows = self.lines(form + "/manifest.jsonl")
            self.assertEqual([row["id"] for row in rows],
                             ["0/r0", "0/r2", "0/r4", "0/r6", "1/r1", "1/r3", "1/r5"])
            self.assertEqual(self.get(form + "/errors.jsonl"), b"")
            self.mimi("--model", MODEL, "verify", "--resample", "1", "--sources", form,
                      err=rf"mimi: {form}: 7 recordings, 7 encoded again, 0 problems\n")
            for row in rows:
                self.mimi("--model", MODEL, "encode", "-q", "-f", row["source"], "-o", "x.mimi")
                crc, frames, levels, _ = self.codes("x.mimi")
                self.assertEqual((row["codes_crc32c"], row["frames"], row["levels"]),
                                 (crc, frames, levels))
                if form == "mimi":
                    self.assertEqual(self.get("mimi/" + row["output"]), self.get("x.mimi"))
                    continue
                codes = self.codes_of(form, row)
                self.assertEqual((codes.dtype, codes.shape), (np.uint16, (levels, frames)))
                self.assertEqual(codes.tobytes(), self.codes_of("npy", {
                    "id": row["id"], "output": row["id"] + ".npy"}).tobytes())

    def test_what_a_dataset_says(self):
        self.corpus(3)
        self.tokenize("in", "--out", "out", "--as", "wds")
        with open(self.path("in/0/r0.wav"), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        row = self.lines("out/manifest.jsonl")[0]
        row.pop("codes_crc32c")
        self.assertEqual(row, {
            "id": "0/r0", "row": 0, "source": "in/0/r0.wav", "seconds": 0.125,
            "source_rate": 24000, "source_samples": 3000, "samples": 3000,
            "frames": row["frames"], "levels": row["levels"], "output": "shard-000000.tar",
            "sha256": digest})
        about = json.loads(self.get("out/dataset.json"))
        self.assertEqual(
            {key: about[key] for key in ("complete", "done", "failed", "rows", "samples", "as")},
            {"complete": True, "done": 3, "failed": 0, "rows": 3, "as": "wds",
             "samples": 3000 + 5500 + 8000})
        self.assertEqual(sorted(os.listdir(self.path("out"))),
                         ["dataset.json", "errors.jsonl", "manifest.jsonl", "shard-000000.tar"])

    def test_parquet_keeps_what_a_manifest_says(self):
        fields = {"text": "schön \u2713", "numbers": [1, 2.0, 1e-7, None], "speaker": {"age": 30}}
        self.put("a.wav", wav(noise(24000)))
        self.put("b.wav", b"")
        self.put("in.jsonl", "\n".join(json.dumps(row) for row in [
            {"path": "a.wav", "id": "part", "start": 0.1, "end": 0.75, "channel": 1, **fields},
            {"path": "b.wav"}]).encode())
        self.tokenize("in.jsonl", "--out", "out", "--as", "parquet", "--shard-size", "1", code=3)
        row, _ = self.parquet_row("out/shard-000000.parquet", 0)
        self.assertEqual([row[key] for key in ("id", "path", "start", "end", "channel", "samples")],
                         ["part", "a.wav", 0.1, 0.75, 1, 15600])
        self.assertEqual(json.loads(row["fields"]), fields)
        self.assertEqual(np.array(row["codes"]).shape, (row["levels"], row["frames"]))
        self.assertTrue(os.path.exists(self.path("out/shard-000001.parquet")))
        self.mimi("verify", "out", err=r".* 1 recordings, 0 problems\n")

    def test_parquet_needs_pyarrow(self):
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--out", "there", "--as", "parquet")
        for python, cause in [("/usr/bin/python3", "ModuleNotFoundError: No module named 'pyarrow'"),
                              ("no-such-python", "No such file or directory")]:
            for args in (["tokenize", "a.wav", "--out", "out", "--as", "parquet"],
                         ["detokenize", "there", "--out", "out"], ["verify", "there"]):
                self.fails(*args, env={"MIMI_PYTHON": python},
                           err=f"Parquet needs a Python with pyarrow and numpy, which '{python}' "
                               f"is not; MIMI_PYTHON names another: {cause}")
            self.assertEqual(self.files(), ["a.wav", "there"])

    def test_parquet_of_another_writer(self):
        self.put("a.wav", wav(noise(3000)))
        args = ["a.wav", "--out", "out", "--as", "parquet"]
        self.tokenize(*args)
        about = self.get("out/dataset.json")
        version = json.loads(about)["writer"]
        self.assertRegex(version, r"^pyarrow \d+\.\d+\.\d+$")
        self.put("out/dataset.json", about.replace(version.encode(), b"pyarrow 1.2.3"))
        self.fails("--model", MODEL, "tokenize", *args,
                   err=rf"out: was begun with 'writer' \"pyarrow 1.2.3\", not \"{version}\"; .*")
        self.fails("verify", "out", err=rf"out: was written by pyarrow 1.2.3, whose bytes cannot be "
                                        rf"verified by {version}")
        self.mimi("--model", MODEL, "-q", "detokenize", "out", "--out", "sound")

    def test_names_that_no_file_could_have(self):
        self.put("a.wav", wav(noise(4000)))
        ids = ["../up", "a//b", ".hidden/.", "100%", "new\nline", "Ünïcödé ✓", "a.b.c", "__metadata__",
               "x" * 200 + "/" + "y" * 120]
        self.put("in.jsonl", b"".join(json.dumps({"path": "a.wav", "id": name}).encode() + b"\n"
                                      for name in ids))
        for form in FORMS:
            self.tokenize("in.jsonl", "--out", form, "--as", form)
            self.mimi("verify", form, err=r".* 9 recordings, 0 problems\n")
            self.assertEqual([row["id"] for row in self.lines(form + "/manifest.jsonl")], ids)
        self.assertEqual(self.lines("npy/manifest.jsonl")[0]["output"], "%2E./up.npy")
        with tarfile.open(self.path("wds/shard-000000.tar")) as tar:
            names = tar.getnames()
            self.assertEqual(names[10], "Ünïcödé ✓.npy")
            self.assertEqual(names[12], "a%2Eb%2Ec.npy")
        # WebDataset's rule: a key ends at the first dot of the last part.
        keys = [os.path.join(os.path.dirname(n), os.path.basename(n).split(".")[0]) for n in names]
        self.assertEqual(keys[::2], keys[1::2])
        self.assertEqual(len(set(keys)), 9)


class Inputs(DatasetTest):
    def rows(self, *args, **options):
        self.tokenize(*args, "--out", "out", "--as", "npy", **options)
        return self.lines("out/manifest.jsonl")

    def test_folders(self):
        self.corpus()
        self.put("in/0/notes.txt", b"no sound")
        self.put("in/0/.hidden.wav", wav(noise(2000)))
        os.symlink("..", self.path("in/1/circle"))
        self.assertEqual([row["id"] for row in self.rows("in", "--include", "r[0-3].wav")],
                         ["0/r0", "0/r2", "1/r1", "1/r3"])

    def test_output_within_the_input(self):
        self.corpus(2)
        for _ in range(2):
            self.assertEqual(self.quietly("tokenize", "in", "--out", "in/out", "--as", "npy"), 0)
        self.assertEqual(len(self.lines("in/out/manifest.jsonl")), 2)

    def test_list_with_spaces_and_unicode(self):
        names = ["with space.wav", "ünïcödé ✓.wav", "'quote\".wav"]
        for name in names:
            self.put(name, wav(noise(3000)))
        listed = "\r\n".join(names).encode()
        rows = self.rows("-", stdin=listed)
        self.assertEqual([row["source"] for row in rows], names)
        self.put("list", listed)
        self.tokenize("--list", "list", "--out", "out2", "--as", "npy")
        self.assertEqual(tree(self.path("out")), tree(self.path("out2")))

    def test_jsonl_with_parts_channels_and_other_fields(self):
        left, right = noise(48000, seed=1), noise(48000, seed=2)
        os.mkdir(self.path("data"))
        self.put("data/new\nline.wav", wav(np.stack([left, right], 1)))
        other = {"text": "hello", "speaker": {"age": 30}, "score": 1.5, "n": None}
        self.put("data/m.jsonl", "\n".join(json.dumps(row) for row in [
            {"audio_filepath": "new\nline.wav", "offset": 0.5, "duration": 1, "channel": 2, **other},
            {"path": "new\nline.wav", "start": 0.5, "end": 1.5, "channel": 1, "id": "own"},
            {"audio": "new\nline.wav", "duration": 2.05},
            {"audio": "new\nline.wav", "id": "3", "channel": 3},
            {"audio": "new\nline.wav", "id": "late", "start": 2},
            {"audio": "new\nline.wav", "id": "long", "end": 2.2}]).encode())
        rows = self.rows("data/m.jsonl", code=3)
        self.assertEqual([row["error"] for row in self.lines("out/errors.jsonl")],
                         ["has 2 channels, the row asks for number 3",
                          "its start, 2.000 s, is not before the recording's end, 2.000 s",
                          "its end, 2.200 s, is after the recording's, 2.000 s"])
        self.assertEqual([row["id"] for row in rows],
                         ["new\nline-00000500-00001500-c2", "own", "new\nline"])
        self.assertEqual(rows[0]["fields"], other)
        self.assertEqual([row["samples"] for row in rows], [24000, 24000, 48000])
        self.put("right.wav", wav(right[12000:36000]))
        self.put("mix.wav", wav((left + right) / 2, encoding="f32"))
        self.tokenize("right.wav", "mix.wav", "--out", "cut", "--as", "npy")
        cut = self.lines("cut/manifest.jsonl")
        self.assertEqual(cut[0]["codes_crc32c"], rows[0]["codes_crc32c"])
        self.assertEqual(cut[1]["codes_crc32c"], rows[2]["codes_crc32c"])

    def test_csv(self):
        self.put("a.wav", wav(noise(24000)))
        with open(self.path("in.csv"), "w", newline="") as file:
            csv.writer(file).writerows([["path", "start", "end", "text"],
                                        ["a.wav", "", "", 'said "yes",\nand left'],
                                        ["a.wav", "0.25", "0.75", ""]])
        rows = self.rows("in.csv")
        self.assertEqual(rows[0]["fields"], {"text": 'said "yes",\nand left'})
        self.assertEqual([row["samples"] for row in rows], [24000, 12000])

    def test_tar_files(self):
        with tarfile.open(self.path("t.tar"), "w", format=tarfile.PAX_FORMAT) as tar:
            def add(name, data):
                about = tarfile.TarInfo(name)
                about.size = len(data)
                tar.addfile(about, io.BytesIO(data))
            with open(FLAC, "rb") as file:
                flac = file.read()
            add("a/one.json", b'{"text": "hi"}')
            add("a/one.flac", flac)
            add("a/" + "long" * 40 + "✓.wav", wav(noise(5000)))
            add("two.wav", wav(noise(6000)))
            add("two.txt", "schön".encode())
            add("three.wav", wav(noise(7000))[:-500])
        rows = self.rows("t.tar", code=3)
        self.assertEqual([row["id"] for row in rows],
                         ["t/a/one", "t/a/" + "long" * 40 + "✓", "t/two"])
        self.assertEqual([row["id"] for row in self.lines("out/errors.jsonl")], ["t/three"])
        by_id = {row["id"]: row for row in rows}
        self.assertEqual(by_id["t/a/one"]["fields"], {"text": "hi"})
        self.assertEqual(by_id["t/a/one"]["sha256"], hashlib.sha256(flac).hexdigest())
        self.assertEqual(by_id["t/two"]["fields"], {"txt": "schön"})
        self.put("one.flac", flac)
        self.tokenize("one.flac", "--out", "one", "--as", "npy")
        self.assertEqual(self.lines("one/manifest.jsonl")[0]["codes_crc32c"],
                         by_id["t/a/one"]["codes_crc32c"])
        self.mimi("--model", MODEL, "verify", "--resample", "1", "out", err=r".* 0 problems\n")

    def test_wrong_inputs(self):
        self.put("a.wav", wav(noise(3000)))
        os.mkdir(self.path("b"))
        self.put("b/a.wav", wav(noise(3000)))
        for lines, cause in [
                (b'{"path": "a.wav"}\n{"path": 3}\n', r"in.jsonl: line 2: 'path' is 3, not a text"),
                (b'{"path"', r"in.jsonl: line 1: is not JSON of at most 64 levels"),
                (b'{"path": "a.wav", "x": ' + b"[" * 1000000 + b"]" * 1000000 + b"}",
                 r"in.jsonl: line 1: is not JSON of at most 64 levels"),
                (b'{"path": "a.wav", "start": 1e308, "duration": 1e308}',
                 r"in.jsonl: line 1: 'start' is 1e\+308, not a number from 0 to 1e9"),
                (b'{"path": "a.wav", "start": 2, "end": 1}',
                 r"in.jsonl: line 1: its end, 1.0 s, is not after its start"),
                (b'{"path": "a.wav", "audio": "a.wav"}',
                 r"in.jsonl: line 1: 'path' and 'audio' mean the same"),
                (b'{"path": "a.wav"}\n' * 2, r"two recordings have the id 'a': a.wav and a.wav; "
                                              r"a manifest can give ids")]:
            self.put("in.jsonl", lines)
            self.fails("tokenize", "in.jsonl", "--out", "out", err=cause)
        self.fails("tokenize", "b", "--include", "*.flac", "--out", "out",
                   err="the inputs hold no recordings")
        self.fails("tokenize", "--out", "out", code=2, err=r"no inputs given .*")
        self.assertFalse(os.path.exists(self.path("out")))


class Broken(DatasetTest):
    WAYS = 10

    def break_one(self, way, name):
        """A recording that cannot be tokenized, and what errors.jsonl says of it."""
        whole = wav(noise(6000))
        data, cause = {
            0: (None, "No such file or directory"),
            1: (b"", "not a sound file .*"),
            2: (whole[:-100], "WAV header: cut short: .*"),
            3: (b"junk" * 100, "not a sound file .*"),
            4: (wav([]), "has no samples"),
            5: (wav([0.0, float("nan")], encoding="f32"), "sample 1 of channel 1 is not a number"),
            6: (whole[:30], "WAV .*"),
            7: (wav(noise(600), rate=48), ".* is more than 256 times away from 24000 Hz"),
            8: ("folder", "is a directory"),
            9: (wav(np.zeros((10, 300))), ".* 300 channels.*"),
        }[way]
        if data == "folder":
            os.mkdir(self.path(name))
        elif data is not None:
            self.put(name, data)
        return cause

    def corpus_with_broken(self, good, broken):
        """Rows in a mixed order; returns ids and the causes of those that must fail."""
        names = [f"g{i}" for i in range(good)] + [f"b{i}" for i in range(broken)]
        random.Random(1).shuffle(names)
        causes = {}
        self.put("good.wav", wav(noise(4000)))
        for name in names:
            if name[0] == "b":
                causes[name] = self.break_one(int(name[1:]) % self.WAYS, name + ".wav")
        self.put("in.jsonl", b"".join(json.dumps({
            "id": name, "path": "good.wav" if name[0] == "g" else name + ".wav"}).encode() + b"\n"
            for name in names))
        return names, causes

    def check(self, names, causes):
        self.assertEqual([row["id"] for row in self.lines("out/manifest.jsonl")],
                         [name for name in names if name not in causes])
        errors = self.lines("out/errors.jsonl")
        self.assertEqual([row["id"] for row in errors], [n for n in names if n in causes])
        for row in errors:
            self.assertRegex(row["error"], "^" + causes[row["id"]] + "$", row)
            self.assertEqual(names[row["row"]], row["id"])

    def test_ten_ways(self):
        names, causes = self.corpus_with_broken(good=60, broken=20)
        self.tokenize("in.jsonl", "--out", "out", "--as", "wds", "--shard-size", "9", code=3)
        self.check(names, causes)
        self.mimi("verify", "out", err=r".* 60 recordings, 0 problems\n")
        # It stays the same, and so does the exit code.
        self.tokenize("in.jsonl", "--out", "out", "--as", "wds", "--shard-size", "9", code=3,
                      err="mimi: out: is finished: nothing is left to do\n")

    def test_strict(self):
        self.corpus_with_broken(good=3, broken=1)
        self.tokenize("in.jsonl", "--out", "out", "--strict", code=1,
                      err="mimi: b0.wav: No such file or directory\n")
        self.assertFalse(os.path.exists(self.path("out/manifest.jsonl")))
        self.put("b0.wav", wav(noise(3000)))
        self.tokenize("in.jsonl", "--out", "out")
        self.assertEqual(len(self.lines("out/manifest.jsonl")), 4)

    def test_silence_is_told(self):
        self.put("a.wav", wav(np.zeros(4000)))
        self.put("b.wav", wav(noise(4000)))
        self.tokenize("a.wav", "b.wav", "--out", "out")
        self.assertEqual([row.get("warning") for row in self.lines("out/manifest.jsonl")],
                         ["silent", None])

    def test_a_damaged_dataset(self):
        self.corpus()
        for form in FORMS:
            self.tokenize("in", "--out", form, "--as", form)
            name = os.path.join(form, self.lines(form + "/manifest.jsonl")[2]["output"])
            whole = self.get(name)
            for place in random.Random(form).sample(range(len(whole)), 12):
                data = bytearray(whole)
                data[place] ^= 0x10
                self.put(name, data)
                result = subprocess.run([MIMI, "verify", "-q", form], cwd=self.dir,
                                        capture_output=True, check=False)
                told = (form, place, len(whole), result.stderr)
                self.assertEqual(result.returncode, 1, told)
                self.assertIn(b"mimi: " + name.encode(), result.stderr, told)
            self.put(name, whole)
            manifest = self.get(form + "/manifest.jsonl")
            self.put(form + "/manifest.jsonl", b"".join(manifest.splitlines(True)[:-1]))
            self.mimi("verify", form, code=1, err="(mimi: .*\n)+")


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
                   err=r"out: was begun with 'rows' 3, not 4; .*")
        os.remove(self.path("in/0/more.wav"))
        os.rename(self.path("in/0/r2.wav"), self.path("in/0/other.wav"))
        self.fails("--model", MODEL, "tokenize", "in", "--out", "out", "--as", "wds",
                   err=r"out: was begun with other inputs; .*")
        self.fails("--model", MODEL, "tokenize", "in", "--out", "in",
                   err="the inputs hold no recordings")
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
        os.rename(self.path("a/x"), self.path("a/shard-000001.tar"))
        self.mimi("merge", "a", err=r"mimi: a: 4 recordings, 0 failed\n")

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
        row = self.lines("flac/manifest.jsonl")[0]
        self.assertEqual((row["samples"], row["rate"], row["output"]), (88200, 44100, "a.flac"))
        self.mimi("--model", MODEL, "decode", "-q", "--rate", "44100", "--format", "s24",
                  "out/a.mimi", "-o", "x.flac")
        self.assertEqual(self.get("flac/a.flac"), self.get("x.flac"))
        self.fails("detokenize", "out", "--out", "x", "--as", "ogg", "--format", "s16", code=2,
                   err=r".*: --format is not for Ogg Vorbis")
        self.fails("detokenize", "out", "--out", "x", err=r"out: was made with the model .*")

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


class Watching(DatasetTest):
    def test_json_progress(self):
        self.corpus(3)
        out = self.tokenize("in", "--out", "out", "--json-progress", out=None, err="")
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual((summary["event"], summary["rows"], summary["done"], summary["failed"]),
                         ("summary", 3, 3, 0))
        self.assertAlmostEqual(summary["audio_hours"], (3000 + 5500 + 8000) / 24000 / 3600)

    def test_dry_run_writes_nothing(self):
        self.corpus(5)
        out = self.tokenize("in", "--out", "out", "--shard-size", "2", "--shard", "2/2",
                            "--dry-run", out=None, err="")
        self.assertRegex(out.decode(), r"^5 recordings \(0 other files passed over\) in 3 shards, "
                                       r"as mimi, .* into out\nof this call's 1 shards 0 are "
                                       r"finished; to do: 2 recordings, about 0.0 hours\n$")
        self.assertEqual(self.files(), ["in"])


if __name__ == "__main__":
    unittest.main()
