"""The record of the originals of a conversion: size and time of each file, label and digest of each image."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ltray.errors import UsageError
from ltray.files import atomic_write, reading

FILE_NAME = "originals.record"
FORMAT = 1
DIGEST = np.dtype("V16")
CURE = "convert the data set again"
RECENT = 2_000_000_000  # nanoseconds: a file that is changed again within this time may keep its modification time

Stamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds; (-1, -1) for a file that cannot be accessed."""
Stamps = Mapping[str, Stamp]
"""The stamp of each file, by its path from the source's root."""


@dataclass(frozen=True)
class PoolRecord:
    """The originals of one pool, in their order.

    Attributes:
        keys: File, relative to the source's root, and row of each image.
        labels: Label of each image (n,), int64.
        digests: Digest of the content of each image (n,), 16 bytes; zeros if it could not be read.
        left_out: Positions of the images that a conversion left out with the user's permission, int64.
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int64]
    digests: NDArray[np.void]
    left_out: NDArray[np.int64]


@dataclass(frozen=True)
class Inventory:
    """All originals of a data set.

    Attributes:
        class_names: Names in label order.
        pools: The originals of each pool.
        stamps: Size and modification time of every file.
        stamps_digest: Digest of `stamps` and of the definition's fields that describe the originals.
    """

    class_names: tuple[str, ...]
    pools: Mapping[str, PoolRecord]
    stamps: Stamps
    stamps_digest: str

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, labels and images: equal if and only if the data are equal, in any folder."""
        return fingerprint(self.class_names, {name: (one.labels, one.digests) for name, one in self.pools.items()})

    def write(self, folder: Path) -> None:
        """Write the record into a folder of converted files."""
        names: list[str] = list(self.stamps)
        arrays: dict[str, Any] = {
            "class_names": _packed(self.class_names),
            "files": _packed(names),
            "stamps": np.array([self.stamps[name] for name in names], dtype="<i8").reshape(-1, 2),
            "pools": _packed(tuple(self.pools)),
        }
        for number, one in enumerate(self.pools.values()):
            arrays |= {f"keys{number}": _packed(one.keys), f"labels{number}": one.labels}
            arrays |= {
                f"digests{number}": np.ascontiguousarray(one.digests).view(np.uint8),
                f"left_out{number}": one.left_out,
            }
        payload = io.BytesIO()
        np.savez_compressed(payload, **arrays)
        content = payload.getvalue()
        heading = {"owner": "ltray", "format": FORMAT, "glance": self.stamps_digest, "fingerprint": self.fingerprint}
        heading["sha256"] = _seal(heading, content)
        atomic_write(folder / FILE_NAME, json.dumps(heading).encode() + b"\n" + content)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of a folder of converted files.

        Raises:
            UsageError: It is missing, damaged or of another format.
        """
        path = folder / FILE_NAME
        with reading(path, "not a readable record of the originals", remedy=CURE):
            first, _, content = path.read_bytes().partition(b"\n")
            heading = json.loads(first)
            _check(path, heading, content)
            with np.load(io.BytesIO(content), allow_pickle=False) as saved:
                stamps = zip(_unpacked(saved["files"]), map(tuple, saved["stamps"].tolist()), strict=True)
                pools = {
                    name: PoolRecord(
                        _unpacked(saved[f"keys{number}"]),
                        saved[f"labels{number}"],
                        saved[f"digests{number}"].view(DIGEST),
                        saved[f"left_out{number}"],
                    )
                    for number, name in enumerate(_unpacked(saved["pools"]))
                }
                return cls(_unpacked(saved["class_names"]), pools, dict(stamps), heading["glance"])


def read_stamps_digest(folder: Path) -> str:
    """Return the `stamps_digest` of the record in a folder without reading the complete record.

    Raises:
        UsageError: It is missing or of another format.
    """
    path = folder / FILE_NAME
    with reading(path, "not a readable record of the originals", remedy=CURE), path.open("rb") as file:
        return str(json.loads(file.readline(1 << 12))["glance"])


def fingerprint(class_names: tuple[str, ...], pools: Mapping[str, tuple[NDArray[np.int64], NDArray[np.void]]]) -> str:
    """Return the digest of a data set's names, and of the labels and image digests of each pool."""
    found = hashlib.sha256(json.dumps(class_names).encode())
    for name in sorted(pools):
        labels, digests = pools[name]
        found.update(f"{name} {len(labels)}\n".encode())
        found.update(labels.astype("<i8").tobytes() + digests.tobytes())
    return found.hexdigest()


def digest_of_original(content: bytes | NDArray[np.uint8]) -> bytes:
    """Return a digest of 16 bytes; it is never all zeros, which is the mark of an unreadable original."""
    shape = b"" if isinstance(content, bytes) else repr(content.shape).encode()
    return hashlib.sha256(shape + (content if isinstance(content, bytes) else content.tobytes())).digest()[:16]


def stamps_of(root: str, watched: tuple[str, ...]) -> dict[str, Stamp]:
    """Return the stamp of every watched file, by its path relative to the root."""
    start = f"{root}{os.sep}"
    return {path.removeprefix(start): _stamp(path) for path in watched}


def _stamp(path: str) -> Stamp:
    try:
        known = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL character in the path
        return -1, -1
    return known.st_size, known.st_mtime_ns


def settled(stamps: Stamps, now: int) -> dict[str, Stamp]:
    """Return the stamps to record: a recently changed file gets a time that no file has, so that it is read again.

    Args:
        stamps: The stamps.
        now: Time in nanoseconds before the first stamp was read.
    """
    return {path: (size, -2 if abs(now - time) < RECENT else time) for path, (size, time) in stamps.items()}


def digest_of_stamps(fields: tuple[object, ...], class_names: tuple[str, ...], stamps: Stamps) -> str:
    """Return the digest of all stamps and of the description of the originals.

    Args:
        fields: The definition's fields that describe the originals.
        class_names: Names in label order.
        stamps: The stamp of every file.
    """
    text = "\n".join(f"{path}\0{size}\0{time}" for path, (size, time) in stamps.items())
    return hashlib.sha256(f"{fields!r}\n{class_names!r}\n".encode() + _bytes(text)).hexdigest()


def _check(path: Path, heading: Mapping[str, Any], content: bytes) -> None:
    if heading["format"] != FORMAT:
        raise UsageError(f"{path}: written by another version of ltray; {CURE}.")
    if heading["sha256"] != _seal(heading, content):
        raise UsageError(f"{path}: damaged, its digest does not match; {CURE}.")


def _seal(heading: Mapping[str, Any], content: bytes) -> str:
    sealed = {key: value for key, value in heading.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode() + content).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _packed(names: tuple[str, ...] | list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(_bytes(json.dumps(names, ensure_ascii=True)), dtype=np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(json.loads(packed.tobytes()))
