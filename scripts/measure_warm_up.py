#!/usr/bin/env python3
"""How far a part is from the whole when --warm-up is shorter than what the model remembers.

    scripts/measure_warm_up.py MIMI SPEECH [OPTION...]

SPEECH is a recording of some minutes; OPTIONs go to mimi (--model ...). Ten parts of 5 s are encoded
and decoded with each warm-up; printed are, of all of them, the share of codes that differ and the
power of the difference in sound below that of the sound itself."""
import subprocess
import sys
import tempfile

import numpy as np

WARM_UPS_S = (0, 1, 2, 5, 10, 20, 40)
PARTS = 10
PART_S = 5


def main():
    mimi, speech, *options = sys.argv[1:]

    def run(*arguments):
        return subprocess.run([mimi, *options, "-q", *arguments], check=True,
                              stdout=subprocess.PIPE).stdout

    def codes(*part):
        tokens = run("encode", speech, "-o", "-", *part)
        text = subprocess.run([mimi, "convert", "-q", "--as", "text", "-"], check=True,
                              input=tokens, stdout=subprocess.PIPE).stdout.decode()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return np.array([line.split() for line in lines], dtype=int)

    def sound(*part):
        return np.frombuffer(run("decode", whole, "--raw", "f32", "-o", "-", *part), "<f4")

    with tempfile.TemporaryDirectory() as folder:
        whole = f"{folder}/whole.mimi"
        run("encode", speech, "-o", whole)
        end_s = len(sound()) / 24000
        starts = np.linspace(end_s / 3, end_s - PART_S - 1, PARTS).round(2)
        parts = [("--from", str(start), "--to", str(start + PART_S)) for start in starts]
        exact = [(codes(*part), sound(*part)) for part in parts]
        print("warm-up  codes that differ  sound, dB")
        for seconds in WARM_UPS_S:
            warm_up = ("--warm-up", str(seconds))
            changed = np.concatenate([(codes(*part, *warm_up) != right[0]).ravel()
                                      for part, right in zip(parts, exact)])
            noise = signal = 0.0
            for part, right in zip(parts, exact):
                noise += float(np.sum((sound(*part, *warm_up).astype(float) - right[1]) ** 2))
                signal += float(np.sum(right[1].astype(float) ** 2))
            decibels = 10 * np.log10(noise / signal) if noise else -np.inf
            print(f"{seconds:4} s  {100 * changed.mean():15.2f} %  {decibels:9.1f}")


if __name__ == "__main__":
    main()
