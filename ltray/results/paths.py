"""Commands with paths, in a form that can be pasted into a shell."""

import os
import shlex
from pathlib import Path

from ltray.printable import printable
from ltray.program import called
from ltray.run_folder import RunFolder


def shell_word(text: str | os.PathLike[str]) -> str:
    r"""Return text as one word of a shell's command line.

    Control characters and undecodable bytes are written as `$'\x1b'`, which bash and zsh read.
    """
    plain = os.fspath(text)
    if printable(plain) == plain:
        return shlex.quote(plain)
    escaped = "".join(_escaped(byte) for byte in os.fsencode(plain))
    return f"$'{escaped}'"


def tensorboard_command(folder: Path) -> str:
    """Return the command that shows a run's curves."""
    return f"tensorboard --logdir={shell_word(folder)}"


def report_command(folder: Path) -> str:
    """Return the command that reports a run."""
    return f"{called('report')} {shell_word(folder)}"


def dashboard_command(folder: Path) -> str:
    """Return the command that shows a search's study."""
    # imported here: SQLAlchemy takes a second, and other commands do not need it
    from ltray.study.study_file import url_of

    path = RunFolder(folder).study_file
    if printable(path) == str(path):
        return f"optuna-dashboard {shell_word(url_of(path))}"
    # Not every path can be in a URL, but the file's name can.
    return f"cd -- {shell_word(folder)} && optuna-dashboard {url_of(RunFolder(Path()).study_file)}"


def _escaped(byte: int) -> str:
    character = chr(byte)
    if 0x20 <= byte < 0x7F and character not in "'\\":
        return character
    return f"\\x{byte:02x}"
