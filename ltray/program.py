"""The command line with which a user calls a command of ltray, for messages and help."""

import re
import sys
from pathlib import Path

PROGRAM = "ltray"


def called(command: str = "") -> str:
    """Return the form in which this process was called, for one of ltray's commands.

    Args:
        command: Its name, with a subcommand if it has one: "tune", "tune ls"; "": the program without a command.

    Returns:
        `ltray tune` if the installed program runs, `python -m ltray tune` if the package is run, and
        `python -m ltray.tune`, which always works, in every other process.
    """
    script = Path(sys.argv[0] if sys.argv else "")
    if script.name == PROGRAM:
        return f"{PROGRAM} {command}".rstrip()
    if script.name == "__main__.py" and script.parent.name == PROGRAM:
        return f"python -m {PROGRAM} {command}".rstrip()
    return f"python -m {PROGRAM}.{command}" if command else f"python -m {PROGRAM}"


def as_called(text: str) -> str:
    """Return a text with each `python -m ltray.tune` in it in the form of `called`."""
    return re.sub(rf"python -m {PROGRAM}\.(\w+)", lambda found: called(found[1]), text)
