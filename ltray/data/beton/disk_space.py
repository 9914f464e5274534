"""Check of the free disk space before a conversion begins."""

import shutil
from pathlib import Path

import numpy as np

from ltray.data.decoding import decode
from ltray.data.encoding import Storage
from ltray.data.originals import Originals
from ltray.errors import UsageError
from ltray.quantities import file_size

SAMPLE = 32  # images from which the size of all is estimated
SPARE = 1.1  # of the estimate


def check_before(folder: Path, originals: Originals, storage: Storage) -> None:
    """Raise UsageError unless the disk has space for the prepared images and the .beton file together."""
    count = len(originals.labels)
    sizes = []
    for index in np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)):
        try:
            image = decode(originals.read(int(index)), longest=storage.cap)
            sizes.append(len(storage.store(image).content))
        except Exception:  # reported with all other faulty images when they are prepared
            continue
    check_free(folder, int(2 * count * np.mean(sizes)) if sizes else 0)


def check_free(folder: Path, wanted: int) -> None:
    """Raise UsageError unless the folder's disk has `wanted` bytes and a reserve."""
    free = shutil.disk_usage(folder).free
    if wanted * SPARE > free:
        raise UsageError(
            f"{folder}: about {file_size(wanted * SPARE)} are needed, but only {file_size(free)} are free; "
            "free some space, or set LTRAY_DATA or --output to a folder on another disk."
        )
