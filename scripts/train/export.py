#!/usr/bin/env python3
"""Writes the averaged weights of a training state as config.json and model.safetensors (bf16).

    export.py STATE.pt OUT
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file


def export(weights, config, out):
    """Codebooks are written normalised: usage 1, sums equal to the entries."""
    tensors = {}
    for name, value in weights.items():
        if name.endswith("cluster_usage"):
            value = torch.ones_like(value)
        elif name.endswith("embed_sum"):
            usage = weights[name.replace("embed_sum", "cluster_usage")]
            value = value / usage.clamp(min=1e-5)[:, None]
        tensors[name] = value.to("cpu", torch.bfloat16).contiguous()
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    partial = out / "model.safetensors.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.rename(out / "model.safetensors")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("state")
    p.add_argument("out")
    args = p.parse_args()
    state = torch.load(args.state, map_location="cpu", weights_only=True, mmap=True)
    export(state["average"], state["config"], args.out)
    print(f"step {state['step']}, phase {state['phase']} -> {args.out}")


if __name__ == "__main__":
    main()
