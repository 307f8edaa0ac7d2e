#!/usr/bin/env python3
"""PESQ-WB and STOI of a model at 1 2 4 8 16 32 levels, through transformers.

    quality.py MODEL RECORDING...
"""
import argparse

import numpy as np
import torch
from pesq import pesq
from pystoi import stoi
from transformers import MimiModel

from data import SAMPLE_RATE, read_mono, resample_poly
from model import HOP_SAMPLES

LEVELS = (1, 2, 4, 8, 16, 32)
METRIC_RATE = 16000


def to_metric_rate(audio):
    return resample_poly(audio, 2, 3)


def measure(model, audio):
    """Returns {levels: (PESQ-WB, STOI)} of one recording (float32 mono, 24 kHz)."""
    padded = np.pad(audio, (0, -len(audio) % HOP_SAMPLES))
    codes = model.encode(torch.from_numpy(padded)[None, None], num_quantizers=32).audio_codes
    reference, scores = to_metric_rate(audio), {}
    for levels in LEVELS:
        decoded = model.decode(codes[:, :levels]).audio_values[0, 0, : len(audio)].numpy()
        decoded = to_metric_rate(decoded)
        scores[levels] = (pesq(METRIC_RATE, reference, decoded, "wb"),
                          stoi(reference, decoded, METRIC_RATE))
    return scores


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("recordings", nargs="+")
    args = p.parse_args()
    torch.set_num_threads(1)
    model = MimiModel.from_pretrained(args.model, dtype=torch.float32).eval()
    scores = [measure(model, read_mono(path, SAMPLE_RATE)) for path in args.recordings]
    print("| levels | PESQ-WB | STOI |\n| --- | --- | --- |")
    for levels in LEVELS:
        quality, intelligible = np.mean([score[levels] for score in scores], 0)
        print(f"| {levels} | {quality:.3f} | {intelligible:.3f} |")


if __name__ == "__main__":
    main()
