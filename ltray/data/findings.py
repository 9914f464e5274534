"""What a conversion found in the originals: unusable images, changes, duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ltray.data.originals import Originals
from ltray.data.prepared import Prepared

SHOWN = 10  # lines of a list that a message shows

Found = Mapping[str, tuple[Originals, Prepared]]
"""Originals and prepared images of each pool."""


def some(lines: Sequence[str]) -> str:
    """Return the first lines, indented, and how many more there are."""
    more = [f"… and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])


def duplicates(found: Found) -> dict[str, list[tuple[str, ...]]]:
    """Return groups of images with equal pixels, by where they were found.

    Returns:
        Names of the images of each group by "train", "train and test", ….
    """
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for pool, (_, prepared) in found.items():
        digests = prepared.rows["digest"]
        for index in prepared.good.tolist():
            places[digests[index].tobytes()].append((pool, index))
    groups: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for same in places.values():
        if len(same) > 1:
            where = " and ".join(dict.fromkeys(pool for pool, _ in same))
            groups[where].append(tuple(found[pool][0].name(index) for pool, index in same))
    return dict(groups)


def report(found: Found, notes: Sequence[str] = ()) -> str:
    """Return all that was found, in full.

    Args:
        found: The pools.
        notes: What was found beside the images.
    """
    sections = [line for pool, (_, prepared) in found.items() for line in _of_pool(pool, found, prepared)]
    for where, groups in duplicates(found).items():
        sections += [f"{where}: {len(groups):,} images occur more than once", *_indented(map(" = ".join, groups))]
    return "\n".join([*sections, *notes]) + "\n"


def _of_pool(pool: str, found: Found, prepared: Prepared) -> Iterable[str]:
    originals = found[pool][0]
    bad, notes = prepared.bad(), prepared.notes()
    yield f"{pool}: {len(prepared.good):,} images usable, {len(bad):,} not"
    yield from _indented(bad.values())
    for note, count in Counter(notes.values()).most_common():
        yield f"{pool}: {count:,} changed: {note}"
        yield from _indented(originals.name(index) for index, text in notes.items() if text == note)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
