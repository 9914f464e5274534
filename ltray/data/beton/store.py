"""The converted files of a data set: their folder, their conversion, and the check that originals are unchanged."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltray.data.beton.changes import OriginalsState, current_inventory, difference, originals_state
from ltray.data.beton.completion import Completion
from ltray.data.beton.in_use import Hold, hold_for_reading
from ltray.data.beton.inventory import Inventory, read_stamps_digest
from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.node_copy import local_copy
from ltray.data.beton.presence import open_if_present
from ltray.data.beton.progress import ProgressBars
from ltray.data.data_folder import data_folder
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.errors import UsageError

BAD_USAGE = 2  # exit code of a conversion with an error that the user must correct

Check = Literal["convert", "compare", "trust", "look"]
"""What to do with originals that may have changed since they were converted.

* "convert", for a new run: they are compared, and converted again if they differ.
* "compare", for a run that exists: they are compared, and a difference is an error.
* "trust", for a worker of a run: they are not compared, because the run's command has compared them.
* "look", for a dry run: they are compared, and nothing is written or converted.
"""


@dataclass(frozen=True)
class Converted:
    """The converted files of a data set.

    Attributes:
        pools: The checked sidecar of each pool.
        notes: Notes for the user.
        lock: The lock that prevents conversions from replacing the files while it is referenced; None if the file
            system has no locks.
    """

    pools: Mapping[str, Sidecar]
    notes: tuple[str, ...]
    lock: Hold | None


def folder_of(definition: DatasetDefinition, root: Path | None = None) -> Path:
    """Return the folder of a definition's .beton files: `store`, or a folder inside `root` or the data folder."""
    if Path(definition.store).is_absolute():
        return Path(definition.store)
    return (root or data_folder()) / definition.key


def converted(definition: DatasetDefinition, *, progress: bool = False, check: Check = "convert") -> Converted:
    """Return the checked converted files of a data set; convert them first if there are none.

    Args:
        definition: The data set.
        progress: Whether a conversion shows its progress bar.
        check: What to do with originals that may have changed; not "look".

    Raises:
        UsageError: The originals cannot be found or read, or have changed; a file is damaged or has another format.
    """
    folder = folder_of(definition)
    notes: tuple[str, ...] = ()
    if not is_complete(folder):
        _convert_elsewhere(definition, progress)
    elif check != "trust":
        changed, notes = compared(definition, folder, progress=progress)
        if changed and check == "compare":
            raise UsageError(
                f"{folder}: the originals of {definition.name} have changed since their conversion: {changed}. "
                "Restore them, or begin a new run, which converts them again."
            )
        if changed:
            _convert_elsewhere(definition, progress)
            notes = (f"{definition.name}: converted again, because its originals have changed: {changed}",)
    lock = hold_for_reading(folder)
    return Converted({pool: local_copy(sidecar) for pool, sidecar in sidecars(definition, folder).items()}, notes, lock)


def converted_already(definition: DatasetDefinition) -> Converted | None:
    """Return the converted files if they exist and belong to the current originals, else None; writes nothing."""
    folder = folder_of(definition)
    if not is_complete(folder):
        return None
    changed, notes = compared(definition, folder, write=False)
    if changed:
        return None
    found = sidecars(definition, folder)
    for sidecar in found.values():
        sidecar.check()
    return Converted(found, notes, hold_for_reading(folder))


def is_complete(folder: Path) -> bool:
    """Return whether a folder contains a complete conversion.

    Raises:
        UsageError: Its marker is damaged.
    """
    return Completion.read(folder) is not None


def sidecars(definition: DatasetDefinition, folder: Path) -> dict[str, Sidecar]:
    """Return the sidecar of each pool of a complete conversion.

    Raises:
        UsageError: A sidecar is missing, damaged, from another conversion than the others, or has another format.
    """
    completion = Completion.read(folder)
    found = {pool: completion.read_sidecar(pool) for pool in completion.sidecars} if completion else {}
    if "train" not in found:
        raise UsageError(f"{folder / 'train.beton'} is missing; convert the data set again.")
    for sidecar in found.values():
        _check_form(sidecar, definition)
        if sidecar.fingerprint != found["train"].fingerprint:
            raise UsageError(f"{sidecar.beton}: has other originals than train.beton; convert the data set again.")
    return found


def recorded(folder: Path) -> Inventory | None:
    """Return the record of the originals of a folder's files; None if there is no readable record."""
    try:
        return Inventory.read(folder)
    except UsageError:
        return None


def inventory_now(
    known: Inventory,
    definition: DatasetDefinition,
    source: Source,
    *,
    state: OriginalsState,
    deep: bool = False,
    progress: ProgressBars,
) -> Inventory:
    """Return the inventory of the current originals; this is the record itself if no stamp has changed."""
    if not deep and state.stamps_digest == known.stamps_digest:
        return known
    count = sum(len(one.keys) for one in known.pools.values())
    with progress.bar(f"{definition.name}: comparing originals", count) as advance:
        return current_inventory(known, source, state, deep=deep, advance=advance)


def compared(
    definition: DatasetDefinition, folder: Path, *, progress: bool = False, write: bool = True
) -> tuple[str, tuple[str, ...]]:
    """Compare the originals with those that were converted.

    Args:
        definition: The data set.
        folder: Folder of the converted files.
        progress: Whether to show a progress bar.
        write: Whether to record the current stamps, so that the files are not read again.

    Returns:
        The differences as text, "" if there are none; and notes for the user.

    Raises:
        UsageError: The originals are not a data set any more, or the record of the converted originals is damaged.
    """
    source = open_if_present(definition)
    if source is None:
        return "", (
            f"{definition.name}: the originals are not on this machine; the digests of the converted files are checked",
        )
    state = originals_state(definition, source)
    if state.stamps_digest == read_stamps_digest(folder):
        return "", ()
    known = Inventory.read(folder)
    now = inventory_now(known, definition, source, state=state, progress=ProgressBars(shown=progress))
    changed = difference(known, now)
    if not changed and write and os.access(folder, os.W_OK):
        now.write(folder)
    return changed, ()


def _check_form(sidecar: Sidecar, definition: DatasetDefinition) -> None:
    """Raise UsageError if a data-set file was changed after its images were stored."""
    wanted = dataclasses.asdict(definition.storage)
    if sidecar.options != wanted:
        stored, asked = (
            ", ".join(f"{key} {value}" for key, value in form.items()) for form in (sidecar.options, wanted)
        )
        raise UsageError(
            f"{sidecar.beton}: its images are stored as {stored}, but `image_size`, `longest_side` and "
            f"`jpeg_quality` of {definition.name} now require {asked}; convert the data set again."
        )


def _convert_elsewhere(definition: DatasetDefinition, progress: bool) -> None:
    """Convert in a separate process, because a training process has threads and a main module that workers do not need.

    Raises:
        UsageError: The data set cannot be converted.
        RuntimeError: The conversion failed.
    """
    order = json.dumps({"definition": definition.explicit_values(), "progress": progress, "parent": os.getpid()})
    done = subprocess.run(
        [sys.executable, "-m", "ltray.data.beton.convert", order], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == BAD_USAGE:
        raise UsageError(done.stdout.strip())
    if done.returncode:
        raise RuntimeError(
            f"The conversion of {definition.name} failed with exit code {done.returncode}; see the messages above."
        )
