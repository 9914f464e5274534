"""Class counts of long tails compared with the official ones."""

import numpy as np
import pytest

from ltray.data.imbalance import KINDS, CountRequest, pareto_counts, power_counts
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from tests.conftest import Golden


@pytest.mark.parametrize("kind", ["exp", "step"])
@pytest.mark.parametrize(("classes", "ratio"), [(10, "0.01"), (100, "0.01")])
def test_cifar_counts_are_the_official_ones(golden: Golden, kind: str, classes: int, ratio: str) -> None:
    expected = golden("datasets")[f"cifar{classes}_{kind}_{ratio}"]
    counts = KINDS[kind].counts(CountRequest([50_000 // classes] * classes, factor=1 / float(ratio)))
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize(("variant", "exponent"), [("A", 0.8), ("B", 0.4), ("C", 0.0)])
def test_imagenet_lt_variants_are_powers_of_its_counts(golden: Golden, variant: str, exponent: float) -> None:
    known = golden("datasets")
    counts = power_counts(known["imagenet_lt"].tolist(), exponent)
    np.testing.assert_array_equal(counts, known[f"dataset_{variant}"])


def test_pareto_tail_of_shape_six_is_similar_to_imagenet_lt() -> None:
    counts = pareto_counts(1280, 1000, 256.0, 6.0)
    assert counts[0] == 1280 and min(counts) == 5 and counts == sorted(counts, reverse=True)
    groups = {name: len(labels) for name, labels in LongTail(tuple(counts)).groups().items()}
    # ImageNet-LT itself: 115,846 images; 385, 479 and 136 classes.
    assert abs(sum(counts) - 115_846) < 0.1 * 115_846
    assert all(abs(groups[name] - explicit) < 50 for name, explicit in {"many": 385, "medium": 479, "few": 136}.items())


def test_class_without_images_is_refused() -> None:
    with pytest.raises(UsageError, match="use at most 50"):
        KINDS["exp"].counts(CountRequest([50] * 5, factor=100.0))
