"""Report of a conversion: duplicate images, and names that are not valid UTF-8."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ltray.data.beton.report import report


def pool(pictures: str, labels: list[int]) -> tuple[Any, Any]:
    """Make a pool with one image per letter; equal letters have equal pixels."""
    digests = np.frombuffer("".join(letter * 16 for letter in pictures).encode(), dtype="V16")
    originals = SimpleNamespace(labels=np.array(labels), name=lambda index: f"{pictures[index]}\udcdf{index}.png")
    prepared = SimpleNamespace(rows={"digest": digests}, good=np.arange(len(pictures)), bad=dict, notes=dict)
    return originals, prepared


@pytest.mark.parametrize("order", [("train", "test"), ("test", "train")])
def test_duplicate_in_training_and_evaluation_is_reported(order: tuple[str, str]) -> None:
    pools = {"train": pool("abc", [0, 1, 1]), "test": pool("xb", [0, 0])}
    lines = report({name: pools[name] for name in order}).splitlines()
    assert (
        "train and test: 1 image found more than once, 1 of them in different classes; they are used for training "
        "and evaluation" in lines
    )
    assert any("b\\xdf1.png" in line and line.count("=") == 1 for line in lines)


def test_duplicate_within_one_pool_is_not_reported_as_a_leak() -> None:
    lines = report({"train": pool("aab", [0, 0, 1]), "test": pool("x", [0])}).splitlines()
    assert "train: 1 image found more than once" in lines
