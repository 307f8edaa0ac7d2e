#!/usr/bin/env python3
"""How good a model is on recordings, at several numbers of levels, beside Opus and Codec 2.

    scripts/evaluate.py RECORDINGS [--model MODEL] [--json FILE] [--plot FILE.png]

RECORDINGS is a folder of sound files. Prints PESQ-WB, STOI, ViSQOL (speech mode), mel distance,
SI-SDR and the bits a second really used, means over the recordings, and the entropy of each level's
codes. The Python packages that it needs (scripts/evaluate/requirements.txt) are installed into a
virtual environment; Opus and Codec 2 are compared where Debian's opus-tools and codec2 are installed.
"""
import filecmp
import os
import shutil
import subprocess
import sys
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(HERE, "evaluate")
REQUIREMENTS = os.path.join(PARTS, "requirements.txt")
SOURCE = os.path.dirname(HERE)

sys.path.insert(0, PARTS)
from program import argument_parser, recordings_in


def numbers(text):
    return [int(number) for number in text.split(",") if number]


def parse():
    parser = argument_parser(__doc__)
    parser.add_argument("--levels", type=numbers, default=[1, 2, 4, 8, 16, 32],
                        help="default: 1,2,4,8,16,32")
    parser.add_argument("--opus", type=numbers, default=[6, 8, 12], metavar="KBITS",
                        help="bit rates of Opus, in kbit/s (default: 6,8,12)")
    parser.add_argument("--codec2", type=numbers, default=[1200, 3200], metavar="BITS",
                        help="bit rates of Codec 2, in bit/s (default: 1200,3200)")
    parser.add_argument("--json", metavar="FILE", help="write all figures, each recording's too")
    parser.add_argument("--plot", metavar="FILE", help="draw quality against bit rate")
    parser.add_argument("--venv", default=os.path.join(SOURCE, "build", "evaluate"), metavar="FOLDER",
                        help="the virtual environment (default: %(default)s)")
    args = parser.parse_args()
    args.mimi = os.path.abspath(args.mimi)
    args.recordings = recordings_in(args.folder)
    if not args.recordings:
        parser.error(f"{args.folder} is empty")
    return args


def enter(folder):
    """Goes on in the virtual environment, made where it is not there or not finished."""
    python = os.path.join(folder, "bin", "python")
    done = os.path.join(folder, "requirements.txt")
    if not os.path.exists(done) or not filecmp.cmp(done, REQUIREMENTS, shallow=False):
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
        shutil.copy(REQUIREMENTS, done)
    os.execv(python, [python, *sys.argv])


def main():
    args = parse()
    if os.path.realpath(sys.prefix) != os.path.realpath(args.venv):
        enter(args.venv)
    from measure import main as measure
    measure(args)


if __name__ == "__main__":
    main()
