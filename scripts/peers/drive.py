#!/usr/bin/env python3
"""Runs and times one peer in this process alone, and prints what it took as JSON.

Decodes the codes it is given (the graphs: latents), so that all decode the same. OUT gets codes.npy
(the graphs: latents.npy) and audio.npy. Times are of calls alone, after one that warms up: no start,
load or sound file is in them. --stream goes frame by frame.
"""
import argparse
import contextlib
import json
import os
import resource
import time
from importlib.metadata import version

import numpy as np
from prepare import FRAME_SAMPLES, read_frames


class Torch:
    """What the two PyTorch implementations share."""

    def __init__(self, args):
        import torch

        torch.set_grad_enabled(False)
        torch.set_num_threads(args.cores)
        self.torch = torch
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.dtype]

    def audio(self, samples):
        return self.torch.from_numpy(samples)[None, None].to(self.dtype)

    def codes(self, codes):
        return self.torch.from_numpy(codes.astype(np.int64))[None]

    @staticmethod
    def numpy(tensor):
        return tensor[0].float().numpy() if tensor.is_floating_point() else tensor[0].numpy()


class Moshi(Torch):
    def __init__(self, args):
        super().__init__(args)
        from moshi.models import loaders

        self.model = loaders.get_mimi(args.model, device="cpu").to(self.dtype).eval()
        self.model.set_num_codebooks(args.levels)
        self.stream = lambda: self.model.streaming(1)

    def encode(self, samples):
        return self.model.encode(self.audio(samples))

    def decode(self, codes):
        return self.model.decode(self.codes(codes))

    encode_frame, decode_frame = encode, decode


class Transformers(Torch):
    def __init__(self, args):
        super().__init__(args)
        from transformers import MimiModel

        self.model = MimiModel.from_pretrained(args.model, dtype=self.dtype).eval()
        self.levels = args.levels

    def encode(self, samples):
        return self.model.encode(self.audio(samples), num_quantizers=self.levels).audio_codes

    def decode(self, codes):
        return self.model.decode(self.codes(codes)).audio_values


class Rustymimi:
    def __init__(self, args):
        import rustymimi

        self.model = rustymimi.Tokenizer(args.model, num_codebooks=args.levels)

    @contextlib.contextmanager
    def stream(self):
        self.model.reset()
        yield

    def encode(self, samples):
        return self.model.encode(samples[None, None])

    def decode(self, codes):
        return self.model.decode(codes[None].astype(np.uint32))

    def encode_frame(self, samples):
        return self.model.encode_step(samples[None, None])

    def decode_frame(self, codes):
        return self.model.decode_step(codes[None].astype(np.uint32))

    @staticmethod
    def numpy(array):
        return np.asarray(array)[0]


class Graph:
    """An exported graph: latents stand where others have codes."""

    def encode(self, samples):
        return self.encoder(samples[None, None])

    def decode(self, latents):
        return self.decoder(latents)

    @staticmethod
    def numpy(array):
        return array[0]


class OnnxRuntime(Graph):
    def __init__(self, args):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.cores

        def load(name):
            session = onnxruntime.InferenceSession(os.path.join(args.model, name + ".onnx"), options,
                                                   ["CPUExecutionProvider"])
            return lambda x: session.run(None, {"input": x})[0]

        self.encoder, self.decoder = load("encoder"), load("decoder")


class OpenVino(Graph):
    def __init__(self, args):
        import openvino

        suffix = "-int8.xml" if args.dtype == "int8" else ".onnx"
        hint = "f32" if args.dtype == "f32" else "bf16"  # what int8 leaves in floating point
        settings = {"INFERENCE_NUM_THREADS": args.cores, "INFERENCE_PRECISION_HINT": hint}

        def load(name):
            path = os.path.join(args.model, name + suffix)
            graph = openvino.Core().compile_model(path, "CPU", settings)
            return lambda x: graph(x)[0]

        self.encoder, self.decoder = load("encoder"), load("decoder")


PEERS = {"moshi": Moshi, "transformers": Transformers, "rustymimi": Rustymimi,
         "onnxruntime": OnnxRuntime, "openvino": OpenVino}
PACKAGES = {"moshi": ("moshi", "torch"), "transformers": ("transformers", "torch"),
            "rustymimi": ("rustymimi",), "onnxruntime": ("onnxruntime",),
            "openvino": ("openvino",)}
WARM_UP_FRAMES = 25


def timed(call, *arguments):
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def whole(call, given, seconds, runs):
    """The best call's figures, and what the last one gave."""
    call(given)
    best = float("inf")
    for _ in range(runs):
        taken, result = timed(call, given)
        best = min(best, taken)
    return {"seconds": best, "times_real_time": seconds / best}, result


def frames(peer, call, pieces, runs):
    """The best run's figures, and what the last one gave, its frames joined."""
    best = None
    for _ in range(runs):
        with peer.stream():
            times, results = zip(*(timed(call, piece) for piece in pieces))
        median, p99 = np.percentile(times[WARM_UP_FRAMES:], (50, 99)) * 1e3
        if best is None or p99 < best["p99_ms"]:
            best = {"median_ms": median, "p99_ms": p99}
    return best, np.concatenate([peer.numpy(result) for result in results], -1)


def run(args):
    samples = read_frames(args.wav)
    codes = np.load(args.latents or args.codes)
    load_seconds, peer = timed(PEERS[args.peer], args)
    if args.stream:
        cut = lambda array, step: np.split(array, array.shape[-1] // step, -1)
        pieces = [np.ascontiguousarray(piece) for piece in cut(samples, FRAME_SAMPLES)]
        encode, encoded = frames(peer, peer.encode_frame, pieces, args.runs)
        pieces = [np.ascontiguousarray(piece) for piece in cut(codes, 1)]
        decode, decoded = frames(peer, peer.decode_frame, pieces, args.runs)
    else:
        seconds = len(samples) / 24000
        encode, encoded = whole(peer.encode, samples, seconds, args.runs)
        decode, decoded = whole(peer.decode, codes, seconds, args.runs)
        encoded, decoded = peer.numpy(encoded), peer.numpy(decoded)
    np.save(os.path.join(args.out, "latents.npy" if args.latents else "codes.npy"), encoded)
    np.save(os.path.join(args.out, "audio.npy"), np.ravel(decoded))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    name = " on ".join(f"{package} {version(package)}" for package in PACKAGES[args.peer])
    return {"name": name, "load_seconds": load_seconds, "peak_memory_mb": peak, "encode": encode,
            "decode": decode}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("model")
    for name in ("--wav", "--codes", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--latents")
    parser.add_argument("--dtype", default="f32")
    for name, default in (("--cores", 1), ("--runs", 3), ("--levels", 8)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--stream", action="store_true")
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()
