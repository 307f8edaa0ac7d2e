#!/usr/bin/env python3
"""Compare the speed of mimi with that of other implementations, on this machine.

Installs the others from PyPI, runs each in a process of its own on the same checkpoint and the same
recording, checks that their codes equal mimi's, and prints a table.
"""
import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
PARTS = os.path.join(HERE, "peers")

# moshi's own requirements hold back PyTorch and transformers: it is installed without them.
TORCH = "torch==2.15.0"
TRANSFORMERS = [TORCH, "transformers==5.23.0", "soundfile"]
GRAPHS = [*TRANSFORMERS, "onnx", "onnxscript"]
PACKAGES = {
    "moshi": [TORCH, "safetensors", "huggingface-hub", "einops", "sentencepiece", "soundfile"],
    "transformers": TRANSFORMERS,
    "rustymimi": ["rustymimi==0.4.1", "safetensors", "soundfile"],
    "onnxruntime": [*GRAPHS, "onnxruntime==1.31.1"],
    "openvino": [*GRAPHS, "openvino==2026.4.1", "nncf==3.4.0"],
}
WITHOUT_REQUIREMENTS = {"moshi": ["moshi==0.2.13"]}
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

DTYPES = {"mimi": ("f32", "bf16", "int8"), "moshi": ("f32", "bf16"),
          "transformers": ("f32", "bf16"), "rustymimi": ("f32",), "onnxruntime": ("f32",),
          "openvino": ("f32", "bf16", "int8")}
GRAPH_PEERS = ("onnxruntime", "openvino")
STREAMING = ("mimi", "moshi", "rustymimi")
# The attention window that each follows, whole-file and streaming.
WINDOWS = {"moshi": ("offline", "moshi-streaming"), "rustymimi": ("rust", "rust")}
LEVELS = 8
SHORT_SECONDS, LONG_SECONDS = 30, 90
FRAME_SECONDS = 0.08
# Of the codes, in f32; the rest are near-ties, which another rounding decides otherwise.
LEAST_EQUAL = 0.995


class Failure(Exception):
    pass


def run(command, log=None):
    """Its standard output. Failure with the last line it said."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"$ {shlex.join(command)}\n{result.stderr}\n")
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said or ["no message"]
        raise Failure(f"{errors[-1].strip()} (exit code {result.returncode})")
    return result.stdout


class Comparison:
    """The virtual environment and the files that everybody is run on."""

    def __init__(self, args):
        self.args = args
        self.python = os.path.join(args.venv, "bin", "python")
        self.work = os.path.join(args.venv, "work")
        self.log = os.path.join(args.venv, "log.txt")
        self.cpus = sorted(os.sched_getaffinity(0))
        shutil.rmtree(self.work, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.work, *names)

    def part(self, name, *arguments):
        return run([self.python, os.path.join(PARTS, name), *map(str, arguments)], self.log)

    def once(self, path, make):
        """Makes what will lie at `path` unless an earlier peer has had it made."""
        if not os.path.exists(path):
            make()
        return path

    def install(self, peer):
        if not os.path.exists(self.python):
            venv.create(self.args.venv, with_pip=True)
        pip = [self.python, "-m", "pip", "install", "--quiet"]
        if TORCH in PACKAGES[peer]:
            try:  # PyPI's own build of PyTorch brings some gigabytes for GPUs
                run([*pip, "--retries", "0", "--index-url", PYTORCH_CPU_INDEX, TORCH], self.log)
            except Failure:
                pass
        run([*pip, *PACKAGES[peer]], self.log)
        if peer in WITHOUT_REQUIREMENTS:
            run([*pip, "--no-deps", *WITHOUT_REQUIREMENTS[peer]], self.log)

    def recording(self, seconds):
        path = self.path(f"{seconds}.wav")
        return self.once(path, lambda: self.part("prepare.py", "recording", self.args.recording, path,
                                                 seconds))

    def mimi(self, *arguments):
        return run([self.args.mimi, "--quiet", "--model", self.args.model, *arguments], self.log)

    def expected(self, window):
        """mimi's codes (.npy) and what it decodes them to (.f32)."""
        tokens, codes, audio = (self.path(window + end) for end in (".mimi", ".npy", ".f32"))

        def make():
            self.mimi("encode", "--levels", str(LEVELS), "--window", window, "-o", tokens,
                      self.recording(SHORT_SECONDS))
            self.mimi("decode", "--raw", "f32", "-o", audio, tokens)
            run([self.python, os.path.join(HERE, "read_mimi.py"), tokens, codes], self.log)

        self.once(codes, make)
        return codes, audio

    def model(self, peer, dtype):
        """The checkpoint as `peer` reads it."""
        if peer in ("moshi", "rustymimi"):
            path = self.path("kyutai.safetensors")
            return self.once(path, lambda: self.part("prepare.py", "kyutai", self.args.model, path))
        if peer not in GRAPH_PEERS:
            return self.args.model
        folder = self.path("graphs")
        frames = int(SHORT_SECONDS / FRAME_SECONDS)
        os.makedirs(folder, exist_ok=True)
        self.once(os.path.join(folder, "decoder.onnx"),
                  lambda: self.part("prepare.py", "graphs", self.args.model, folder, frames))
        if dtype == "int8":
            self.once(os.path.join(folder, "decoder-int8.xml"),
                      lambda: self.part("prepare.py", "int8", folder,
                                        self.recording(SHORT_SECONDS), self.latents()))
        return folder

    def latents(self):
        codes, _ = self.expected("offline")
        path = self.path("latents.npy")
        return self.once(path, lambda: self.part("prepare.py", "latents", self.args.model, codes,
                                                 path))

    def measure(self, peer, dtype, cores, stream):
        out = self.path(peer)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        wav = self.recording(SHORT_SECONDS)
        window = WINDOWS.get(peer, ("offline",) * 2)[stream]
        codes, audio = self.expected(window)
        options = ["--wav", wav, "--out", out, "--dtype", dtype, "--cores", cores, "--runs",
                   self.args.runs, "--levels", LEVELS, *(["--stream"] if stream else [])]
        if peer == "mimi":
            command = ["drive_mimi.py", self.args.mimi, self.args.model, "--long-wav",
                       self.recording(LONG_SECONDS), "--extra", LONG_SECONDS - SHORT_SECONDS]
        else:
            command = ["drive.py", peer, self.model(peer, dtype), "--codes", codes]
        if peer in GRAPH_PEERS:
            command += ["--latents", self.latents()]
        cpus = ",".join(map(str, self.cpus[:cores]))
        threads = [f"{name}_NUM_THREADS={cores}" for name in ("OMP", "MKL", "RAYON")]
        command = [os.path.join(PARTS, command[0]), *command[1:], *options]
        figures = run([*shlex.split(self.args.under), "taskset", "--cpu-list", cpus, "env", *threads,
                       self.python, *map(str, command)], self.log)
        result = {"peer": peer, "dtype": dtype, "cores": cores, "stream": stream,
                  **json.loads(figures)}
        if peer != "mimi":
            result.update(json.loads(self.part("check.py", self.args.model, out, codes, audio)))
        return result


def compare(args):
    """Yields the figures of each measurement, or what went wrong."""
    comparison = Comparison(args)
    for peer in args.peers:
        try:
            if peer != "mimi":
                print(f"installing {peer}", file=sys.stderr)
                comparison.install(peer)
            elif not os.path.exists(comparison.python):
                comparison.install("rustymimi")  # what reads and cuts the recording
            os.makedirs(comparison.work, exist_ok=True)
        except Failure as failure:
            yield {"peer": peer, "failure": f"cannot be installed: {failure}"}
            continue
        for dtype in [dtype for dtype in DTYPES[peer] if dtype in args.dtype]:
            for stream in (False, True)[: 1 + (peer in STREAMING)]:
                for cores in args.cores:
                    what = {"peer": peer, "dtype": dtype, "cores": cores, "stream": stream}
                    told = f"{peer} {dtype}, {'frame by frame' if stream else 'whole file'}"
                    print(f"{told}, cores: {cores}", file=sys.stderr)
                    try:
                        yield comparison.measure(**what)
                    except Failure as failure:
                        yield {**what, "failure": str(failure)}


def wrong_codes(result):
    """Whether an f32 peer parts from mimi in more codes than rounding explains."""
    return (result["dtype"] == "f32" and "codes" in result and
            result["equal_codes"] < LEAST_EQUAL * result["codes"])


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def agreement(results):
    """Codes equal to mimi's, and how close the decoded audio is."""
    checked = [result for result in results if "codes" in result]
    if not checked:
        return ["", ""]
    worst = min(checked, key=lambda result: result["equal_codes"])
    return [f"{worst['equal_codes']} of {worst['codes']}",
            f"{min(result['snr_db'] for result in checked):.0f}"]


def tables(results):
    """Markdown: whole-file, then frame by frame, then what failed."""
    done = [result for result in results if "failure" not in result]
    cores = sorted({result["cores"] for result in done})
    directions = ("encode", "decode")
    kinds = list(dict.fromkeys((result["peer"], result["dtype"]) for result in done))
    for stream in (False, True):
        unit = "frame of 80 ms, median / 99 %, ms" if stream else "whole file, x"
        heads = [f"{direction}, cores: {count}" for count in cores for direction in directions]
        heads = [unit, "dtype", *heads, "load, s", "peak MB", "codes equal", "audio SNR, dB"]
        lines = []
        for kind in kinds:
            group = [result for result in done
                     if (result["peer"], result["dtype"]) == kind and result["stream"] == stream]
            by_cores = {result["cores"]: result for result in group}
            if not group:
                continue
            cells = [figure(by_cores.get(count), direction)
                     for count in cores for direction in directions]
            peaks = [result["peak_memory_mb"] for result in group if "peak_memory_mb" in result]
            lines.append(row(group[0]["name"], kind[1], *cells,
                             f"{min(result['load_seconds'] for result in group):.2f}",
                             f"{max(peaks):.0f}" if peaks else "", *agreement(group)))
        if lines:
            yield "\n".join([row(*heads), row(*["---"] * len(heads)), *lines, ""])
    for result in results:
        what = " ".join(str(result[key]) for key in ("peer", "dtype") if key in result)
        if "failure" in result:
            yield f"{what}: {result['failure']}"
        elif wrong_codes(result):
            yield f"{what}: only {result['equal_codes']} of {result['codes']} codes equal mimi's"


def figure(result, direction):
    if result is None:
        return ""
    figures = result[direction]
    if "times_real_time" in figures:
        return f"{figures['times_real_time']:.1f}"
    return f"{figures['median_ms']:.1f} / {figures['p99_ms']:.1f}"


NOTES = f"""\
x: seconds of audio a second. mimi: whole processes, {LONG_SECONDS} s of audio less {SHORT_SECONDS} s, \
sound files read and written. The others: calls alone on {SHORT_SECONDS} s in a process that is warm \
and has everything in memory. onnxruntime and openvino run graphs of the fixed length exported from \
transformers, whose quantizer is left out: no codes are searched or looked up in their times (for the \
comparison of codes transformers' does it afterwards). codes equal, audio SNR: beside mimi's in f32.
"""


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    parser.add_argument("--model", help="folder in Hugging Face's layout, of the published size")
    parser.add_argument("--mimi", default=os.path.join(SOURCE, "build", "release", "mimi"),
                        metavar="PROGRAM", help="default: %(default)s")
    parser.add_argument("--recording", help="24 kHz, mono; repeated as long as needed",
                        default=os.path.join(SOURCE, "samples", "kathleen_01.flac"))
    parser.add_argument("--peers", type=names, default=list(DTYPES),
                        help=f"some of {','.join(DTYPES)} (default: all)")
    parser.add_argument("--skip", type=names, default=[], metavar="PEERS",
                        help="peers that may fail without this failing")
    parser.add_argument("--cores", type=lambda text: [int(n) for n in names(text)], default=[1, 2],
                        help="numbers of cores (default: 1,2)")
    parser.add_argument("--dtype", type=names, default=["f32", "bf16", "int8"],
                        help="some of f32,bf16,int8 (default: all that a peer has)")
    parser.add_argument("--runs", type=int, default=3, help="the best of so many (default: 3)")
    parser.add_argument("--venv", default=os.path.join(SOURCE, "build", "peers"), metavar="FOLDER",
                        help="where the peers are installed (default: %(default)s)")
    parser.add_argument("--under", default="", metavar="COMMAND",
                        help="command that measured processes run under, such as 'chrt -f 50'")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--tables", nargs="+", metavar="JSON",
                        help="only print the tables of what --json printed earlier")
    args = parser.parse_args()
    unknown = (set(args.peers) | set(args.skip)) - set(DTYPES)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    if args.tables:
        return args
    if not args.model:
        parser.error("--model is missing")
    for name in ("model", "mimi", "recording", "venv"):
        path = os.path.abspath(getattr(args, name))
        if name != "venv" and not os.path.exists(path):
            parser.error(f"--{name}: there is no {path}")
        setattr(args, name, path)
    return args


def main():
    args = parse()
    if args.tables:
        results = []
        for path in args.tables:
            with open(path, encoding="utf-8") as file:
                results += json.load(file)
    else:
        results = list(compare(args))
    print(json.dumps(results, indent=1) if args.json else NOTES + "\n" + "\n".join(tables(results)))
    failed = [result for result in results if result["peer"] not in args.skip and
              ("failure" in result or wrong_codes(result))]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
