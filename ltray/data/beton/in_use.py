"""Converted files in use: no conversion replaces them while a command reads them."""

import fcntl
import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from ltray.errors import UsageError

IN_USE = ".in-use"  # readers of the files hold a shared lock, a conversion that replaces them an exclusive lock


class Hold:
    """A lock on a folder's converted files; it ends with `close`, with a `with` block, or with its last reference.

    Args:
        path: The file to lock.
        flags: How it is opened; see `os.open`.
        lock: The operation of `fcntl.flock`.

    Raises:
        OSError: The file cannot be opened or locked.
    """

    def __init__(self, path: Path, flags: int, lock: int) -> None:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        # A descriptor, not an open file: Python warns if a file is closed with its last reference, as is intended here.
        self.close = weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def hold_for_reading(folder: Path) -> Hold | None:
    """Prevent conversions from replacing the files of a folder as long as the returned lock is referenced.

    Returns:
        The lock; None if the file system has no locks.
    """
    try:
        return Hold(folder / IN_USE, os.O_RDONLY, fcntl.LOCK_SH)
    except OSError:
        return None


def hold_for_replacing(folder: Path) -> Hold:
    """Prevent other processes from reading the files of a folder as long as the returned lock is referenced.

    Raises:
        UsageError: Another process reads them.
    """
    try:
        return Hold(folder / IN_USE, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"{folder}: a running command reads these files, and a conversion would change its data. Wait until the "
            "command ends, or end it, then convert again; or convert into another folder with --output."
        ) from error
