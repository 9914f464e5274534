"""The ownership of files in a folder of converted files: a conversion removes and replaces only its own."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError
from ltray.files import atomic_write, read_json, reading
from ltray.printable import printable

MARK = ".ltray.json"  # in a folder of converted files: its data set, and the files that a conversion wrote
WORK_MARK = ".ltray-work"  # in a folder of prepared images
_OTHER = "store this data set in another folder (`store`, LTRAY_DATA or --output)"


@dataclass(frozen=True)
class Ownership:
    """The record of a folder's files.

    Attributes:
        folder: The folder.
        dataset: Name of the data set that is stored there.
        holds: The definition's fields about the originals and their storage.
        files: Digest of each file that a conversion has written or will write, by name; "" if it may change.
    """

    folder: Path
    dataset: str
    holds: Mapping[str, Any]
    files: Mapping[str, str]

    @classmethod
    def claim(cls, folder: Path, definition: DatasetDefinition, names: Iterable[str]) -> "Ownership":
        """Reserve names in a folder, before anything is written under them.

        Args:
            folder: The folder; it exists.
            definition: The data set to be stored there.
            names: Names of the files that a conversion writes.

        Raises:
            UsageError: Another data set is stored there, or one of the files was not written by ltray.
        """
        known = cls._read(folder)
        holds = _holds(folder, definition)
        if known and known.dataset != definition.name and not _same_data_set(known.holds, holds):
            raise UsageError(
                f"{folder}: contains the converted files of the data set `{known.dataset}`, which differ from those "
                f"of `{definition.name}`; {_OTHER}."
            )
        own = known.files if known else dict.fromkeys(_of_earlier_versions(folder), "")
        for name in names:
            if name not in own and os.path.lexists(folder / name):
                raise UsageError(
                    f"{printable(folder / name)}: was not written by ltray.convert, but ltray.convert needs this "
                    f"name; move the file, or {_OTHER}."
                )
        if known is None and not Path(definition.store).is_absolute():
            _check_empty(folder, own)
        claimed = cls(folder, definition.name, holds, {**dict.fromkeys(names, ""), **own})
        claimed._write()
        return claimed

    def owns(self, name: str) -> bool:
        """Return whether a file of this name belongs to a conversion."""
        return name in self.files

    def wrote(self, file: Path) -> "Ownership":
        """Record the digest of a file that the user may edit, in this folder or elsewhere."""
        written = Ownership(self.folder, self.dataset, self.holds, {**self.files, file.name: _digest(file)})
        written._write()
        return written

    def was_edited(self, file: Path) -> bool:
        """Return whether a file exists, and does not belong to a conversion or has changed since it was written."""
        return os.path.lexists(file) and self.files.get(file.name) != _digest(file)

    @classmethod
    def of(cls, folder: Path) -> "Ownership":
        """Return the record of a folder that was claimed.

        Raises:
            UsageError: Its record is missing or damaged.
        """
        found = cls._read(folder)
        if found is None:
            raise UsageError(f"{folder / MARK}: is missing; convert the data set again.")
        return found

    @classmethod
    def _read(cls, folder: Path) -> "Ownership | None":
        path = folder / MARK
        if not os.path.lexists(path):
            return None
        with reading(path, "not a marker file of ltray.convert", remedy="delete it and convert the data set again"):
            found = read_json(path)
            files = {str(name): str(digest) for name, digest in found["files"].items()}
            if found["owner"] != "ltray" or any(Path(name).name != name for name in files):
                raise ValueError("it lists files that are not in this folder")
            return cls(folder, str(found["dataset"]), dict(found["holds"]), files)

    def _write(self) -> None:
        known = {"owner": "ltray", "dataset": self.dataset, "holds": self.holds, "files": self.files}
        atomic_write(self.folder / MARK, json.dumps(known, indent=1) + "\n")


def _holds(folder: Path, definition: DatasetDefinition) -> dict[str, Any]:
    """Return the values that distinguish data sets: the originals, by full path and by path from the folder."""
    identity = definition.identity()
    from_here = [os.path.relpath(path, folder) if os.path.isabs(path) else path for path in identity]
    return {"storage": definition.storage.key, "originals": identity, "from_here": from_here}


def _same_data_set(known: Mapping[str, Any], holds: Mapping[str, Any]) -> bool:
    """Return whether two data sets are the same one, which may have been moved together with its converted files."""
    same = [key for key in ("originals", "from_here") if known.get(key) == holds[key]]
    return known.get("storage") == holds["storage"] and bool(same)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _check_empty(folder: Path, own: Iterable[str]) -> None:
    others = sorted({path.name for path in folder.iterdir() if not path.name.startswith(".")} - set(own))
    if others:
        raise UsageError(
            f"{printable(folder)}: is not empty and was not created by ltray.convert (it contains "
            f"{printable(others[0])}); empty it, or {_OTHER}."
        )


def _of_earlier_versions(folder: Path) -> list[str]:
    """Return the files of a conversion by an earlier version, which wrote no record, from their sidecars."""
    found = []
    for sidecar in folder.glob("*.json"):
        try:
            known = json.loads(sidecar.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(known, dict) and {"format", "fingerprint", "ends", "sha256", "image_sizes"} <= known.keys():
            found += [sidecar.name, f"{sidecar.stem}.beton"]
    return [*found, "complete", "report.txt"] if found else []


def new_work_folder(path: Path) -> None:
    """Create a folder of prepared images, or continue with one that a killed conversion has left.

    Raises:
        UsageError: A folder or file of this name exists that ltray did not create.
    """
    if is_work_folder(path):
        return
    if os.path.lexists(path) and (path.is_symlink() or not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"{printable(path)}: was not written by ltray.convert, but ltray.convert needs this name; move it."
        )
    path.mkdir(exist_ok=True)
    (path / WORK_MARK).touch()


def is_work_folder(path: Path) -> bool:
    """Return whether a folder of prepared images belongs to a conversion."""
    return path.is_dir() and not path.is_symlink() and (path / WORK_MARK).is_file()
