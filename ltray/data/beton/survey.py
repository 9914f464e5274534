"""The summary of a folder of images, as lines for a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from ltray.data.beton.manifest import Sidecar
from ltray.long_tail import FEW_BELOW
from ltray.quantities import file_size

BAR = 40  # columns of the longest bar
LISTED = 24  # classes that are shown; of more, the head, the middle and the tail


def survey(sidecars: Mapping[str, Sidecar]) -> Iterable[str]:
    """Yield the summary of the converted pools."""
    train = sidecars["train"]
    for pool, sidecar in sidecars.items():
        smallest, largest = sidecar.image_sizes
        left_out = f", {sidecar.skipped:,} left out" if sidecar.skipped else ""
        up_to = f" to {largest[0]} x {largest[1]}" if largest != smallest else ""
        yield (
            f"{pool}: {sum(sidecar.counts):,} images{left_out}, stored at {smallest[0]} x {smallest[1]}{up_to} pixels, "
            f"{file_size(sidecar.bytes)}"
        )
    yield from bars(train.class_names, train.counts)
    tiny = [f"{name} ({count})" for name, count in zip(train.class_names, train.counts, strict=True) if count < 5]
    few = sum(count < FEW_BELOW for count in train.counts)
    factor = max(train.counts) / max(min(train.counts), 1)
    yield f"imbalance factor {factor:.1f}; classes below {FEW_BELOW} images: {few}"
    if tiny:
        yield f"very small classes, hard to learn and evaluate: {', '.join(tiny[:10])}{' …' if len(tiny) > 10 else ''}"


def bars(names: Sequence[str], counts: Sequence[int]) -> Iterable[str]:
    """Yield a bar for each class, the largest first; for many classes a selection."""
    order = sorted(range(len(names)), key=lambda label: -counts[label])
    third = LISTED // 3
    middle = len(order) // 2 - third // 2
    parts = [order] if len(order) <= LISTED else [order[:third], order[middle : middle + third], order[-third:]]
    width = max(len(_short(names[label])) for part in parts for label in part)
    for number, part in enumerate(parts):
        if number:
            yield "  …"
        for label in part:
            length = max(1, round(BAR * counts[label] / max(counts))) if counts[label] else 0
            yield f"  {_short(names[label]):<{width}} {'█' * length:<{BAR}} {counts[label]:,}"


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
