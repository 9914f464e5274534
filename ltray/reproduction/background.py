"""A command that continues in a process of its own after its terminal is closed; its output goes to a file."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ltray.printable import printable

BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from ltray.reproduce import main; from ltray.command import exit_with; exit_with(main)"
)
"""The process imports what this one can import."""


def start(arguments: Sequence[str], log: Path) -> int:
    """Start the command `reproduce`; return the number of its process.

    Args:
        arguments: Its arguments.
        log: The file to which its output is appended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    path = [os.path.abspath(entry or ".") for entry in sys.path]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", BOOT, json.dumps(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it does not end with the terminal
        )
    return process.pid


def how_to_follow(process: int, log: Path) -> list[str]:
    """Return lines that state how to follow and how to stop a background process."""
    return [
        f"started in the background as process {process}; its output goes to {printable(log)}",
        f"follow: tail -f {shlex.quote(printable(log))}",
        f"stop: kill {process} (run the same command again to continue)",
    ]
