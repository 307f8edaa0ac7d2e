#!/usr/bin/env python3
"""Pipes, devices, terminals and signals: what comes when, and what is left behind."""
import fcntl
import os
import pty
import resource
import signal
import subprocess
import unittest

import numpy as np

from cli_support import FLAC, FRAME, MIMI, RATE, CliTest, noise, pcm, read_wav, wav

LEAD = 2000  # samples that the best resampler may hold back, generously


def read_some(stream):
    """What is there, at least a byte; b"" at the end."""
    return os.read(stream.fileno(), 1 << 16)


class Pipes(CliTest):
    def test_encode_and_decode_in_a_pipeline(self):
        sound = wav(noise(30000))
        self.put("a.wav", sound)
        self.mimi("roundtrip", "-q", "a.wav", "expected.wav")
        command = 'cat a.wav | "$0" encode - | "$0" decode - | cat > out.wav'
        subprocess.run(["sh", "-ec", command, MIMI], cwd=self.dir, check=True)
        self.assertTrue(np.array_equal(read_wav(self.get("out.wav"))[1],
                                       read_wav(self.get("expected.wav"))[1]))
        expected = pcm(read_wav(self.get("expected.wav"))[1].reshape(-1), "s16")
        command = 'tail -c +45 a.wav | "$0" encode --raw s16 - | "$0" decode --raw s16 - > out.raw'
        subprocess.run(["sh", "-ec", command, MIMI], cwd=self.dir, check=True)
        self.assertEqual(self.get("out.raw"), expected)

    def frame_by_frame(self, encode, decode, rate, first):
        """Feeds one frame at a time and waits for what it becomes before the next is sent."""
        encoder, decoder = self.start(*encode), self.start(*decode)
        sound = np.append(noise(6 * FRAME * rate // RATE), np.zeros(LEAD))
        encoder.stdin.write(first)
        encoder.stdin.flush()
        header = read_some(encoder.stdout)
        self.assertTrue(header)
        decoder.stdin.write(header)
        frame = FRAME * rate // RATE
        decoded = b""
        for i in range(6):
            begin = 0 if i == 0 else i * frame + LEAD
            encoder.stdin.write(pcm(sound[begin:(i + 1) * frame + LEAD], "s16"))
            encoder.stdin.flush()
            decoder.stdin.write(read_some(encoder.stdout))
            decoder.stdin.flush()
            wanted = (i + 1) * 2 * (frame - LEAD if rate != RATE else frame)
            while len(decoded) < wanted:
                got = read_some(decoder.stdout)
                self.assertTrue(got)
                decoded += got
        encoder.stdin.close()
        decoder.stdin.write(encoder.stdout.read())
        decoder.stdin.close()
        decoded += decoder.stdout.read()
        for process in (encoder, decoder):
            self.assertEqual((process.wait(), process.stderr.read()), (0, b""))
        return decoded

    def test_each_frame_comes_at_once(self):
        stream_header = wav([], data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF)
        length = 2 * (6 * FRAME + LEAD)
        raw = self.frame_by_frame(["encode", "--raw", "s16", "-"], ["decode", "--raw", "s16", "-"],
                                  RATE, b"")
        self.assertEqual(len(raw), length)
        out = self.frame_by_frame(["encode", "-"], ["decode", "-"], RATE, stream_header)
        self.assertEqual(out[44:], raw)

    def test_each_frame_comes_at_once_resampled(self):
        raw = self.frame_by_frame(["encode", "--raw", "s16", "--rate", "48000", "-"],
                                  ["decode", "--raw", "s16", "--rate", "48000", "-"], 48000, b"")
        self.assertEqual(len(raw), 2 * (12 * FRAME + LEAD))

    def test_fifo(self):
        os.mkfifo(self.path("fifo"))
        self.put("a.wav", wav(noise(5000)))
        encoder = self.start("encode", "a.wav", "-o", "fifo", stdin=subprocess.DEVNULL)
        with open(self.path("fifo"), "rb") as fifo:
            tokens = fifo.read()
        self.assertEqual((encoder.wait(), encoder.stderr.read()), (0, b""))
        self.put("a.mimi", tokens)
        self.mimi("decode", "a.mimi", "-o", "expected.flac")
        decoder = self.start("decode", "a.mimi", "-o", "fifo.flac", stdin=subprocess.DEVNULL)
        self.assertEqual(decoder.wait(), 0)
        os.rename(self.path("fifo"), self.path("pipe.flac"))
        decoder = self.start("decode", "a.mimi", "-o", "pipe.flac", stdin=subprocess.DEVNULL)
        with open(self.path("pipe.flac"), "rb") as fifo:
            self.assertEqual(fifo.read(), self.get("expected.flac"))
        self.assertEqual((decoder.wait(), decoder.stderr.read()), (0, b""))

    def test_decode_from_a_fifo(self):
        """Whose writer may be gone by the time that it is read, so that it must be opened once."""
        self.put("a.wav", wav(noise(5000)))
        self.mimi("encode", "a.wav")
        self.mimi("decode", "a.mimi", "-o", "expected.wav")
        os.mkfifo(self.path("fifo"))
        decoder = self.start("decode", "fifo", "-o", "b.wav", stdin=subprocess.DEVNULL)
        with open(self.path("fifo"), "wb") as fifo:
            fifo.write(self.get("a.mimi"))
        self.assertEqual((decoder.wait(timeout=60), decoder.stderr.read()), (0, b""))
        self.assertEqual(self.get("b.wav"), self.get("expected.wav"))
        self.fails("cat", "fifo", "a.mimi", "-o", "c.mimi", code=2,
                   err="fifo: cannot be joined: files are read twice")

    def test_closed_pipe_ends_quietly(self):
        encoder = self.start("encode", "--raw", "s16", "-")
        encoder.stdout.close()
        with self.assertRaises(BrokenPipeError):
            while True:
                encoder.stdin.write(pcm(noise(FRAME), "s16"))
                encoder.stdin.flush()
        self.assertEqual((encoder.wait(), encoder.stderr.read()), (-signal.SIGPIPE, b""))

    def test_closed_standard_streams(self):
        self.mimi("encode", FLAC, "-o", "a.mimi")
        for command, err in (('"$0" info a.mimi >&-', "output: cannot write"),
                             ('"$0" decode a.mimi -o - >&-', "output: cannot write"),
                             ('"$0" info - <&-', "input: cannot read")):
            result = subprocess.run(["sh", "-c", command, MIMI], cwd=self.dir, capture_output=True)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stderr.decode(),
                             f"mimi: standard {err}: Bad file descriptor\n")
        self.assertEqual(self.files(), ["a.mimi"])

    def test_stdin_that_is_a_file(self):
        with open(FLAC, "rb") as file:
            self.mimi_from(file, "encode", "-", "-o", "a.mimi")
        self.mimi("encode", FLAC, "-o", "b.mimi")
        self.assertEqual(self.get("a.mimi"), self.get("b.mimi"))

    def mimi_from(self, file, *args):
        process = self.start(*args, stdin=file)
        self.assertEqual((process.wait(), process.stderr.read()), (0, b""))

    def test_memory_does_not_grow(self):
        # A child's peak begins with what its parent had, so nothing long may be made here.
        second = pcm(noise(RATE), "s16")
        peaks = []
        for seconds in (20, 200):
            with open(self.path("in.raw"), "wb") as file:
                for _ in range(seconds):
                    file.write(second)
            for command in (["encode", "--raw", "s16", "--rate", "16000", "-l", "1", "-f", "in.raw",
                             "-o", "a.mimi"],
                            ["decode", "a.mimi", "-f", "-o", "out.wav", "--rate", "12000"]):
                process = self.start(*command, "--resampler", "fast", stdin=subprocess.DEVNULL,
                                     env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1"})
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 0)
                peaks.append(usage.ru_maxrss)
        for short, long in zip(peaks[:2], peaks[2:]):
            self.assertLess(long - short, 10000)  # kB; the samples alone would be 17,000


class Failures(CliTest):
    def test_full_disk(self):
        self.mimi("encode", FLAC, "-o", "a.mimi")
        full = r"/dev/full: cannot write: No space left on device"
        self.fails("encode", FLAC, "-o", "/dev/full", err=full)
        for name, options in (("wav", []), ("flac", []), ("ogg", []), ("wav", ["--rate", "8000"])):
            os.symlink("/dev/full", self.path(f"full.{name}"))
            self.fails("decode", "a.mimi", "-o", f"full.{name}", *options,
                       err=full.replace("/dev/full", f"full.{name}"))
            os.unlink(self.path(f"full.{name}"))
        for args in (["--help"], ["--version"], ["info", "a.mimi"], ["encode", FLAC, "-o", "-"],
                     ["decode", "a.mimi", "-o", "-"]):
            with open("/dev/full", "wb") as stdout:
                process = self.start(*args, stdout=stdout)
                self.assertEqual(process.wait(), 1)
                self.assertEqual(process.stderr.read(), b"mimi: standard output: cannot write: "
                                                        b"No space left on device\n")

    def test_file_size_limit(self):
        """Stands for a disk that fills while a regular file is written."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
        self.mimi("encode", FLAC, "-l", "1", "-o", "a.mimi")
        for name in ("a.wav", "a.flac"):
            self.fails("decode", "a.mimi", "-o", name, preexec_fn=limit,
                       err=f"{name}: cannot write: File too large")
        self.mimi("encode", FLAC, "-f", "-l", "32", "-o", "a.mimi", preexec_fn=limit)
        self.assertEqual(self.files(), ["a.mimi"])

    @staticmethod
    def without_core():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def test_signals_leave_nothing(self):
        self.put("a.mimi", b"precious")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU):
            for options in ([], ["--rate", "48000"]):  # with and without a resampler's thread
                with self.subTest(number=number, options=options):
                    encoder = self.start("encode", "--raw", "s16", *options, "-", "-f", "-o", "a.mimi",
                                         preexec_fn=self.without_core)
                    encoder.stdin.write(pcm(noise(10 * FRAME), "s16"))
                    encoder.stdin.flush()
                    while len(self.files()) < 2:  # until the unfinished file is there
                        self.assertIsNone(encoder.poll())
                    encoder.send_signal(number)
                    self.assertEqual((encoder.wait(), encoder.stderr.read()), (-number, b""))
                    self.assertEqual(self.files(), ["a.mimi"])
        self.assertEqual(self.get("a.mimi"), b"precious")

    def test_signals_that_others_send(self):
        """Every other one that ends a program, and those of crashes too."""
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
                       signal.SIGIO, signal.SIGPWR, signal.SIGSTKFLT, signal.SIGSYS, signal.SIGTRAP,
                       signal.SIGBUS, signal.SIGRTMIN, signal.SIGRTMIN + 7, signal.SIGRTMAX):
            with self.subTest(number=number):
                encoder = self.start("encode", "--raw", "s16", "-", "-o", "a.mimi",
                                     preexec_fn=self.without_core)
                while not self.files():
                    self.assertIsNone(encoder.poll())
                encoder.send_signal(number)
                self.assertEqual((encoder.wait(10), encoder.stderr.read()), (-number, b""))
                self.assertEqual(self.files(), [])

    def test_ignored_signals_stay_ignored(self):
        ignored = (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM)
        encoder = self.start("encode", "--raw", "s16", "-", "-o", "a.mimi",
                             preexec_fn=lambda: [signal.signal(n, signal.SIG_IGN) for n in ignored])
        while not self.files():
            self.assertIsNone(encoder.poll())
        for number in ignored:
            encoder.send_signal(number)
        encoder.stdin.write(pcm(noise(100), "s16"))
        encoder.stdin.close()
        self.assertEqual(encoder.wait(), 0)
        self.assertEqual(self.info("a.mimi")[0]["samples"], 100)

    def test_output_that_appears_meanwhile(self):
        encoder = self.start("encode", "--raw", "s16", "-", "-o", "a.mimi")
        while not self.files():
            self.assertIsNone(encoder.poll())
        self.put("a.mimi", b"precious")
        encoder.stdin.close()
        self.assertEqual(encoder.wait(), 1)
        self.assertEqual(encoder.stderr.read(),
                         b"mimi: a.mimi: came to exist meanwhile; -f overwrites it\n")
        self.assertEqual((self.files(), self.get("a.mimi")), (["a.mimi"], b"precious"))

    def test_error_while_the_pipe_stays_open(self):
        """The thread that reads and resamples waits for a pipe; the end does not wait for it."""
        with open("/dev/full", "wb") as stdout:
            encoder = self.start("encode", "--raw", "s16", "--rate", "48000", "-", stdout=stdout)
            self.assertEqual(encoder.wait(), 1)
        self.assertIn(b"No space left on device", encoder.stderr.read())


class Terminal(CliTest):
    def terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        return ours, theirs

    def test_tokens_are_not_for_a_terminal(self):
        _, theirs = self.terminal()
        process = self.start("encode", "-", stdout=theirs)
        self.assertEqual(process.wait(), 2)
        self.assertEqual(process.stderr.read(),
                         b"mimi: the output is not for a terminal: give -o FILE\n")
        plot = self.start("roundtrip", FLAC, "out.wav", "--plot", "-", stdout=theirs)
        self.assertEqual((plot.wait(timeout=60), plot.stderr.read()),
                         (2, b"mimi: the output is not for a terminal: give -o FILE\n"))
        self.assertEqual(self.files(), [])

    def progress(self):
        """Feeds sound until the bar has come; returns what the terminal got."""
        ours, theirs = self.terminal()
        fcntl.fcntl(ours, fcntl.F_SETFL, os.O_NONBLOCK)
        encoder = self.start("encode", "--raw", "s16", "-", "-o", "a.mimi", stderr=theirs)
        shown = b""
        while b"real time" not in shown:
            encoder.stdin.write(pcm(noise(FRAME), "s16"))
            encoder.stdin.flush()
            try:
                shown += os.read(ours, 1000)
            except BlockingIOError:
                pass
        encoder.stdin.close()
        self.assertEqual(encoder.wait(), 0)
        try:
            shown += os.read(ours, 100000)
        except BlockingIOError:
            pass
        return shown.decode()

    def test_progress_comes_and_goes(self):
        shown = self.progress()
        self.assertRegex(shown, r"\A\rstandard input  \d+:\d\d  [\d.]+ x real time\x1b\[K")
        self.assertTrue(shown.endswith("\r\x1b[K"), shown)


if __name__ == "__main__":
    unittest.main()
