"""Install the pinned packages into a fresh `.venv`, each checked by its hash: uv with pip, the rest with uv."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import build_tools

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
UV = ENVIRONMENT / "bin" / "uv"
PINS = ROOT / "requirements" / "constraints.txt"
# uv installs; setuptools builds ltray and packages without a wheel (FFCV and two of its dependencies).
INSTALLERS = ("uv", "setuptools")
# uv does not read pip's settings: pip's mirror, certificate and proxy, and the corresponding variables of uv.
UV_NAMES = {"index_url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY"}


class SetupError(Exception):
    """The set-up cannot continue; the text has the reason and the remedy."""

    def __init__(self, text: str, *, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"ltray: {text}", flush=True)


def run(*command: str | Path, environment: dict[str, str]) -> None:
    """Run a command.

    Raises:
        SetupError: It fails; its own message is printed before.
    """
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SetupError(
            f"`{shlex.join(map(str, command))}` failed with exit code {done.returncode}; see its message above.\n"
            "Remove the cause (network? disk space?) and run the same command again; downloaded files are kept."
        )


def inspect() -> tuple[list[str], list[str]]:
    """Return the environment's packages as `name==version`, and the names of the damaged ones.

    Raises:
        SetupError: The environment's Python does not run.
    """
    try:
        command = [str(PYTHON), "-I", str(ROOT / "tools" / "inspect_environment.py")]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"{PYTHON} does not run: {error}") from error
    return found["installed"], found["damaged"]


def clean_environment() -> dict[str, str]:
    """Return the process's environment variables without those that change the target of the installation."""
    elsewhere = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "UV_TARGET", "UV_PREFIX")
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    kept["PIP_USER"] = "0"  # `user = true` in a pip.conf would refuse to install into an environment
    compiler = build_tools.compiler()
    if compiler and "CXX" not in kept and compiler != sysconfig.get_config_var("CXX"):
        kept.update(CC="cc", CXX=compiler)  # the compiler that built this Python is not on this machine
    return kept


def settings_of_pip(environment: dict[str, str]) -> dict[str, str]:
    """Return the user's settings of pip that uv needs, as variables of uv, unless those are set."""
    command = [str(PYTHON), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():  # sorted by name: `:env:` before `global` before `install`
        key, _, value = line.partition("=")
        name = UV_NAMES.get(key.rpartition(".")[2].replace("-", "_"))
        if name and name not in environment:
            settings.setdefault(name, str(ast.literal_eval(value)))
    return settings


def pins_of(*names: str) -> str:
    """Return the pins of these packages with their hashes, as in constraints.txt.

    Raises:
        SetupError: One of them is not pinned.
    """
    blocks = re.findall(rf"^(?:{'|'.join(names)})==.*(?:\n    --hash=.*)+", PINS.read_text(), flags=re.MULTILINE)
    if len(blocks) != len(names):
        raise SetupError(f"{PINS} must pin each of {', '.join(names)}; add what is missing to pyproject.toml.")
    return "\n".join(blocks) + "\n"


def install() -> None:
    """Install the packages of constraints.txt and, editable, ltray itself into the empty environment.

    Raises:
        SetupError: A step fails.
    """
    environment = clean_environment()
    run(sys.executable, "-m", "venv", ENVIRONMENT, environment=environment)
    installers = ENVIRONMENT / "installers.txt"
    installers.write_text(pins_of(*INSTALLERS))
    pip = (PYTHON, "-m", "pip", "-qq", "--disable-pip-version-check", "install", "--require-hashes", "--no-deps")
    run(*pip, "--only-binary", ":all:", "-r", installers, environment=environment)

    say("installing the pinned packages; the first time that downloads about 3 GB (PyTorch with CUDA) ...")
    environment.update(settings_of_pip(environment))
    quiet = () if sys.stderr.isatty() else ("--quiet",)
    # Without build isolation, because an isolated build would install the newest setuptools, unpinned.
    uv = (UV, "pip", "install", *quiet, "--python", PYTHON, "--no-build-isolation")
    run(*uv, "--require-hashes", "-r", PINS, environment=environment)
    run(*uv, "--no-deps", "--editable", ".", environment=environment)


def verify() -> list[str]:
    """Return the installed packages, after reinstalling those that were damaged in uv's cache.

    uv links the files of its cache into the environment: an edit in the environment also changes the cache.

    Raises:
        SetupError: Some packages are still damaged, or an import fails.
    """
    environment = clean_environment()
    _, damaged = inspect()
    if damaged:
        say(f"downloading packages again that are damaged in the cache: {', '.join(damaged)}")
        environment.update(settings_of_pip(environment))
        run(UV, "--quiet", "cache", "clean", *damaged, environment=environment)
        flags = [flag for name in damaged for flag in ("--reinstall-package", name)]
        uv = (UV, "pip", "install", "--quiet", "--python", PYTHON, "--no-build-isolation")
        run(*uv, "--require-hashes", *flags, "-r", PINS, environment=environment)
    say("checking that everything imports ...")
    run(PYTHON, "-I", "-c", "import ffcv, ltray, optuna, ray, torch, torchvision", environment=environment)
    installed, damaged = inspect()
    if damaged:
        raise SetupError(f"These packages are damaged even after a new download: {', '.join(damaged)}.")
    return installed
