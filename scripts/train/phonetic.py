#!/usr/bin/env python3
"""How much of speech's phones levels 0 and 1 of a model tell.

    phonetic.py MODEL LABELS.json PCM TEACHER.safetensors [--others nathalie ...]

LABELS.json comes from phones.py, TEACHER from teacher.py.  Two tables:

Phones: the phone of each half of a frame, silent ones apart, guessed from one level's token alone,
and from it and its two neighbours (naive Bayes; the tables are counted on four of five labelled
clips and asked about the fifth).  `--others` are recordings without labels, of speakers whom the model
has not heard: there the teacher's answers are the labels, and tables are counted on four fifths.

Words: the same word in two clips, its frames aligned in time by the teacher's posteriors (DTW):
the share of aligned frames whose tokens are equal; beside it two different words.
"""
import argparse
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file

from data import SAMPLE_RATE
from model import HOP_SAMPLES, Mimi
from quantizer import nearest
from teacher import HALVES, LABEL_SECONDS, PHONES, load_teacher, phones_in

FOLDS = 5
SMOOTHING = 0.4  # of a count, spread as the phones are
PAIRS = 3000
SHORTEST_WORD = 3  # frames
OTHERS_SECONDS = 8


def load_model(folder):
    folder = pathlib.Path(folder)
    model = Mimi(json.loads((folder / "config.json").read_text()))
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval()


def analyse(model, teacher, pcm):
    """Tokens of levels 0 and 1 [2 x frames] and posteriors [frames x HALVES x phones]."""
    audio = torch.from_numpy(pcm.astype(np.float32) / 32768)
    audio = audio[:len(audio) // HOP_SAMPLES * HOP_SAMPLES][None, None]
    latent = model.latent(audio)
    tokens = [nearest(half.input_proj(latent)[0].t(), half.layers[0].codebook.entries())
              for half in model.quantizer.halves()]
    return torch.stack(tokens).numpy(), teacher.targets(audio)[0].permute(2, 0, 1).numpy()


def labels_of(clip, frames):
    """The phone in the middle of each half [frames x HALVES]."""
    middles = (np.arange(frames * HALVES) + 0.5) * HOP_SAMPLES / HALVES / SAMPLE_RATE
    return phones_in(clip, middles).reshape(frames, HALVES)


class Tables:
    """Counts of (token, phone) for a token's place: before, at, after the frame."""

    def __init__(self, tokens, labels, count):
        prior = np.bincount(labels, minlength=len(PHONES)) + 1.0
        self.prior = np.log(prior / prior.sum())
        self.given = []
        for place in tokens:
            table = np.zeros((count, len(PHONES)))
            np.add.at(table, (place, labels), 1)
            table += SMOOTHING * len(PHONES) * np.exp(self.prior)
            self.given.append(np.log(table / table.sum(1, keepdims=True)) - self.prior)

    def guess(self, tokens, places):
        scores = np.tile(self.prior, (tokens.shape[1], 1))
        return sum((self.given[place][tokens[place]] for place in places), scores).argmax(1)


def places_of(tokens):
    """[frames] -> the tokens before, at and after each frame [3 x frames]."""
    padded = np.pad(tokens, 1, mode="edge")
    return np.stack([padded[:-2], padded[1:-1], padded[2:]])


def accuracies(clips, level, entries):
    """clips: (tokens [2 x frames], labels [frames x HALVES]); shares of the spoken halves told
    right by the likeliest phone alone, by the token, and by it and its neighbours.

    Of silence the tables know nothing: half of some sources, it would win where counts are few.
    """
    right, asked = np.zeros(3), 0
    for half in range(HALVES):
        parts = []
        for test in (False, True):
            chosen = [(places_of(tokens[level])[:, labels[:, half] > 0],
                       labels[:, half][labels[:, half] > 0])
                      for number, (tokens, labels) in enumerate(clips)
                      if (number % FOLDS == 0) == test]
            parts.append([np.concatenate(column, -1) for column in zip(*chosen)])
        (fit, known), (tokens, truth) = parts
        tables = Tables(fit, known, entries)
        for column, places in enumerate(((), (1,), (0, 1, 2))):
            right[column] += (tables.guess(tokens, places) == truth).sum()
        asked += len(truth)
    return right / asked


def aligned(one, other):
    """Pairs of frames along the cheapest path through distances of posteriors (DTW)."""
    one, other = (np.sqrt(p.reshape(len(p), -1)) for p in (one, other))
    cost = 1 - one @ other.T / HALVES
    total = np.full((len(one) + 1, len(other) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(one)):
        for j in range(len(other)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j, path = len(one), len(other), []
    while i and j:
        path.append((i - 1, j - 1))
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda at: total[at])
    return np.array(path).T


def words_of(clip, tokens, posteriors):
    """(word, tokens [2 x n], posteriors [n x ...]) of the clip's longer words."""
    found = []
    for word, phones in clip["words"]:
        first = phones[0][1] * LABEL_SECONDS * SAMPLE_RATE / HOP_SAMPLES
        last = (phones[-1][1] + phones[-1][2]) * LABEL_SECONDS * SAMPLE_RATE / HOP_SAMPLES
        part = slice(max(0, int(first + 0.5)), int(last + 0.5))
        if min(part.stop, len(posteriors)) - part.start >= SHORTEST_WORD:
            found.append((word, tokens[:, part], posteriors[part]))
    return found


def shared(pairs):
    """Share of aligned frames with equal tokens, levels 0 and 1."""
    equal, count = np.zeros(2), 0
    for (_, tokens, posteriors), (_, other_tokens, other_posteriors) in pairs:
        here, there = aligned(posteriors, other_posteriors)
        equal += (tokens[:, here] == other_tokens[:, there]).sum(1)
        count += len(here)
    return equal / count


def word_pairs(clips, rng):
    """Pairs of clips that say the same word, and as many of different words."""
    said = {}
    for number, words in enumerate(clips):
        for word in words:
            said.setdefault(word[0], {}).setdefault(number, word)
    often = [list(each.values()) for each in said.values() if len(each) >= 4]
    same, different = [], []
    for _ in range(PAIRS):
        word, other = (often[n] for n in rng.choice(len(often), 2, replace=False))
        a, b = rng.choice(len(word), 2, replace=False)
        same.append((word[a], word[b]))
        different.append((word[a], other[rng.integers(len(other))]))
    return same, different, len(often)


def shuffle(clips, rng):
    """Permutes the frames of all these [2 x frames] in place."""
    together = rng.permutation(np.concatenate(clips, 1), axis=1)
    start = 0
    for tokens in clips:
        tokens[:] = together[:, start:start + tokens.shape[1]]
        start += tokens.shape[1]


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("labels")
    p.add_argument("pcm")
    p.add_argument("teacher")
    p.add_argument("--sources", nargs="*", help="labelled sources to take, else all")
    p.add_argument("--others", nargs="*", default=[], help="unlabelled recordings (file stems)")
    p.add_argument("--shuffle", action="store_true",
                   help="permute all tokens in time: everything must fall to chance")
    args = p.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    model, teacher = load_model(args.model), load_teacher(args.teacher, "cpu")
    pcm = {path.stem: np.memmap(path, np.int16, "r")
           for path in pathlib.Path(args.pcm).glob("*.s16")}
    labelled = [(source, clip)
                for source, clips in json.loads(pathlib.Path(args.labels).read_text()).items()
                for clip in clips if not args.sources or source in args.sources]
    heard = [analyse(model, teacher, pcm[source][clip["start"]:clip["start"] + clip["length"]])
             for source, clip in labelled]
    if args.shuffle:
        shuffle([tokens for tokens, _ in heard], rng)
    sets = dict(labelled=[(tokens, labels_of(clip, tokens.shape[1]))
                          for (_, clip), (tokens, _) in zip(labelled, heard)])
    words = [words_of(clip, *both) for (_, clip), both in zip(labelled, heard)]
    for source in args.others:
        starts = range(0, len(pcm[source]) - HOP_SAMPLES, OTHERS_SECONDS * SAMPLE_RATE)
        sets[source] = [(tokens, posteriors.argmax(2)) for tokens, posteriors in (
            analyse(model, teacher, pcm[source][start:start + OTHERS_SECONDS * SAMPLE_RATE])
            for start in starts)]
        if args.shuffle:
            shuffle([tokens for tokens, _ in sets[source]], rng)
    entries = model.config["codebook_size"]
    print("| phones of | level | likeliest | token | with neighbours |\n|" + " --- |" * 5)
    for name, clips in sets.items():
        for level in (0, 1):
            shares = accuracies(clips, level, entries)
            print(f"| {name} | {level} | " + " | ".join(f"{x:.3f}" for x in shares) + " |")
    same, different, kinds = word_pairs(words, rng)
    print(f"\n| tokens shared ({kinds} words) | level 0 | level 1 |\n|" + " --- |" * 3)
    for name, pairs in (("same word", same), ("different words", different)):
        print(f"| {name} | " + " | ".join(f"{share:.4f}" for share in shared(pairs)) + " |")


if __name__ == "__main__":
    main()
