"""Recordings as raw 24 kHz mono 16-bit files, and random augmented batches of them."""
import math
import pathlib

import numpy as np
import soundfile
from scipy.signal import fftconvolve, resample_poly

SAMPLE_RATE = 24000
SOUND_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"}
QUIET_RMS = 0.004


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
        sources.append(np.memmap(raw, np.int16, "r"))
    if not sources:
        raise SystemExit(f"{recordings}: no recordings found (looked for {sorted(SOUND_SUFFIXES)})")
    return sources


def reverberate(audio, rng):
    """A synthetic room: exponentially decaying noise after the direct sound."""
    decay_seconds = rng.uniform(0.1, 0.5)
    time = np.arange(int(decay_seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay_seconds)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt((tail ** 2).sum())
    tail[0] = 1.0
    return fftconvolve(audio, tail)[: len(audio)]


def add_noise(audio, rng):
    """Noise of a random spectral slope, 15 to 40 dB below the speech."""
    spectrum = np.fft.rfft(rng.standard_normal(len(audio)))
    spectrum *= (np.arange(len(spectrum)) + 10.0) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, len(audio))
    ratio = 10 ** (-rng.uniform(15, 40) / 20)
    return audio + noise * ratio * np.sqrt((audio ** 2).mean() / (noise ** 2).mean())


class Batches:
    """Random segments: longer sources are drawn more often, silence rarely."""

    def __init__(self, sources, seed, augment=True):
        self.sources, self.augment = sources, augment
        self.rng = np.random.default_rng(seed)
        weight = np.array([len(source) for source in sources], float) ** 0.7
        self.weight = weight / weight.sum()
        self.last = None  # source, start and speed of the last segment

    def _speed(self, samples):
        """A segment read at 0.85 to 1.15 of its speed, half of the time."""
        speed = int(self.rng.integers(85, 116)) if self.augment and self.rng.random() < 0.5 else 100
        number = self.rng.choice(len(self.sources), p=self.weight)
        source = self.sources[number]
        length = samples * speed // 100 + 8
        start = int(self.rng.integers(0, max(1, len(source) - length + 1)))
        self.last = (number, start, speed / 100)
        audio = source[start:start + length].astype(np.float32) / 32768
        audio = np.pad(audio, (0, length - len(audio)))  # a recording shorter than the segment
        return (audio if speed == 100 else resample_poly(audio, 100, speed))[:samples]

    def _segment(self, samples):
        audio = self._speed(samples)
        while np.sqrt((audio ** 2).mean()) < QUIET_RMS and self.rng.random() < 0.95:
            audio = self._speed(samples)
        if self.augment:
            if self.rng.random() < 0.1:
                audio = reverberate(audio, self.rng)
            if self.rng.random() < 0.1:
                audio = add_noise(audio, self.rng)
            audio = audio * 10 ** (self.rng.uniform(-10, 6) / 20)
        return audio / max(1.0, np.abs(audio).max())

    def draw(self, items, samples):
        """Returns float32 [items x 1 x samples], peaks at most 1."""
        return np.stack([self._segment(samples) for _ in range(items)])[:, None].astype(np.float32)
