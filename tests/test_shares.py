#!/usr/bin/env python3
"""A dataset shared out by the README's commands for GNU parallel and for Kubernetes: the folder is
that of one call."""
import json
import os
import re
import subprocess
import unittest

from cli_support import MIMI, SOURCE, CliTest, noise, wav

MODEL = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")


def readme_command(pattern):
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
        return re.search(pattern, file.read(), re.DOTALL)[1]


class Shares(CliTest):
    def setUp(self):
        super().setUp()
        self.put("r.wav", wav(noise(5000)))
        rows = [{"id": str(i), "path": "r.wav"} for i in range(20)]
        self.put("train.jsonl", "\n".join(map(json.dumps, rows)).encode())
        os.mkdir(self.path("bin"))
        with open(os.open(self.path("bin/mimi"), os.O_CREAT | os.O_WRONLY, 0o755), "w",
                  encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {MIMI} "$@" --model {MODEL} --shard-size 2\n')
        self.shell("mimi tokenize train.jsonl --out whole --as wds")

    def shell(self, command, **variables):
        path = self.path("bin") + ":" + os.environ["PATH"]
        result = subprocess.run(["sh", "-c", command], cwd=self.dir, check=False,
                                capture_output=True, encoding="utf-8",
                                env={**os.environ, "PATH": path, "HOME": self.dir, **variables})
        self.assertEqual(result.returncode, 0, command + "\n" + result.stderr)

    def check_merged(self):
        self.mimi("merge", "-q", "tokens")
        self.shell("diff -r whole tokens")

    def test_gnu_parallel(self):
        self.shell(readme_command(r"\n    (seq 8 \| parallel [^\n]*)\n"))
        self.check_merged()

    def test_kubernetes(self):
        command = readme_command(r'command: \[sh, -c, "(.*?)"\]').replace("\n", " ")
        for index in range(8):
            self.shell(command, JOB_COMPLETION_INDEX=str(index))
        self.check_merged()


if __name__ == "__main__":
    unittest.main()
