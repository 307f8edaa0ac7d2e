#!/usr/bin/env python3
"""What the program says of its arguments: help, versions, and what is wrong with others."""
import re
import unittest

from cli_support import CliTest, noise, wav

# Arguments, and what the line on stderr says after "mimi: ". The exit code is 2.
WRONG_USAGE = [
    (["frobnicate"], r"unknown command 'frobnicate' \(see mimi --help\)"),
    (["--isa", "avx2"], r"no command given \(see mimi --help\)"),
    (["--frob", "info", "a"], r"unknown option '--frob' \(see mimi info --help\)"),
    (["encode", "--frob"], r"unknown option '--frob'; did you mean '--from'\? \(see mimi encode .*"),
    (["encode", "-x.wav"], r"unknown option '-x.wav' \(see mimi encode --help\)"),
    (["-q", "help", "encode"], r"unexpected argument 'help' \(see mimi encode --help\)"),
    (["encode"], r"IN is required \(see mimi encode --help\)"),
    (["encode", "a.wav", "--frob"], r"unknown option '--frob'; did you mean '--from'\? \(see .*"),
    (["enocde", "a.wav"], r"unknown command 'enocde'; did you mean 'encode'\? \(see mimi --help\)"),
    (["tokenise"], r"unknown command 'tokenise'; did you mean 'tokenize'\? .*"),
    (["cu", "a.mimi"], r"unknown command 'cu' \(see mimi --help\)"),
    (["encode", "a.wav", "--levles=8"], r"unknown option '--levles=8'; did you mean '--levels'\? .*"),
    (["encode", "a.wav", "--thread", "1"], r"unknown option '--thread'; did you mean '--threads'\? .*"),
    (["help", "enocde"], r"unknown command 'enocde'; did you mean 'encode'\? \(see mimi --help\)"),
    (["encode", "a.wav", "-o"], r"--output: 1 required FILE missing .*"),
    (["tokenize", "a.wav", "--out", "d", "--as", "wav"], r"--as: 'wav' is not one of mimi, npy, .*"),
    (["tokenize", "a.wav", "--out", "d", "--shard", "1/4294967297"],
     r"--shard: '1/4294967297' is not a share .* of 4294967296 at most .*"),
    (["detokenize", "d", "--out", "e", "--as", "npy"], r"--as: 'npy' is not one of wav, flac, ogg .*"),
    (["verify", "d", "--resample", "1", "--seed", "-1"], r"--seed: '-1' is not a number from 0 .*"),
    (["verify", "d", "--resample", "2"], r"--resample: '2' is not a share above 0 and up to 1, .*"),
    (["plot", "a.wav", "-o", "a.png", "--channels", "keep"], r"--channels: keep is not for this .*"),
    (["encode", "a.wav", "b.wav", "-o", "c"], r"-o is for one input, 2 are given: use --out-dir"),
    (["encode", "a.wav", "-o", "c", "--out-dir", "d"], r"-o and --out-dir exclude each other"),
    (["encode", "a/x.wav", "b/x.wav", "--out-dir", "d"],
     r"d/x.mimi: would be written for more than one input"),
    (["encode", "-", "-"], r"standard input can be read once only"),
    (["test", "-", "-"], r"standard input can be read once only"),
    (["info", "-", "a.mimi", "-"], r"standard input can be read once only"),
    (["eval", "-", "-"], r"standard input can be read once only"),
    (["bench", "-", "--compare", "-"], r"standard input can be read once only"),
    (["bench", "--runs", "x"], r"--runs: 'x' is not a number from 1 to 1000 .*"),
    (["bench", "--seconds", "0"], r"--seconds: '0' is not a number from 1 to 3600 .*"),
    (["bench", "--compare", "a", "--fall", "abc"], r"--fall: 'abc' is not a number from 0 to 100 .*"),
    (["bench", "--compare", "a", "--fall", "nan"], r"--fall: 'nan' is not a number from 0 to 100 .*"),
    (["encode", "-", "--out-dir", "d"], r"standard input has no name for --out-dir: give -o FILE"),
    (["encode", "a.wav", "a.mimi"], r"a.mimi: is not an input by its suffix; .* -o"),
    (["decode", "a.mimi", "a.wav"], r"a.wav: is not an input by its suffix; .* -o"),
    (["encode", "a.wav", "-l", "0"], r"--levels: '0' is not a number from 1 to 64 .*"),
    (["encode", "a.wav", "-l", "8x"], r"--levels: '8x' is not a number .*"),
    (["encode", "a.wav", "-l", "33"], r"--levels: the model 'mimi-small' has 32, 33 were asked for"),
    (["encode", "a.wav", "--channels", "both"], r"--channels: 'both' is not mix, left, right, .*"),
    (["encode", "a.wav", "--channels", "0"], r"--channels: '0' is not mix, left, right, .*"),
    (["encode", "a.wav", "--resampler", "x"], r"--resampler: 'x' is not one of best, fast, medium .*"),
    (["encode", "a.wav", "--window", "x"], r"--window: 'x' is not one of moshi-streaming, .*"),
    (["encode", "a.wav", "--rate", "8000"], r"--rate requires --raw .*"),
    (["encode", "a.wav", "--raw-channels", "2"], r"--raw-channels requires --raw .*"),
    (["encode", "a.wav", "--raw", "s24"], r"--raw: 's24' is not one of f32, s16 .*"),
    (["encode", "a.wav", "--raw", "s16", "--rate", "93"], r"--rate: '93' is not a number from 94 .*"),
    (["encode", "a.wav", "--block-frames", "126"], r"--block-frames: '126' is not a number .* 125 .*"),
    (["encode", "a.wav", "--threads", "0"], r"--threads: '0' is not a number from 1 to 1024 .*"),
    (["encode", "a.wav", "--isa", "mmx"], r"--isa: unknown instruction set 'mmx'; this .*"),
    (["encode", "a.wav", "-o", "-", "--verify"], r"standard output: --verify reads back .*"),
    (["encode", "-", "--verify"], r"standard output: --verify reads back .*"),
    (["encode", "a.wav", "-o", "/dev/null", "--verify"], r"/dev/null: --verify reads back .*"),
    (["decode", "a.mimi", "-l", ""], r"--levels: '' is not a count such as 4 or a set .*"),
    (["decode", "a.mimi", "-l", "0"], r"--levels: '0' names no level.*"),
    (["decode", "a.mimi", "-l", "1,"], r"--levels: '1,' is not a count .*"),
    (["decode", "a.mimi", "-l", "1,1-2"], r"--levels: '1,1-2' names a level twice.*"),
    (["decode", "a.mimi", "-l", "3-1"], r"--levels: '3-1' has a range that runs backwards.*"),
    (["decode", "a.mimi", "-l", "-1"], r"--levels: '-1' is not a count .*"),
    (["decode", "a.mimi", "-o", "b.mp3"], r"b.mp3: '.mp3' is not a format that can be written: .*"),
    (["decode", "a.mimi", "-o", "b.flac", "--format", "f32"], r"b.flac: FLAC holds integers: .*"),
    (["decode", "a.mimi", "-o", "b.ogg", "--format", "s24"], r"b.ogg: --format is not for Ogg .*"),
    (["decode", "a.mimi", "--raw", "s16", "--format", "f32"], r"--format excludes --raw .*"),
    (["decode", "a.mimi", "--format", "u8"], r"--format: 'u8' is not one of f32, s16, s24 .*"),
    (["roundtrip", "a.wav", "b.wav", "c.wav"], r"unexpected argument 'c.wav' .*"),
    (["roundtrip", "a.wav", "b.wav", "-o", "c.wav"], r"OUT excludes --output .*"),
    (["tokenize", "a.wav", "--out", "d", "--channels", "keep"],
     r"--channels: keep is not for this command, .*"),
    (["cut", "a.mimi", "--from", "1:60"], r"--from: '1:60' is not a time such as 90, .*"),
    (["cut", "a.mimi", "--from", "1:2:3:4"], r"--from: '1:2:3:4' is not a time .*"),
    (["cut", "a.mimi", "--from", "-1"], r"--from: '-1' is not a time .*"),
    (["cut", "a.mimi", "--from", "1e3"], r"--from: '1e3' is not a time .*"),
    (["cut", "a.mimi", "--from", "0.5:1"], r"--from: '0.5:1' is not a time .*"),
    (["cut", "a.mimi", "--to", "0"], r"--to is not after --from"),
    (["cut", "a.mimi", "--from", "1:30", "--to", "90"], r"--to is not after --from"),
    (["cut", "a.mimi", "-l", "65"], r"--levels: '65' is not a number from 1 to 64 .*"),
    (["encode", "a.wav", "--warm-up", "1"], r"--warm-up requires --from .*"),
    (["verify", "d", "--seed", "1"], r"--seed requires --resample .*"),
    (["cat", "a.mimi", "-"], r"standard input: cannot be joined: files are read twice"),
    (["info"], r"IN is required \(see mimi info --help\)"),
]


WITHOUT_MODEL = ("info", "merge", "test", "cut", "cat", "repair", "convert", "convert-model")


class Usage(CliTest):
    def commands(self):
        overview = self.mimi("--help", out=None).decode()
        return re.findall(r"^  ([\w-]+)", re.search(r"Commands:\n((  .*\n)+)", overview)[1],
                          re.MULTILINE)

    def test_wrong_usage(self):
        for args, err in WRONG_USAGE:
            with self.subTest(" ".join(args)):
                self.fails(*args, code=2, err=err)
        self.assertEqual(self.files(), [])

    def test_an_empty_name_is_none(self):
        """Of each option and argument that names a file, a folder or the like, of each command."""
        for command in self.commands():
            text = self.mimi(command, "--help", out=None).decode()
            named = re.findall(r"^  (?:-\w, )?(--[\w-]+) (?:FILE|DIR|MODEL|ISA|JSON|PATTERN)\b", text,
                               re.MULTILINE)
            self.assertEqual("--model" in named, command not in WITHOUT_MODEL)
            usage = re.match(r"Usage: mimi [\w-]+((?: \[?[A-Z]+[.\]]*)*)", text)[1]
            places = re.findall(r"[A-Z]+", usage)
            for option in named:
                with self.subTest(f"{command} {option}"):
                    self.fails(command, "x", option, "", code=2, err=f"{option}: names nothing .*")
            for i, place in enumerate(places):
                with self.subTest(f"{command} {place}"):
                    self.fails(command, *["x"] * i, "", code=2, err=f"{place}: names nothing .*")
        self.assertEqual(self.files(), [])

    def test_a_command_without_a_model_takes_none_of_its_options(self):
        for command in WITHOUT_MODEL:
            text = self.mimi(command, "--help", out=None).decode()
            common = text[text.index("Options of every command:"):]
            self.assertEqual(re.findall(r"--[\w-]+", common), ["--quiet", "--version"])
            for option, value in (("--model", "m"), ("--threads", "1"), ("--dtype", "int8"),
                                  ("--isa", "avx2")):
                with self.subTest(f"{command} {option}"):
                    self.fails(option, value, command, "a", code=2,
                               err=f"{option}: {command} computes with no model.* .see mimi {command} --help.")
        self.fails("--dtype", "int32", "convert", "a.mimi", code=2,
                   err="--dtype: convert computes with no model; its own --dtype goes behind its name .*")
        self.assertEqual(self.files(), [])

    def test_wrong_environment(self):
        self.put("a.wav", wav(noise(100)))
        self.fails("encode", "a.wav", code=2, env={"MIMI_THREADS": "many"},
                   err=r"MIMI_THREADS: 'many' is not a number from 1 to 1024")
        self.fails("encode", "a.wav", code=2, env={"MIMI_ISA": "mmx"},
                   err=r"MIMI_ISA: unknown instruction set 'mmx'; this build has .*")
        self.assertEqual(self.files(), ["a.wav"])

    def test_help(self):
        overview = self.mimi("--help", out=None)
        self.assertIn(b"mimi roundtrip speech.wav out.wav", overview)
        commands = self.commands()
        self.assertEqual(commands, ["encode", "decode", "roundtrip", "bench", "eval", "plot", "info",
                                    "tokenize", "merge", "verify", "detokenize", "test", "cut",
                                    "cat", "repair", "convert", "convert-model"])
        for command in commands:
            with self.subTest(command):
                text = self.mimi(command, "--help", out=None).decode()
                self.assertTrue(text.startswith(f"Usage: mimi {command} "), text)
                self.assertEqual(self.mimi(command, "a", "-h", out=None).decode(), text)
                self.assertEqual(self.mimi("help", command, out=None).decode(), text)
        self.assertEqual(self.mimi("help", out=None), overview)
        # Without a command the same is said, but nothing was done.
        self.mimi(code=2, err=re.escape(overview.decode()))

    def test_version(self):
        text = self.mimi("--version", out=None, env={"MIMI_ISA": "portable", "MIMI_THREADS": "3"})
        self.assertRegex(text.decode(), r"\Amimi \d+\.\d+\.\d+\n"
                         r"model mimi-small, fingerprint [0-9a-f]{8}\n"
                         r"instruction set portable \(of (\w+, )*portable\), 3 threads\n\Z")
        for command in self.commands():  # which may want arguments of their own
            self.mimi(command, "--version", "--isa", "portable", out=text, env={"MIMI_THREADS": "3"})


if __name__ == "__main__":
    unittest.main()
