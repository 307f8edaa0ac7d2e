#!/usr/bin/env python3
"""What a dataset is made of: every kind of input, and recordings that are broken."""
import csv
import hashlib
import io
import json
import os
import random
import tarfile
import unittest

import numpy as np

from cli_support import FLAC, UNPRIVILEGED, noise, wav
from dataset_support import MODEL, DatasetTest, tree


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

    def test_parts_of_files_that_are_sought_in_and_read_through(self):
        """FLAC at the model's rate is sought in; what is resampled or lossy is read through."""
        self.mimi("--model", MODEL, "encode", "-q", FLAC, "-o", "a.mimi")
        for name, rate in (("a.flac", "24000"), ("a.wav", "24000"), ("b.flac", "16000"),
                           ("b.wav", "16000"), ("c.ogg", "24000")):
            self.mimi("--model", MODEL, "decode", "-q", "a.mimi", "--rate", rate, "-o", name)
        self.put("in.jsonl", "\n".join(
            json.dumps({"path": name, "id": name, "start": 1.25, "end": 2.5})
            for name in ("a.flac", "a.wav", "b.flac", "b.wav", "c.ogg")).encode())
        rows = {row["id"]: row for row in self.rows("in.jsonl")}
        self.assertEqual({row["samples"] for row in rows.values()}, {30000})
        for name in "ab":
            self.assertEqual(rows[name + ".flac"]["codes_crc32c"], rows[name + ".wav"]["codes_crc32c"])

    def test_csv(self):
        self.put("a.wav", wav(noise(24000)))
        with open(self.path("in.csv"), "w", newline="") as file:
            csv.writer(file).writerows([["path", "start", "end", "text"],
                                        ["a.wav", "", "", 'said "yes",\nand left'],
                                        ["a.wav", "0.25", "0.75", ""]])
        rows = self.rows("in.csv")
        self.assertEqual(rows[0]["fields"], {"text": 'said "yes",\nand left'})
        self.assertEqual([row["samples"] for row in rows], [24000, 12000])

    def test_quotes_in_tables(self):
        """They mean something where a field begins, as Python's csv has it, and nowhere else."""
        self.put("a.wav", wav(noise(3000)))
        lines = ["path,id,text", 'a.wav,0,a 5" disk', 'a.wav,1,a 7" disk', '"a.wav",2,"x ""y"""',
                 'a.wav,3,""', 'a.wav,4,"two\r\nlines\nor three"', 'a.wav,5,"the end"']
        for name, separator in (("in.csv", ","), ("in.tsv", "\t")):
            def put(lines, name=name, separator=separator):
                self.put(name, "\r\n".join(lines).replace(",", separator).encode())
            put(lines)
            self.tokenize(name, "--out", name[3:], "--as", "npy")
            self.assertEqual([row["fields"]["text"] for row in self.lines(name[3:] + "/manifest.jsonl")],
                             ['a 5" disk', 'a 7" disk', 'x "y"', "", "two\r\nlines\nor three", "the end"])
            for text, told in (('"no" end', "line 2: after the quote that ends a field comes ' end'"),
                               ('"5"" disk', "line 3: the quote that begins in line 2 does not end")):
                put(["path,text", "a.wav," + text, "a.wav,more"])
                self.fails("tokenize", name, "--out", "out", err=f"{name}: {told}")

    def test_names_with_a_zero_byte(self):
        """What opens a file would see another name."""
        self.put("a.wav", wav(noise(3000)))
        told = "has a zero byte, as no file's name has"
        for name, data, place in (
                ("in.jsonl", rb'{"path": "a.wav\u0000evil"}', "line 1: 'path'"),
                ("in.jsonl", rb'{"audio_filepath": "\u00002", "id": "x"}', "line 1: 'audio_filepath'"),
                ("in.csv", b"path\na.wav\na.wav\0evil\n", "line 3: 'path'"),
                ("in.tsv", b"path\n\0002\n", "line 2: 'path'"),
                ("list", b"a.wav\na.wav\0evil\n", "line 2"),
                ("t.tar", self.pax_member("a.wav\0evil.wav", wav(noise(3000))) + bytes(1024), None)):
            self.put(name, data)
            if place:
                self.fails("tokenize", *(("--list",) if name == "list" else ()), name, "--out", "out",
                           err=f"{name}: {place} {told}")
                continue
            self.tokenize(name, "--out", "out", code=3)
            self.assertEqual([row["error"] for row in self.lines("out/errors.jsonl")],
                             [f"a member's name {told} (byte 1024)"])

    def test_ids_of_nothing(self):
        """A path that only says where to begin leaves nothing for an id, which no tensor may have."""
        self.put("in.jsonl", b'{"path": "."}\n{"path": "..", "channel": 2}')
        self.tokenize("in.jsonl", "--out", "out", code=3)
        self.assertEqual([row["id"] for row in self.lines("out/errors.jsonl")], [".", ".-c2"])

    def test_numbers_of_a_manifest(self):
        """They keep their value; an integer that would not is refused."""
        self.put("a.wav", wav(noise(3000)))
        numbers = [-2**63, 2**64 - 1, 0.1, 1.5, -3.0, 2.0**70]
        self.put("in.jsonl", json.dumps({"path": "a.wav", "x": numbers, "s": "9" * 30 + '\\"'}).encode())
        self.assertEqual(self.rows("in.jsonl")[0]["fields"], {"x": numbers, "s": "9" * 30 + '\\"'})
        for number in (-2**63 - 1, 2**64, 10**30):
            self.put("in.jsonl", json.dumps({"path": "a.wav", "s": '"', "x": [1.5, number]}).encode())
            told = f"has the integer '{number}', which has more than 64 bits"
            self.fails("tokenize", "in.jsonl", "--out", "out2", err="in.jsonl: line 1: " + told)
            self.put_tar("t.tar", ("a.json", b'{"x": %d}' % number), ("a.wav", self.get("a.wav")))
            self.tokenize("t.tar", "--out", f"t{number}", code=3)
            self.assertEqual([row["error"] for row in self.lines(f"t{number}/errors.jsonl")],
                             [f"its 'a.json' {told}"])

    def put_tar(self, name, *members):
        with tarfile.open(self.path(name), "w") as tar:
            for member, data in members:
                about = tarfile.TarInfo(member)
                about.size = len(data)
                tar.addfile(about, io.BytesIO(data))

    def test_what_two_files_of_a_sample_say(self):
        sound = wav(noise(3000))
        self.put_tar("t.tar", ("a.wav", sound), ("a.json", b'{"x": 1, "y": 2}'), ("a.txt", b"x"),
                     ("a.more.json", b'{"x": 1, "z": 2}'), ("a.en.txt", b"x"),
                     ("b.wav", sound), ("b.txt", b"x"), ("b.en.txt", b"y"),
                     ("c.wav", sound), ("c.txt", b"x"), ("c.json", b'{"txt": "y"}'),
                     ("d.wav", sound), ("d.json", b'{"x": 1}'), ("d.more.json", b'{"x": 1.5}'),
                     ("e.wav", sound), ("e.json", b"[1]"), ("e.more.json", b"[2]"))
        self.assertEqual([row["fields"] for row in self.rows("t.tar", code=3)],
                         [{"x": 1, "y": 2, "txt": "x", "z": 2}])
        self.assertEqual([(row["id"], row["error"]) for row in self.lines("out/errors.jsonl")],
                         [("t/" + name[0], f"its '{name}' says another '{key}' than a file before it")
                          for name, key in (("b.en.txt", "txt"), ("c.json", "txt"), ("d.more.json", "x"),
                                            ("e.more.json", "json"))])

    def test_more_fields_than_a_sample_may_have(self):
        sound = wav(noise(3000))
        sidecars = [(f"a.{i}.json", json.dumps({f"{i}-{k}": k for k in range(4000)}).encode())
                    for i in range(8)]
        megabyte = json.dumps("x" * 2**20)[:2**20 - 1].encode() + b'"'
        self.put_tar("t.tar", *sidecars, ("a.wav", sound),
                     ("b.json", megabyte), *((f"b.{i}.wav", sound) for i in range(17)),
                     ("c.json", megabyte), *((f"c.{i}.wav", sound) for i in range(15)))
        self.assertEqual(len(self.rows("t.tar", code=3)), 15)
        self.assertEqual([row["error"] for row in self.lines("out/errors.jsonl")], [
            "its 'a.1.json' makes its fields more than 4096"] + [
            "its fields, said of 17 recordings, are longer than 16777216 bytes"] * 17)
        self.assertNotIn("fields", self.lines("out/errors.jsonl")[-1])

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

    def test_links_in_tar_files_are_counted(self):
        self.put("a.wav", wav(noise(3000)))
        os.link(self.path("a.wav"), self.path("b.wav"))
        os.symlink("a.wav", self.path("c.wav"))
        with tarfile.open(self.path("t.tar"), "w") as tar:
            for name in ("a.wav", "b.wav", "c.wav"):
                tar.add(self.path(name), name)
        told = self.mimi("--model", MODEL, "tokenize", "t.tar", "--out", "out", "--dry-run", out=None)
        self.assertRegex(told.decode(), r"\A1 recording \(2 other files passed over\) ")

    def tar_header(self, name, kind, size, more=b""):
        """As GNU tar has it; `more` lies at byte 386, where the pieces of a sparse file are."""
        block = bytearray(512)
        block[:len(name)] = name.encode()
        block[124:136] = b"%011o\0" % size
        block[156:157] = kind
        block[257:265] = b"ustar  \0"
        block[386:386 + len(more)] = more
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)

    def pax_member(self, name, data):
        path = f" path={name}\n"
        pax = f"{len(path) + 2}{path}".encode()
        assert len(pax) < 100
        return b"".join(self.tar_header("x", kind, len(part)) + part + bytes(-len(part) % 512)
                        for kind, part in ((b"x", pax), (b"0", data)))

    def test_members_without_data_that_have_a_size(self):
        """Some write one, of a folder as a limit; nothing follows it all the same."""
        sound = wav(noise(3000))
        data = sound + bytes(-len(sound) % 512)
        self.put("t.tar", b"".join(self.tar_header("n" + kind, kind.encode(), 8704) +
                                   self.tar_header(kind + ".wav", b"0", len(sound)) + data
                                   for kind in "123456") + bytes(1024))
        self.assertEqual([row["id"] for row in self.rows("t.tar")], ["t/" + kind for kind in "123456"])

    def test_a_tar_file_of_a_far_year(self):
        self.put_tar("t.tar", ("a.wav", wav(noise(3000))))
        os.utime(self.path("t.tar"), ns=(0, 13569465600 * 10**9 + 7))  # of 2400: beyond 64 bits of ns
        self.assertEqual([row["id"] for row in self.rows("t.tar")], ["t/a"])

    def test_every_kind_of_file_in_a_tar_file(self):
        def padded(data):
            return data + bytes(-len(data) % 512)
        sound, part = wav(noise(3000)), bytes(512)
        goes_on = bytes(482 - 386) + b"\1"
        pax = b"25 GNU.sparse.name=p.wav\n"
        self.put("t.tar", self.tar_header("a.wav", b"7", len(sound)) + padded(sound) +
                 self.tar_header("s.wav", b"S", len(part)) + part +
                 self.tar_header("u.wav", b"S", len(part), goes_on) +
                 bytes(504) + b"\1" + bytes(7) + bytes(512) + part +
                 self.tar_header("x", b"x", len(pax)) + padded(pax) +
                 self.tar_header("GNUSparseFile.1/p.wav", b"0", len(part)) + part +
                 self.tar_header("z.wav", b"0", len(sound)) + padded(sound) + bytes(1024))
        self.assertEqual([row["id"] for row in self.rows("t.tar", code=3)], ["t/a", "t/z"])
        self.assertEqual([(row["id"], row["error"]) for row in self.lines("out/errors.jsonl")],
                         [(name, "is stored as a sparse file, which is not read")
                          for name in ("t/s", "t/u", "t/p")])

    def test_a_tar_file_that_changes_once_it_is_listed(self):
        """Another of the same length, the recording in the same place."""
        def tar(seed):
            with tarfile.open(self.path("new.tar"), "w") as tar:
                about, data = tarfile.TarInfo("a.wav"), wav(noise(3000, seed=seed))
                about.size = len(data)
                tar.addfile(about, io.BytesIO(data))
            os.rename(self.path("new.tar"), self.path("t.tar"))
        tar(1)
        self.put("b.wav", wav(noise(3000)))
        os.mkfifo(self.path("in.jsonl"))
        process = self.start("--model", MODEL, "tokenize", "t.tar", "in.jsonl", "--out", "out")
        with open(self.path("in.jsonl"), "w", encoding="utf-8") as file:  # once it is read from
            tar(2)
            file.write('{"path": "b.wav"}')
        self.assertEqual(process.wait(), 3)
        self.assertEqual([(row["id"], row["error"]) for row in self.lines("out/errors.jsonl")],
                         [("t/a", "changed since it was listed")])
        self.assertEqual([row["id"] for row in self.lines("out/manifest.jsonl")], ["b"])

    def test_folders_deeper_than_files_may_be_open(self):
        deep = "in/" + "d/" * 100
        os.makedirs(self.path(deep))
        self.put(deep + "a.wav", wav(noise(3000)))
        limited = ["prlimit", "--nofile=64"]
        self.assertEqual([row["source"] for row in self.rows("in", under=limited)], [deep + "a.wav"])

    def test_a_folder_that_cannot_be_examined(self):
        self.corpus(2)
        os.mkdir(self.path("in/closed"))
        os.mkdir(self.path("in/closed/sub"))
        os.chmod(self.path("in/closed"), 0o444)
        os.symlink("circle", self.path("in/circle"))
        os.symlink("nowhere", self.path("in/leads-nowhere"))
        self.tokenize("in", "--out", "out", code=3, under=UNPRIVILEGED)
        self.assertEqual([(row["source"], row["error"]) for row in self.lines("out/errors.jsonl")],
                         [("in/circle", "cannot be examined: Too many levels of symbolic links"),
                          ("in/closed/sub", "cannot be examined: Permission denied")])
        os.chmod(self.path("in/closed"), 0o755)

    def test_as_many_levels_as_may_be(self):
        """What a manifest or a tar file says becomes a part of a line, which must be read again."""
        def nested(levels):
            return b"[" * levels + b"]" * levels
        self.put("a.wav", wav(noise(3000)))
        for levels in range(58, 66):
            self.put("in.jsonl", b'{"path": "a.wav", "x": ' + nested(levels) + b"}")
            with tarfile.open(self.path("t.tar"), "w") as tar:
                for name, data in (("b.json", nested(levels)), ("b.wav", self.get("a.wav"))):
                    about = tarfile.TarInfo(name)
                    about.size = len(data)
                    tar.addfile(about, io.BytesIO(data))
            out, args = f"out{levels}", ("--model", MODEL, "tokenize", "in.jsonl", "--as", "wds", "--out")
            if levels > 62:
                self.fails(*args, out, err="in.jsonl: line 1: is not JSON of at most 62 levels .*")
            else:
                self.mimi("-q", *args, out)
                self.mimi("verify", out, err=r".* 0 problems\n")
            self.tokenize("t.tar", "--out", out + "t", "--as", "wds", code=3 if levels > 63 else 0)
            self.mimi("verify", out + "t", err=r".* 0 problems\n")

    def test_ids_that_need_a_folder_where_a_file_is(self):
        self.put("a.wav", wav(noise(3000)))
        for form, ids, told in (
                ("npy", ("a", "a.npy/b"), "the id 'a' gives the file 'a.npy', which another id needs as a "
                                          "folder; a manifest can give ids"),
                ("mimi", ("x/a.mimi/b/c", "x/a"), "the id 'x/a' gives the file 'x/a.mimi', which .*"),
                ("npy", ("dataset.json/a",), "an id begins with 'dataset.json/', which is a file of the "
                                             "dataset")):
            self.put("in.jsonl", b"\n".join(json.dumps({"path": "a.wav", "id": name}).encode()
                                            for name in ids))
            self.fails("--model", MODEL, "tokenize", "in.jsonl", "--out", "out", "--as", form, err=told)
            self.tokenize("in.jsonl", "--out", "of-" + ids[0].replace("/", "-"), "--as", "wds")
        self.put("in.jsonl", b'{"path": "a.wav", "id": "b.mimi/a"}\n{"path": "a.wav", "id": "b.npy/x.json/a"}')
        self.tokenize("in.jsonl", "--out", "out")

    def test_ids_of_any_length(self):
        self.put("a.wav", wav(noise(3000)))
        self.put("in.jsonl", b"\n".join(json.dumps({"path": "a.wav", "id": "x" * length}).encode()
                                        for length in (2**16, 2**16 + 1, 1200000)))
        for form in ("wds", "safetensors"):
            self.tokenize("in.jsonl", "--out", form, "--as", form, code=3)
            self.assertEqual([row["error"] for row in self.lines(form + "/errors.jsonl")],
                             ["its id is longer than 65536 bytes"] * 2)
            self.mimi("verify", form, err=r".* 1 recording, 0 problems\n")

    def test_lines_and_columns_without_end(self):
        line = b"x" * (2**24 + 1)
        for name, data, told in (
                ("in.jsonl", line, "line 1 is longer than 16777216 bytes"),
                ("list", b"a.wav\n" + line, "line 2 is longer than 16777216 bytes"),
                ("in.csv", b'path\n"' + (b"x" * 2**20 + b"\n") * 20, "line 17: the quote that begins in line 2 is too long"),
                ("in.csv", b"path" + b"," * 4096, "line 1: has more than 4096 fields"),
                ("in.tsv", b"path\n" + b"\t" * 2**23, "line 2: has more than 4096 fields")):
            self.put(name, data)
            self.fails("tokenize", *(("--list",) if name == "list" else ()), name, "--out", "out",
                       err=f"{name}: {told}")
        self.put("a.wav", wav(noise(3000)))
        for text in (15 * 2**20 - 100, 2**24 - 100):
            self.put("in.jsonl", json.dumps({"path": "a.wav", "text": "x" * text}).encode())
            if text < 15 * 2**20:
                self.tokenize("in.jsonl", "--out", "out")
            else:
                self.fails("--model", MODEL, "tokenize", "in.jsonl", "--out", "more",
                           err="a.wav: what is said of it is longer than 15728640 bytes")

    def test_wrong_inputs(self):
        self.put("a.wav", wav(noise(3000)))
        os.mkdir(self.path("b"))
        self.put("b/a.wav", wav(noise(3000)))
        for lines, cause in [
                (b'{"path": "a.wav"}\n{"path": 3}\n', r"in.jsonl: line 2: 'path' is 3, not a text"),
                (b'{"path"', r"in.jsonl: line 1: is not JSON of at most 62 levels.*"),
                (b'{"path": "a.wav", "x": ' + b"[" * 1000000 + b"]" * 1000000 + b"}",
                 r"in.jsonl: line 1: is not JSON of at most 62 levels.*"),
                (b'{"path": "a.wav", "start": 1e308, "duration": 1e308}',
                 r"in.jsonl: line 1: 'start' is 1e\+308, not a number from 0 to 1e9"),
                (b'{"path": "a.wav", "start": 2, "end": 1}',
                 r"in.jsonl: line 1: its end, 1.0 s, is not after its start"),
                (b'{"path": "a.wav", "audio": "a.wav"}',
                 r"in.jsonl: line 1: 'path' and 'audio' mean the same"),
                (b'{"path": "a.wav", "path": "b.wav"}',
                 r"in.jsonl: line 1: is not JSON of at most 62 levels with each key once"),
                (b'{"path": "a.wav", "x": [{"y": 1}, {"y": 1, "y": 2}]}', r"in.jsonl: line 1: is not .*"),
                (b'{"foo": 1}', r"in.jsonl: line 1: has none of 'path', 'audio_filepath' and 'audio'"),
                (b'{"path": null}', r"in.jsonl: line 1: 'path' is null, not a text"),
                (b'{"audio": 3}', r"in.jsonl: line 1: 'audio' is 3, not a text"),
                (b'{"path": "a.wav", "channel": 0}',
                 r"in.jsonl: line 1: 'channel' is 0, not a number from 1 to 256"),
                (b'{"path": "a.wav"}\n' * 2,
                 r"two recordings have the id 'a': a.wav \(in.jsonl, line 1\) and a.wav \(in.jsonl, line 2\); "
                 r"a manifest's 'id' can tell them apart"),
                (b'{"path": "a.wav", "id": "x"}\n\n{"path": "b/a.wav", "id": "x"}',
                 r"two recordings have the id 'x': a.wav \(in.jsonl, line 1\) and b/a.wav \(in.jsonl, line 3\); "
                 r"a manifest's 'id' can tell them apart")]:
            self.put("in.jsonl", lines)
            self.fails("tokenize", "in.jsonl", "--out", "out", err=cause)
        self.put("in.csv", b"path,text,text\na.wav,1,2\n")
        self.fails("tokenize", "in.csv", "--out", "out", err="in.csv: line 1: has 'text' twice")
        for folder in ("b", "./b/"):
            self.fails("tokenize", folder, "--out", "b",
                       err=f"{folder}: is the output folder itself, which is not gone into")
        self.put("in.csv", b"path,channel\na.wav,0\n")
        self.fails("tokenize", "in.csv", "--out", "out",
                   err="in.csv: line 2: 'channel' is \"0\", not a number from 1 to 256")
        for name in ("in.jsonl", "list"):
            self.put(name, b"")
        self.fails("tokenize", "b", "in.jsonl", "--list", "list", "--include", "*.flac", "--out", "out",
                   err=r"no recordings in b, in.jsonl, list \(1 other files passed over\)")
        self.fails("tokenize", "in.jsonl", "--root", "no", "--out", "out",
                   err="--root no: is not a folder")
        self.fails("tokenize", "b", "a.wav", "b/../a.wav", "--out", "out",
                   err="two recordings have the id 'a': b/a.wav and a.wav; a manifest's 'id' can .*")
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


if __name__ == "__main__":
    unittest.main()
