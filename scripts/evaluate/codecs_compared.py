"""What is compared: each takes WAV files and gives the decoded sound and the bits that it took."""
import json
import os
import shutil
import subprocess

import numpy as np
import soundfile
from ogg import packet_bytes
from scipy.signal import resample_poly

RATE = 24000
CODEC2_RATE = 8000
CODEC2_DELAY = 160  # samples: where STOI is greatest


def read(path):
    return soundfile.read(path, dtype="float64", always_2d=True)[0].mean(axis=1)


def bits(path):
    return 8 * os.path.getsize(path)


class Mimi:
    name = "mimi"

    def __init__(self, program, levels):
        self.program, self.levels = program, levels
        self.setting = f"{levels} level{'s' * (levels > 1)}"

    def code(self, wavs):
        """Of each recording: the decoded sound, the bits of the codes and of the file."""
        tokens = self.program.run("encode", wavs, f"tokens-{self.levels}", "--levels",
                                  str(self.levels))
        decoded = self.program.run("decode", tokens, f"decoded-{self.levels}", "--format", "f32")
        for info, path in zip(self.program.info(tokens), decoded, strict=True):
            codes = info["frames"] * info["levels"] * info["code_bits"]
            yield read(path), codes, 8 * info["bytes"]


class Opus:
    """opus-tools: variable rate, tuned for speech, nothing in the file that need not be there."""
    name = "Opus"

    def __init__(self, folder, kilobits):
        self.folder, self.kilobits = folder, kilobits
        self.setting = f"{kilobits} kbit/s"

    @staticmethod
    def is_there():
        return bool(shutil.which("opusenc") and shutil.which("opusdec"))

    def code(self, wavs):
        packed, decoded = (os.path.join(self.folder, "opus" + end) for end in (".opus", ".wav"))
        for wav in wavs:
            subprocess.run(["opusenc", "--quiet", "--speech", "--padding", "0", "--bitrate",
                            str(self.kilobits), wav, packed], check=True)
            subprocess.run(["opusdec", "--quiet", "--float", "--rate", str(RATE), packed, decoded],
                           check=True)
            with open(packed, "rb") as file:
                codes = 8 * packet_bytes(file.read())
            yield read(decoded), codes, bits(packed)


class Codec2:
    """At 8 kHz, so that nothing is left above 4 kHz."""
    name = "Codec 2"

    def __init__(self, folder, bits_per_second):
        self.folder, self.mode = folder, str(bits_per_second)
        self.setting = f"{bits_per_second / 1000} kbit/s"

    @staticmethod
    def is_there():
        return bool(shutil.which("c2enc") and shutil.which("c2dec"))

    def code(self, wavs):
        raw, packed, decoded = (os.path.join(self.folder, "codec2" + end)
                                for end in (".in.raw", ".c2", ".out.raw"))
        for wav in wavs:
            narrow = resample_poly(read(wav), CODEC2_RATE, RATE)
            np.clip(np.round(narrow * 2**15), -2**15, 2**15 - 1).astype("<i2").tofile(raw)
            subprocess.run(["c2enc", self.mode, raw, packed], check=True, stderr=subprocess.DEVNULL)
            subprocess.run(["c2dec", self.mode, packed, decoded], check=True,
                           stderr=subprocess.DEVNULL)
            sound = np.fromfile(decoded, "<i2")[CODEC2_DELAY:] / 2**15
            yield resample_poly(sound, RATE, CODEC2_RATE), bits(packed), bits(packed)
