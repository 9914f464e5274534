"""Images that the user allowed a conversion to leave out; every later command leaves them out too."""

import glob
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ltray.data.beton.changes import digest_at, keys_of
from ltray.data.beton.inventory import Inventory
from ltray.data.definition import BUNDLED, DatasetDefinition
from ltray.data.originals import Originals, SomeOriginals, Source
from ltray.errors import UsageError

LeftOut = Mapping[str, set[tuple[str, bytes]]]
"""Key and digest of the images that were left out, by pool."""


def left_out_before(definition: DatasetDefinition, folder: Path) -> LeftOut:
    """Return the images that conversions of the same originals left out, for any size of the stored images.

    Args:
        definition: The data set.
        folder: The folder of its converted files.
    """
    folders = [folder]
    if not Path(definition.store).is_absolute() and definition.source not in BUNDLED:
        start, _, digest = definition.key.rpartition("-")
        start = start.removesuffix(f"-{definition.storage.key}")
        folders += sorted(folder.parent.glob(f"{glob.escape(start)}-*-{digest}"))
    found: dict[str, set[tuple[str, bytes]]] = {}
    for place in folders:
        try:
            known = Inventory.read(place)
        except UsageError:
            continue  # no record, or a damaged one, which the commands of that data set report
        for pool, one in known.pools.items():
            found.setdefault(pool, set()).update((one.keys[i], one.digests[i].tobytes()) for i in one.left_out)
    return found


def usable(definition: DatasetDefinition, source: Source, folder: Path) -> dict[str, Originals]:
    """Open a source's pools without the images that a conversion left out.

    Args:
        definition: The data set.
        source: Its originals.
        folder: The folder of its converted files; it may be missing.
    """
    left_out = left_out_before(definition, folder)
    return {pool: _without(opener(), left_out.get(pool, set()), source.root) for pool, opener in source.pools.items()}


def _without(originals: Originals, left_out: set[tuple[str, bytes]], root: str) -> Originals:
    if not left_out:
        return originals
    suspects = {key for key, _ in left_out}
    gone = [
        index
        for index, key in enumerate(keys_of(originals, root))
        if key in suspects and (key, digest_at(originals, index).tobytes()) in left_out
    ]
    return SomeOriginals(originals, np.setdiff1d(np.arange(len(originals.labels)), gone)) if gone else originals
