#!/usr/bin/env python3
"""Each form of a dataset: what is in it, and that `mimi verify` finds what is wrong with it."""
import ast
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import unittest

import numpy as np

from cli_support import MIMI, noise, wav
from dataset_support import FORMS, MODEL, DatasetTest


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
        self.mimi("verify", "out", err=r".* 1 recording, 0 problems\n")

    def test_parquet_needs_pyarrow(self):
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--out", "there", "--as", "parquet")
        self.put("half", b"#!/bin/sh\nprintf 'pyarrow 1'\n")
        os.chmod(self.path("half"), 0o755)
        for python, cause in [("/usr/bin/python3", "ModuleNotFoundError: No module named 'pyarrow'"),
                              ("./half", "its version is cut short"),
                              ("no-such-python", "No such file or directory")]:
            for args in (["tokenize", "a.wav", "--out", "out", "--as", "parquet"],
                         ["detokenize", "there", "--out", "out"], ["verify", "there"]):
                self.fails(*args, env={"MIMI_PYTHON": python},
                           err=f"Parquet needs a Python with pyarrow and numpy, which '{python}' "
                               f"is not; MIMI_PYTHON names another: {cause}")
            self.assertEqual(self.files(), ["a.wav", "half", "there"])

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
               "%__metadata__", "%%__metadata__", "zero\0byte", "x" * 200 + "/" + "y" * 120]
        self.put("in.jsonl", b"".join(json.dumps({"path": "a.wav", "id": name}).encode() + b"\n"
                                      for name in ids))
        for form in FORMS:
            self.tokenize("in.jsonl", "--out", form, "--as", form)
            self.mimi("verify", form, err=r".* 12 recordings, 0 problems\n")
            self.assertEqual([row["id"] for row in self.lines(form + "/manifest.jsonl")], ids)
        self.assertEqual(self.lines("npy/manifest.jsonl")[0]["output"], "%2E./up.npy")
        with tarfile.open(self.path("wds/shard-000000.tar")) as tar:
            names = tar.getnames()
            self.assertEqual(names[10], "Ünïcödé ✓.npy")
            self.assertEqual(names[12], "a%2Eb%2Ec.npy")
        # WebDataset's rule: a key ends at the first dot of the last part.
        keys = [os.path.join(os.path.dirname(n), os.path.basename(n).split(".")[0]) for n in names]
        self.assertEqual(keys[::2], keys[1::2])
        self.assertEqual(len(set(keys)), 12)
        tensors = read_safetensors(self.get("safetensors/shard-000000.safetensors"))
        self.assertEqual(list(tensors), ["%" + name if name.endswith("__metadata__") else name
                                         for name in ids])

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


if __name__ == "__main__":
    unittest.main()
