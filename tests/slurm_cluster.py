"""A Slurm cluster of two nodes on this machine, for tests: its own munged, slurmctld and slurmds, run
as whoever runs the test, with no file or process outside of one folder and this process's tree."""
import contextlib
import ctypes
import os
import pwd
import random
import re
import signal
import socket
import subprocess
import time

NODES = ("node1", "node2")
LIMIT_S = 120  # for anything that is waited for
PR_SET_CHILD_SUBREAPER = 36

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
MailProg=/bin/true
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=1
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    """Below those that systems give to outgoing connections."""
    ports = []
    for port in random.sample(range(20000, 32000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            break
    return ports


def process_status(pid):
    """The fields of /proc/PID/status; none where there is no such process."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(re.findall(r"^(\w+):\t(.*)$", file.read(), re.MULTILINE))
    return {}


def descendants():
    """The processes below this one, those that have ended and not been waited for left out."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            status = process_status(name)
            if status and not status["State"].startswith("Z"):
                parents[int(name)] = int(status["PPid"])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


class SlurmCluster:
    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": self.path("slurm.conf"),
                            "PATH": f"{self.path('bin')}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        self.daemons = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        # Jobs do not remain children of the daemons, but so they remain below this process.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for name in ("bin", "state", *NODES):
            os.mkdir(self.path(name))
        with open(self.path("slurm.conf"), "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(
                folder=self.folder, ports=free_ports(1 + len(NODES)),
                host=socket.gethostname().split(".")[0], user=pwd.getpwuid(os.getuid()).pw_name))
        with open(os.open(self.path("munge.key"), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(128))
        os.chmod(self.folder, 0o711)  # munged wants its socket where anyone can reach it
        self.start_daemon("munged", "--foreground", "--force",
                          *(f"--{option}={self.path('munge.' + option.split('-')[0])}" for option in
                            ("key-file", "socket", "pid-file", "log-file", "seed-file")))
        self.wait(lambda: os.path.exists(self.path("munge.socket")), "munged")
        self.start_daemon("slurmctld", "-D", "-i")
        for node in NODES:
            self.start_daemon("slurmd", "-D", "-N", node, name=node)
        self.wait(lambda: all(self.node_state(node) == "IDLE" for node in NODES), "idle nodes")

    def start_daemon(self, program, *args, name=None):
        name = name or program
        with open(self.path(name + ".out"), "wb") as out:
            self.daemons[name] = subprocess.Popen([program, *args], env=self.environment,
                                                  cwd=self.folder, stdin=subprocess.DEVNULL,
                                                  stdout=out, stderr=out)

    def stop(self):
        """Ends whatever was started, however it has come to be."""
        while alive := descendants():
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for daemon in self.daemons.values():
            daemon.wait()
        self.reap()

    def reap(self):
        """Takes leave of ended jobs that have become children: slurmd waits until they are gone."""
        daemons = {daemon.pid for daemon in self.daemons.values()}
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and \
                    ended.si_pid not in daemons:
                os.waitpid(ended.si_pid, 0)

    def wait(self, condition, what):
        end = time.monotonic() + LIMIT_S
        while not condition():
            self.reap()
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    raise AssertionError(f"{name} has ended\n{self.logs()}")
            if time.monotonic() > end:
                raise AssertionError(f"waited {LIMIT_S} s for {what}\n{self.logs()}")
            time.sleep(0.02)

    def logs(self):
        text = ""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith((".out", ".log")):
                with open(self.path(name), encoding="utf-8", errors="replace") as file:
                    text += f"--- {name}\n{file.read()}"
        return text

    def run(self, *command):
        """stdout of a command of Slurm's, which must succeed."""
        result = subprocess.run(command, env=self.environment, cwd=self.folder, check=False,
                                capture_output=True, encoding="utf-8", timeout=LIMIT_S)
        if result.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {result.stderr}\n{self.logs()}")
        return result.stdout.strip()

    def node_state(self, node):
        with contextlib.suppress(AssertionError):
            found = re.search(r"State=(\S+)", self.run("scontrol", "show", "node", node))
            return found and found[1]
        return None  # slurmctld does not answer yet

    def job(self, job):
        """What scontrol says of a job: JobState, Restarts, BatchHost, ExitCode and more."""
        return dict(re.findall(r"(\w+)=(\S+)", self.run("scontrol", "show", "job", "-o", job)))
