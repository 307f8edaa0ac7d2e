#!/usr/bin/env python3
"""What compare_peers.py runs for `mimi` itself works with the program as it is now."""
import json
import os
import subprocess
import sys
import unittest

from cli_support import MIMI, RATE, SOURCE, CliTest, noise, wav


class Peers(CliTest):
    def test_the_driver_of_mimi(self):
        self.put("short.wav", wav(noise(RATE)))
        self.put("long.wav", wav(noise(4 * RATE)))
        drive = [sys.executable, os.path.join(SOURCE, "scripts/peers/drive_mimi.py"), MIMI,
                 os.path.join(SOURCE, "model"), "--wav", self.path("short.wav"), "--long-wav",
                 self.path("long.wav"), "--extra", "3", "--out", self.dir, "--cores", "1",
                 "--runs", "1", "--levels", "8"]
        for dtype, kind, figure in (("f32", [], "times_real_time"), ("int8", ["--stream"], "p99_ms")):
            found = json.loads(subprocess.run([*drive, "--dtype", dtype, *kind], check=True,
                                              stdout=subprocess.PIPE).stdout)
            self.assertGreater(found["load_seconds"], 0)
            for direction in ("encode", "decode"):
                self.assertIn(figure, found[direction])


if __name__ == "__main__":
    unittest.main()
