"""The marker of a finished conversion, written last: the files of the conversion and the digests of their sidecars."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltray.data.beton.manifest import Sidecar, sidecar_path
from ltray.errors import UsageError
from ltray.files import atomic_write, digest_of, read_json, reading

COMPLETE = "complete"
FORMAT = 2
CURE = "convert the data set again"


@dataclass(frozen=True)
class Completion:
    """A finished conversion.

    Attributes:
        folder: Its folder.
        sidecars: SHA-256 of the sidecar of each pool.
    """

    folder: Path
    sidecars: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path, pools: Mapping[str, object]) -> "Completion":
        """Describe the pools in a folder, each with its sidecar."""
        return cls(folder, {pool: digest_of(sidecar_path(folder / f"{pool}.beton")) for pool in pools})

    def write(self) -> None:
        """Write the marker."""
        known = {"owner": "ltray", "format": FORMAT, "sidecars": dict(self.sidecars)}
        atomic_write(self.folder / COMPLETE, json.dumps(known | {"seal": _seal(known)}) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Completion | None":
        """Return the marker of a folder; None if no conversion was completed there, or only one of an earlier version.

        Raises:
            UsageError: It is damaged.
        """
        path = folder / COMPLETE
        if not path.is_file() or not path.stat().st_size:  # earlier versions left it empty
            return None
        with reading(path, "damaged", remedy=f"delete it and {CURE}"):
            known = read_json(path)
            if known.pop("seal") != _seal(known):
                raise ValueError("its digest does not match")
            if known["format"] != FORMAT:
                raise UsageError(f"{path}: written by another version of ltray; delete it and {CURE}.")
            return cls(folder, {str(pool): str(digest) for pool, digest in known["sidecars"].items()})

    def read_sidecar(self, pool: str) -> Sidecar:
        """Return the sidecar of a pool.

        Raises:
            UsageError: A file is missing, or the sidecar differs from the one that was written.
        """
        beton = self.folder / f"{pool}.beton"
        if not beton.is_file():
            raise UsageError(f"{beton} is missing; {CURE}.")
        sidecar = Sidecar.read(beton)
        if digest_of(sidecar_path(beton)) != self.sidecars[pool]:
            raise UsageError(
                f"{beton}: its sidecar {sidecar_path(beton).name} does not belong to it; delete the file and {CURE}."
            )
        return sidecar


def _seal(known: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
