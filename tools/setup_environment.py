"""Make `.venv`: the pinned packages of requirements/constraints.txt, checked by their hashes, and ltray itself.

`make setup` runs this. It needs a Python (find_python.sh) and nothing else, and installs or names what FFCV's build
needs. A finished set-up writes a stamp, and the next run only checks that nothing has changed. An environment
without a stamp, or a damaged one, is made again from scratch: with uv's cache that takes about a minute.
"""

import hashlib
import json
import shutil
import sys
import time
import tomllib

import build_tools
from install_pins import ENVIRONMENT, PINS, ROOT, SetupError, inspect, install, say, verify

MARK = ENVIRONMENT / "made-by-ltray-setup"  # a `.venv` without it was not made by this script and is not changed
STAMP = ENVIRONMENT / "ltray-setup.json"


def digest() -> str:
    """Return a digest of everything that determines the environment's content and path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    decisive = [str(ROOT), sys.version, PINS.read_text(), project["project"], project["build-system"]]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def is_ready() -> bool:
    """Return whether a finished set-up of exactly these pins exists, with every package complete."""
    try:
        stamp = json.loads(STAMP.read_text())
        if stamp["digest"] != digest():
            return False
        installed, damaged = inspect()
    except (OSError, ValueError, KeyError, SetupError):
        return False  # an invalid stamp or a broken environment is made again, like a missing one
    lost = sorted({*stamp["installed"], *damaged} - {*installed})
    if lost:
        say(f".venv has lost or damaged packages ({', '.join(lost[:5])}) and is made again")
    return not lost


def clear() -> None:
    """Empty the environment's folder, except for the mark of this script.

    Raises:
        SetupError: A `.venv` that this script did not make is in the way.
    """
    if ENVIRONMENT.exists() and not MARK.exists() and any(ENVIRONMENT.iterdir()):
        text = f"{ENVIRONMENT} was not made by `make setup`: move it away or delete it, then run this again."
        raise SetupError(text, exit_code=2)
    ENVIRONMENT.mkdir(exist_ok=True)
    MARK.touch()
    STAMP.unlink(missing_ok=True)  # first, so that an interrupted set-up does not look finished
    for entry in ENVIRONMENT.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != MARK:
            entry.unlink()


def provide_build_tools() -> None:
    """Install the build tools of FFCV if any are missing.

    Raises:
        SetupError: Something is missing that cannot be installed without the user.
    """
    lacking = build_tools.missing()
    if lacking and build_tools.install():
        lacking = build_tools.missing()
    if lacking:
        raise SetupError(build_tools.advice(lacking), exit_code=2)


def set_up() -> None:
    """Make the environment, or keep it if it is ready.

    Raises:
        SetupError: A step fails.
    """
    if is_ready():
        return say(".venv is up to date")
    started = time.monotonic()
    provide_build_tools()
    clear()
    say(f"making .venv with Python {sys.version.split()[0]} ...")
    install()
    # pip is only used in the first step, so its version may change.
    installed = [package for package in verify() if not package.startswith("pip==")]
    unfinished = STAMP.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"digest": digest(), "installed": installed}))
    unfinished.replace(STAMP)
    return say(f"ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Set up; return 0, 1 after a failure, 2 if the user must act first, 130 after an interruption."""
    try:
        set_up()
    except SetupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. Run the same command to start again; downloaded files are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
