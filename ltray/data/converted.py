"""The converted files of a data set: where they are, and having them made where they are not."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ltray.data.definition import DatasetDefinition
from ltray.data.node import at_hand
from ltray.data.places import data_folder
from ltray.data.sidecar import Sidecar
from ltray.errors import UsageError

COMPLETE = "complete"  # the marker that is written last
BAD_USAGE = 2  # exit code of a conversion that a user has to mend


def folder_of(definition: DatasetDefinition, root: Path | None = None) -> Path:
    """Return the folder of a definition's .beton files: `store`, or below `root` or the data folder."""
    if Path(definition.store).is_absolute():
        return Path(definition.store)
    return (root or data_folder()) / definition.key


def converted(definition: DatasetDefinition, *, progress: bool = False) -> Mapping[str, Sidecar]:
    """Return the sidecars of a definition's pools, checked; convert first where there are none.

    Raises:
        UsageError: The originals cannot be found or read, a file is damaged, or of another form.
    """
    folder = folder_of(definition)
    if not betons(folder):
        _convert_elsewhere(definition, progress)
    found = {file.stem: Sidecar.read(file) for file in betons(folder)}
    if "train" not in found:
        raise UsageError(f"{folder / 'train.beton'} is missing; convert the data set again.")
    for sidecar in found.values():
        _check_form(sidecar, definition)
    return {pool: at_hand(sidecar) for pool, sidecar in found.items()}


def _check_form(sidecar: Sidecar, definition: DatasetDefinition) -> None:
    """Raise UsageError where a data-set file was changed after its images were stored."""
    wanted = dataclasses.asdict(definition.storage)
    if sidecar.options != wanted:
        stored, asked = (
            ", ".join(f"{key} {value}" for key, value in form.items()) for form in (sidecar.options, wanted)
        )
        raise UsageError(
            f"{sidecar.beton}: its images are stored as {stored}, but `image_size`, `longest_side` and "
            f"`jpeg_quality` of {definition.name} now mean {asked}; convert the data set again."
        )


def _convert_elsewhere(definition: DatasetDefinition, progress: bool) -> None:
    """Convert in a process of its own: one that trains holds threads and a main module that no worker needs."""
    order = json.dumps({"definition": definition.stated(), "progress": progress, "parent": os.getpid()})
    done = subprocess.run(
        [sys.executable, "-m", "ltray.data.conversion", order], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == BAD_USAGE:
        raise UsageError(done.stdout.strip())
    if done.returncode:
        raise RuntimeError(f"The conversion of {definition.name} ended with exit code {done.returncode}; see above.")


def betons(folder: Path) -> list[Path]:
    """Return the .beton files of a complete conversion; the marker is written last."""
    return sorted(folder.glob("*.beton")) if (folder / COMPLETE).is_file() else []
