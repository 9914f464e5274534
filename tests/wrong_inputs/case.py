"""One wrong input: a command line, the files that it reads, and what the refusal must contain."""

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Special = Literal["fifo", "socket", "device", "folder", "loop", "dangling"]
WORLD = "{world}"
"""Stands in words and texts for the folder of the right inputs, see `tests.wrong_inputs.world`."""


@dataclass(frozen=True)
class Odd:
    """Something at a path that is no regular file."""

    kind: Special


@dataclass(frozen=True)
class Case:
    """A wrong input.

    Attributes:
        area: What is wrong, for the table: "value of a setting", "YAML".
        command: "train", "tune", ….
        words: Its command line; `WORLD` is replaced.
        says: What the refusal must contain, in any case of letters: the key, file or option and, where it is short,
            the value.
        files: What is made below the working folder first, in order: bytes, text with `WORLD`, or something special.
        copied: Folders of the world copied below the working folder before that, by their new name.
        row: Whether the command continues without it: the reason is in a row of the output, and the exit code is 1.
    """

    area: str
    command: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    files: tuple[tuple[str, bytes | str | Odd], ...] = ()
    copied: tuple[tuple[str, str], ...] = ()
    row: bool = False

    def set_up(self, here: Path, world: Path) -> list[str]:
        """Make the files of the case; return its words."""
        for source, target in self.copied:
            shutil.copytree(world / source, here / target)
        for name, content in self.files:
            _make(here / name, content, world)
        return [word.replace(WORLD, str(world)) for word in self.words]


def _make(path: Path, content: bytes | str | Odd, world: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if isinstance(content, str):
        path.write_text(content.replace(WORLD, str(world)), encoding="utf-8")
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
        os.chdir(path.parent)  # the address of a socket is short
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
