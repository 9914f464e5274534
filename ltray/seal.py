"""Digests of the files of a run, with which damage is detected when a file is read.

A JSON object contains its digest. Files of other kinds are listed with their digests in `digests.json` of their folder.
Files of an earlier version of ltray have no digest and are read without this check.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltray.errors import UsageError
from ltray.files import atomic_write, check_regular, digest_of, is_there, read_bytes, read_json, reading
from ltray.printable import printable
from ltray.typed import kind_of

FORMAT, DIGEST = "format", "sha256"
CURRENT_FORMAT = 2  # 1: without digests
LIST = "digests.json"
_FILES = "files"
DAMAGED = "it was damaged, or changed by another program"
FOREIGN = "It was not written by this version of ltray.train or ltray.tune, or was changed later."


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the number of its format and its digest added."""
    whole = {FORMAT: CURRENT_FORMAT, **content}
    return whole | {DIGEST: _digest_of_object(whole)}


def unseal(content: Any, path: Path | str, *, remedy: str = "") -> dict[str, Any]:
    """Return the argument of `seal` from its result.

    Args:
        content: The content of the file.
        path: The file, for the error.
        remedy: The remedy, as a clause.

    Raises:
        UsageError: It is not an object, its digest differs or is missing, or its format is newer.
    """
    end = f"; {remedy}." if remedy else "."
    if not isinstance(content, dict):
        raise UsageError(f"{printable(path)}: must contain an object, but contains {kind_of(content)}: {DAMAGED}{end}")
    check_format(content.get(FORMAT, 1), path)
    if FORMAT not in content and DIGEST not in content:
        return content  # written by an earlier version
    whole = {key: value for key, value in content.items() if key != DIGEST}
    if content.get(DIGEST) != _digest_of_object(whole):
        raise UsageError(f"{printable(path)}: the content differs from its digest: {DAMAGED}{end}")
    whole.pop(FORMAT, None)
    return whole


def check_format(number: Any, path: Path | str) -> None:
    """Raise an error for a file of a newer version.

    Raises:
        UsageError: This version cannot read the format with this number.
    """
    if not isinstance(number, int) or not 1 <= number <= CURRENT_FORMAT:
        raise UsageError(
            f"{printable(path)}: has the format {number!r}, but this version of ltray reads 1 to {CURRENT_FORMAT}: "
            "update ltray, or restore the file from a copy."
        )


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with its digest, under a temporary name first."""
    atomic_write(path, json.dumps(seal(content), indent=2) + "\n")


def read_sealed(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Read a file of `write_sealed`.

    Raises:
        UsageError: It cannot be read, or its digest differs.
    """
    return unseal(read_json(path), path, remedy=remedy)


def append_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Add a JSON object with its digest as a line; an incomplete line of a killed process is removed first."""
    text = json.dumps(seal(content)) + "\n"
    with path.open("a+b") as lines:
        end = lines.seek(0, os.SEEK_END)
        if end:
            lines.seek(end - 1)
            if lines.read(1) != b"\n":
                lines.seek(0)
                lines.truncate(lines.read().rfind(b"\n") + 1)
        lines.write(text.encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of `append_sealed`; return [] if there is no file.

    An incomplete last line, which a killed process may leave, is left out.

    Raises:
        UsageError: Another line has changed since it was written.
    """
    if not is_there(path):
        return []
    whole, _, _ = read_bytes(path, limit=1 << 32).rpartition(b"\n")
    found = []
    for number, line in enumerate(whole.split(b"\n") if whole else (), start=1):
        where = f"{path}:{number}"
        with reading(where, "damaged line", remedy="restore the file from a copy, or remove this line"):
            content = json.loads(line.decode())
        found.append(unseal(content, where, remedy="restore the file from a copy, or remove this line"))
    return found


def write_listed(target: Path, content: str | bytes) -> None:
    """Write a file of any kind and list its digest, each under a temporary name first.

    Until the file is renamed, both digests are listed, the new one and that of the file that it replaces, so that the
    list is correct if the process is killed before or after the renaming.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    known = _listed(target.parent)
    before = [digest_of(target)] if target.is_file() else []
    kept = [digest for digest in before if digest in known.get(target.name, before)]
    fresh = hashlib.sha256(data).hexdigest()
    files = known | {target.name: [fresh, *(digest for digest in kept if digest != fresh)]}
    write_sealed(target.parent / LIST, {_FILES: files})
    atomic_write(target, data)


def check_listed(path: Path) -> None:
    """Compare a file with its digest in the list, if there is one.

    Raises:
        UsageError: They differ, or the file or the list cannot be read.
    """
    digests = _listed(path.parent).get(path.name)
    if digests is None:
        return
    check_regular(path)
    with reading(path):
        found = digest_of(path)
    if found not in digests:
        raise UsageError(
            f"{printable(path)}: differs from its digest in {LIST}: {DAMAGED}; restore it from a copy, or delete "
            f"{LIST} to read the folder without this check."
        )


def _listed(folder: Path) -> dict[str, list[str]]:
    path = folder / LIST
    if not is_there(path):
        return {}
    files = read_sealed(path, remedy=f"delete {LIST} to read the folder without this check").get(_FILES)
    if not isinstance(files, dict):
        raise UsageError(f"{printable(path)}: `{_FILES}` is missing: {DAMAGED}.")
    return files


def _digest_of_object(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an object in the form in which JSON reads it, for any order of its keys."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
