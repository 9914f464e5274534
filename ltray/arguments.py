"""Arguments of commands and functions: numbers, and paths in this machine's file system."""

import argparse
import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ltray.errors import UsageError, shown
from ltray.typed import as_type

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/(/.*)")
LARGEST_COUNT = 1_000_000
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes that Linux accepts


def why_not_local_path(text: str) -> str:
    """Return the error in the form of a path, whether or not it exists, with a remedy; or ""."""
    if not text.strip():
        return "is empty; give a file or folder"
    if address := _ADDRESS.match(text):
        if address[1].lower() == "file":
            return f"is a URL; write only the path: /{address[2].lstrip('/')}"
        return "is a URL, but ltray uses only the file system of this machine; mount the storage and use its folder"
    if "\0" in text:
        return "contains a NUL character, which is not possible in a path; use another path"
    longest = max(len(os.fsencode(part)) for part in text.split("/"))
    if longest > LONGEST_NAME or len(os.fsencode(text)) > LONGEST_PATH:
        return f"is too long: a name may have {LONGEST_NAME} bytes, a path {LONGEST_PATH:,}; use another path"
    return ""


def name_or_path(text: str) -> str:
    """Return the name or path of an argument: the `type` of `argparse`.

    Raises:
        argparse.ArgumentTypeError: It cannot be a path.
    """
    if problem := why_not_local_path(text):
        raise argparse.ArgumentTypeError(f"{shown(text)} {problem}")
    return text


def path_argument(text: str) -> Path:
    """Return the path in an argument; see `name_or_path`."""
    return Path(name_or_path(text))


def count_argument(text: str) -> int:
    """Return the number in an argument: the `type` of `argparse`.

    Raises:
        argparse.ArgumentTypeError: It is not a whole number from 1 to `LARGEST_COUNT`, in decimal digits.
    """
    try:
        found = as_type("it", int, text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number in decimal digits") from error
    if not 1 <= found <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not from 1 to {LARGEST_COUNT:,}")
    return int(found)


def check_count(name: str, value: object) -> None:
    """Check a count given to a function.

    Raises:
        UsageError: It is not a whole number from 1 to `LARGEST_COUNT`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_COUNT:
        raise UsageError(f"`{name}` must be a whole number from 1 to {LARGEST_COUNT:,}, but is {shown(value)}.")


def settings_value(value: object) -> dict[str, Any]:
    """Return the settings in an argument of a function; none for None.

    Raises:
        UsageError: It is not a mapping whose keys are names.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"`settings` must be a mapping of names to values, but is {shown(value)}.")
    return dict(value)


def path_value(name: str, value: str | PathLike[str]) -> Path:
    """Return the path in an argument of a function.

    Args:
        name: Name of the argument.
        value: Its value.

    Raises:
        UsageError: It is not a path, or not a valid one.
    """
    if not isinstance(value, str | PathLike):
        raise UsageError(f"`{name}` must be a path, but is {shown(value)}.")
    check_place(name, text := os.fspath(value))
    if not text:
        raise UsageError(f"`{name}` {why_not_local_path(text)}.")
    return Path(text)


def check_place(name: str, text: str) -> None:
    """Check the path in a setting.

    Args:
        name: Name of the setting.
        text: The path; "" if there is none.

    Raises:
        UsageError: It is not a valid path.
    """
    if text and (problem := why_not_local_path(text)):
        raise UsageError(f"`{name}`: {shown(text)} {problem}.")


def check_writable(path: Path, name: str, *, folder: bool = False) -> None:
    """Check, before any work is done, that a file or folder can be created; create nothing.

    Args:
        path: The path, which may exist already.
        name: The option or argument that contains it: `--output`.
        folder: Whether it is a folder, not a file.

    Raises:
        UsageError: The nearest existing folder above it cannot be written to, or is not a folder.
    """
    above = [path, *path.absolute().parents]
    if path.exists() and not (path.is_dir() if folder else path.is_file()):
        raise UsageError(f"`{name}` {shown(str(path))}: is not a {'folder' if folder else 'file'}; use another path.")
    if path.is_symlink() and not path.exists():
        raise UsageError(f"`{name}` {shown(str(path))}: is a broken link; use another path.")
    there = next(place for place in (above if folder else above[1:]) if place.exists())
    if not there.is_dir():
        raise UsageError(f"`{name}` {shown(str(path))}: {there} is not a folder; use another path.")
    if not os.access(there, os.W_OK | os.X_OK) or os.statvfs(there).f_flag & os.ST_RDONLY:
        raise UsageError(f"`{name}` {shown(str(path))}: {there} cannot be written to; use another path.")
