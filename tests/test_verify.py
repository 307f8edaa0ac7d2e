#!/usr/bin/env python3
"""What `mimi verify` finds beside damage: sources, codes and rows that are others than they were."""
import io
import json
import os
import shutil
import tarfile
import unittest

from cli_support import UNPRIVILEGED, noise, wav
from dataset_support import MODEL, DatasetTest


class Verify(DatasetTest):
    def finds(self, *args, problem):
        """One problem, told in a line of its own."""
        self.mimi("--model", MODEL, "verify", *args, code=1,
                  err=rf"mimi: {problem}\nmimi: out: .* 1 problem\n")

    def tar(self, *names):
        with tarfile.open(self.path("in.tar"), "w") as tar:
            for name in names:
                data = wav(noise(3000, seed=len(name)))
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

    def test_a_source_that_changed(self):
        self.corpus(2)
        self.tokenize("in", "--out", "out")
        self.mimi("verify", "--sources", "out", err=r".* 2 recordings, 0 problems\n")
        self.put("in/1/r1.wav", wav(noise(5500, seed=9)))
        self.mimi("verify", "out", err=r".* 2 recordings, 0 problems\n")
        self.finds("--sources", "out", problem=r"in/1/r1.wav: is not the file that was tokenized: "
                                               r"its SHA-256 is another")
        os.remove(self.path("in/1/r1.wav"))
        self.finds("--sources", "out", problem="in/1/r1.wav: No such file or directory")

    def test_a_member_that_is_gone(self):
        self.tar("a.wav", "bb.wav")
        self.tokenize("in.tar", "--out", "out")
        self.tar("new.wav", "bb.wav")
        self.finds("--sources", "out", problem="in.tar: a.wav: is not there any more")

    def test_members_in_another_order(self):
        names = ["a.wav", "bb.wav", "ccc.wav", "dddd.wav"]
        self.tar(*names)
        self.tokenize("in.tar", "--out", "out")
        for order in (names, names[::-1], ["new.wav"] + names[2:] + names[:2]):
            self.tar(*order)
            self.mimi("verify", "--sources", "out", err=r".* 4 recordings, 0 problems\n")
        self.tar("new.wav", "dddd.wav", "ccc.wav", "a.wav")
        self.finds("--sources", "out", problem="in.tar: bb.wav: is not there any more")
        self.tar(*names)
        os.truncate(self.path("in.tar"), 3 * 512 + 2 * 6144)  # within the third
        self.mimi("verify", "--sources", "out", code=1,
                  err=r"(mimi: in.tar: tar file cut short: .*\n){2}mimi: out: .* 2 problems\n")

    def test_codes_of_another_recording(self):
        for name, seed in (("a", 1), ("b", 2)):
            self.put(name + ".wav", wav(noise(9000, seed=seed)))
        self.tokenize("a.wav", "--out", "a")
        self.tokenize("b.wav", "--out", "out")
        claimed = {key: self.lines("a/manifest.jsonl")[0][key] for key in ("source", "sha256")}
        row = {**self.lines("out/manifest.jsonl")[0], **claimed}
        self.put("out/manifest.jsonl", json.dumps(row, separators=(",", ":")).encode() + b"\n")
        self.mimi("verify", "--sources", "out", err=r".* 1 recording, 0 problems\n")
        self.finds("--resample", "1", "out",
                   problem=r"out/b.mimi: row 0: encoded again, its codes differ within frames 0 to 5")

    def test_a_recording_that_goes_on(self):
        """Behind the last frame of the dataset, or behind the last sample that it says."""
        samples = noise(5000)
        for name, count in (("long", 5000), ("part", 3840)):
            self.put(name + ".wav", wav(samples[:count]))
        self.tokenize("long.wav", "--out", "long", "--as", "npy")
        self.tokenize("part.wav", "--out", "out", "--as", "npy")
        self.mimi("--model", MODEL, "verify", "--resample", "1", "out",
                  err=r".* 1 encoded again, 0 problems\n")
        row, long = self.lines("out/manifest.jsonl")[0], self.lines("long/manifest.jsonl")[0]
        about = json.loads(self.get("out/dataset.json"))
        for changed, problem in (
                ({"source": "long.wav", "sha256": long["sha256"]},
                 "encoded again, it has more than 2 frames"),
                ({"samples": 3839}, "'samples' is 3839, encoded again 3840"),
                ({"source_samples": 3839}, "'source_samples' is 3839, encoded again 3840"),
                ({"source_rate": 24001}, "'source_rate' is 24001, encoded again 24000")):
            line = {**row, **changed}
            self.put("out/manifest.jsonl", json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self.put("out/dataset.json", json.dumps({**about, "samples": line["samples"]}).encode())
            self.finds("--resample", "1", "out", problem="out/part.npy: row 0: " + problem)

    def test_parts_that_cannot_be(self):
        """A stranger's manifest may ask for anything of a file that is there."""
        self.put("a.wav", wav(noise(9000)))
        self.tokenize("a.wav", "--out", "out")
        row = self.lines("out/manifest.jsonl")[0]
        for part, told in (
                ({"channel": 0}, "channel is 0, expected 1 to 256"),
                ({"channel": -5}, "channel is -5, expected 1 to 256"),
                ({"channel": 257}, "channel is 257, expected 1 to 256"),
                ({"channel": 2**32 + 1}, "channel is 4294967297, expected 1 to 256"),
                ({"channel": "1"}, 'channel is "1", expected 1 to 256'),
                ({"start": -1}, "start is -1, expected 0 to 1000000000"),
                ({"start": 1e300}, r"start is 1e\+300, expected 0 to 1000000000"),
                ({"start": 1e9, "end": 1e300}, r"end is 1e\+300, expected 1000000000 to 2000000000"),
                ({"start": 0.2, "end": 0.1}, r"end is 0\.1, expected 0\.2 to 2000000000"),
                ({"offset": 5}, None), ({"bytes": -5}, None)):
            with self.subTest(part):
                line = json.dumps({**row, **part}, separators=(",", ":")).encode() + b"\n"
                self.put("out/manifest.jsonl", line)
                if told is None:  # only a recording in a tar file has that
                    self.mimi("--model", MODEL, "verify", "--resample", "1", "out",
                              err=r".* 1 encoded again, 0 problems\n")
                else:
                    self.finds("--resample", "1", "out",
                               problem="a.wav: row 0: its " + told)

    def test_the_end_of_an_index(self):
        self.corpus(3)
        self.put("bad.wav", b"")
        for inputs in (("in",), ("bad.wav",)):
            out = "out"
            self.quietly("tokenize", *inputs, "--out", out, "--as", "safetensors")
            whole = self.get("out/index.json")
            self.mimi("verify", out, err=r".* 0 problems\n")
            last = len(whole.splitlines())
            for index, problem in (
                    (whole[:whole.rindex(b"}, ")], f"line {last - 1} is not what the manifest says"),
                    (whole.replace(b'"total_size": ', b'"total_size": 1'),
                     f"line {last} is not what the manifest says"),
                    (whole + b"{}\n", "goes on after its end")):
                self.put("out/index.json", index)
                self.finds(out, problem="out/index.json: " + problem)
            shutil.rmtree(self.path(out))

    def test_folders_that_are_called_as_outputs_are(self):
        self.put("a.wav", wav(noise(3000)))
        self.put("in.jsonl", b'{"path": "a.wav", "id": "x.npy/a"}')
        self.tokenize("in.jsonl", "--out", "out", "--as", "npy")
        self.mimi("verify", "out", err=r".* 0 problems\n")
        self.put("out/more.npy", b"")
        self.finds("out", problem=r"out: has 2 files '\*\.npy', expected 1")

    def test_pipes_in_place_of_files(self):
        """Nobody writes into them."""
        self.corpus(2)
        self.tar("a.wav")
        for form, name in (("npy", "dataset.json"), ("npy", "manifest.jsonl"), ("npy", "errors.jsonl"),
                           ("npy", "0/r0.npy"), ("mimi", "0/r0.mimi"), ("wds", "shard-000000.tar"),
                           ("safetensors", "shard-000000.safetensors"), ("safetensors", "index.json")):
            self.tokenize("in", "--out", "out", "--as", form)
            os.remove(self.path("out/" + name))
            os.mkfifo(self.path("out/" + name))
            self.mimi("verify", "out", code=1, timeout=20,
                      err=rf"(mimi: .*\n)*mimi: out/{name}: is not a regular file\n(mimi: .*\n)*")
            if name not in ("errors.jsonl", "index.json"):
                self.mimi("--model", MODEL, "-q", "detokenize", "out", "--out", "sound", timeout=20,
                          code=3 if name.startswith(("0/", "shard-")) else 1, err=r"(mimi: .*\n)*")
                shutil.rmtree(self.path("sound"), ignore_errors=True)
            shutil.rmtree(self.path("out"))
        self.tokenize("in.tar", "--out", "out")
        os.remove(self.path("in.tar"))
        os.mkfifo(self.path("in.tar"))
        self.mimi("verify", "--sources", "out", code=1, timeout=20,
                  err=r"mimi: in.tar: a.wav: is not a regular file\nmimi: .* 1 problem\n")

    def test_lines_that_do_not_end(self):
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--out", "out")
        self.put("out/manifest.jsonl", b" " * (2**24 + 1))
        self.fails("verify", "out", err="out/manifest.jsonl: line 1 is longer than 16777216 bytes")
        self.tokenize("a.wav", "--out", "wds", "--as", "wds")
        with tarfile.open(self.path("wds/shard-000000.tar")) as tar:
            place = tar.getmember("a.json").offset
        whole = self.get("wds/shard-000000.tar")
        header = bytearray(whole[place:place + 512])
        header[124:135] = b"%011o" % 2**32  # nearly all of it a hole
        header[148:156] = b" " * 8
        header[148:155] = b"%06o\0" % sum(header)
        self.put("wds/shard-000000.tar", whole[:place] + header + whole[place + 512:])
        os.truncate(self.path("wds/shard-000000.tar"), place + 512 + 2**32 + 1024)
        self.mimi("verify", "wds", code=1,
                  err=r"mimi: wds/shard-000000.tar: 'a.json' is longer than 16777216 bytes\n"
                      r"mimi: wds: 1 recording, 1 problem\n")

    def test_another_dtype(self):
        self.put("a.wav", wav(noise(3000)))
        self.tokenize("a.wav", "--dtype", "bf16", "--out", "out")
        self.fails("--model", MODEL, "verify", "--resample", "1", "out",
                   err=r"out: was made in bf16, arithmetic 1, and cannot be made again in f32, "
                       r"arithmetic 1; --dtype chooses another")
        self.mimi("--model", MODEL, "verify", "--dtype", "bf16", "--resample", "1", "--seed", "3",
                  "out", err=r".* 1 encoded again, 0 problems\n")

    def test_rows(self):
        self.corpus(3)
        self.tokenize("in", "--out", "out")
        first, second, third = self.get("out/manifest.jsonl").splitlines(True)
        for lines, cause in [((second, third), "row 0 is missing"),
                             ((first, third), "row 1 is missing"),
                             ((first, first, second, third), "row 0 is there twice")]:
            self.put("out/manifest.jsonl", b"".join(lines))
            self.fails("verify", "out", err=f"out: {cause}")

    def test_a_folder_that_may_not_be_read(self):
        self.corpus(2)
        self.tokenize("in", "--out", "out")
        os.mkdir(self.path("out/1/closed"), 0)
        self.fails("verify", "out", under=UNPRIVILEGED,
                   err="out/1/closed: cannot list: Permission denied")
        os.rmdir(self.path("out/1/closed"))
        self.mimi("verify", "out", err=r".* 2 recordings, 0 problems\n")


if __name__ == "__main__":
    unittest.main()
