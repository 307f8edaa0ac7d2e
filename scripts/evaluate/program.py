"""Running mimi over many recordings at once."""
import argparse
import json
import os
import subprocess

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def argument_parser(description):
    """With the recordings, the model and the program."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="RECORDINGS")
    parser.add_argument("--model", help="as for mimi (default: the built-in one)")
    parser.add_argument("--mimi", default=os.path.join(SOURCE, "build", "release", "mimi"),
                        metavar="PROGRAM", help="default: %(default)s")
    return parser


class Program:
    def __init__(self, mimi, model, folder):
        self.mimi, self.folder = mimi, folder
        self.common = ["--quiet", *(["--model", model] if model else [])]

    def run(self, command, inputs, name, *options):
        """The files that it made, in a folder of that name, one for each input."""
        out = os.path.join(self.folder, name)
        subprocess.run([self.mimi, command, *self.common, *options, "--out-dir", out, "--", *inputs],
                       check=True)
        made = {os.path.splitext(file)[0]: os.path.join(out, file) for file in os.listdir(out)}
        return [made[os.path.splitext(os.path.basename(path))[0]] for path in inputs]

    def info(self, token_files):
        out = subprocess.run([self.mimi, "info", "--json", "--", *token_files], check=True,
                             stdout=subprocess.PIPE).stdout
        return [json.loads(line) for line in out.splitlines()]


def recordings_in(folder):
    return sorted(os.path.join(folder, file) for file in os.listdir(folder))


def row(*cells):
    """Of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"
