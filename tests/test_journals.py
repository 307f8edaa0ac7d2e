#!/usr/bin/env python3
"""What lies in .work that this dataset's own work has not left there: journals and finished shards of
other settings, and what a stranger made."""
import json
import os
import shutil
import struct
import sys
import unittest

from cli_support import SOURCE, noise, wav
from dataset_support import FORMS, MODEL, DatasetTest, tree

sys.path.insert(0, os.path.join(SOURCE, "scripts"))
from read_mimi import crc32c  # noqa: E402  (pylint: disable=wrong-import-position)

JOURNAL = "out/.work/shard-000000.journal"
FINISHED = "out/.work/shard-000000.jsonl"
SOUND = 4000  # samples of each recording: 3 frames
LEVELS = 6    # of the test model, whose codebooks have 64 entries


def record(content):
    size = struct.pack("<I", len(content))
    return b"MimJ" + size + struct.pack("<I", crc32c(size + content)) + content


def records(journal):
    """The records of a journal, the first of which is its owner."""
    found, place = [], 0
    while place < len(journal):
        end = place + 12 + struct.unpack_from("<I", journal, place + 4)[0]
        found.append(journal[place:end])
        place = end
    return found


def piece(row=0, index=0, samples=SOUND, source_samples=SOUND, rate=24000, frames=3, code=0, codes=None,
          is_last=1):
    codes = LEVELS * frames if codes is None else codes
    return record(struct.pack("<BQI32sfBQQII", 1, row, index, bytes(32), 1.0, is_last, samples,
                              source_samples, rate, frames) + struct.pack("<H", code) * codes)


class Strangers(DatasetTest):
    ARGS = ("a.wav", "b.wav", "--as", "npy", "--out")

    def setUp(self):
        super().setUp()
        for name in ("a.wav", "b.wav"):
            self.put(name, wav(noise(SOUND, seed=ord(name[0]))))
        self.tokenize(*self.ARGS, "whole")
        self.own = self.owner()

    def begin(self, *args):
        """A dataset whose only shard is not finished."""
        shutil.rmtree(self.path("out"), ignore_errors=True)
        whole = self.get("b.wav")
        self.put("b.wav", b"")
        self.tokenize(*self.ARGS, "out", "--strict", *args, code=1, err="mimi: b.wav: .* it is empty\n")
        self.put("b.wav", whole)

    def owner(self):
        """The first record of this dataset's journals."""
        self.begin()
        return self.get(JOURNAL)[:12 + 64]

    def check_ends_well(self, told):
        self.tokenize(*self.ARGS, "out")
        self.assertEqual(tree(self.path("out")), tree(self.path("whole")), told)

    def test_journals_of_other_settings(self):
        """All that one sees of a dataset is removed, .work is not."""
        for args in (("--dtype", "bf16"), ("-l", "2"), ("--channels", "left")):
            self.begin(*args)
            self.assertNotEqual(self.get(JOURNAL)[:12 + 64], self.own)
            os.remove(self.path("out/dataset.json"))
            self.check_ends_well(args)

    def test_finished_shards_of_other_settings(self):
        for args in (("--dtype", "bf16"), ("-l", "2")):
            shutil.rmtree(self.path("out"))
            self.tokenize(*self.ARGS, "out", "--shard", "1/2", *args)
            self.assertTrue(os.path.exists(self.path(FINISHED)))
            for name in ("dataset.json", "a.npy", "b.npy"):
                os.remove(self.path("out/" + name))
            self.check_ends_well(args)

    def test_finished_shards_of_other_settings_of_sound(self):
        self.mimi("-q", "--model", MODEL, "detokenize", "whole", "--out", "sound")
        args = ["-q", "--model", MODEL, "detokenize", "whole", "--out", "other"]
        self.mimi(*args, "--shard", "1/2", "--rate", "16000")
        for name in ("dataset.json", "a.wav", "b.wav"):
            os.remove(self.path("other/" + name))
        self.mimi(*args)
        self.assertEqual(tree(self.path("other")), tree(self.path("sound")))

    def test_journals_that_nobody_wrote(self):
        for told, journal in (
                ("nothing", b""), ("no owner", piece()), ("an empty record", record(b"")),
                ("a record of two bytes", record(b"\1\0")), ("a kind of its own", record(b"\3" + bytes(90))),
                ("a row beyond the shard", piece(row=99)), ("a row of 64 bits", piece(row=2**64 - 1)),
                ("an index that wraps", piece(index=2**32 - 1)),
                ("an index far away", piece(index=2**31, is_last=0)),
                ("many far away", b"".join(piece(row=i % 2, index=1_000_000 * i, is_last=0)
                                           for i in range(1, 9))),
                ("no rate", piece(rate=0)), ("a rate of 32 bits", piece(rate=2**32 - 1)),
                ("no samples", piece(samples=0)), ("no samples of the source", piece(source_samples=0)),
                ("samples that wrap", piece(samples=2**64 - 1)),
                ("more samples than frames", piece(samples=SOUND * 2)),
                ("fewer samples than frames", piece(samples=1)),
                ("more frames than codes", piece(frames=2**31 - 1, codes=0)),
                ("fewer frames than codes", piece(frames=1, codes=3 * LEVELS)),
                ("no codes", piece(frames=0)), ("a code beyond the codebook", piece(code=64)),
                ("a failure of no row", record(struct.pack("<BQ", 2, 7) + b"x")),
                ("a failure without a cause", record(struct.pack("<BQ", 2, 0)))):
            with self.subTest(told):
                self.begin()
                self.put(JOURNAL, journal if told == "no owner" else self.own + journal)
                self.check_ends_well(told)

    def begin_long(self, name, part):
        """A dataset of one long recording, or a part of it, all of whose pieces are in the journal."""
        rows = [{"path": name, **part}, {"path": "b.wav"}]
        self.put("in.jsonl", "\n".join(map(json.dumps, rows)).encode())
        args = ["in.jsonl", "--as", "npy", "--threads", "1", "--out"]
        self.tokenize(*args, "whole")
        whole = self.get("b.wav")
        self.put("b.wav", b"")
        self.tokenize(*args, "begun", "--strict", code=1, err="mimi: b.wav: .* it is empty\n")
        self.put("b.wav", whole)

    def check_goes_on(self, journal):
        """Whatever is in it, and however many workers there are."""
        for threads in ("1", "2"):
            shutil.rmtree(self.path("out"), ignore_errors=True)
            shutil.copytree(self.path("begun"), self.path("out"))
            self.put(JOURNAL, journal)
            self.tokenize("in.jsonl", "--as", "npy", "--threads", threads, "--out", "out", timeout=60)
            self.assertEqual(tree(self.path("out")), tree(self.path("whole")))

    def test_any_pieces_of_a_long_recording(self):
        """As kills leave them where several workers share it; and all, none of which is the last."""
        self.put("long.wav", wav(noise(24000 * 75)))
        self.mimi("--model", MODEL, "encode", "-q", "long.wav", "-o", "long.mimi")
        self.mimi("--model", MODEL, "decode", "-q", "long.mimi", "-o", "long.flac")
        for name, part in (("long.wav", {}), ("long.flac", {}), ("long.wav", {"end": 72}),
                           ("long.flac", {"start": 20}), ("long.wav", {"start": 20, "end": 70})):
            for folder in ("whole", "begun"):
                shutil.rmtree(self.path(folder), ignore_errors=True)
            self.begin_long(name, part)
            owner, *pieces = records(self.get(JOURNAL.replace("out", "begun")))
            last = len(pieces) - 1
            self.assertGreater(last, 3)
            for kept in ([last], [0, last], [1, last - 1], range(last // 2, last + 1), range(last)):
                with self.subTest(name=name, part=part, kept=kept):
                    self.check_goes_on(owner + b"".join(pieces[index] for index in kept))
            with self.subTest(name=name, part=part, kept="all, none of which is the last"):
                self.check_goes_on(owner + b"".join(
                    record(piece[12:61] + b"\0" + piece[62:]) for piece in pieces))

    def test_what_is_whole_before_it_is_kept(self):
        self.begin()
        self.put(JOURNAL, self.own + record(struct.pack("<BQ", 2, 0) + b"a cause") + piece(row=1, rate=0))
        self.tokenize(*self.ARGS, "out", "--strict", code=1, err="mimi: a.wav: a cause\n")
        self.tokenize(*self.ARGS, "out", code=3, err="mimi: tokenized .* 1 done, 0 failed, 1 there before, "
                                                     "1 of them failed; .*; why: out/errors.jsonl\n")
        self.assertEqual([(row["id"], row["error"]) for row in self.lines("out/errors.jsonl")],
                         [("a", "a cause")])
        self.assertEqual(self.lines("out/manifest.jsonl"), self.lines("whole/manifest.jsonl")[1:])

    def work(self, make, *names):
        """An output folder that holds these in its .work and nothing else."""
        shutil.rmtree(self.path("out"), ignore_errors=True)
        os.makedirs(self.path("out/.work"))
        for name in names:
            make(self.path("out/.work/" + name))

    @staticmethod
    def link(path):
        os.symlink("../../victim", path)

    def test_links_are_not_followed(self):
        self.put("victim", b"dear")
        names = [f"shard-000000.{name}.part" for name in ("row", "tar", "safetensors", "parquet", "jsonl")]
        for form in FORMS:
            self.tokenize(*self.ARGS[:3], form, "--out", "of-" + form)
            self.work(self.link, *names, "manifest.part", "errors.part", "index.part", "dataset.part")
            self.tokenize(*self.ARGS[:3], form, "--out", "out")
            self.assertEqual(tree(self.path("out")), tree(self.path("of-" + form)))
            self.assertEqual(self.get("victim"), b"dear")

    def test_links_and_pipes_in_place_of_journals_and_locks(self):
        self.put("victim", b"dear")
        for name in ("shard-000000.journal", "merge.lock"):
            for make, cause in ((self.link, "cannot open: Too many levels of symbolic links"),
                                (os.mkfifo, "is not a regular file")):
                self.work(make, name)
                self.tokenize(*self.ARGS, "out", code=1, err=f"(mimi: tokenized .*\n)?"
                                                             f"mimi: out/.work/{name}: {cause}\n")
                self.assertEqual(self.get("victim"), b"dear")

    def test_a_link_in_place_of_the_folder_for_work(self):
        os.mkdir(self.path("victim"))
        self.put("victim/manifest.part", b"dear")
        link = r"mimi: out/\.work: is a link: what it leads to may be another's\n"
        self.work(self.link)
        os.rmdir(self.path("out/.work"))
        os.symlink("../victim", self.path("out/.work"))
        self.tokenize(*self.ARGS, "out", code=1, err=link)
        shutil.rmtree(self.path("out"))
        self.tokenize(*self.ARGS, "out", "--shard", "1/2", "--shard-size", "1")
        shutil.move(self.path("out/.work"), self.path("victim/real"))
        os.symlink("../victim", self.path("out/.work"))
        self.mimi("merge", "out", code=1, err=link)
        self.assertEqual(self.get("victim/manifest.part"), b"dear")

    def test_links_in_place_of_sound(self):
        self.mimi("-q", "--model", MODEL, "detokenize", "whole", "--out", "sound")
        self.put("victim", b"dear")
        self.work(self.link, "shard-000000.wav")
        os.mkfifo(self.path("out/.work/shard-000001.wav"))
        self.mimi("-q", "--model", MODEL, "detokenize", "whole", "--out", "out")
        self.assertEqual(self.get("victim"), b"dear")
        self.assertEqual(tree(self.path("out")), tree(self.path("sound")))


if __name__ == "__main__":
    unittest.main()
