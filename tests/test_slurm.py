#!/usr/bin/env python3
"""scripts/slurm/tokenize.sbatch on a cluster whose tasks are killed, requeued and drained away: the
dataset is that of one machine."""
import json
import os
import signal
import subprocess
import unittest

from cli_support import MIMI, SOURCE, CliTest, noise, wav
from slurm_cluster import SlurmCluster, process_status

MODEL = os.path.join(os.environ["MIMI_TEST_MODELS"], "tiny-hf")
SHIM = os.path.join(os.environ["MIMI_BUILD_DIR"], "fault_shim.so")
SCRIPT = os.path.join(SOURCE, "scripts/slurm/tokenize.sbatch")
ARGUMENTS = ("in.jsonl", "--as", "wds", "--shard-size", "2", "--model", MODEL, "--out")

# `mimi` as the jobs find it: a task stops in the middle of its work, the first time.
STOPPING_MIMI = f"""#!/bin/bash
if [ "${{SLURM_ARRAY_TASK_ID-}}" ]; then
  echo $$ >"$SLURM_ARRAY_TASK_ID.pid"
  if [ ! "${{SLURM_RESTART_COUNT-}}" ]; then export LD_PRELOAD={SHIM} MIMI_FAULT=fsync:8:stop; fi
fi
exec {MIMI} "$@"
"""


class Slurm(CliTest):
    def setUp(self):
        super().setUp()
        self.cluster = SlurmCluster(self.dir)
        self.addCleanup(self.cluster.stop)
        self.cluster.start()
        with open(os.open(self.path("bin/mimi"), os.O_CREAT | os.O_WRONLY, 0o755), "w",
                  encoding="utf-8") as file:
            file.write(STOPPING_MIMI)
        self.put("r.wav", wav(noise(30000)))
        rows = [{"id": f"r{i}", "path": "r.wav"} for i in range(36)] + [{"path": "missing.wav"}]
        self.put("in.jsonl", "\n".join(map(json.dumps, rows)).encode())

    def stopped(self, task):
        """The process of a task, once it has stopped."""
        def has_stopped():
            try:
                status = process_status(int(self.get(f"{task}.pid")))
            except (FileNotFoundError, ValueError):
                return False
            return status.get("State", "").startswith("T")
        self.cluster.wait(has_stopped, f"task {task} to stop")
        return int(self.get(f"{task}.pid"))

    def end_near_limit(self, job, pid):
        """As Slurm does when the time is nearly over."""
        self.cluster.run("scancel", "--batch", "--signal=USR1", job)
        self.cluster.wait(lambda: int(process_status(pid)["ShdPnd"], 16) != 0, "mimi's SIGTERM")
        os.kill(pid, signal.SIGCONT)

    def test_killed_drained_and_requeued(self):
        cluster = self.cluster
        whole = subprocess.run([MIMI, "-q", "tokenize", *ARGUMENTS, "whole"], cwd=self.dir,
                               check=False)
        self.assertEqual(whole.returncode, 3)
        array = cluster.run("sbatch", "--parsable", "--array=5-8", "--cpus-per-task=1",
                            "--output=task-%a.out", SCRIPT, *ARGUMENTS, "out")
        merge = cluster.run("sbatch", "--parsable", f"--dependency=afterok:{array}",
                            "--output=merge.out", "--wrap", "mimi merge out")
        # Two at a time: the others follow when these two go.
        os.kill(self.stopped(5), signal.SIGKILL)
        self.stopped(6)
        finished = [name for name in os.listdir(self.path("out/.work")) if name.endswith(".jsonl")]
        self.assertIn(len(finished), range(2, 18))  # of 19
        drained = cluster.job(f"{array}_6")["BatchHost"]
        cluster.run("scontrol", "update", f"nodename={drained}", "state=drain", "reason=test")
        cluster.run("scontrol", "requeue", f"{array}_6")
        self.end_near_limit(f"{array}_7", self.stopped(7))
        os.kill(self.stopped(8), signal.SIGCONT)
        cluster.wait(lambda: cluster.job(merge)["JobState"] not in ("PENDING", "RUNNING"), "merge")
        self.assertEqual(cluster.job(merge)["ExitCode"], "3:0", cluster.logs())
        tasks = [cluster.job(f"{array}_{task}") for task in range(5, 9)]
        self.assertEqual([task["JobState"] for task in tasks], ["COMPLETED"] * 4, cluster.logs())
        self.assertEqual([task["Restarts"] for task in tasks], ["1", "1", "1", "0"])
        self.assertNotEqual(tasks[1]["BatchHost"], drained)
        different = subprocess.run(["diff", "-r", "whole", "out"], cwd=self.dir, check=False,
                                   capture_output=True, encoding="utf-8")
        self.assertEqual((different.returncode, different.stdout), (0, ""), cluster.logs())


class Shares(CliTest):
    """The share that a task takes, by a `mimi` that says what it was given."""

    def share(self, task, first, last, step, count):
        os.makedirs(self.path("bin"), exist_ok=True)
        with open(os.open(self.path("bin/mimi"), os.O_CREAT | os.O_WRONLY, 0o755), "wb") as file:
            file.write(b'#!/bin/bash\necho "$@"\n')
        array = {"ID": task, "MIN": first, "MAX": last, "STEP": step, "COUNT": count}
        return subprocess.run(
            [SCRIPT, "a b"], check=False, capture_output=True, encoding="utf-8",
            env={"PATH": self.path("bin") + ":" + os.environ["PATH"], "SLURM_CPUS_PER_TASK": "4",
                 **{f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in array.items()}})

    def test_shares(self):
        for array, share in [((1, 1, 8, 1, 8), "1/8"), ((8, 1, 8, 1, 8), "8/8"),
                             ((0, 0, 7, 1, 8), "1/8"), ((14, 0, 14, 2, 8), "8/8"),
                             ((14, 0, 15, 2, 8), "8/8"), ((7, 7, 7, 1, 1), "1/1")]:
            self.assertEqual(self.share(*array).stdout,
                             f"tokenize a b --threads 4 --shard {share}\n")
        listed = self.share(5, 1, 7, 1, 3)  # --array=1,5,7
        self.assertEqual((listed.returncode, listed.stdout), (2, ""))
        self.assertIn("must be one range", listed.stderr)


if __name__ == "__main__":
    unittest.main()
