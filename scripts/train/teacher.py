#!/usr/bin/env python3
"""Trains the teacher of level 0: a small network that tells the phones of 24 kHz audio.

    teacher.py LABELS.json PCM OUT/teacher.safetensors

LABELS.json comes from phones.py; PCM is the folder of the decoded recordings.
"""
import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from data import SAMPLE_RATE, Batches
from losses import mel_bank
from model import HOP_SAMPLES

PHONES = ("SIL AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH"
          " UH UW V W Y Z ZH").split()
WINDOW, STRIDE = 512, 240  # samples
BANDS, TOP_HZ = 40, 7000  # recordings of 16 kHz end there
FLOOR = 1e-4
CHANNELS = 128
SLOT = 2 * STRIDE  # samples of an answer
LABEL_SECONDS = 0.01  # from one label to the next, the middle of the first at LABEL_MIDDLE
LABEL_MIDDLE = 0.0128
HALVES = 2  # of a frame, as one often holds two phones
HELD_OUT = 20  # every so-manieth clip judges


class Teacher(nn.Module):
    """Log-mel spectrum -> four convolutions -> logits of the phones every 20 ms."""

    def __init__(self):
        super().__init__()
        self.register_buffer("hann", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("bank", mel_bank(WINDOW, BANDS, "cpu", TOP_HZ), persistent=False)
        self.halve = nn.Conv1d(BANDS, CHANNELS, 5, stride=2)
        self.mix = nn.ModuleList([nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2 * d, dilation=d)
                                  for d in (1, 2)])
        self.tell = nn.Conv1d(CHANNELS, len(PHONES), 1)

    def spectrum(self, audio):
        power = torch.stft(audio.squeeze(1), WINDOW, STRIDE, window=self.hann,
                           return_complex=True).abs().square()[..., :-1]
        return 0.3 * torch.log(self.bank @ power + FLOOR) + 0.8

    def forward(self, audio):
        """audio [B x 1 x samples, a multiple of SLOT] -> logits [B x phones x slots]"""
        x = F.gelu(self.halve(F.pad(self.spectrum(audio), (1, 3))))
        for layer in self.mix:
            x = x + F.gelu(layer(x))
        return self.tell(x)

    @torch.no_grad()
    def targets(self, audio):
        """Mean posteriors of the halves of each frame [B x HALVES x phones x frames]."""
        slots = F.softmax(self(audio), 1)
        part = HOP_SAMPLES // HALVES // SLOT
        means = slots.unflatten(2, (-1, HALVES, part)).mean(4)  # [B x phones x frames x HALVES]
        return means.permute(0, 3, 1, 2)


def load_teacher(path, device):
    teacher = Teacher()
    teacher.load_state_dict(load_file(path))
    return teacher.to(device).eval().requires_grad_(False)


def cross_entropy(logits, targets):
    """logits [B x HALVES * phones x frames] against soft targets, in nats of a half."""
    each = F.log_softmax(logits.view_as(targets), 2)
    return -(each * targets).sum(2).mean()


def phones_in(clip, seconds):
    """The phone at each of these times from the clip's start; silence before and after it."""
    labels = np.zeros(int(clip["length"] / SAMPLE_RATE / LABEL_SECONDS) + 1, np.int64)
    for _, phones in clip["words"]:
        for phone, first, count in phones:
            labels[first:first + count] = PHONES.index(phone)
    index = np.rint((seconds - LABEL_MIDDLE) / LABEL_SECONDS).astype(int)
    return np.append(labels, 0)[index.clip(0, len(labels))]


class LabelledBatches(Batches):
    """Augmented segments of labelled clips and the phone in each slot."""

    def __init__(self, clips, folder, augment=True):
        sounds = {source: np.memmap(pathlib.Path(folder) / (source + ".s16"), np.int16, "c")
                  for source, _ in clips}
        super().__init__([sounds[source][clip["start"]:clip["start"] + clip["length"]]
                          for source, clip in clips], augment=augment)
        self.clips = [clip for _, clip in clips]

    def draw_labelled(self, items, samples):
        """Audio [items x 1 x samples] and labels [items x slots]."""
        audio, labels = [], []
        for _ in range(items):
            number, start, _, speed = place = self.place(samples)
            audio.append(self.segment(place, samples))
            middles = (np.arange(samples // SLOT) + 0.5) * SLOT * speed / 100
            labels.append(phones_in(self.clips[number], (start + middles) / SAMPLE_RATE))
        return torch.stack(audio)[:, None], torch.from_numpy(np.stack(labels))


@torch.no_grad()
def accuracy(teacher, batches, samples):
    """Share of slots told right: all, and those that are no silence."""
    audio, labels = batches.draw_labelled(256, samples)
    right = (teacher(audio).argmax(1) == labels).float()
    return right.mean().item(), right[labels > 0].mean().item()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("labels")
    p.add_argument("pcm")
    p.add_argument("out")
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--frames", type=int, default=16)
    p.add_argument("--rate", type=float, default=3e-3)
    args = p.parse_args()
    torch.manual_seed(0)
    labels = json.loads(pathlib.Path(args.labels).read_text())
    clips = [(source, clip) for source, clips in labels.items() for clip in clips]
    others = LabelledBatches(clips[::HELD_OUT], args.pcm, augment=False)
    del clips[::HELD_OUT]
    batches, samples = LabelledBatches(clips, args.pcm), args.frames * HOP_SAMPLES
    teacher = Teacher()
    optimiser = torch.optim.AdamW(teacher.parameters(), args.rate, weight_decay=0.01)
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / args.steps)
    for step in range(1, args.steps + 1):
        audio, phones = batches.draw_labelled(args.batch, samples)
        loss = F.cross_entropy(teacher(audio), phones)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
        if step % 250 == 0 or step == args.steps:
            every, spoken = accuracy(teacher, others, samples)
            print(f"step {step}: {loss.item():.3f} nats; of other clips {every:.3f} of slots "
                  f"right, {spoken:.3f} of the spoken ones", flush=True)
            save_file(teacher.state_dict(), args.out)


if __name__ == "__main__":
    main()
