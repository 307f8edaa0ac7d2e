#!/usr/bin/env python3
"""The README's readers of datasets, as they stand there: each gives the codes that `.mimi` has."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import numpy as np

from cli_support import MIMI, SOURCE, CliTest, noise, wav

MODEL = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")
BLOCK = re.compile(r"^```python\n# --as (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STORE = """
import numpy
numpy.savez("codes.npz", **{name: numpy.asarray(array) for name, array in codes.items()})
"""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
RECORDINGS = 5
# The library that each is there to show, in the README's order.
LIBRARIES = ["numpy", "webdataset", "safetensors", "pyarrow", "datasets"]


class Readers(CliTest):
    def setUp(self):
        super().setUp()
        for i in range(RECORDINGS):
            self.put(f"r{i}.wav", wav(noise(3000 + 9000 * i, seed=i)))

    def tokenize(self, form, out):
        subprocess.run([MIMI, "-q", "--model", MODEL, "tokenize", ".", "--out", out, "--as", form,
                        "--shard-size", "3"], cwd=self.dir, check=True)

    def expected(self):
        """By the reader that is written from FORMAT.md alone."""
        self.tokenize("mimi", "mimi")
        codes = {}
        for i in range(RECORDINGS):
            read = os.path.join(SOURCE, "scripts", "read_mimi.py")
            subprocess.run([sys.executable, read, f"mimi/r{i}.mimi", "one.npy"], cwd=self.dir,
                           check=True, stdout=subprocess.DEVNULL)
            codes[f"r{i}"] = np.load(self.path("one.npy"))
        return codes

    def run_block(self, program):
        env = {**os.environ, **OFFLINE, "HF_HOME": self.path("cache")}
        result = subprocess.run([os.environ["MIMI_PYTHON"], "-c", program + STORE], cwd=self.dir,
                                env=env, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        with np.load(self.path("codes.npz")) as stored:
            return dict(stored)

    def test_each(self):
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
            blocks = BLOCK.findall(file.read())
        self.assertEqual(len(blocks), len(LIBRARIES))
        expected = self.expected()
        for library, (form, program) in zip(LIBRARIES, blocks):
            with self.subTest(library=library):
                self.assertRegex(program, rf"(import|from) {library}\b")
                self.tokenize(form, "tokens")
                found = self.run_block(program)
                self.assertEqual(sorted(found), sorted(expected))
                for name, codes in expected.items():
                    np.testing.assert_array_equal(found[name], codes)
                shutil.rmtree(self.path("tokens"))


if __name__ == "__main__":
    unittest.main()
