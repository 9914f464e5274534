"""Build tools that FFCV needs: a compiler, OpenCV, libturbojpeg and the headers of Python.

FFCV's build fails with a bare `Exception` if one of them is missing, so set-up checks them first.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

LIBRARIES = ("opencv4", "libturbojpeg")
COMMANDS = {
    "apt": "apt-get install -y --no-install-recommends g++ pkg-config libopencv-dev libturbojpeg0-dev",
    "dnf": "dnf install -y gcc-c++ pkgconf-pkg-config opencv-devel turbojpeg-devel",
    "brew": "brew install opencv jpeg-turbo pkgconf",
    "conda": "conda install -y -c conda-forge cxx-compiler pkg-config libopencv libjpeg-turbo",
}


def compiler() -> str | None:
    """Return the C++ compiler that a build will call: `$CXX`, the one Python was built with, or the usual names."""
    for command in (os.environ.get("CXX"), sysconfig.get_config_var("CXX"), "c++", "g++", "clang++"):
        if command and shutil.which(shlex.split(command)[0]):
            return command
    return None


def missing() -> list[str]:
    """Return the names of missing tools that FFCV's build and the environment need; empty if none is missing."""
    lacking = [] if compiler() else ["a C++ compiler"]
    if shutil.which("pkg-config") is None:
        lacking.append("pkg-config (and perhaps the libraries that it finds: OpenCV, libturbojpeg)")
    else:
        lacking += [
            library for library in LIBRARIES if subprocess.run(["pkg-config", "--exists", library]).returncode != 0
        ]
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        lacking.append("Python.h")
    if importlib.util.find_spec("ensurepip") is None:
        lacking.append("Python's venv module")
    return lacking


def command_for(manager: str) -> str:
    """Return the command that installs everything through this package manager: a key of `COMMANDS`."""
    # Distributions package the headers and venv of Python separately; other Pythons include them.
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    parts = {"apt": f" {python}-dev {python}-venv", "dnf": f" {python}-devel"}
    return COMMANDS[manager] + (parts.get(manager, "") if sys.base_prefix == "/usr" else "")


def advice(lacking: list[str]) -> str:
    """Return the message about missing tools, with the exact command for each package manager."""
    root = "" if os.geteuid() == 0 else "sudo "
    lines = [f"Set-up compiles FFCV, but these are missing on this machine: {', '.join(lacking)}. Install with:"]
    for manager in COMMANDS:
        prefix = root if manager in ("apt", "dnf") else ""
        lines.append(f"  {manager + ':':<7}{prefix}{command_for(manager)}")
    if sys.platform == "darwin":
        lines.append("  and the compiler: xcode-select --install")
    return "\n".join([*lines, "Then, with conda after activating its environment again, repeat this command."])


def install() -> bool:
    """Install everything with apt-get; see `apt_install`."""
    return apt_install(command_for("apt"))


def apt_install(command: str) -> bool:
    """Run a command of apt-get on Debian or Ubuntu if no password is needed.

    Returns:
        Whether apt-get was allowed to run and succeeded.
    """
    if not Path("/etc/debian_version").is_file() or shutil.which("apt-get") is None:
        return False
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and (shutil.which("sudo") is None or subprocess.run([*root, "true"], capture_output=True).returncode):
        return False
    print(f"ltray: {command}", flush=True)
    for arguments in (["apt-get", "update"], command.split()):
        done = subprocess.run(
            [*root, "env", "DEBIAN_FRONTEND=noninteractive", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if done.returncode != 0:  # the install may succeed with outdated lists, so only its result counts
        print("\n".join(done.stdout.splitlines()[-15:]), file=sys.stderr)
    return done.returncode == 0
