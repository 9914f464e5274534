"""One wrong input: a command line, the files that it reads, and what the refusal must contain."""

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Special = Literal["fifo", "socket", "device", "folder", "loop", "dangling"]
INPUTS = "{inputs}"
"""Placeholder in arguments and texts for the folder of the valid inputs, see `tests.wrong_inputs.valid_inputs`."""


@dataclass(frozen=True)
class SpecialFile:
    """A path that is not a regular file."""

    kind: Special


@dataclass(frozen=True)
class Case:
    """A wrong input.

    Attributes:
        area: What is wrong, for the table: "value of a setting", "YAML".
        command: "train", "tune", ….
        arguments: Its command line; `INPUTS` is replaced.
        contains: Parts of the message, compared without regard to case: the key, file or option and, if it is short,
            the value.
        files: Files made in the working folder before the run, in order: bytes, text with `INPUTS`, or a special file.
        copied: Folders of the valid inputs that are copied into the working folder before that, with their new names.
        row: Whether the command continues without the input: a row of the output has the reason, the exit code is 1.
    """

    area: str
    command: str
    arguments: tuple[str, ...]
    contains: tuple[str, ...]
    files: tuple[tuple[str, bytes | str | SpecialFile], ...] = ()
    copied: tuple[tuple[str, str], ...] = ()
    row: bool = False

    def set_up(self, here: Path, inputs: Path) -> list[str]:
        """Make the files of the case; return its arguments."""
        for source, target in self.copied:
            shutil.copytree(inputs / source, here / target)
        for name, content in self.files:
            _make(here / name, content, inputs)
        return [word.replace(INPUTS, str(inputs)) for word in self.arguments]


def _make(path: Path, content: bytes | str | SpecialFile, inputs: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if isinstance(content, str):
        path.write_text(content.replace(INPUTS, str(inputs)), encoding="utf-8")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        _make_special(path, content.kind)


def _make_special(path: Path, kind: Special) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        own = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(path.parent)  # the address of a socket must be short
        own.bind(path.name)
        os.chdir(here)
        own.close()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        path.symlink_to("nowhere")
