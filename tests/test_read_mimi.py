"""scripts/read_mimi.py, which knows only core/FORMAT.md, against the library's writer."""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

SOURCE_DIR = pathlib.Path(os.environ["MIMI_SOURCE_DIR"])
BUILD_DIR = pathlib.Path(os.environ["MIMI_BUILD_DIR"])
SCRIPT = SOURCE_DIR / "scripts" / "read_mimi.py"


def load_script():
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("read_mimi", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


read_mimi = load_script()


class ReadMimiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        listing = subprocess.run([BUILD_DIR / "write_token_samples", cls.folder], check=True,
                                 capture_output=True, text=True).stdout
        cls.samples = [line.split() for line in listing.splitlines()]

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def sample(self, name):
        return (self.folder / f"{name}.mimi").read_bytes()

    def run_script(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)

    def test_codes_are_the_writer_s(self):
        self.assertGreater(len(self.samples), 40)
        for name, *shape in self.samples:
            with self.subTest(name):
                streams, levels, frames = map(int, shape)
                raw = np.fromfile(self.folder / f"{name}.codes", "<u2")
                expected = raw.reshape(frames, streams, levels).transpose(1, 2, 0)
                codes, lost_frames = read_mimi.read_mimi(self.sample(name))
                self.assertEqual(codes.dtype, np.uint16)
                np.testing.assert_array_equal(codes, expected[0] if streams == 1 else expected)
                self.assertEqual(lost_frames, 5 if name == "segmented" else 0)

    def test_every_cut_and_flipped_bit_is_an_error(self):
        for name in ("example", "segmented"):
            data = self.sample(name)
            for size in range(len(data)):
                with self.assertRaises(read_mimi.FormatError, msg=f"{name} cut at {size}"):
                    read_mimi.read_mimi(data[:size])
            for bit in range(8 * len(data)):
                damaged = bytearray(data)
                damaged[bit // 8] ^= 1 << bit % 8
                with self.assertRaises(read_mimi.FormatError, msg=f"{name}, bit {bit}"):
                    read_mimi.read_mimi(bytes(damaged))
            with self.assertRaises(read_mimi.FormatError):
                read_mimi.read_mimi(data + b"\0")

    def forged(self, name, kind, at, value):
        """The sample with one byte of a record's payload changed and its checksum made right."""
        data = bytearray(self.sample(name))
        for found, offset, payload in read_mimi.records(bytes(data)):
            if found == kind:
                end = offset + 6 + len(payload)
                data[offset + 6 + at] = value
                data[end : end + 4] = read_mimi.crc32c(data[offset:end]).to_bytes(4, "little")
                return bytes(data)
        self.fail(f"{name} has no record {kind!r}")

    def test_contradictions_are_errors(self):
        cases = [
            ("H", 0, 2, "file is of version 2"), ("H", 2, 1, "reserved"), ("H", 10, 0, "level"),
            ("H", 16, 12, "bits of a code is 12, expected 11"), ("H", 17, 3, "window rule"),
            ("H", 37, 0xFF, "not UTF-8"), ("H", 36, 6, "key is empty"),
            ("S", 0, 1, "number is 1, expected 0"), ("S", 4, 1, "first frame is 1"),
            ("S", 16, 1, "source rate"), ("S", 15, 1, "more lead-in"),
            ("B", 0, 1, "number is 1"), ("B", 4, 1, "first frame is 1"), ("B", 8, 1, "padding"),
            ("B", 10, 0, "frame count is 0"), ("B", 10, 126, "frame count is 126"),
            ("B", 11, 3, "level count"), ("B", 13, 2, "stream count"),
            ("B", 19, 0x80, "bits after the last code"),
            ("E", 0, 1, "segment is 1"), ("E", 4, 1, "frame count is 1"),
            ("E", 8, 1, "sample count"), ("E", 16, 1, "source sample count"),
            ("I", 4, 1, "belongs to other records"), ("T", 0, 1, "frame count is 1, expected 3"),
            ("T", 20, 0, "checksum of all codes"), ("T", 40, 0, "offset of the index is 0"),
            ("T", 48, 0, "offset of the second header is"),
        ]
        for kind, at, value, message in cases:
            with self.subTest(f"{kind} {at}"):
                with self.assertRaisesRegex(read_mimi.FormatError, message):
                    read_mimi.read_mimi(self.forged("example", kind, at, value))

    def test_the_checksum_is_the_published_one(self):
        self.assertEqual(read_mimi.crc32c(b"123456789"), 0xE3069283)

    def test_command_line(self):
        out = self.folder / "out"
        done = self.run_script(self.folder / "example.mimi", out)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(np.load(out).tolist(), [[1, 3, 1024], [2, 2047, 5]])

        out.unlink()
        short = self.folder / "short.mimi"
        short.write_bytes(self.sample("example")[:100])
        failed = self.run_script(short, out)
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertEqual(failed.stderr,
                         f"read_mimi: {short}: file ends within the record at byte 78\n")
        missing = self.run_script(self.folder / "none.mimi", out)
        self.assertEqual(missing.returncode, 1)
        self.assertEqual(missing.stderr.count("\n"), 1)
        self.assertFalse(out.exists())
        unwritable = self.run_script(self.folder / "example.mimi", self.folder / "none" / "out")
        self.assertEqual(unwritable.returncode, 1)
        self.assertEqual(unwritable.stderr,
                         f"read_mimi: {self.folder / 'none' / 'out'}: No such file or directory\n")

        lossy = self.run_script(self.folder / "segmented.mimi", out)
        self.assertEqual(lossy.returncode, 0)
        self.assertIn("5 lost frames are 65535", lossy.stderr)
        self.assertEqual(self.run_script("one").returncode, 2)


if __name__ == "__main__":
    unittest.main()
