#!/usr/bin/env python3
"""Runs and times the `mimi` program as drive.py does the peers, and prints what it took as JSON.

Speed is what the whole process takes on the long recording less what it takes on the short one,
sound files read and written: what each further second of audio costs.
"""
import argparse
import json
import os
import subprocess
import sys
import time


def run(command):
    """Seconds and peak memory (MB) of a process that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def marginal(commands, extra_seconds, runs):
    """The figures of the best run of each of the two commands, and the largest peak."""
    taken = [[run(command) for command in commands] for _ in range(runs)]
    short, long = (min(seconds for seconds, _ in each) for each in zip(*taken))
    peak = max(memory for each in taken for _, memory in each)
    return {"seconds": long - short, "times_real_time": extra_seconds / (long - short)}, peak


def whole(mimi, args):
    coded = [os.path.join(args.out, f"{index}.mimi") for index in (0, 1)]
    decoded = os.path.join(args.out, "decoded.wav")
    encode, encode_peak = marginal(
        [mimi + ["encode", "--force", "--levels", str(args.levels), "-o", token_file, wav]
         for wav, token_file in zip((args.wav, args.long_wav), coded)], args.extra, args.runs)
    decode, decode_peak = marginal(
        [mimi + ["decode", "--force", "-o", decoded, token_file] for token_file in coded],
        args.extra, args.runs)
    return {"encode": encode, "decode": decode, "peak_memory_mb": max(encode_peak, decode_peak)}


def bench(mimi, args, seconds, runs):
    return json.loads(subprocess.run(
        mimi + ["bench", "--json", "--seconds", str(seconds), "--runs", str(runs), "--levels",
                str(args.levels), args.wav], stdout=subprocess.PIPE, check=True).stdout)


def frames(mimi, args):
    """Of the run with the best 99th percentile in each direction."""
    runs = [line for _ in range(args.runs) for line in bench(mimi, args, 30, 1)["latencies"]
            if line["threads"] == args.cores]
    best = {}
    for direction in ("encode", "decode"):
        line = min((line for line in runs if line["direction"] == direction),
                   key=lambda line: line["p99_ms"])
        best[direction] = {"median_ms": line["median_ms"], "p99_ms": line["p99_ms"]}
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("program")
    parser.add_argument("model")
    for name in ("--wav", "--long-wav", "--out", "--dtype"):
        parser.add_argument(name, required=True)
    parser.add_argument("--extra", type=float, help="seconds of --long-wav beyond --wav")
    for name in ("--cores", "--runs", "--levels"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--stream", action="store_true")
    args = parser.parse_args()
    mimi = [args.program, "--quiet", "--model", args.model, "--threads", str(args.cores)]
    if args.dtype != "f32":
        mimi += ["--dtype", args.dtype]
    figures = frames(mimi, args) if args.stream else whole(mimi, args)
    version = subprocess.run([args.program, "--version"], stdout=subprocess.PIPE, check=True,
                             text=True).stdout.split("\n", 1)[0]
    load = bench(mimi, args, 1, 1)["loads"][0]["seconds"]
    print(json.dumps({"name": version, "load_seconds": load, **figures}))


if __name__ == "__main__":
    main()
