#!/usr/bin/env python3
"""Calls to the system and the allocator that fail, one at a time, in small runs of the program: each
time the exit code is not 0 and nothing is left, or the output is whole and right. A seeded sample of
the calls; all of them where MIMI_SOAK is set."""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
import unittest

from cli_support import MIMI, TINY, CliTest, noise, wav

SHIM = os.path.join(os.environ["MIMI_BUILD_DIR"], "fault_shim.so")
SOAK = "MIMI_SOAK" in os.environ
SAMPLE = 12  # calls of each kind and run
MODES = {"read": ("fail", "short", "intr"), "pread": ("fail", "short", "intr"), "write": ("fail", "short", "intr"),
         "pwrite": ("fail", "short"), "fsync": ("fail",), "rename": ("fail",), "mmap": ("fail",),
         "malloc": ("fail",), "open": ("fail",), "list": ("fail",), "thread": ("fail",)}
# What must succeed all the same.
HARMLESS = {("read", "short"), ("read", "intr"), ("pread", "short"), ("pread", "intr"),
            ("write", "short"), ("write", "intr")}

RUNS = {  # arguments and output
    "encode": (["encode", "--model", TINY, "in.wav"], "in.mimi"),
    "encode, resampled": (["encode", "--model", TINY, "in16.wav", "--verify"], "in16.mimi"),
    "decode": (["decode", "--model", TINY, "tokens"], "tokens.wav"),
    "decode, FLAC": (["decode", "--model", TINY, "tokens", "-o", "a.flac"], "a.flac"),
    "cut": (["cut", "tokens", "--from", "0.5"], "tokens.cut.mimi"),
    "repair": (["repair", "-q", "tokens"], "tokens.repaired.mimi"),
    "convert": (["convert", "tokens", "-o", "tokens.npy"], "tokens.npy"),
}


class FaultTest(CliTest):
    def run_with(self, arguments, env):
        """Python's own buffer must not be what makes writes of pyarrow's process whole."""
        return subprocess.run([MIMI, *arguments], cwd=self.dir,
                              capture_output=True, timeout=300,
                              env={**os.environ, "MIMI_THREADS": "1", "LD_PRELOAD": SHIM,
                                   "PYTHONUNBUFFERED": "1", **env})

    def count(self, arguments):
        counts = self.path("counts")
        result = self.run_with(arguments, {"MIMI_FAULT_COUNTS": counts})
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(counts, encoding="ascii") as file:
            found = {name: int(calls) for name, calls in (line.split() for line in file)}
        os.remove(counts)
        return found

    @staticmethod
    def faults(counts, choose, sample, of_memory=(0, 1)):
        """(call, number, mode) for every call that was counted, or for so many of each;
        `of_memory` (i, n) takes the i-th of every n allocations."""
        for call, modes in MODES.items():
            first, step = of_memory if call == "malloc" else (0, 1)
            numbers = range(1 + first, counts[call] + 1, step)
            if not SOAK and len(numbers) > sample:
                numbers = sorted(choose.sample(numbers, sample))
            for number in numbers:
                for mode in modes:
                    yield call, number, mode


class Faults(FaultTest):
    crashes_in_libsndfile = 0

    def setUp(self):
        super().setUp()
        self.put("in.wav", wav(noise(30000)))
        self.put("in16.wav", wav(noise(20000), rate=16000))
        self.mimi("encode", "--model", TINY, "in.wav", "-o", "tokens")
        self.inputs = self.files()

    def clean(self):
        for name in self.files():
            if name not in self.inputs:
                os.remove(self.path(name))

    def check_fault(self, arguments, output, expected, fault, harmless):
        result = self.run_with(arguments, {"MIMI_FAULT": fault})
        told = f"{fault}: {result.returncode} {result.stderr.decode()}"
        left = {name: self.get(name) for name in self.files() if name not in self.inputs}
        self.clean()
        # libsndfile 1.2 itself crashes where one of two allocations for FLAC fails, of its state
        # (flac_init) and of a buffer (flac_write_i2flac). Nothing is left then.
        if output.endswith(".flac") and fault.startswith("malloc:") and result.returncode == -signal.SIGSEGV:
            self.crashes_in_libsndfile += 1
            self.assertLessEqual(self.crashes_in_libsndfile, 2, told)
            self.assertEqual(left, {}, told)
            return
        if result.returncode != 0:
            self.assertFalse(harmless, told)
            self.assertEqual(result.returncode, 1, told)
            self.assertRegex(result.stderr.decode(), r"\A(mimi: [^\n]+\n)+\Z", told)
        # What fails behind the renaming, as the last allocations do, leaves a whole file.
        if result.returncode == 0 or left:
            self.assertEqual(list(left), [output], told)
            self.assertEqual(left[output], expected, told)

    def test_each_call(self):
        choose = random.Random(1)
        for name, (arguments, output) in RUNS.items():
            counts = self.count(arguments)
            expected = self.get(output)
            self.clean()
            self.assertGreater(counts["write"], 0)
            tried = 0
            for call, number, mode in self.faults(counts, choose, SAMPLE):
                with self.subTest(run=name, call=call, number=number, mode=mode):
                    self.check_fault(arguments, output, expected, f"{call}:{number}:{mode}",
                                     (call, mode) in HARMLESS)
                tried += 1
            print(f"{name}: {tried} faults of {counts}")

    def test_a_picture_becomes_a_file(self):
        """At the last allocations, libpng makes one of what cairo has drawn."""
        arguments = ["plot", "-q", "-l", "1", "--model", TINY, "in.wav", "-o", "in.png"]
        allocations = self.count(arguments)["malloc"]
        expected = self.get("in.png")
        self.clean()
        for number in range(allocations - 45, allocations + 1):
            with self.subTest(number=number - allocations):
                self.check_fault(arguments, "in.png", expected, f"malloc:{number}:fail", False)

    def test_a_model_cut_short_while_it_is_mapped(self):
        shutil.copytree(TINY, self.path("model"))
        os.chmod(self.path("model/model.safetensors"), 0o644)
        self.inputs = self.files()
        found = self.count(["encode", "--model", "model", "in.wav"])["mapfile"]
        self.clean()
        whole = self.get("model/model.safetensors")
        told = 0
        for number in range(1, found + 1):
            self.put("model/model.safetensors", whole)
            result = self.run_with(["encode", "--model", "model", "in.wav"],
                                   {"MIMI_FAULT": f"mapfile:{number}:truncate"})
            if result.returncode == 1:
                told += 1
                self.assertRegex(result.stderr.decode(), r"\Amimi: model/model.safetensors: was cut "
                                 r"short while it was read, or cannot be read\n\Z")
                self.assertEqual(self.files(), self.inputs)
            self.clean()
        self.assertEqual(told, 1)

    def test_signals_at_random_moments(self):
        arguments = ["--threads", "1", "encode", "--model", TINY, "in.wav", "-f"]
        self.mimi(*arguments)
        expected = self.get("in.mimi")
        self.clean()
        start = time.monotonic()
        self.mimi(*arguments)
        lasts = time.monotonic() - start
        self.clean()
        choose = random.Random(2)
        for _ in range(200 if SOAK else 20):
            ending = choose.choice((signal.SIGINT, signal.SIGTERM))
            process = self.start(*arguments, stdin=subprocess.DEVNULL)
            time.sleep(choose.uniform(0, 1.2 * lasts))
            process.send_signal(ending)
            code = process.wait()
            self.assertIn(code, (0, -ending))
            left = [name for name in self.files() if name not in self.inputs]
            self.assertIn(left, ([], ["in.mimi"]) if code else (["in.mimi"],))
            if left:
                self.assertEqual(self.get("in.mimi"), expected)
            self.clean()


    def test_a_crash_leaves_nothing(self):
        for crash in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
            process = self.start("encode", "--model", TINY, "-", "--raw", "s16", "-o", "out.mimi")
            while self.files() == self.inputs:
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            process.send_signal(crash)
            self.assertEqual(process.wait(), -crash)
            self.assertEqual(self.files(), self.inputs)


class DatasetFaults(FaultTest):
    """A call of `tokenize` that fails leaves what another call makes whole."""

    def setUp(self):
        super().setUp()
        for name, samples in (("a", 3000), ("b", 5500), ("c", 2000)):
            self.put(f"{name}.wav", wav(noise(samples)))

    def dataset(self):
        """What is in its place: path -> digest."""
        found = {}
        for path, folders, names in os.walk(self.path("out")):
            if ".work" in folders:
                folders.remove(".work")
            for name in names:
                place = os.path.relpath(os.path.join(path, name), self.dir)
                found[place] = hashlib.sha256(self.get(place)).hexdigest()
        return found

    def finished(self):
        """Which files these are, of a dataset that is finished; else nothing."""
        if b'"complete": true' not in self.get("out/dataset.json"):
            return None
        return sorted((entry.name, entry.inode(), entry.stat().st_mtime_ns)
                      for entry in os.scandir(self.path("out")) if entry.name != ".work")

    def check_fault(self, arguments, expected, fault, harmless):
        result = self.run_with(arguments, {"MIMI_FAULT": fault})
        told = f"{fault}: {result.returncode} {result.stderr.decode()}"
        left = self.dataset()
        if result.returncode == 0:
            self.assertEqual(left, expected, told)
        else:
            self.assertFalse(harmless, told)
        if result.returncode == 3:  # a recording that could not be read is named, the others are there
            self.assertEqual(len(self.get("out/errors.jsonl").splitlines()), 1, told)
            self.mimi("-q", "verify", "out")
        elif result.returncode != 0:
            self.assertEqual(result.returncode, 1, told)
            self.assertRegex(result.stderr.decode(), r"\A(mimi: [^\n]+\n)+\Z", told)
            left.pop("out/dataset.json", None)  # which says that it is not complete
            self.assertLessEqual(left.items(), expected.items(), told)
            self.assertEqual(self.run_with(arguments, {}).returncode, 0, told)
            self.assertEqual(self.dataset(), expected, told)

    def check_form(self, form, modes, choose, sample, of_memory=(0, 1)):
        arguments = ["-q", "--model", TINY, "tokenize", "a.wav", "b.wav", "c.wav", "--out", "out", "--as",
                     form, "--shard-size", "2"]
        counts = self.count(arguments)
        self.assertGreater(counts["fsync"], 0)
        self.assertGreater(counts["rename"], 0)
        expected = self.dataset()
        shutil.rmtree(self.path("out"))
        tried = 0
        for call, number, mode in self.faults(counts, choose, sample, of_memory):
            if call not in modes:
                continue
            with self.subTest(form=form, call=call, number=number, mode=mode):
                self.check_fault(arguments, expected, f"{call}:{number}:{mode}",
                                 (call, mode) in HARMLESS)
            shutil.rmtree(self.path("out"), ignore_errors=True)
            tried += 1
        print(f"tokenize, {form}: {tried} faults of {counts}")

    def test_each_form(self):
        """Nearly all allocations are the same in each, so that each has its share of them."""
        choose = random.Random(3)
        forms = ("mimi", "npy", "wds", "safetensors")
        for i, form in enumerate(forms):
            self.check_form(form, MODES, choose, 2, of_memory=(i, len(forms)))

    def test_too_few_files_are_no_fault_of_a_recording(self):
        """What failed for want of them is done by the next call."""
        os.mkdir(self.path("in"))
        for name in ("a", "b"):
            os.rename(self.path(name + ".wav"), self.path(f"in/{name}.wav"))
        with tarfile.open(self.path("t.tar"), "w") as tar:
            tar.add(self.path("c.wav"), "c.wav")
        arguments = ["-q", "--model", TINY, "tokenize", "in", "t.tar", "--out", "out", "--shard-size", "2"]
        counts = self.count(arguments)
        expected = self.dataset()
        for call in ("open", "list"):
            for number in range(1, counts[call] + 1):
                shutil.rmtree(self.path("out"))
                result = self.run_with(arguments, {"MIMI_FAULT": f"{call}:{number}:fail"})
                told = f"{call}:{number}: {result.stderr.decode()}"
                self.assertIn(result.returncode, (0, 1), told)
                self.assertEqual(self.run_with(arguments, {}).returncode, 0, told)
                self.assertEqual(self.dataset(), expected, told)

    def test_threads_that_cannot_be_made(self):
        """Those that were made end, and the next call goes on; one with a rate of its own needs more."""
        self.put("d.wav", wav(noise(2000), rate=16000))
        for made, arguments in (("tokens", ["tokenize", "a.wav", "d.wav"]), ("out", ["detokenize", "tokens"])):
            arguments = ["-q", "--model", TINY, *arguments, "--threads", "3", "--out", made]
            if made == "out":
                arguments += ["--rate", "16000"]
            told = []
            for number in range(1, self.count(arguments)["thread"] + 1):
                shutil.rmtree(self.path(made))
                result = self.run_with(arguments, {"MIMI_FAULT": f"thread:{number}:fail"})
                self.assertIn(result.returncode, (0, 1))  # one that helps with the model is not missed
                told.append(result.stderr.decode())
                self.assertEqual(self.run_with(arguments, {}).returncode, 0)
            self.assertEqual(set(told), {
                "", "mimi: a thread: cannot be made: Resource temporarily unavailable\n"})
            self.assertGreater(told.count(max(told)), 3)

    def test_a_folder_that_cannot_be_read_to_its_end(self):
        os.mkdir(self.path("in"))
        for name in ("a", "b", "c"):
            os.rename(self.path(name + ".wav"), self.path(f"in/{name}.wav"))
        arguments = ["-q", "--model", TINY, "tokenize", "in", "--out", "out"]
        counts = self.count(arguments)
        for number in range(1, 7):  # its three files, two entries of its own, and its end
            self.assertGreaterEqual(counts["entry"], number)
            shutil.rmtree(self.path("out"))
            result = self.run_with(arguments, {"MIMI_FAULT": f"entry:{number}:fail"})
            self.assertEqual(result.returncode, 3, result.stderr)
            self.assertIn(b'"error":"cannot list: Input/output error"', self.get("out/errors.jsonl"))

    def test_tasks_whose_numbers_of_processes_are_the_same(self):
        """As they may be on several machines: what one begins with has a name of its own."""
        process = self.start("-q", "--model", TINY, "tokenize", "a.wav", "--out", "out",
                             env={**os.environ, "LD_PRELOAD": SHIM, "MIMI_FAULT": "fsync:1:stop"})
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        begun = os.listdir(self.path("out/.work"))
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(), 0)
        self.assertEqual(len(begun), 1)
        self.assertNotIn(f".{process.pid}.", begun[0])

    def test_a_file_system_without_links(self):
        """The first renaming is that of the dataset's beginning, which must replace no other."""
        arguments = ["-q", "--model", TINY, "tokenize", "a.wav", "--out", "out"]
        self.count(arguments)
        expected = self.dataset()
        shutil.rmtree(self.path("out"))
        result = self.run_with(arguments, {"MIMI_FAULT": "rename:1:deny"})
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(self.dataset(), expected)

    def stop_first(self, first, second, call, number):
        """Exit codes and messages where `second` runs while `first` has stopped at one of its calls;
        a call that is not reached, as some depend on time, stops nothing. What the second has
        finished the first leaves as it is."""
        process = self.start(*first, env={**os.environ, "MIMI_THREADS": "1", "LD_PRELOAD": SHIM,
                                          "MIMI_FAULT": f"{call}:{number}:stop"})
        state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        other = self.run_with(second, {})
        finished = self.finished()
        if state.si_code == os.CLD_STOPPED:
            process.send_signal(signal.SIGCONT)
        code = process.wait()
        if finished:
            self.assertEqual(self.finished(), finished)
        return code, process.stderr.read(), other.returncode, other.stderr

    def check_meanwhile(self, before, first, second, tokenize, expected, choose, every=()):
        """The first ends well wherever it has stopped; the second does too, or is told of the first."""
        def prepare():
            shutil.rmtree(self.path("out"), ignore_errors=True)
            os.mkdir(self.path("out"))
            for arguments in before:
                self.mimi("-q", *arguments)
        prepare()
        counts = self.count(first)
        for call in ("open", "list", "read", "pread", "write", "fsync", "rename", "remove"):
            numbers = range(1, counts[call] + 1)
            if call not in every and not SOAK and len(numbers) > 2:
                numbers = choose.sample(numbers, 2)
            for number in numbers:
                prepare()
                with self.subTest(first=first, second=second, call=call, number=number):
                    code, told, other_code, other_told = self.stop_first(first, second, call, number)
                    self.assertEqual((code, told), (0, b""))
                    if other_code != 0:
                        self.assertRegex(other_told, rb"\Amimi: out/\.work/[^ ]+: another process is "
                                                     rb"working on it\n\Z")
                    self.assertEqual(self.run_with(tokenize, {}).returncode, 0)
                    self.assertEqual(self.dataset(), expected)
                    self.assertNotIn(".work", os.listdir(self.path("out")))

    def test_another_task_meanwhile(self):
        """Tasks begin, work, merge and end at once, each at every moment of the other."""
        choose = random.Random(5)
        tokenize = ["tokenize", "--model", TINY, "a.wav", "b.wav", "c.wav", "--shard-size", "2"]
        self.mimi("-q", *tokenize, "--out", "tokens")
        forms = ("wds", "npy", "safetensors") if SOAK else ("wds",)
        for maker in (*([*tokenize, "--as", form] for form in forms),
                      ["detokenize", "--model", TINY, "tokens"]):
            shutil.rmtree(self.path("out"), ignore_errors=True)
            whole = [*maker, "--out", "out"]
            half, other_half = [*whole, "--shard", "1/2"], [*whole, "--shard", "2/2"]
            merge = ["merge", "out"]
            self.mimi("-q", *whole)
            expected = self.dataset()
            for before, first, second in (
                    ((), half, other_half), ((), whole, whole), ((half,), other_half, other_half),
                    ((half, other_half), merge, merge), ((half, other_half), merge, whole),
                    ((half, other_half), whole, merge)):
                # Of what is left to merge alone, all reading: that it is not finished too.
                every = ("read",) if len(before) == 2 else ()
                self.check_meanwhile(before, ["-q", *first], ["-q", *second],
                                     ["-q", *whole], expected, choose, every)

    def test_parquet(self):
        """The calls fail in pyarrow's process too. Python's own memory is not what is tried."""
        modes = set(MODES) - {"malloc", "mmap"} if SOAK else {"write", "rename"}
        self.check_form("parquet", modes, random.Random(4), 1)


if __name__ == "__main__":
    unittest.main()
