"""Findings of a conversion in the originals: unusable images, changes, duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltray.data.beton.chunks import Prepared
from ltray.data.originals import Originals
from ltray.printable import printable
from ltray.quantities import plural

SHOWN = 10  # lines of a list that a message shows

Found = Mapping[str, tuple[Originals, Prepared]]
"""Originals and prepared images of each pool."""


def some(lines: Sequence[str]) -> str:
    """Return the first lines, indented, and how many more there are."""
    more = [f"… and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])


@dataclass(frozen=True)
class Same:
    """Images with equal pixels.

    Attributes:
        names: Names of the images.
        classes: Number of different classes among their labels.
    """

    names: tuple[str, ...]
    classes: int


def duplicates(found: Found) -> dict[str, list[Same]]:
    """Return groups of images with equal pixels, by the pools that contain them: "train", "train and test", …."""
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for pool, (_, prepared) in found.items():
        digests = prepared.rows["digest"]
        for index in prepared.good.tolist():
            places[digests[index].tobytes()].append((pool, index))
    groups: dict[str, list[Same]] = defaultdict(list)
    for same in places.values():
        if len(same) > 1:
            where = " and ".join(sorted({pool for pool, _ in same}, key=("train", "validation", "test").index))
            names = tuple(found[pool][0].name(index) for pool, index in same)
            groups[where].append(Same(names, len({int(found[pool][0].labels[index]) for pool, index in same})))
    return dict(groups)


def _of_duplicates(where: str, groups: Sequence[Same]) -> str:
    wrong = sum(group.classes > 1 for group in groups)
    more = f", {wrong:,} of them in different classes" if wrong else ""
    leak = "; they are used for training and evaluation" if where.startswith("train and ") else ""
    return f"{where}: {plural(len(groups), 'image')} found more than once{more}{leak}"


def report(found: Found, notes: Sequence[str] = ()) -> str:
    """Return all findings.

    Args:
        found: The pools.
        notes: Findings in addition to the images.
    """
    sections = [line for pool, (_, prepared) in found.items() for line in _of_pool(pool, found, prepared)]
    for where, groups in duplicates(found).items():
        sections += [_of_duplicates(where, groups), *_indented(" = ".join(group.names) for group in groups)]
    return "\n".join(map(printable, [*sections, *notes])) + "\n"


def _of_pool(pool: str, found: Found, prepared: Prepared) -> Iterable[str]:
    originals = found[pool][0]
    bad, notes = prepared.bad(), prepared.notes()
    yield f"{pool}: {plural(len(prepared.good), 'image')} usable, {len(bad):,} not"
    yield from _indented(bad.values())
    for note, count in Counter(notes.values()).most_common():
        yield f"{pool}: {count:,} changed: {note}"
        yield from _indented(originals.name(index) for index, text in notes.items() if text == note)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
