"""What the tests of the command line share: running it as a user does, and making WAV files."""
import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

import numpy as np

MIMI = os.environ["MIMI_BIN"]
SOURCE = os.environ["MIMI_SOURCE_DIR"]
TINY = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")
SAMPLES = os.path.join(SOURCE, "samples")
FLAC = os.path.join(SAMPLES, "kathleen_01.flac")
FLAC_SAMPLES = 79115
RATE = 24000
FRAME = 1920
SOX_SIZE = 0x7FFFF000  # of samples in a WAV whose end is not known yet

# Root may read anything, unless it is not allowed to.
UNPRIVILEGED = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

FORMATS = {  # encoding -> format tag, bits, scale of a float
    "u8": (1, 8, 128), "s16": (1, 16, 1 << 15), "s24": (1, 24, 1 << 23), "s32": (1, 32, 1 << 31),
    "f32": (3, 32, 1), "f64": (3, 64, 1)}


def noise(samples, seed=1):
    """White noise that every integer format of 8 bits and more holds exactly, so quiet that what is
    decoded stays within full scale."""
    return np.random.default_rng(seed).integers(-15, 15, samples) / 128


def pcm(values, encoding):
    values = np.asarray(values, dtype=np.float64)
    scaled = values * FORMATS[encoding][2]
    if encoding == "u8":
        return (scaled + 128).astype("u1").tobytes()
    if encoding == "s24":
        return scaled.astype("<i4").reshape(-1, 1).view("u1")[:, :3].tobytes()
    return scaled.astype({"s16": "<i2", "s32": "<i4", "f32": "<f4", "f64": "<f8"}[encoding]).tobytes()


def wav(values, rate=RATE, encoding="s16", extensible=False, riff_size=None, data_size=None,
        before=b""):
    """The bytes of a WAV file; `values` is [samples] or [samples, channels]."""
    values = np.asarray(values)
    channels = 1 if values.ndim == 1 else values.shape[1]
    tag, bits, _ = FORMATS[encoding]
    data = pcm(values.reshape(-1), encoding)
    layout = struct.pack("<HIIHH", channels, rate, rate * channels * bits // 8,
                         channels * bits // 8, bits)
    if extensible:
        guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        form = struct.pack("<H", 0xFFFE) + layout + struct.pack("<HHI", 22, bits, 0) + guid
    else:
        form = struct.pack("<H", tag) + layout
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def read_wav(data):
    """Rate and [samples, channels] of a WAV that mimi wrote, whose sizes must be right or unknown."""
    assert data[:4] == b"RIFF" and data[8:16] == b"WAVEfmt ", data[:16]
    tag, channels, rate, _, block, bits = struct.unpack("<HHIIHH", data[20:36])
    start = data.index(b"data") + 8
    size = struct.unpack("<I", data[start - 4:start])[0]
    if size == 0xFFFFFFFF:
        assert data[4:8] == b"\xff" * 4
        size = len(data) - start
    else:
        assert len(data) == start + size + size % 2 == struct.unpack("<I", data[4:8])[0] + 8
    raw = np.frombuffer(data[start:start + size], "u1")
    assert size % block == 0 and block == channels * bits // 8
    if bits == 24:
        wide = np.zeros((size // 3, 4), "u1")
        wide[:, 1:] = raw.reshape(-1, 3)
        values = wide.view("<i4")[:, 0] / 2.0**31
    elif bits == 16:
        values = raw.view("<i2") / 2.0**15
    else:
        assert tag == 3 and bits == 32
        values = raw.view("<f4")
    return rate, values.reshape(-1, channels)


class CliTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="mimi-test-")
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def put(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return name

    def get(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def files(self):
        return sorted(os.listdir(self.dir))

    def start(self, *args, **options):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "cwd": self.dir, **options}
        process = subprocess.Popen([MIMI, *args], **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            try:
                if stream:
                    stream.close()
            except BrokenPipeError:
                pass

    def mimi(self, *args, stdin=b"", code=0, out=b"", err="", env=None, under=(), **options):
        """Runs mimi and checks its exit code, stdout (None: any) and stderr (a pattern for the whole
        of it); `under` is a command that runs it. Returns stdout."""
        result = subprocess.run([*under, MIMI, *args], input=stdin, capture_output=True, cwd=self.dir,
                                env={**os.environ, **(env or {})}, **options)
        stderr = result.stderr.decode()
        told = f"mimi {' '.join(args)}\n{stderr}"
        self.assertEqual(result.returncode, code, told)
        self.assertIsNotNone(re.fullmatch(err, stderr), f"{told}expected {err}")
        if out is not None:
            self.assertEqual(result.stdout, out, told)
        return result.stdout

    def fails(self, *args, code=1, err, **options):
        """One line on stderr after "mimi: ", nothing on stdout."""
        self.mimi(*args, code=code, err=f"mimi: {err}\n", **options)

    def info(self, *names, **options):
        import json
        out = self.mimi("info", "--json", *names, out=None, **options)
        return [json.loads(line) for line in out.splitlines()]

    def codes(self, name):
        """What identifies the codes of a file, whatever blocks they are in."""
        info = self.info(name)[0]
        return info["codes_crc"], info["frames"], info["levels"], info["streams"]
