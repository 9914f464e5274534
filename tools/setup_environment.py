"""Make `.venv`: the pinned packages of requirements/constraints.txt, checked by their hashes, and ltray itself.

`make setup` runs this. It needs a Python (find_python.sh) and nothing else, and installs or names what FFCV's build
needs. A finished set-up leaves a stamp, and the next run only looks whether all still is as it was. Whatever has no
stamp, or is damaged, is made again from nothing: with the downloads in uv's cache that takes about a minute.
"""

import hashlib
import json
import shutil
import sys
import time
import tomllib

import build_tools
from install_pins import ENVIRONMENT, PINS, ROOT, SetupError, inspect, install, say, verify

MARK = ENVIRONMENT / "made-by-ltray-setup"  # a `.venv` without it is somebody else's and is left alone
STAMP = ENVIRONMENT / "ltray-setup.json"


def digest() -> str:
    """Return a digest of all that decides what the environment holds, and where."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    decisive = [str(ROOT), sys.version, PINS.read_text(), project["project"], project["build-system"]]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def is_ready() -> bool:
    """Return whether a finished set-up of exactly these pins is there, with every package whole."""
    try:
        stamp = json.loads(STAMP.read_text())
        if stamp["digest"] != digest():
            return False
        installed, damaged = inspect()
    except (OSError, ValueError, KeyError, SetupError):
        return False  # not a stamp of ours, or an environment that no longer runs: made again, like a missing one
    lost = sorted({*stamp["installed"], *damaged} - {*installed})
    if lost:
        say(f".venv has lost or damaged packages ({', '.join(lost[:5])}) and is made again")
    return not lost


def clear() -> None:
    """Empty the environment's folder, keeping the mark that says whose it is.

    Raises:
        SetupError: A `.venv` that this script did not make is in the way.
    """
    if ENVIRONMENT.exists() and not MARK.exists() and any(ENVIRONMENT.iterdir()):
        text = f"{ENVIRONMENT} was not made by `make setup`: move it away or delete it, then run this again."
        raise SetupError(text, exit_code=2)
    ENVIRONMENT.mkdir(exist_ok=True)
    MARK.touch()
    STAMP.unlink(missing_ok=True)  # first: from here on an interruption must not look finished
    for entry in ENVIRONMENT.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != MARK:
            entry.unlink()


def provide_build_tools() -> None:
    """See to what FFCV's build needs.

    Raises:
        SetupError: Something is missing that cannot be installed without the user.
    """
    lacking = build_tools.missing()
    if lacking and build_tools.install():
        lacking = build_tools.missing()
    if lacking:
        raise SetupError(build_tools.advice(lacking), exit_code=2)


def set_up() -> None:
    """Leave a working environment, doing only what that needs.

    Raises:
        SetupError: Something stands in the way.
    """
    if is_ready():
        return say(".venv is up to date")
    started = time.monotonic()
    provide_build_tools()
    clear()
    say(f"making .venv with Python {sys.version.split()[0]} ...")
    install()
    # pip is only the first step's tool; upgrading it by hand harms nothing.
    installed = [package for package in verify() if not package.startswith("pip==")]
    unfinished = STAMP.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"digest": digest(), "installed": installed}))
    unfinished.replace(STAMP)
    return say(f"ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Set up; return 0, or 1 for a failure, 2 where the user must do something first, 130 when interrupted."""
    try:
        set_up()
    except SetupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. The same command starts again; what is downloaded stays.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
