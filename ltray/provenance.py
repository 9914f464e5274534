"""The provenance of a result: versions, commit, hardware, seeds, the data's digest."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

CPU_INFO = Path("/proc/cpuinfo")
PACKAGES = ("ltray", "torch", "torchvision", "ray", "optuna", "ffcv", "numpy")


def environment(*, data_digest: str, protocol: str, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return the content of `env.json`.

    Args:
        data_digest: Digest of the images, from the data set's sidecar.
        protocol: "honest" or "paper".
        packages: Names of the packages whose versions it contains.
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "versions": {name: _version(name) for name in packages},
        "commit": commit(),
        "data_digest": data_digest,
        "protocol": protocol,
    }


def processor() -> str:
    """Return the name of the processor, "AMD EPYC 9B14"; its architecture if the system does not state a name."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(filter(None, names), platform.machine())


def commit() -> str | None:
    """Return the commit of ltray's checkout, with "+changes" if it has uncommitted changes; None outside one."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(("git", "-C", str(here), *arguments), capture_output=True, text=True, check=True).stdout

    try:
        if Path(git("rev-parse", "--show-toplevel").removesuffix("\n")) != here.parent:
            return None  # an environment inside the repository of another project
        return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
