#!/usr/bin/env python3
"""What the peers are run on, made inside their virtual environment. PARTS of it:

    recording IN OUT.wav SECONDS    IN (24 kHz, mono), repeated or cut to that length, 16 bits
    kyutai MODEL OUT.safetensors    the checkpoint under Kyutai's names
    latents MODEL CODES.npy OUT.npy     what the codes stand for, the graphs' decoder's input
    graphs MODEL FOLDER FRAMES      encoder.onnx and decoder.onnx, for that many frames
    int8 FOLDER WAV LATENTS.npy     the graphs again, quantized by NNCF on these

The graphs leave the quantizer out: their encoder ends, and their decoder begins, at the latents.
"""
import os
import sys

import numpy as np

FRAME_SAMPLES = 1920
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read_frames(path):
    """The whole frames of a 24 kHz mono sound file: float32 [samples]."""
    import soundfile

    audio, rate = soundfile.read(path, dtype="float32")
    if rate != 24000 or audio.ndim != 1:
        sys.exit(f"{path}: has {rate} Hz and {audio.ndim} channels, expected 24000 and 1")
    return audio[: len(audio) // FRAME_SAMPLES * FRAME_SAMPLES]


def recording(source, path, seconds):
    import soundfile

    samples = float(seconds) * 24000
    audio = np.resize(read_frames(source), int(samples))
    soundfile.write(path, audio, 24000, subtype="PCM_16")


def kyutai(model, path):
    import json

    from safetensors.numpy import load_file

    sys.path.insert(0, os.path.join(SOURCE, "tests", "reference"))
    from make_checkpoint import to_kyutai, write_safetensors

    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        heads = json.load(file)["num_attention_heads"]
    write_safetensors(path, to_kyutai(load_file(os.path.join(model, "model.safetensors")), heads))


def load_transformers(model):
    import torch
    from transformers import MimiModel

    torch.set_grad_enabled(False)
    return MimiModel.from_pretrained(model, dtype=torch.float32).eval()


def latents(model, codes_path, path):
    import torch

    codes = np.load(codes_path).astype(np.int64)
    values = load_transformers(model).quantizer.decode(torch.from_numpy(codes)[None])
    np.save(path, values.numpy())


def fix_padding(mimi):
    """Makes constants of what transformers keeps as tensors and torch.export cannot follow."""
    for module in mimi.modules():
        if type(module).__name__ == "MimiConv1d":
            padding = int(module.padding_total)
            del module.padding_total
            module.padding_total = padding
            module._get_extra_padding_for_conv1d = lambda _: 0  # whole frames need none


def graphs(model, folder, frames):
    import torch

    mimi = load_transformers(model)
    fix_padding(mimi)

    class Encoder(torch.nn.Module):
        def forward(self, audio):
            return mimi.encoder(audio).latents

    class Decoder(torch.nn.Module):
        def forward(self, latents):
            return mimi.decoder(latents, use_cache=False).audio_values

    audio = torch.zeros(1, 1, int(frames) * FRAME_SAMPLES)
    values = torch.zeros(1, mimi.config.hidden_size, int(frames))
    for name, module, example in (("encoder", Encoder(), audio), ("decoder", Decoder(), values)):
        module.mimi = mimi  # so that the exporter finds the weights
        torch.onnx.export(module.eval(), (example,), os.path.join(folder, name + ".onnx"),
                          input_names=["input"], output_names=["output"], dynamo=True)


def int8(folder, wav, latents_path):
    import nncf
    import openvino

    frames = np.load(latents_path)
    audio = read_frames(wav)[: frames.shape[-1] * FRAME_SAMPLES][None, None]
    for name, example in (("encoder", audio), ("decoder", frames)):
        model = openvino.Core().read_model(os.path.join(folder, name + ".onnx"))
        model = nncf.quantize(model, nncf.Dataset([example]), subset_size=1)
        openvino.save_model(model, os.path.join(folder, name + "-int8.xml"))


if __name__ == "__main__":
    {part.__name__: part for part in (recording, kyutai, latents, graphs, int8)}[sys.argv[1]](
        *sys.argv[2:])
