#!/usr/bin/env python3
"""A disk that fills up: nothing appears under its name unless it is whole, and where there is room
again the work goes on. The disk is a folder that a preloaded library keeps small; where MIMI_SOAK
is set, a tmpfs, for which this program moves to a mount namespace of its own."""
import os
import subprocess
import sys
import unittest

from cli_support import MIMI, TINY, CliTest, noise, wav

SMALL_DISK = os.path.join(os.environ["MIMI_BUILD_DIR"], "small_disk.so")
REAL = "MIMI_SOAK" in os.environ
PAGE = 4096  # of which a tmpfs gives each file whole ones
STEPS = 12  # from no room to enough
FULL = r"\Amimi: {}[^\n]*: cannot write: No space left on device\n\Z"


def whole_pages(size):
    return -(-size // PAGE) * PAGE


def enough_for(sizes):
    """Bytes for files of these sizes and for as much unfinished work."""
    if REAL:
        return 2 * sum(map(whole_pages, sizes)) + 10 * PAGE
    return 2 * sum(sizes) + 4000


class FullDisk(CliTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("disk"))
        if REAL:
            self.mount("defaults")
            self.addCleanup(subprocess.run, ["umount", self.path("disk")], check=True)

    def mount(self, options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path("disk")]
        subprocess.run(command, check=True)

    def run_with_room(self, room, *arguments):
        env = dict(os.environ)
        if REAL:
            # A size of 0 is no limit.
            self.mount(f"remount,size={max(whole_pages(room), PAGE)}")
        else:
            env |= {"LD_PRELOAD": SMALL_DISK, "MIMI_SMALL_DISK": f"{room}:{self.path('disk')}"}
        return subprocess.run([MIMI, "-q", *arguments], cwd=self.dir, env=env,
                              capture_output=True, timeout=120)

    def check_full(self, result, output, told):
        self.assertEqual(result.returncode, 1, told)
        self.assertRegex(result.stderr.decode(), FULL.format(output), told)

    def test_a_file_is_whole_or_not_there(self):
        self.put("in.wav", wav(noise(24000 * 200)))
        self.mimi("-q", "--model", TINY, "encode", "in.wav", "-o", "tokens.mimi")
        self.put("short.wav", wav(noise(24000 * 5)))
        self.mimi("-q", "--model", TINY, "encode", "short.wav", "-o", "short.mimi")
        for output, *arguments in (
                ("a.mimi", "encode", "--model", TINY, "in.wav"),
                ("a.wav", "decode", "--model", TINY, "short.mimi"),
                ("a.flac", "decode", "--model", TINY, "short.mimi"), ("a.npy", "convert", "tokens.mimi")):
            placed = f"disk/{output}"
            self.mimi("-q", *arguments, "-o", output)
            expected = self.get(output)
            for step in range(STEPS):
                room = len(expected) * step // STEPS
                if REAL and whole_pages(room) >= len(expected):
                    break
                told = (output, room)
                result = self.run_with_room(room, *arguments, "-o", placed)
                self.check_full(result, placed, told)
                self.assertEqual(os.listdir(self.path("disk")), [], told)
            self.assertGreater(step, 2, output)
            result = self.run_with_room(whole_pages(len(expected)), *arguments, "-o", placed)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.get(placed), expected)
            os.remove(self.path(placed))

    def dataset(self, folder):
        """What lies in its place: path -> bytes. Unfinished work and what says so are left out."""
        found = {}
        for path, _, names in os.walk(self.path(folder)):
            for name in names:
                place = os.path.relpath(os.path.join(path, name), self.path(folder))
                if not place.startswith(".work/") and place != "dataset.json":
                    found[place] = self.get(os.path.join(folder, place))
        return found

    def test_tokenize_goes_on_when_there_is_room(self):
        os.mkdir(self.path("in"))
        for i in range(10):
            self.put(f"in/r{i}.wav", wav(noise(24000 * (1 + i), seed=i)))
        for form in ("mimi", "npy", "wds", "safetensors", "parquet"):
            options = ("--as", form, "--shard-size", "4")
            self.mimi("-q", "--model", TINY, "tokenize", "in", "--out", form, *options)
            expected = self.dataset(form)
            enough = enough_for(map(len, expected.values()))
            full = 0
            for step in range(STEPS + 1):
                result = self.run_with_room(enough * step // STEPS, "--model", TINY, "tokenize",
                                            "in", "--out", f"disk/{form}", *options)
                told = (form, step, result.stderr)
                left = self.dataset(f"disk/{form}")
                self.assertLessEqual(left.items(), expected.items(), told)
                if result.returncode == 0:
                    break
                full += 1
                self.check_full(result, f"disk/{form}/", told)
            self.assertEqual(left, expected)
            self.assertGreater(full, 0 if REAL else 2, form)
            subprocess.run(["rm", "-r", self.path(f"disk/{form}")], check=True)


if __name__ == "__main__":
    if REAL and "MIMI_OWN_MOUNTS" not in os.environ:
        os.environ["MIMI_OWN_MOUNTS"] = "1"
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *as_root, "--mount", sys.executable, *sys.argv])
    unittest.main()
