#!/usr/bin/env python3
"""What bf16 and int8 cost: their codes and their sound beside those of f32.

    python3 -m venv build/fidelity && build/fidelity/bin/pip install numpy pesq
    build/fidelity/bin/python scripts/fidelity.py RECORDINGS [--model MODEL]

RECORDINGS is a folder of sound files. Prints, for each level, the share of codes that equal f32's, and
the SNR and PESQ-WB of what is decoded against what f32 decodes from its own codes: "decoder alone" from
the same codes, f32's, "both" from the dtype's own.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from read_mimi import read_mimi

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "evaluate"))
import hearing
from program import Program, argument_parser, recordings_in, row

RATE = 24000


class Coder:
    """mimi in each dtype."""

    def __init__(self, args, folder):
        self.program, self.args = Program(args.mimi, args.model, folder), args

    def encode(self, dtype):
        return self.program.run("encode", self.args.recordings, f"codes-{dtype}", "--dtype", dtype,
                                "--levels", str(self.args.levels))

    def decode(self, dtype, token_files, name, rate_hz):
        files = self.program.run("decode", token_files, f"{name}-{rate_hz}", "--dtype", dtype,
                                 "--raw", "f32", "--rate", str(rate_hz))
        return [np.fromfile(file, "<f4").astype(np.float64) for file in files]


def read_codes(path):
    with open(path, "rb") as file:
        return read_mimi(file.read())[0]


def snr_db(reference, found):
    """Over all recordings together; None where nothing differs."""
    signal = sum(np.sum(audio**2) for audio in reference)
    noise = sum(np.sum((a - b) ** 2) for a, b in zip(reference, found))
    return 10 * np.log10(signal / noise) if noise > 0 else None


def sound(coder, dtype, token_files, name, references):
    found = {rate: coder.decode(dtype, token_files, name, rate) for rate in references}
    score, scored = hearing.mean(
        [hearing.pesq_wb(a, b) for a, b in zip(references[hearing.RATE], found[hearing.RATE])])
    return {"snr_db": snr_db(references[RATE], found[RATE]), "pesq_wb": score, "pesq_of": scored}


def measure(args):
    with tempfile.TemporaryDirectory() as folder:
        coder = Coder(args, folder)
        f32_files = coder.encode("f32")
        f32_codes = [read_codes(path) for path in f32_files]
        references = {rate: coder.decode("f32", f32_files, "f32", rate)
                      for rate in (RATE, hearing.RATE)}
        results = []
        for dtype in args.dtype:
            files = coder.encode(dtype)
            equal = [codes == expected
                     for codes, expected in zip(map(read_codes, files), f32_codes, strict=True)]
            results.append({
                "dtype": dtype, "recordings": len(files),
                "frames": sum(codes.shape[-1] for codes in f32_codes),
                "equal_codes": np.concatenate(equal, -1).mean(-1).tolist(),
                "decoder_alone": sound(coder, dtype, f32_files, f"alone-{dtype}", references),
                "both": sound(coder, dtype, files, f"both-{dtype}", references)})
        return results


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
    parser = argument_parser(__doc__)
    parser.add_argument("--dtype", type=lambda text: text.split(","), default=["bf16", "int8"],
                        help="default: bf16,int8")
    parser.add_argument("--levels", type=int, default=8, help="default: 8")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    args.mimi = os.path.abspath(args.mimi)
    args.recordings = recordings_in(args.folder)
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
