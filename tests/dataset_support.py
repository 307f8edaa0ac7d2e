"""What the tests of datasets share."""
import hashlib
import json
import os
import subprocess

from cli_support import MIMI, CliTest, noise, wav

MODEL = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")
FORMS = ("mimi", "npy", "wds", "safetensors", "parquet")
DONE = r"mimi: tokenized .* x real time, .* hours a core-hour(; why: .*)?\n"


def tree(folder):
    """What is in a folder: path -> digest."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(os.path.join(path, name), folder)] = digest
    return found


class DatasetTest(CliTest):
    def tokenize(self, *args, code=0, err=DONE, **options):
        return self.mimi("--model", MODEL, "tokenize", *args, code=code, err=err, **options)

    def quietly(self, *args):
        """The exit code, with nothing said but errors."""
        model = () if args[0] == "merge" else ("--model", MODEL)
        return subprocess.run([MIMI, *model, "-q", *args], cwd=self.dir, check=False).returncode

    def lines(self, name):
        return [json.loads(line) for line in self.get(name).decode().splitlines()]

    def corpus(self, count=7, folder="in"):
        """Short recordings of different lengths, in folders."""
        for i in range(count):
            os.makedirs(self.path(f"{folder}/{i % 2}"), exist_ok=True)
            self.put(f"{folder}/{i % 2}/r{i}.wav", wav(noise(3000 + 2500 * i, seed=i)))
        return folder
