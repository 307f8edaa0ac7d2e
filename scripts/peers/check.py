#!/usr/bin/env python3
"""Compares what a peer left in FOLDER with mimi's codes and mimi's audio; prints JSON.

    check.py MODEL FOLDER CODES.npy AUDIO.f32

Latents in the place of codes are quantized here, by transformers in f32.
"""
import json
import os
import sys

import numpy as np
from prepare import load_transformers


def codes_of(model, folder, levels):
    latents = os.path.join(folder, "latents.npy")
    if not os.path.exists(latents):
        return np.load(os.path.join(folder, "codes.npy"))
    import torch

    codes = load_transformers(model).quantizer.encode(torch.from_numpy(np.load(latents))[None],
                                                      levels)
    return codes[:, 0].numpy()


def main():
    model, folder, codes_path, audio_path = sys.argv[1:]
    expected = np.load(codes_path)
    found = codes_of(model, folder, expected.shape[0])
    if found.shape != expected.shape:
        sys.exit(f"{found.shape[0]} levels of {found.shape[1]} frames, expected {expected.shape[0]} "
                 f"of {expected.shape[1]}")
    audio = np.fromfile(audio_path, "<f4").astype(np.float64)
    error = np.load(os.path.join(folder, "audio.npy"))[: len(audio)] - audio
    snr_db = 10 * np.log10(np.sum(audio**2) / max(np.sum(error**2), 1e-300))
    print(json.dumps({"codes": found.size, "equal_codes": int(np.sum(found == expected)),
                      "snr_db": snr_db}))


if __name__ == "__main__":
    main()
