"""Comparison of the originals with those that were converted: first the files' stamps, then the contents."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ltray.data.beton.inventory import (
    DIGEST,
    Inventory,
    PoolRecord,
    Stamps,
    digest_of_original,
    digest_of_stamps,
    fingerprint,
    settled,
    stamps_of,
)
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals, Source
from ltray.data.sources.class_names import some

NAMED = 3  # number of files that a message lists


@dataclass(frozen=True)
class OriginalsState:
    """The current files of a data set's originals, without their contents.

    Attributes:
        stamps: The stamp of every file.
        stamps_digest: Digest of the stamps.
        recorded_stamps: The stamps for a record; see `settled`.
        recorded_digest: Digest of `recorded_stamps`.
    """

    stamps: Stamps
    stamps_digest: str
    recorded_stamps: Stamps
    recorded_digest: str


def originals_state(definition: DatasetDefinition, source: Source) -> OriginalsState:
    """Return path, size and modification time of every file of a source."""
    now = time.time_ns()
    stamps = stamps_of(source.root, source.watched)
    recorded = settled(stamps, now)
    stamps_digest = digest_of_stamps(definition.originals, source.class_names, stamps)
    return OriginalsState(
        stamps, stamps_digest, recorded, digest_of_stamps(definition.originals, source.class_names, recorded)
    )


def current_inventory(
    known: Inventory,
    source: Source,
    state: OriginalsState,
    *,
    deep: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Inventory:
    """Return the inventory of the current originals; files with unchanged stamps are not read again.

    Args:
        known: The recorded inventory.
        source: The originals.
        state: The current stamps of their files.
        deep: Whether to read all files, also those with unchanged stamps.
        advance: Called with the number of images processed since the last call.
    """
    same = set() if deep else {path for path, stamp in state.stamps.items() if known.stamps.get(path) == stamp}
    pools = {}
    for name, opener in source.pools.items():
        before = known.pools.get(name)
        digests = dict(zip(before.keys, before.digests, strict=True)) if before else {}
        originals = opener()
        keys = keys_of(originals, source.root)
        found = np.zeros(len(keys), dtype=DIGEST)
        for index, (key, file) in enumerate(keys.items()):
            found[index] = digests[key] if file in same and key in digests else digest_at(originals, index)
            advance(1)
        consented = {(before.keys[i], before.digests[i].tobytes()) for i in before.left_out} if before else set()
        left = [i for i, key in enumerate(keys) if (key, found[i].tobytes()) in consented]
        pools[name] = PoolRecord(tuple(keys), originals.labels, found, np.array(left, dtype=np.int64))
    return Inventory(source.class_names, pools, state.recorded_stamps, state.recorded_digest)


def keys_of(originals: Originals, root: str) -> dict[str, str]:
    """Return the file of each image by the image's key, in order; both are relative to the root."""
    start = f"{root}/"
    keys: dict[str, str] = {}
    for index in range(len(originals.labels)):
        file, row = originals.place(index)
        file = file.removeprefix(start)
        key = f"{file}, row {row}" if row else file
        while key in keys:  # a list may contain a file twice
            key += " again"
        keys[key] = file
    return keys


def digest_at(originals: Originals, index: int) -> Any:
    """Return the digest of one original; zeros if it cannot be read."""
    try:
        content = digest_of_original(originals.read(index))
    except Exception:  # the conversion reports the file
        content = bytes(DIGEST.itemsize)
    return np.frombuffer(content, dtype=DIGEST)[0]


def difference(before: Inventory, now: Inventory) -> str:
    """Return the differences between two inventories as text; "" if the data are the same."""
    if before.fingerprint == now.fingerprint:
        return ""
    found = [names_differ(before.class_names, now.class_names)]
    gone, new = set(before.pools) - set(now.pools), set(now.pools) - set(before.pools)
    found += [_of_pools(gone, "gone"), _of_pools(new, "new")]
    found += [_of_images(_images(before, name), _images(now, name)) for name in before.pools if name in now.pools]
    return "; ".join(filter(None, found)) or "the order of the images differs"


def names_differ(before: Sequence[str], now: Sequence[str]) -> str:
    """Return the differences between class names as text; "" if there are none."""
    if before == now:
        return ""
    gone, new = [n for n in before if n not in now], [n for n in now if n not in before]
    if not gone and not new:
        return "the order of the classes differs"
    parts = [f"{what} {some(names, NAMED)}" for what, names in (("without", gone), ("with", new)) if names]
    return f"the classes differ, {' and '.join(parts)}"


def _of_pools(names: set[str], what: str) -> str:
    return f"{', '.join(sorted(names))} is {what}" if names else ""


_Images = Mapping[str, tuple[str, bytes]]
"""Class name and digest of each image, by its key."""


def _images(inventory: Inventory, pool: str) -> _Images:
    one, names = inventory.pools[pool], inventory.class_names
    return {
        key: (names[label], digest.tobytes())
        for key, label, digest in zip(one.keys, one.labels.tolist(), one.digests, strict=True)
    }


def _of_images(before: _Images, now: _Images) -> str:
    gone, new = [key for key in before if key not in now], [key for key in now if key not in before]
    both = [key for key in before if key in now]
    replaced = [key for key in both if before[key][1] != now[key][1]]
    other = [key for key in both if before[key][0] != now[key][0]]
    kinds = (("added", new), ("removed", gone), ("replaced", replaced), ("of another class", other))
    return ", ".join(f"{len(keys):,} {what} ({some(keys, NAMED)})" for what, keys in kinds if keys)


def fingerprint_of(class_names: tuple[str, ...], pools: Mapping[str, Originals]) -> str:
    """Return the fingerprint that a record of these originals would have; this reads all originals."""
    digests = {
        name: np.array([digest_at(one, index) for index in range(len(one.labels))], dtype=DIGEST)
        for name, one in pools.items()
    }
    return fingerprint(class_names, {name: (one.labels, digests[name]) for name, one in pools.items()})
