#!/usr/bin/env python3
"""What bf16 and int8 cost: their codes and their sound beside those of f32.

    pip install numpy pesq
    scripts/fidelity.py RECORDINGS [--model MODEL]

RECORDINGS is a folder of sound files. Prints, for each level, the share of codes that equal f32's, and
the SNR and PESQ-WB of what is decoded against what f32 decodes from its own codes: "decoder alone" from
the same codes, f32's, "both" from the dtype's own.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from pesq import NoUtterancesError, pesq
from read_mimi import read_mimi

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RATE, PESQ_RATE = 24000, 16000


class Program:
    """Runs mimi over all recordings at once and reads what it writes."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder

    def run(self, command, dtype, inputs, name, *options):
        """The files that it made, in a folder of that name, one for each input."""
        out = os.path.join(self.folder, name)
        model = ["--model", self.args.model] if self.args.model else []
        subprocess.run([self.args.mimi, command, "--quiet", *model, "--dtype", dtype, *options,
                        "--out-dir", out, "--", *inputs], check=True)
        return [os.path.join(out, file) for file in sorted(os.listdir(out))]

    def encode(self, dtype):
        return self.run("encode", dtype, self.args.recordings, f"codes-{dtype}", "--levels",
                        str(self.args.levels))

    def decode(self, dtype, token_files, name, rate_hz):
        files = self.run("decode", dtype, token_files, f"{name}-{rate_hz}", "--raw", "f32",
                         "--rate", str(rate_hz))
        return [np.fromfile(file, "<f4").astype(np.float64) for file in files]


def read_codes(path):
    with open(path, "rb") as file:
        return read_mimi(file.read())[0]


def snr_db(reference, found):
    """Over all recordings together; None where nothing differs."""
    signal = sum(np.sum(audio**2) for audio in reference)
    noise = sum(np.sum((a - b) ** 2) for a, b in zip(reference, found))
    return 10 * np.log10(signal / noise) if noise > 0 else None


def pesq_wb(reference, found):
    """The mean over the recordings in which PESQ finds speech, and their number."""
    scores = []
    for a, b in zip(reference, found):
        try:
            scores.append(pesq(PESQ_RATE, a, b, "wb"))
        except NoUtterancesError:
            continue
    return (float(np.mean(scores)) if scores else None), len(scores)


def sound(program, dtype, token_files, name, references):
    found = {rate: program.decode(dtype, token_files, name, rate) for rate in references}
    score, scored = pesq_wb(references[PESQ_RATE], found[PESQ_RATE])
    return {"snr_db": snr_db(references[RATE], found[RATE]), "pesq_wb": score, "pesq_of": scored}


def measure(args):
    with tempfile.TemporaryDirectory() as folder:
        program = Program(args, folder)
        f32_files = program.encode("f32")
        f32_codes = [read_codes(path) for path in f32_files]
        references = {rate: program.decode("f32", f32_files, "f32", rate)
                      for rate in (RATE, PESQ_RATE)}
        results = []
        for dtype in args.dtype:
            files = program.encode(dtype)
            equal = [codes == expected
                     for codes, expected in zip(map(read_codes, files), f32_codes, strict=True)]
            results.append({
                "dtype": dtype, "recordings": len(files),
                "frames": sum(codes.shape[-1] for codes in f32_codes),
                "equal_codes": np.concatenate(equal, -1).mean(-1).tolist(),
                "decoder_alone": sound(program, dtype, f32_files, f"alone-{dtype}", references),
                "both": sound(program, dtype, files, f"both-{dtype}", references)})
        return results


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def figure(value, pattern):
    return "identical" if value is None else pattern.format(value)


def table(results):
    first = results[0]
    lines = [f"{first['recordings']} recordings, {first['frames']} frames", "",
             row("beside f32", *(result["dtype"] for result in results)),
             row(*["---"] * (1 + len(results)))]
    for level in range(len(first["equal_codes"])):
        lines.append(row(f"codes equal, level {level}",
                         *(f"{100 * result['equal_codes'][level]:.2f} %" for result in results)))
    for key, name in (("decoder_alone", "decoder alone"), ("both", "both")):
        lines.append(row(f"SNR, {name}",
                         *(figure(result[key]["snr_db"], "{:.1f} dB") for result in results)))
        lines.append(row(f"PESQ-WB, {name}",
                         *("no speech" if result[key]["pesq_wb"] is None
                           else f"{result[key]['pesq_wb']:.3f}" for result in results)))
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="RECORDINGS")
    parser.add_argument("--model", help="as for mimi (default: the built-in one)")
    parser.add_argument("--mimi", default=os.path.join(SOURCE, "build", "release", "mimi"),
                        metavar="PROGRAM", help="default: %(default)s")
    parser.add_argument("--dtype", type=lambda text: text.split(","), default=["bf16", "int8"],
                        help="default: bf16,int8")
    parser.add_argument("--levels", type=int, default=8, help="default: 8")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    args.mimi = os.path.abspath(args.mimi)
    args.recordings = sorted(os.path.join(args.folder, file) for file in os.listdir(args.folder))
    if not args.recordings:
        parser.error(f"{args.folder} is empty")
    return args


def main():
    args = parse()
    try:
        results = measure(args)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # mimi has said why
    print(json.dumps(results, indent=1) if args.json else table(results))


if __name__ == "__main__":
    main()
