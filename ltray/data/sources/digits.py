"""scikit-learn's bundled handwritten digits: 1,797 real images, 8x8 grey, no download."""

import importlib.util
from pathlib import Path

import numpy as np

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import ArrayOriginals, Source

INK = 16  # the set's grey values run from 0 to 16


def open_digits(definition: DatasetDefinition) -> Source:
    """Describe the digits, grey in all three channels.

    They are a single pool; `test_per_class` of the definition takes the test set from it.
    """
    return Source(
        class_names=tuple(str(digit) for digit in range(10)),
        origin="scikit-learn's load_digits (Alpaydin and Kaynak 1998, test part)",
        pools={"train": _pool},
        root=str(_file().parent),
        watched=(str(_file()),),
    )


def _file() -> Path:
    """Return the path of scikit-learn's file of the digits, without importing scikit-learn."""
    package = importlib.util.find_spec("sklearn")
    return Path(str(package.origin if package else "")).parent / "datasets" / "data" / "digits.csv.gz"


def _pool() -> ArrayOriginals:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    grey = np.round(images.reshape(-1, 8, 8, 1) * (255 / INK)).astype(np.uint8)
    return ArrayOriginals(np.repeat(grey, 3, axis=3), labels.astype(np.int64), "digits", str(_file()))
