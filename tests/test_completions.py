#!/usr/bin/env python3
"""Each shell's completion offers exactly the options that `mimi COMMAND --help` names, and the man page
has all of them."""
import os
import re
import subprocess
import tempfile
import unittest

MIMI = os.environ["MIMI_BIN"]
COMPLETIONS = os.path.join(os.environ["MIMI_SOURCE_DIR"], "completions")
COMMANDS = ("encode", "decode", "roundtrip", "bench", "eval", "plot", "info", "tokenize", "merge", "verify",
            "detokenize", "test", "cut", "cat", "repair", "convert", "convert-model")

BASH = """
source "$1/mimi.bash"
COMP_WORDS=(mimi "${@:2}") COMP_CWORD=$(($# - 1))
_mimi
printf '%s\\n' "${COMPREPLY[@]}"
"""
# What the completion tells _arguments stands at the beginning of each line.
ZSH = """
_arguments() { print -rl -- "$@"; }
words=(mimi "${@[2,-1]}")
CURRENT=$#
source "$1/_mimi"
"""
FISH = """
source $argv[1]/mimi.fish
complete -C "mimi $argv[2..]"
"""


def output(*command, cwd=None):
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=cwd)
    assert result.returncode == 0 and not result.stderr, (command, result)
    return result.stdout


def bash(*words, cwd=None):
    return set(output("bash", "-c", BASH, "bash", COMPLETIONS, *words, cwd=cwd).split())


def zsh(*words):
    return output("zsh", "-f", "-c", ZSH, "zsh", COMPLETIONS, *words)


def zsh_options(*words):
    return set(re.findall(r"^(?:\([^)]*\)|\*)?(--?[A-Za-z-]+)\[", zsh(*words), re.MULTILINE))


def zsh_values(command, option):
    """Of each line that tells of the option."""
    found = re.findall(rf"^{option}\[.*:\((.*)\)$", zsh(command, "-"), re.MULTILINE)
    return [set(values.split()) for values in found]


def fish(*words, cwd=None):
    lines = output("fish", "--no-config", "-c", FISH, COMPLETIONS, *words, cwd=cwd).splitlines()
    return {line.split("\t")[0] for line in lines}


def help_options(*command):
    lines = re.findall(r"^  (-.*)$", output(MIMI, *command, "--help"), re.MULTILINE)
    assert lines
    names = set()
    for line in lines:
        names.update(re.match(r"(?:-\w, )?(?:--?[\w-]+)", line)[0].split(", "))
    return names


class Completions(unittest.TestCase):
    def test_options(self):
        for command in [(name,) for name in COMMANDS] + [()]:
            expected = help_options(*command)
            with self.subTest(command):
                self.assertEqual(bash(*command, "-"), expected)
                self.assertEqual(zsh_options(*command, "-"), expected)
                self.assertEqual(fish(*command, "-") | fish(*command, "--"), expected)

    def test_commands(self):
        self.assertEqual(bash(""), set(COMMANDS))
        self.assertEqual(fish("''"), set(COMMANDS))
        self.assertEqual(re.findall(r"([\w-]+)\\:", zsh("")), list(COMMANDS))

    def test_values(self):
        windows = {"offline", "moshi-streaming", "rust"}
        self.assertEqual(bash("encode", "--window", ""), windows)
        self.assertEqual(fish("encode", "--window", "''"), windows)
        for command, others in (("encode", set()), ("bench", {"all"})):
            dtypes = {"f32", "bf16", "int8", "auto"} | others
            self.assertEqual(bash(command, "--dtype", ""), dtypes)
            self.assertEqual(fish(command, "--dtype", "''"), dtypes)
            self.assertEqual(zsh_values(command, "--dtype"), [dtypes])
        for command, dtypes in (("convert", {"uint16", "int16", "int32", "int64"}),
                                ("convert-model", {"bf16", "int8"})):
            self.assertEqual(bash(command, "--dtype", ""), dtypes)
            self.assertEqual(fish(command, "--dtype", "''"), dtypes)
            self.assertEqual(zsh_values(command, "--dtype"), [dtypes])
        for command, others in (("encode", {"keep"}), ("roundtrip", {"keep"}), ("eval", set()),
                                ("plot", set()), ("tokenize", set())):
            channels = {"mix", "left", "right"} | others
            self.assertEqual(bash(command, "--channels", ""), channels)
            self.assertEqual(fish(command, "--channels", "''"), channels)
            self.assertEqual(zsh_values(command, "--channels"), [channels])


    def test_files(self):
        recordings = {"encode", "roundtrip", "bench", "eval", "plot", "tokenize", "convert"}
        tokens = {"decode", "info", "test", "cut", "cat", "repair", "convert"}
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.flac", "b.mimi"):
                open(os.path.join(folder, name), "w").close()
            for command in COMMANDS:
                expected = {name for name, commands in (("a.flac", recordings), ("b.mimi", recordings | tokens))
                            if command in commands}
                with self.subTest(command):
                    self.assertEqual(bash(command, "", cwd=folder), expected)
                    offered = fish(command, "''", cwd=folder)
                    # Fish offers the others too where it filters by suffix, but behind these.
                    self.assertEqual({"b.mimi"} & offered if command in tokens else offered,
                                     {"b.mimi"} if command in tokens else expected)


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(os.environ["MIMI_SOURCE_DIR"], "man/mimi.1")) as file:
            text = re.sub(r"\\f[IRB]", "", file.read()).replace("\\-", "-")
        cls.parts = {}  # name of a section or a command: its text
        for heading, part in re.findall(r"^\.S[HS] (.*)\n((?:(?!\.S[HS] ).*\n)*)", text, re.MULTILINE):
            cls.parts[heading] = part

    def test_every_option_is_explained(self):
        common = self.parts["OPTIONS OF EVERY COMMAND"]
        for command in COMMANDS:
            for option in help_options(command):
                with self.subTest(f"{command} {option}"):
                    self.assertRegex(self.parts[command] + common, rf"(?<![\w-]){option}(?![\w-])")

    def test_the_synopsis_has_every_command(self):
        words = set(re.findall(r"[a-z][a-z-]*", self.parts["SYNOPSIS"]))
        self.assertLessEqual(set(COMMANDS), words)


if __name__ == "__main__":
    unittest.main()
