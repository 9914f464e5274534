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
# uv installs; setuptools builds ltray and what has no wheel (FFCV and two packages that it needs).
INSTALLERS = ("uv", "setuptools")
# Mirror, certificate and proxy of pip's settings, under the names that uv, which does not read them, goes by.
UV_NAMES = {"index_url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY"}


class SetupError(Exception):
    """The set-up cannot go on; the text says why and what to do."""

    def __init__(self, text: str, *, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"ltray: {text}", flush=True)


def run(*command: str | Path, environment: dict[str, str]) -> None:
    """Run a command.

    Raises:
        SetupError: It fails; its own message stands above.
    """
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SetupError(
            f"`{shlex.join(map(str, command))}` failed with exit code {done.returncode}; its message stands above.\n"
            "Remove the cause (network? disk space?) and run the same command again; what is downloaded stays."
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
    """Return the process's environment variables without those that would install elsewhere than into `.venv`."""
    elsewhere = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "UV_TARGET", "UV_PREFIX")
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    kept["PIP_USER"] = "0"  # `user = true` in a pip.conf would refuse to install into an environment
    compiler = build_tools.compiler()
    if compiler and "CXX" not in kept and compiler != sysconfig.get_config_var("CXX"):
        kept.update(CC="cc", CXX=compiler)  # the compiler that this Python was built with is not on this machine
    return kept


def settings_of_pip(environment: dict[str, str]) -> dict[str, str]:
    """Return what the user told pip and uv needs as well, under uv's names, unless uv was told something itself."""
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
    """Return the pins of these packages, hashes included, as constraints.txt has them.

    Raises:
        SetupError: One of them is not pinned.
    """
    blocks = re.findall(rf"^(?:{'|'.join(names)})==.*(?:\n    --hash=.*)+", PINS.read_text(), flags=re.MULTILINE)
    if len(blocks) != len(names):
        raise SetupError(f"{PINS} must pin each of {', '.join(names)}; add what is missing to pyproject.toml.")
    return "\n".join(blocks) + "\n"


def install() -> None:
    """Fill the empty environment with what constraints.txt pins, and with ltray itself, editable.

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
    # Without build isolation: the isolated build would fetch whatever setuptools is newest, unpinned.
    uv = (UV, "pip", "install", *quiet, "--python", PYTHON, "--no-build-isolation")
    run(*uv, "--require-hashes", "-r", PINS, environment=environment)
    run(*uv, "--no-deps", "--editable", ".", environment=environment)


def verify() -> list[str]:
    """Return the installed packages, after mending those that came damaged out of uv's cache.

    uv links the files of its cache into the environment: who edits one there has edited the cache as well.

    Raises:
        SetupError: Some are damaged still, or they do not import together.
    """
    environment = clean_environment()
    _, damaged = inspect()
    if damaged:
        say(f"fetching again what came damaged out of the cache: {', '.join(damaged)}")
        environment.update(settings_of_pip(environment))
        run(UV, "--quiet", "cache", "clean", *damaged, environment=environment)
        flags = [flag for name in damaged for flag in ("--reinstall-package", name)]
        uv = (UV, "pip", "install", "--quiet", "--python", PYTHON, "--no-build-isolation")
        run(*uv, "--require-hashes", *flags, "-r", PINS, environment=environment)
    say("checking that everything imports ...")
    run(PYTHON, "-I", "-c", "import ffcv, ltray, optuna, ray, torch, torchvision", environment=environment)
    installed, damaged = inspect()
    if damaged:
        raise SetupError(f"These packages are damaged even when fetched afresh: {', '.join(damaged)}.")
    return installed
