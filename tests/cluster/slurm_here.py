"""SLURM with one node on this machine's loopback, for a test; its three services end with the context."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue")
START_WITHIN = 60.0  # seconds
CONFIGURATION = """
ClusterName=test
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=10
MailProg=/bin/true
NodeName={name} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Return the programs of SLURM that this machine lacks; root's folders count too."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start SLURM and yield the environment variables with which its commands find it.

    Args:
        folder: For its files; the path must be short, and every folder above it readable by all users.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    name = socket.gethostname().partition(".")[0]
    controller, node = free_ports(2)
    values = {"folder": folder, "name": name, "cpus": os.cpu_count(), "controller": controller, "node": node}
    configuration.write_text(CONFIGURATION.format(**values))
    settings = {"SLURM_CONF": str(configuration), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    munge = [f"--{name}={folder}/munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
    with ExitStack() as stack:
        for command in (
            ["munged", "--force", "--foreground", f"--key-file={key}", *munge],
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D"],
        ):
            stack.enter_context(service(command, settings, folder / f"{command[0]}.log"))
        deadline = time.monotonic() + START_WITHIN
        while "idle" not in (state := output(["sinfo", "-h", "-o", "%T"], settings)):
            assert time.monotonic() < deadline, f"{state}\n{(folder / 'slurmd.log').read_text()}"
            time.sleep(0.5)
        yield settings


@contextmanager
def service(command: list[str], settings: dict[str, str], log: Path) -> Iterator[None]:
    """Run a service in the foreground, and end it with the context."""
    with log.open("w") as lines:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=lines, stderr=lines)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def output(command: list[str], settings: dict[str, str]) -> str:
    """Return what a command of SLURM prints, with its errors."""
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def free_ports(number: int) -> list[int]:
    """Return ports that no process uses."""
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(int(one.getsockname()[1]))
    return found
