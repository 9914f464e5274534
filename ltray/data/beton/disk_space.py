"""Whether the disk has room for a conversion, asked before it begins."""

import shutil
from pathlib import Path

import numpy as np

from ltray.data.decoding import decode
from ltray.data.encoding import Storage
from ltray.data.originals import Originals
from ltray.errors import UsageError

SAMPLE = 32  # images from which the size of all is estimated
SPARE = 1.1  # of the estimate


def check_before(folder: Path, originals: Originals, storage: Storage) -> None:
    """Raise UsageError unless prepared images and .beton, which lie side by side, will fit."""
    count = len(originals.labels)
    sizes = []
    for index in np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)):
        try:
            image = decode(originals.read(int(index)), longest=storage.cap)
            sizes.append(len(storage.store(image).content))
        except Exception:  # told with all others, by name, when they are prepared
            continue
    check_free(folder, int(2 * count * np.mean(sizes)) if sizes else 0)


def check_free(folder: Path, wanted: int) -> None:
    """Raise UsageError unless the folder's disk has `wanted` bytes and some to spare."""
    free = shutil.disk_usage(folder).free
    if wanted * SPARE > free:
        raise UsageError(
            f"{folder}: about {_amount(wanted * SPARE)} are needed, but {_amount(free)} are free; "
            "free some, or set LTRAY_DATA or --output to another disk."
        )


def _amount(size: float) -> str:
    unit, each = next((pair for pair in (("GB", 1e9), ("MB", 1e6)) if size >= pair[1]), ("kB", 1e3))
    return f"{size / each:.1f} {unit}"
