"""Recordings as raw 24 kHz mono 16-bit files, and random augmented batches of them."""
import functools
import math
import pathlib

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from scipy.signal import resample_poly

from model import HOP_SAMPLES

SAMPLE_RATE = 24000
SOUND_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"}
QUIET_RMS = 0.004
QUIET_STEP = 8  # every so-manieth sample is looked at
LONGEST_DECAY = 0.5  # seconds
STRETCH_FRAMES = 400
SINC_LOBES = 16  # on either side, of the filter that changes speed


def read_mono(path, rate=SAMPLE_RATE):
    """Returns the recording as float32 mono at `rate`."""
    audio, native = soundfile.read(path, dtype="float32", always_2d=True)
    audio = audio.mean(1)
    if native != rate:
        divisor = math.gcd(native, rate)
        audio = resample_poly(audio, rate // divisor, native // divisor).astype(np.float32)
    return audio


def decode_folder(recordings, cache, holdout=()):
    """Decodes every recording once into `cache` and returns them as int16 memory maps.

    Files whose stem is in `holdout` are left out.
    """
    cache = pathlib.Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    sources = []
    for path in sorted(pathlib.Path(recordings).rglob("*")):
        if path.suffix.lower() not in SOUND_SUFFIXES or path.stem in holdout:
            continue
        raw = cache / (path.stem + ".s16")
        if not raw.exists():
            pcm = (read_mono(path).clip(-1, 1) * 32767).astype(np.int16)
            partial = raw.with_suffix(".partial")
            pcm.tofile(partial)
            partial.rename(raw)
        sources.append(np.memmap(raw, np.int16, "c"))
    if not sources:
        raise SystemExit(f"{recordings}: no recordings found (looked for {sorted(SOUND_SUFFIXES)})")
    return sources


@functools.cache
def speed_filters(percent, device):
    """100 filters [taps x 100]: outputs 100 n + i of a sound read at `percent` of its speed lie at
    inputs percent n + i percent / 100; with them, how many taps lie before the first input."""
    cut = min(1.0, 100 / percent)
    reach = math.ceil(SINC_LOBES / cut)
    taps = torch.arange(-reach, percent + reach + 1, device=device)[:, None]
    time = cut * (taps - torch.arange(100, device=device) * percent / 100)
    window = (time.clamp(-SINC_LOBES, SINC_LOBES) * (math.pi / 2 / SINC_LOBES)).cos() ** 2
    return cut * torch.sinc(time) * window, reach


def at_speed(audio, percent, samples):
    """The first samples of audio [inputs] read at `percent` of its speed."""
    filters, reach = speed_filters(percent, audio.device)
    blocks = -(-samples // 100)
    needed = (blocks - 1) * percent + len(filters)
    padded = F.pad(audio, (reach, max(0, needed - reach - len(audio))))[:needed]
    return (padded.unfold(0, len(filters), percent) @ filters).flatten()[:samples]


def random_noise(samples, generator):
    return torch.randn(samples, generator=generator, device=generator.device)


def reverberate(audio, rng, generator):
    """A synthetic room: exponentially decaying noise after the direct sound."""
    decay_seconds = rng.uniform(0.1, LONGEST_DECAY)
    time = torch.arange(int(LONGEST_DECAY * SAMPLE_RATE), device=audio.device) / SAMPLE_RATE
    tail = random_noise(len(time), generator) * 10 ** (-3 * time / decay_seconds)
    tail *= rng.uniform(0.1, 0.6) / tail.norm()
    tail[0] = 1.0
    size = len(audio) + len(tail)  # the same for all rooms: plans for many sizes take long to make
    return torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(tail, size),
                           size)[: len(audio)]


def add_noise(audio, rng, generator):
    """Noise of a random spectral slope, 15 to 40 dB below the speech."""
    spectrum = torch.fft.rfft(random_noise(len(audio), generator))
    bins = torch.arange(len(spectrum), device=audio.device)
    noise = torch.fft.irfft(spectrum * (bins + 10.0) ** -rng.uniform(0, 1), len(audio))
    return audio + noise * (10 ** (-rng.uniform(15, 40) / 20) * audio.norm() / noise.norm())


class Batches:
    """Random segments: longer sources are drawn more often, silence rarely.

    What is chosen is chosen on the host; the recordings lie and are worked on where `device` says.
    """

    def __init__(self, sources, device="cpu", augment=True):
        self.sources, self.augment = sources, augment
        self.sounds = [torch.from_numpy(source).to(device) for source in sources]
        self.generator = torch.Generator(device)
        self.seed(0)
        weight = np.array([len(source) for source in sources], float) ** 0.7
        self.weight = weight / weight.sum()

    def seed(self, seed):
        self.rng = np.random.default_rng(seed)
        self.generator.manual_seed(seed)

    def _anywhere(self, samples):
        """Source, start, inputs, speed in percent: 85 to 115 half of the time."""
        speed = int(self.rng.integers(85, 116)) if self.augment and self.rng.random() < 0.5 else 100
        number = self.rng.choice(len(self.sources), p=self.weight)
        inputs = samples * speed // 100 + 8
        start = int(self.rng.integers(0, max(1, len(self.sources[number]) - inputs + 1)))
        return number, start, inputs, speed

    def _is_quiet(self, place):
        number, start, inputs, _ = place
        some = self.sources[number][start:start + inputs:QUIET_STEP].astype(np.float32) / 32768
        return np.sqrt((some ** 2).mean()) < QUIET_RMS

    def place(self, samples):
        place = self._anywhere(samples)
        while self._is_quiet(place) and self.rng.random() < 0.95:
            place = self._anywhere(samples)
        return place

    def segment(self, place, samples):
        """The augmented sound at a place, float [samples], peaks at most 1."""
        number, start, inputs, speed = place
        audio = self.sounds[number][start:start + inputs].float() / 32768
        audio = F.pad(audio, (0, inputs - len(audio)))  # a recording shorter than the segment
        audio = audio[:samples] if speed == 100 else at_speed(audio, speed, samples)
        if self.augment:
            if self.rng.random() < 0.1:
                audio = reverberate(audio, self.rng, self.generator)
            if self.rng.random() < 0.1:
                audio = add_noise(audio, self.rng, self.generator)
            audio = audio * 10 ** (self.rng.uniform(-10, 6) / 20)
        return audio / audio.abs().max().clamp(min=1.0)

    def draw(self, items, samples):
        """Returns float32 [items x 1 x samples]."""
        return torch.stack([self.segment(self.place(samples), samples)
                            for _ in range(items)])[:, None]


class Stretches:
    """Half minutes of augmented sound with their codes, made once: where the encoder does not
    change, it takes no more of a step.  Segments begin at frames of 80 ms and have, as in use, what
    the encoder remembers of the sound before them."""

    def __init__(self, batches, count, encode):
        """encode: audio [1 x 1 x samples] -> codes [1 x levels x frames]."""
        self.rng, self.device = batches.rng, batches.generator.device
        self.sounds, self.codes = [], []
        for _ in range(count):
            audio = batches.draw(1, STRETCH_FRAMES * HOP_SAMPLES)
            self.codes.append(encode(audio)[0].short())
            self.sounds.append((audio[0, 0] * 32767).round().short())

    def draw(self, audio, codes):
        """Fills audio [B x 1 x samples] and codes [B x levels x frames] with segments."""
        frames = codes.shape[2]
        for item in range(len(codes)):
            number = self.rng.integers(len(self.sounds))
            start = int(self.rng.integers(STRETCH_FRAMES - frames + 1))
            samples = slice(start * HOP_SAMPLES, (start + frames) * HOP_SAMPLES)
            audio[item, 0] = self.sounds[number][samples].float() / 32767
            codes[item] = self.codes[number][:, start:start + frames]
