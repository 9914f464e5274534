"""Paths as people write them, on a command line or in a file: places of this machine's file system, or refused."""

import argparse
import os
import re
from pathlib import Path

from ltray.errors import UsageError, shown

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/(/.*)")
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes that Linux takes


def why_no_place(text: str) -> str:
    """Return what is wrong with a path whatever lies there, with a remedy, or ""."""
    if not text.strip():
        return "is empty; name a file or folder"
    if address := _ADDRESS.match(text):
        if address[1].lower() == "file":
            return f"is an address; write the path alone: /{address[2].lstrip('/')}"
        return "is an address, but only this machine's file system is read and written; mount it and name its folder"
    if "\0" in text:
        return "holds a NUL character, which no path can; name another place"
    longest = max(len(os.fsencode(part)) for part in text.split("/"))
    if longest > LONGEST_NAME or len(os.fsencode(text)) > LONGEST_PATH:
        return f"is too long: a name may have {LONGEST_NAME} bytes, a path {LONGEST_PATH:,}; name another place"
    return ""


def place(text: str) -> Path:
    """Return the path that an option names: the `type` of `argparse`.

    Raises:
        argparse.ArgumentTypeError: It can be no place.
    """
    if problem := why_no_place(text):
        raise argparse.ArgumentTypeError(f"{shown(text)} {problem}")
    return Path(text)


def check_place(name: str, text: str) -> None:
    """Check a path that a setting names.

    Args:
        name: Of the setting.
        text: The path; "" where none is named.

    Raises:
        UsageError: It can be no place.
    """
    if text and (problem := why_no_place(text)):
        raise UsageError(f"`{name}`: {shown(text)} {problem}.")


def check_writable(path: Path, name: str) -> None:
    """Check, before any work is done, that a file or folder can be made, and leave nothing behind.

    Args:
        path: The place, which may be there already.
        name: What names it: `--output`.

    Raises:
        UsageError: The nearest folder above it that exists cannot be written to, or is no folder.
    """
    existing = next(parent for parent in (path, *path.absolute().parents) if os.path.lexists(parent))
    folder = existing if existing.is_dir() or existing != path else existing.parent
    if not folder.is_dir():
        raise UsageError(f"`{name}` {shown(str(path))}: {folder} is not a folder; name another place.")
    if not os.access(folder, os.W_OK | os.X_OK) or os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UsageError(f"`{name}` {shown(str(path))}: {folder} cannot be written to; name another place.")
