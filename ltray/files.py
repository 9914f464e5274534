"""Reading of files with errors that contain their names, atomic writing, and digests of files.

Every file that a user can give, damage or replace is read with this module, so that each error becomes one
sentence with the name of the file.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ltray.errors import CannotWrite, UsageError
from ltray.printable import printable
from ltray.quantities import file_size

TEXT_LIMIT = 256 << 20  # bytes of a text file that is read into memory
_LASTING = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of the quota there",
    errno.EROFS: "make its file system writable",
    errno.EACCES: "fix its permissions",
    errno.EFBIG: "raise the limit of a file's size (`ulimit -f`)",
}
"""Errors that a retry does not remove, and the remedy for each."""
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def check_regular(path: Path | str) -> os.stat_result:
    """Return the status of a file that can be read to its end.

    Args:
        path: The file.

    Raises:
        UsageError: It is missing, a folder, a FIFO, a socket or a device, or its path is invalid.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise UsageError(f"{printable(path)}: cannot be read: {reason(error)}.") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise UsageError(f"{printable(path)}: is {kind}, not a file.")
    return status


def is_there(path: Path | str) -> bool:
    """Return whether a path exists, also as a broken link, so that it is read or an error contains the reason."""
    return os.path.lexists(path)


def read_bytes(path: Path | str, *, limit: int = TEXT_LIMIT) -> bytes:
    """Return the content of a file.

    Args:
        path: The file.
        limit: Largest size in bytes.

    Raises:
        UsageError: It cannot be read, is not a regular file, or is larger than `limit`.
    """
    size = check_regular(path).st_size
    if size > limit:
        raise UsageError(f"{printable(path)}: has {file_size(size)}; at most {file_size(limit)} are read.")
    with reading(path):
        return Path(path).read_bytes()


def read_text(path: Path | str, *, limit: int = TEXT_LIMIT) -> str:
    """Return the content of a UTF-8 file, without a byte-order mark.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    content = read_bytes(path, limit=limit)
    with reading(path):
        return content.decode("utf-8-sig")


def read_json(path: Path | str, *, limit: int = TEXT_LIMIT) -> Any:
    """Return the content of a JSON file.

    Raises:
        UsageError: It cannot be read, or is not JSON.
    """
    text = read_text(path, limit=limit)
    with reading(path, "not valid JSON"):
        return json.loads(text)


@contextmanager
def reading(path: Path | str, problem: str = "cannot be read", *, remedy: str = "") -> Iterator[None]:
    """Replace any exception about a file's content with a message that contains the file's name.

    A `UsageError` is not changed: its message is more precise.

    Args:
        path: The file that is read in the block.
        problem: The problem in the message.
        remedy: The remedy, as a clause: "convert the data set again".

    Raises:
        UsageError: Any exception except an interrupt was raised in the block.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        end = f"; {remedy}." if remedy else "."
        raise UsageError(f"{printable(path)}: {problem}: {reason(error)}{end}") from error


def reason(error: BaseException) -> str:
    """Return the message of an exception, in one line without a final full stop."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    text = printable(" ".join(str(error).split())).rstrip(".")
    return text if len(text) > 1 and not isinstance(error, KeyError) else f"{type(error).__name__} {text}".strip()


def atomic_write(target: Path, content: str | bytes) -> None:
    """Write a file atomically: a reader gets the complete new file or the old one.

    Args:
        target: The file; replaced if it exists.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(target) as temporary:
        temporary.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary name next to a file for the block to write, then rename it; remove it if the block fails.

    Args:
        target: The file; replaced if it exists.

    Raises:
        OSError: It cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # the error of a full disk contains no file name
            error.filename = str(target)
        raise


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Replace a permanent error of the file system, such as a full disk, with a message.

    Args:
        folder: The folder that is written to in the block, for errors without a file name.

    Raises:
        CannotWrite: The disk is full, or cannot be written to for another permanent reason.
    """
    try:
        yield
    except OSError as error:
        remedy = _LASTING.get(error.errno or 0)
        if remedy is None:
            raise
        raise CannotWrite(
            f"{printable(error.filename or folder)}: cannot be written: {os.strerror(error.errno or 0)}. "
            f"{remedy[0].upper()}{remedy[1:]}; then run the same command to continue."
        ) from error


@contextmanager
def locking(path: Path) -> Iterator[None]:
    """Replace the error of a file system without locks with a message; the error of a lock in use is not changed.

    Args:
        path: The file that is locked in the block.

    Raises:
        UsageError: Its file system has no locks.
        OSError: Another process has the lock.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UsageError(
            f"{printable(path)}: cannot be locked: {reason(error)}. Without locks two commands could write here at "
            "the same time: use a folder on a file system with locks."
        ) from error


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
