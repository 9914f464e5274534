"""Reading and writing files: an error is a sentence that names the file; a failed write leaves no partial file."""

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.files import atomic_write, digest_of, locking, read_json, read_text, reading, writing
from ltray.printable import printable
from ltray.run_folder import RunFolder


def _fifo(path: Path) -> None:
    os.mkfifo(path)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "No such file"),
    "folder": (Path.mkdir, "is a folder"),
    "fifo": (_fifo, "is a pipe"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a pipe, socket or device"),
    "latin1": (lambda path: path.write_bytes(b'{"a": "\xfc"}'), "byte 7 is not UTF-8"),
    "cut": (lambda path: path.write_text('{"a": '), "not valid JSON"),
    "deep": (lambda path: path.write_text("[" * 100_000), "nested too deeply"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_unreadable_file_is_named(tmp_path: Path, kind: str) -> None:
    make, message = WRONG[kind]
    file = tmp_path / "given.json"
    make(file)
    with pytest.raises(UsageError) as raised:
        read_json(file)
    assert str(file) in str(raised.value) and message in str(raised.value)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "x/" * 3000])
def test_impossible_path_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_text(name)


def test_too_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(3 << 20)
    with pytest.raises(UsageError, match="has 3 MiB; at most 2 MiB"):
        read_text(file, limit=2 << 20)


def test_read_text_removes_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbfcat.png 0\n")
    assert read_text(tmp_path / "list") == "cat.png 0\n"


def test_reading_keeps_the_inner_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="^inner$"), reading(tmp_path / "outer"):
        raise UsageError("inner")


def test_reading_does_not_catch_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), reading(tmp_path / "outer"):
        raise KeyboardInterrupt


def test_failed_atomic_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "config.yaml"
    atomic_write(target, "old")

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(target, "new")
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["config.yaml"]


def test_atomic_write_keeps_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    atomic_write(tmp_path / "names", os.fsdecode(b"Stra\xdfe"))
    assert (tmp_path / "names").read_bytes() == b"Stra\xdfe"


def test_digest_of_a_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a.json", json.dumps([1]))
    assert digest_of(tmp_path / "a.json") == "080a9ed428559ef602668b4c00f114f1a11c3f6b02a435f0bdc154578e4d7f22"


def test_full_disk_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # the kernel's error of a write has no file name

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space") as raised:
        atomic_write(tmp_path / "config.yaml", "new")
    assert raised.value.filename == str(tmp_path / "config.yaml")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_not_reported_as_folder_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    with (
        pytest.raises(UsageError, match="cannot be locked: .* on a file system with locks"),
        RunFolder(tmp_path / "run").locked(),
    ):
        raise AssertionError("the folder was locked")


def test_locking_does_not_change_the_error_of_a_lock_in_use(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), locking(tmp_path / "lock"):
        raise BlockingIOError(errno.EAGAIN, "held")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "Free some space"), (errno.EDQUOT, "quota"), (errno.EROFS, "writable"), (errno.EFBIG, "ulimit")],
)
@pytest.mark.parametrize("named", [True, False])
def test_permanent_write_error_is_a_sentence_with_a_remedy(
    tmp_path: Path, number: int, remedy: str, named: bool
) -> None:
    path = tmp_path / "a\nb" if named else tmp_path
    # The text is pyarrow's, which does not name a file.
    error = OSError(number, "Error writing bytes to file", *([str(path)] if named else []))
    with pytest.raises(UsageError) as raised, writing(tmp_path):
        raise error
    message = str(raised.value)
    assert message.startswith(f"{printable(path)}: cannot be written: {os.strerror(number)}. ") and remedy in message
    assert message.endswith("then run the same command to continue.") and "\n" not in message


@pytest.mark.parametrize("error", [OSError("x"), OSError(errno.ECONNRESET, "reset"), RuntimeError("x")])
def test_temporary_write_error_is_not_changed(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), writing(tmp_path):
        raise error
