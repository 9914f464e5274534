"""Features of frozen networks on disk, so that the trials of a second stage compute them once."""

import contextlib
import fcntl
import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltray.data.data_folder import make_data_folder

DIGEST_BYTES = 32
READ_BYTES = 1 << 20  # at a time
LIMIT = 16 << 30  # bytes in the folder; a ResNet-50's features of iNaturalist have 3.6e9


@dataclass(frozen=True)
class FeatureCache:
    """A folder of arrays; the name of each is the digest of its input.

    A file is written under a temporary name and then renamed, so that any number of
    processes may read and write; a file ends with a digest of its name and content. The least
    recently used files are deleted when `limit` is exceeded.

    Attributes:
        folder: The folder; created when it is needed for the first time.
        limit: Largest number of bytes to keep.
    """

    folder: Path
    limit: int = LIMIT

    def load(self, key: str) -> Tensor | None:
        """Return the features (N, d) of a key, float32, or None."""
        path = self.path(key)
        try:
            _check(path, key)
            found = torch.from_numpy(np.load(path, allow_pickle=False))
            os.utime(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, EOFError) as error:
            warnings.warn(f"{path}: computed again, because it cannot be read: {error}.", stacklevel=2)
            return None
        return found

    def keep(self, key: str, features: Tensor) -> None:
        """Store features (N, d); a folder that cannot be written to is not an error."""
        path = self.path(key)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            make_data_folder(self.folder)
            with partial.open("wb") as file:
                np.save(file, features.cpu().numpy())
            digest = _digest(partial, key, partial.stat().st_size)
            with partial.open("ab") as file:
                file.write(digest)
            os.replace(partial, path)
            self._drop_oldest()
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            warnings.warn(f"{path}: features are not cached for other runs: {error}.", stacklevel=2)

    @contextlib.contextmanager
    def computing(self, key: str) -> Iterator[None]:
        """Hold the lock of a key, so that of several processes one computes and the others read what it keeps.

        Where files cannot be locked, each process computes for itself.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                make_data_folder(self.folder)
                lock = stack.enter_context(self.path(key).with_suffix(".lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def path(self, key: str) -> Path:
        """Return the file of a key."""
        return self.folder / f"{key}.npy"

    def _drop_oldest(self) -> None:
        known = sorted(((path.stat(), path) for path in self.folder.glob("*.npy")), key=lambda item: item[0].st_mtime)
        total = sum(stat.st_size for stat, _ in known)
        for stat, path in known[:-1]:
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
            total -= stat.st_size


def _check(path: Path, key: str) -> None:
    """Raise ValueError unless a file ends with the digest of its key and content."""
    length = path.stat().st_size - DIGEST_BYTES
    with path.open("rb") as file:
        file.seek(max(length, 0))
        kept = file.read()
    if length < 0 or kept != _digest(path, key, length):
        raise ValueError("its digest does not match")


def _digest(path: Path, key: str, length: int) -> bytes:
    """Return the SHA-256 of a key and of the first bytes of a file."""
    found = hashlib.sha256(key.encode())
    with path.open("rb") as file:
        while length > 0 and (part := file.read(min(length, READ_BYTES))):
            found.update(part)
            length -= len(part)
    return found.digest()
