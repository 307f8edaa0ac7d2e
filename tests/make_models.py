#!/usr/bin/env python3
"""make_models.py OUT_DIR: make the models that the tests need, where they are not there yet.

A model stands under its final name only when it is whole, so that builds may share OUT_DIR.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

# As narrow as a model can be.
NARROW = {
    "hidden_size": 2, "num_attention_heads": 1, "upsample_groups": 2, "num_filters": 1, "compress": 1,
    "codebook_size": 2, "codebook_dim": 1, "vector_quantization_hidden_dimension": 1,
    "num_quantizers": 2, "num_hidden_layers": 1, "intermediate_size": 1, "sliding_window": 3,
}
MODELS = {
    "narrow-hf": NARROW,
    "tiny-hf": ["--config", "tiny"],
    "tiny-hf-bf16": ["--config", "tiny", "--dtype", "BF16"],
    "tiny-kyutai": ["--config", "tiny", "--layout", "kyutai"],
    "full-hf": ["--config", "full"],
    "full-kyutai": ["--config", "full", "--layout", "kyutai"],
}
MAKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference", "make_checkpoint.py")


def make(out_dir, name, options):
    final = os.path.join(out_dir, name)
    if os.path.exists(final):
        return
    partial = f"{final}.partial-{os.getpid()}"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        if isinstance(options, dict):
            json.dump(options, config)
            config.flush()
            options = ["--config", config.name]
        subprocess.run([sys.executable, MAKER, partial, "--seed", "1", *options], check=True)
    try:
        os.rename(partial, final)
    except OSError:
        if not os.path.exists(final):
            raise
        shutil.rmtree(partial)  # another build was faster


def main():
    out_dir = sys.argv[1]
    os.makedirs(out_dir, exist_ok=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda item: make(out_dir, *item), MODELS.items()))


if __name__ == "__main__":
    main()
