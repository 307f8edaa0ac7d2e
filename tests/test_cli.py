#!/usr/bin/env python3
"""The commands on files: stdout, stderr, exit codes and the files that are left."""
import json
import os
import re
import shutil
import stat
import subprocess
import unittest

import numpy as np

from cli_support import (FLAC, FLAC_SAMPLES, MIMI, RATE, SOURCE, TINY, UNPRIVILEGED, CliTest, noise,
                         pcm, read_wav, wav)

FULL_MODEL = os.path.join(SOURCE, "model")  # the folder, of the model that is inside too


class Encode(CliTest):
    def test_outputs(self):
        for name in ("a.wav", "b.c.wav", "d"):
            self.put(name, wav(noise(3000)))
        self.mimi("encode", "a.wav", "b.c.wav", "d")
        self.mimi("encode", "a.wav", "-o", "x.tokens")
        self.mimi("encode", "a.wav", "d", "--out-dir", "new/folder")
        self.assertEqual(self.files(), ["a.mimi", "a.wav", "b.c.mimi", "b.c.wav", "d", "d.mimi",
                                        "new", "x.tokens"])
        self.assertEqual(sorted(os.listdir(self.path("new/folder"))), ["a.mimi", "d.mimi"])
        self.assertEqual(self.get("new/folder/a.mimi"), self.get("a.mimi"))
        self.assertEqual(self.get("x.tokens"), self.get("a.mimi"))

    def test_one_bad_input_of_three(self):
        self.put("a.wav", wav(noise(100)))
        self.put("b.wav", b"this is no sound")
        self.put("c.wav", wav(noise(100)))
        self.fails("encode", "a.wav", "b.wav", "missing.wav", "c.wav",
                   err="b.wav: not a sound file that can be read: .*\n"
                       "mimi: missing.wav: No such file or directory")
        self.assertEqual(self.files(), ["a.mimi", "a.wav", "b.wav", "c.mimi", "c.wav"])

    def test_existing_output(self):
        self.put("a.wav", wav(noise(100)))
        self.put("a.mimi", b"precious")
        self.fails("encode", "a.wav", err="a.mimi: already exists; -f overwrites it")
        self.assertEqual(self.get("a.mimi"), b"precious")
        self.mimi("encode", "a.wav", "-f")
        self.assertEqual(self.info("a.mimi")[0]["samples"], 100)
        self.fails("encode", "a.wav", "-f", "-o", "a.wav", code=2,
                   err="a.wav: would be overwritten by its own output")
        self.fails("encode", "a.wav", "-o", self.dir, err=".*: is a directory")
        self.fails("encode", "a.wav", "-o", "no/such/a.mimi",
                   err="no/such/a.mimi: cannot create: No such file or directory")

    def test_names_with_brackets(self):
        """The library that reads the command line takes [a,b] for two."""
        for name in ("[x]", "x", "[a,b]"):
            self.put(name, wav(noise(100 * len(name))))
        self.mimi("encode", "[x]", "[a,b]")
        self.assertEqual(self.files(), ["[a,b]", "[a,b].mimi", "[x]", "[x].mimi", "x"])
        self.assertEqual(self.info("./[x].mimi")[0]["samples"], 300)
        self.fails("encode", "[]", err=r"\./\[\]: No such file or directory")

    def test_outputs_that_are_one(self):
        for name in ("a.wav", "a.flac", "b.wav"):
            self.put(name, wav(noise(100)))
        one = r".*: would be written for more than one input"
        self.fails("encode", "-f", "a.wav", "./a.flac", code=2, err=one)
        os.symlink(".", self.path("here"))
        self.fails("encode", "-f", "a.wav", "here/a.flac", code=2, err=one)
        self.mimi("encode", "a.wav", "b.wav")
        os.rename(self.path("b.mimi"), self.path("a.cut.mimi"))
        self.fails("cut", "-f", "a.mimi", "a.cut.mimi", code=2,
                   err="a.cut.mimi: would be overwritten by the output of a.mimi")

    def test_a_file_called_minus(self):
        self.put("a.wav", wav(noise(100)))
        self.put("-", wav(noise(200)))
        codes = self.mimi("encode", "-", stdin=self.get("a.wav"), out=None)
        self.put("a.mimi", codes)
        self.assertEqual(self.info("a.mimi")[0]["samples"], 100)
        self.put("-", codes)
        self.mimi("decode", "-", "-o", "b.wav", stdin=codes)
        self.mimi("encode", "./-", "-o", "c.mimi", code=1, err=r".*: not a sound file .*\n")

    def test_failure_keeps_the_old_output(self):
        self.put("a.wav", wav(np.append(noise(90000), np.nan), encoding="f32"))
        self.put("a.mimi", b"precious")
        self.fails("encode", "a.wav", "-f", err="a.wav: sample 90000 .* is not a number")
        self.assertEqual(self.get("a.mimi"), b"precious")
        self.assertEqual(self.files(), ["a.mimi", "a.wav"])

    def test_outputs_that_cannot_be_examined(self):
        """The inputs after them are still encoded."""
        long = "x" * 251
        for name in (long, "a", "b"):
            self.put(name + ".wav", wav(noise(100)))
        self.fails("encode", long + ".wav", "a.wav",
                   err=long + ".mimi: cannot be examined: File name too long")
        self.assertEqual(self.info("a.mimi")[0]["samples"], 100)
        os.mkdir(self.path("closed"), 0)
        os.symlink("closed/b", self.path("b.mimi"))
        os.remove(self.path("a.mimi"))
        self.fails("encode", "b.wav", "a.wav", under=UNPRIVILEGED,
                   err="b.mimi: cannot be examined: Permission denied")
        self.assertEqual(self.info("a.mimi")[0]["samples"], 100)
        os.chmod(self.path("closed"), 0o700)

    def test_links_are_followed(self):
        self.put("a.wav", wav(noise(100)))
        os.mkdir(self.path("elsewhere"))
        os.symlink("elsewhere/new.mimi", self.path("to-nothing.mimi"))
        self.mimi("encode", "a.wav", "-o", "to-nothing.mimi")
        self.assertTrue(os.path.islink(self.path("to-nothing.mimi")))
        first = self.get("elsewhere/new.mimi")
        self.put("elsewhere/old.mimi", b"old")
        os.symlink(self.path("elsewhere/old.mimi"), self.path("to-old.mimi"))
        self.mimi("encode", "a.wav", "-f", "-o", "to-old.mimi")
        self.assertTrue(os.path.islink(self.path("to-old.mimi")))
        self.assertEqual(self.get("elsewhere/old.mimi"), first)
        self.assertEqual(sorted(os.listdir(self.path("elsewhere"))), ["new.mimi", "old.mimi"])

    def test_mode_by_umask(self):
        self.put("a.wav", wav(noise(100)))
        for umask in (0o022, 0o077, 0o002):
            self.mimi("encode", "a.wav", "-o", f"{umask}.mimi", umask=umask)
            mode = stat.S_IMODE(os.stat(self.path(f"{umask}.mimi")).st_mode)
            self.assertEqual(mode, 0o666 & ~umask)

    def test_mode_of_what_is_replaced(self):
        self.put("a.wav", wav(noise(100)))
        self.put("a.mimi", b"old")
        os.symlink("a.mimi", self.path("link.mimi"))
        for mode in (0o600, 0o664, 0o400):
            for name in ("a.mimi", "link.mimi"):
                os.chmod(self.path("a.mimi"), mode)
                self.mimi("encode", "a.wav", "-f", "-o", name, umask=0o022)
                self.assertEqual(stat.S_IMODE(os.stat(self.path("a.mimi")).st_mode), mode)

    def test_levels_are_a_prefix(self):
        self.put("a.wav", wav(noise(20000)))
        self.mimi("encode", "a.wav", "-o", "default.mimi")
        self.assertEqual(self.info("default.mimi")[0]["levels"], 8)
        self.mimi("encode", "a.wav", "-l", "3", "-o", "three.mimi")
        self.assertEqual(self.info("three.mimi")[0]["levels"], 3)
        self.mimi("decode", "-l", "3", "default.mimi", "-o", "from-eight.wav")
        self.mimi("decode", "three.mimi", "-o", "from-three.wav")
        self.assertEqual(self.get("from-eight.wav"), self.get("from-three.wav"))

    def test_same_bits_however_it_is_computed(self):
        self.put("a.wav", wav(noise(50000)))
        self.mimi("encode", "a.wav")
        expected = self.get("a.mimi")
        isas = re.search(r"\(of (.*)\)", self.mimi("--version", out=None).decode())[1].split(", ")
        runs = [(["--threads", str(n)], {}) for n in (1, 2, 3, 4)]
        runs += [(["--isa", isa], {}) for isa in isas] + [([], {"MIMI_ISA": isa}) for isa in isas]
        runs += [([], {"MIMI_THREADS": "2"}), (["--dtype", "f32"], {})]
        for options, env in runs:
            with self.subTest(options=options, env=env):
                self.mimi(*options, "encode", "-f", "a.wav", env=env)  # options of every command
                self.assertEqual(self.get("a.mimi"), expected)         # may stand before it
        self.mimi("encode", "a.wav", "--dtype", "auto", "-o", "auto.mimi")
        self.assertIn(self.info("auto.mimi")[0]["dtype"], ("f32", "bf16"))
        self.mimi("encode", "-f", "a.wav", "--block-frames", "4")
        self.assertNotEqual(self.get("a.mimi"), expected)
        self.put("b.mimi", expected)
        self.assertEqual(self.codes("a.mimi"), self.codes("b.mimi"))
        self.assertEqual(self.info("a.mimi")[0]["largest_block_frames"], 4)

    def test_window_is_kept(self):
        self.put("a.wav", wav(noise(12 * RATE)))  # beyond the window of 10 s
        for window in ("offline", "moshi-streaming", "rust"):
            self.mimi("encode", "a.wav", "--window", window, "-o", window)
            self.assertEqual(self.info(window)[0]["window"], window)
            self.mimi("decode", window, "-o", window + ".wav")
            self.mimi("decode", "offline", "--window", window, "-o", window + "-decoded.wav")
        sounds = {self.get(f"{window}-decoded.wav") for window in
                  ("offline", "moshi-streaming", "rust")}
        self.assertEqual(len(sounds), 3)
        self.assertEqual(self.get("offline.wav"), self.get("offline-decoded.wav"))


class Decode(CliTest):
    def setUp(self):
        super().setUp()
        self.mimi("encode", FLAC, "-o", "a.mimi")

    def test_outputs(self):
        shutil.copy(self.path("a.mimi"), self.path("b.mimi"))
        self.mimi("decode", "a.mimi", "b.mimi")
        self.mimi("decode", "a.mimi", "b.mimi", "--out-dir", "sounds")
        self.mimi("decode", "a.mimi", "--raw", "s16")
        self.assertEqual(self.files(), ["a.mimi", "a.raw", "a.wav", "b.mimi", "b.wav", "sounds"])
        self.assertEqual(self.get("sounds/b.wav"), self.get("a.wav"))
        self.fails("decode", "a.mimi", err="a.wav: already exists; -f overwrites it")
        self.mimi("decode", "a.mimi", "-f")
        rate, sound = read_wav(self.get("a.wav"))
        self.assertEqual((rate, sound.shape), (RATE, (FLAC_SAMPLES, 1)))
        self.assertEqual(self.get("a.raw"), self.get("a.wav")[44:])

    def test_level_sets(self):
        def sound(*levels):
            return self.mimi("decode", "a.mimi", "--raw", "f32", "-o", "-", *levels, out=None)
        every = sound()
        for same in ("8", "0-7", "0,1-6,7", "4-7,0-3"):
            self.assertEqual(sound("-l", same), every, same)
        parts = [sound("--levels", levels) for levels in ("1", "2", "3-3", "0,3-5", "7,2")]
        self.assertEqual(len(set(parts + [every])), 6)
        self.assertEqual(sound("-l", "0-0"), sound("-l", "1"))
        self.fails("decode", "a.mimi", "-l", "9", err="a.mimi: has 8 levels, --levels asks for 9")
        self.fails("decode", "a.mimi", "-l", "2,8",
                   err="a.mimi: has 8 levels, --levels asks for level 8, counted from 0")
        self.assertEqual(self.files(), ["a.mimi"])

    def test_another_model(self):
        other = TINY
        name = "a.mimi: was encoded with the model 'mimi-small' \\(fingerprint [0-9a-f]{8}\\), "
        self.fails("decode", "a.mimi", "--model", other,
                   err=name + "not with 'tiny-hf' \\(fingerprint [0-9a-f]{8}\\); .*")
        shutil.copytree(os.path.join(SOURCE, "model"), self.path("changed"))
        os.chmod(self.path("changed/model.safetensors"), 0o644)
        with open(self.path("changed/model.safetensors"), "r+b") as weights:
            weights.seek(-100, os.SEEK_END)
            byte = weights.read(1)
            weights.seek(-100, os.SEEK_END)
            weights.write(bytes([byte[0] ^ 1]))
        self.fails("decode", "a.mimi", "--model", "changed", err=name + "not with 'changed' .*")
        self.mimi("encode", FLAC, "--model", "changed", "-o", "b.mimi")
        self.mimi("decode", "b.mimi", "--model", "changed")
        self.fails("decode", "b.mimi", "-f", err="b.mimi: was encoded with the model 'changed' .*")
        self.fails("encode", FLAC, "--model", "no-such", err=".*no-such.*")

    def test_damage(self):
        whole = self.get("a.mimi")
        self.put("cut.mimi", whole[:-200])
        self.put("longer.mimi", whole + b"x")
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 4
        self.put("flipped.mimi", flipped)
        self.put("empty.mimi", b"")
        self.put("text.mimi", b"no tokens are here, only words")
        for command in ("decode", "info"):
            for name in ("cut", "longer", "flipped", "empty", "text"):
                with self.subTest(command=command, name=name):
                    self.fails(command, f"{name}.mimi", err=f"{name}.mimi: .+")
        self.fails("decode", "missing.mimi", err="missing.mimi: No such file or directory")
        self.assertEqual(self.files(),
                         ["a.mimi", "cut.mimi", "empty.mimi", "flipped.mimi", "longer.mimi",
                          "text.mimi"])


class Roundtrip(CliTest):
    SUMMARY = r"{}: 3\.30 s, {} levels, {} kbps, [\d.]+ x real time\n"

    def test_is_encode_and_decode(self):
        self.mimi("encode", FLAC, "-l", "4", "-o", "a.mimi")
        self.mimi("decode", "a.mimi")
        self.mimi("roundtrip", FLAC, "b.wav", "-l", "4", err=self.SUMMARY.format("b.wav", 4, "0.55"))
        self.assertEqual(self.get("b.wav"), self.get("a.wav"))
        self.mimi("roundtrip", FLAC, "-o", "c.wav", err=self.SUMMARY.format("c.wav", 8, "1.10"))
        self.mimi("roundtrip", "-q", FLAC, "d.wav")
        self.mimi("roundtrip", FLAC, "-", out=None, err=self.SUMMARY.format("standard output", 8, "1.10"))
        self.assertEqual(self.get("c.wav"), self.get("d.wav"))

    def test_default_output(self):
        self.put("a.wav", wav(noise(100)))
        self.mimi("roundtrip", "-q", "a.wav")
        self.assertEqual(read_wav(self.get("a.mimi.wav"))[1].shape, (100, 1))
        self.fails("roundtrip", "a.wav", err="a.mimi.wav: already exists; -f overwrites it")

    def test_raw_at_its_own_rate(self):
        sound = pcm(noise(3000), "s16")
        out = self.mimi("roundtrip", "-q", "--raw", "s16", "--rate", "16000", "-", stdin=sound,
                        out=None)
        self.assertEqual(len(out), len(sound))


class ConvertModel(CliTest):
    MODEL = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-kyutai")

    def test_gives_the_codes_of_its_dtype(self):
        for dtype in ("bf16", "int8"):
            self.mimi("convert-model", self.MODEL, dtype, "--dtype", dtype)
            self.mimi("encode", "-q", FLAC, "-o", f"a.{dtype}.mimi", "--dtype", dtype,
                      "--model", self.MODEL)
            # Under the same name, which the file holds.
            os.makedirs(self.path(f"in-{dtype}"))
            os.rename(self.path(dtype), self.path(f"in-{dtype}/tiny-kyutai"))
            self.mimi("encode", "-q", FLAC, "-o", f"b.{dtype}.mimi", "--model",
                      f"in-{dtype}/tiny-kyutai")
            self.assertEqual(self.get(f"a.{dtype}.mimi"), self.get(f"b.{dtype}.mimi"))

    def test_refusals(self):
        self.fails("convert-model", self.MODEL, "out", code=2, err="--dtype is required .*")
        for dtype in ("f32", "auto", "all"):
            self.fails("convert-model", self.MODEL, "out", "--dtype", dtype, code=2,
                       err=f"--dtype: '{dtype}' is not one of bf16, int8 .*")
        self.fails("convert-model", self.MODEL, "out", "--dtype", "int8", "--model", self.MODEL,
                   code=2, err="--model: convert-model computes with no model .*")
        self.assertEqual(self.files(), [])
        self.mimi("convert-model", self.MODEL, "out", "--dtype", "int8")
        before = self.get("out/model.safetensors")
        self.fails("convert-model", self.MODEL, "out", "--dtype", "bf16",
                   err="out/config.json: already exists; -f overwrites it")
        self.assertEqual(self.get("out/model.safetensors"), before)
        # The original is not replaced by what has less of it.
        shutil.copytree(FULL_MODEL, self.path("original"))
        os.symlink("original", self.path("link"))
        before = self.get("original/model.safetensors")
        for source in ("original", "original/model.safetensors"):
            for output in ("original", "link"):
                self.fails("convert-model", source, output, "--dtype", "bf16", "-f", code=2,
                           err=f"{output}/model.safetensors: is of the model to convert: .*")
        self.assertEqual(self.get("original/model.safetensors"), before)
        self.assertEqual(sorted(os.listdir(self.path("original"))), sorted(os.listdir(FULL_MODEL)))
        # Its description is a part of it, however its weights are called.
        os.rename(self.path("original/model.safetensors"), self.path("original/mine.safetensors"))
        before = self.get("original/config.json")
        os.mkdir(self.path("linked"))
        os.symlink("../original/config.json", self.path("linked/config.json"))
        for output in ("original", "link", "linked"):
            self.fails("convert-model", "original/mine.safetensors", output, "--dtype", "bf16", "-f",
                       code=2, err=f"{output}/config.json: is of the model to convert: .*")
        self.assertEqual(self.get("original/config.json"), before)
        # Nor is the original what is found where the converted model was to be.
        os.mkdir(self.path("kyutai"))
        weights, = (name for name in os.listdir(self.MODEL) if name.endswith(".safetensors"))
        shutil.copy(os.path.join(self.MODEL, weights), self.path("kyutai/tokenizer-1.safetensors"))
        self.fails("convert-model", "kyutai", "kyutai", "--dtype", "bf16", code=2,
                   err="kyutai/tokenizer-1.safetensors: would be read instead of .*")
        self.assertEqual(os.listdir(self.path("kyutai")), ["tokenizer-1.safetensors"])
        self.mimi("convert-model", self.MODEL, "out", "--dtype", "bf16", "-f")
        self.fails("encode", FLAC, "--model", "out", "--dtype", "int8",
                   err="out/model.safetensors: was converted to bf16 and is computed in that "
                       "alone, not in int8")

    def test_a_kill_leaves_no_mixture(self):
        """The old model's description goes before its weights do."""
        self.mimi("convert-model", self.MODEL, "out", "--dtype", "int8")
        os.remove(self.path("out/config.json"))
        os.mkdir(self.path("out/config.json"))
        self.put("out/config.json/x", b"")
        before = self.get("out/model.safetensors")
        self.fails("convert-model", self.MODEL, "out", "--dtype", "bf16", "-f",
                   err="out/config.json: cannot be removed: .*")
        self.assertEqual(self.get("out/model.safetensors"), before)
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["config.json", "model.safetensors"])


class Info(CliTest):
    def test_text_and_json(self):
        self.put("a.wav", wav(noise(4410).reshape(-1, 2), rate=44100))
        self.mimi("encode", "a.wav", "--channels", "keep", "-l", "5", "--block-frames", "1")
        info, = self.info("a.mimi")
        expected = {"file": "a.mimi", "version": 1, "bytes": len(self.get("a.mimi")),
                    "sample_rate": RATE, "frame_samples": 1920, "samples": 1200,
                    "source_rate": 44100, "source_samples": 2205, "streams": 2, "levels": 5,
                    "codebook_size": 2048, "code_bits": 11, "frames": 1, "blocks": 1,
                    "model": "mimi-small", "window": "offline", "dtype": "f32", "gaps": [],
                    "seconds": 0.05, "kbps": 1.375}
        self.assertEqual({key: info[key] for key in expected}, expected)
        text = self.mimi("info", "a.mimi", out=None).decode()
        for part in ("a.mimi\n", "every checksum right", "0.05 s, 1200 samples at 24000 Hz, 2 streams",
                     "2205 samples at 44100 Hz", "5 levels of 2048 entries", "mimi-small",
                     info["fingerprint"], info["codes_crc"], "offline", "f32"):
            self.assertIn(part, text)
        self.assertEqual(self.mimi("info", "-", stdin=self.get("a.mimi"), out=None).decode(),
                         text.replace("a.mimi", "standard input"))

    def test_goes_on_after_a_bad_file(self):
        self.put("a.wav", wav(noise(100)))
        self.put("b.mimi", b"nothing")
        self.mimi("encode", "a.wav")
        found = self.info("a.mimi", "b.mimi", "a.mimi", code=1, err="mimi: b.mimi: .+\n")
        self.assertEqual([line["file"] for line in found], ["a.mimi", "a.mimi"])


class Strangers(CliTest):
    """What others wrote is shown without the control characters that a terminal obeys."""
    NAMES = ("a\x1b[2Jb", "a\x07\x7fb", "a\u009b2Jb")

    def harmless(self, *args, code=0):
        result = subprocess.run([MIMI, *args], cwd=self.dir, capture_output=True)
        self.assertEqual(result.returncode, code, result.stderr)
        for text in (result.stdout, result.stderr):
            self.assertNotRegex(text.decode().replace("\n", ""), r"[\x00-\x1f\x7f-\x9f]", args)
        return result.stdout.decode() + result.stderr.decode()

    def test_names(self):
        for name in self.NAMES:
            self.put(f"{name}.wav", wav(noise(3000)))
            self.harmless("encode", f"{name}.wav")
            for command in (["info"], ["info", "--json"], ["test"], ["repair", "-f"]):
                self.harmless(*command, f"{name}.mimi")
            self.assertRegex(self.harmless("test", f"{name}.mimi"), r"\Aa\\x.*b.mimi: ok, ")
            self.harmless("decode", f"{name}.mimi", code=1)  # there already
            self.harmless("roundtrip", f"{name}.wav", "-f")
            for command in (["eval"], ["eval", "--json"], ["bench", "--runs", "1", "--threads", "1"],
                            ["bench", "--runs", "1", "--threads", "1", "--json"]):
                self.harmless(*command, f"{name}.wav")
            self.harmless("tokenize", f"{name}.wav", "--out", name, "--dry-run")
            self.harmless(name, code=2)

    def test_names_that_are_not_utf8(self):
        name = os.fsdecode(b"a\xffb")
        self.put(f"{name}.wav", wav(noise(3000)))
        self.assertIn(r"a\xffb.mimi.wav: ", self.harmless("roundtrip", f"{name}.wav"))
        report = self.harmless("bench", "--json", "--runs", "1", "--threads", "1", f"{name}.wav")
        self.assertEqual(json.loads(report)["recording"], "a\ufffdb.wav")
        shutil.copytree(FULL_MODEL, self.path(name))
        for command in (["encode"], ["tokenize", "--out", "out"]):
            told = self.harmless(*command, "--model", name, f"{name}.wav", code=1)
            self.assertEqual(told, "mimi: model name 'a\\xffb' is not UTF-8\n")

    def test_texts_of_a_file(self):
        self.put("a.wav", wav(noise(3000)))
        self.mimi("encode", "a.wav")
        self.mimi("convert", "--as", "text", "a.mimi")
        head, codes = self.get("a.txt").decode().split("\n", 1)
        said = json.loads(head[len("# mimi "):])
        texts = [["key", "one\x1b[2J"], ["key", "two\u009b\nlines"]]
        said.update(model="m\x1b]0;x\x07", text=texts)
        self.put("b.txt", f"# mimi {json.dumps(said)}\n{codes}".encode())
        self.mimi("convert", "--as", "mimi", "b.txt")
        told = self.harmless("info", "b.mimi")
        for line in (r"m\x1b]0;x\x07, fingerprint", r"key = one\x1b[2J",
                     r"key = two\xc2\x9b\x0alines"):
            self.assertIn(line, told)
        info = json.loads(self.harmless("info", "--json", "b.mimi"))
        self.assertEqual(info["text"], texts)  # a key that is there twice is told twice
        self.harmless("decode", "b.mimi", code=0)
        said.update(fingerprint="12345678")
        self.put("c.txt", f"# mimi {json.dumps(said)}\n{codes}".encode())
        self.mimi("convert", "--as", "mimi", "c.txt")
        self.assertIn(r"'m\x1b]0;x\x07'", self.harmless("decode", "c.mimi", code=1))


if __name__ == "__main__":
    unittest.main()
