"""Folds: each image is validated once, classes are spread equally, and the rest of a data set does not change."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ltray.data.definition import DatasetDefinition
from ltray.data.folds import NEVER, folds_of
from ltray.data.splits import Splits, cut
from ltray.errors import UsageError

COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=8)
FOLDS = st.integers(2, 9)
HONEST = DatasetDefinition(name="t", source="folder", folder="/f", folds=5, test_per_class=2)
LT = DatasetDefinition(
    name="t", source="cifar10", imbalance_kind="exp", imbalance_factor=10.0, largest_class=30, folds=5
)


def table(counts: list[int], folds: int) -> np.ndarray:
    """Return the number of images of each class in each fold; the last column counts those in none."""
    labels = np.repeat(np.arange(len(counts)), counts)
    found = np.zeros((len(counts), folds + 1), dtype=int)
    np.add.at(found, (labels, folds_of(counts, folds, name="t")), 1)
    return found


@given(COUNTS, FOLDS)
def test_classes_are_spread_equally_and_only_single_images_are_in_no_fold(counts: list[int], folds: int) -> None:
    assume(max(counts) >= folds)
    found = table(counts, folds)
    several = np.array(counts) > 1
    assert (found.sum(axis=1) == counts).all()
    assert (found[:, NEVER] == ~several).all()
    assert (np.ptp(found[several, :NEVER], axis=1) <= 1).all()
    assert (found[several, 0] >= 1).all()  # the first fold compares trials by every class


@given(st.lists(st.integers(9, 40), min_size=2, max_size=8), FOLDS)
def test_folds_have_equal_sizes_where_every_class_has_enough_images(counts: list[int], folds: int) -> None:
    assert np.ptp(table(counts, folds)[:, :NEVER].sum(axis=0)) <= 1


@given(st.lists(st.integers(2, 30), min_size=2, max_size=6), FOLDS, st.integers(0, 9), st.randoms())
def test_each_image_is_validated_once_and_test_images_never(counts: list[int], folds: int, seed: int, random) -> None:
    assume(max(counts) >= folds + 2)  # test images are taken first
    labels = np.repeat(np.arange(len(counts)), counts)
    random.shuffle(labels)
    definition = dataclasses.replace(HONEST, folds=folds, data_seed=seed)
    whole = cut(definition, {"train": labels}, len(counts))
    assert whole.folds is not None and whole.validation is None
    parts = [whole.of_fold(fold) for fold in range(folds)]
    validated = np.concatenate([part.validation.indices for part in parts if part.validation])
    assert sorted(validated) == sorted(whole.selection.indices)
    assert set(whole.train.indices[whole.folds == NEVER]).isdisjoint(validated)
    for part in parts:
        assert part.validation is not None and part.test == whole.test
        assert (labels[part.validation.indices] == part.validation.labels).all()
        together = np.concatenate([part.train.indices, part.validation.indices])
        assert sorted(together) == sorted(whole.train.indices)
        assert set(together).isdisjoint(whole.test.indices)
        assert part.tail.listed == whole.tail.counts == whole.tail.listed and min(part.tail.counts) > 0
    again = cut(definition, {"train": labels}, len(counts))
    np.testing.assert_array_equal(again.folds, whole.folds)
    np.testing.assert_array_equal(again.train.indices, whole.train.indices)


@given(COUNTS, FOLDS, st.randoms())
def test_the_counts_of_folds_do_not_depend_on_the_order_of_rows(counts: list[int], folds: int, random) -> None:
    assume(max(counts) >= folds)
    definition = dataclasses.replace(HONEST, folds=folds, test_per_class=0)
    labels = np.repeat(np.arange(len(counts)), counts)
    shuffled = labels.copy()
    random.shuffle(shuffled)

    def counted(splits: Splits) -> list[list[int]]:
        parts = [splits.of_fold(fold).validation for fold in range(folds)]
        return [np.bincount(part.labels, minlength=len(counts)).tolist() for part in parts if part]

    test = np.zeros(1, dtype=int)
    one, other = (cut(definition, {"train": own, "test": test}, len(counts)) for own in (labels, shuffled))
    assert counted(one) == counted(other)


def test_another_data_seed_gives_other_folds_of_the_same_sizes() -> None:
    labels = np.repeat(np.arange(3), (20, 12, 7))
    one, other = (cut(dataclasses.replace(HONEST, data_seed=seed), {"train": labels}, 3).of_fold(0) for seed in (0, 1))
    assert one.validation and other.validation
    assert set(one.validation.indices) != set(other.validation.indices)
    assert one.validation.labels.tolist() == other.validation.labels.tolist()


def test_long_tailed_subset_is_cut_before_the_folds() -> None:
    labels = np.repeat(np.arange(10), 50)
    pools = {"train": labels, "test": labels[::10]}
    whole = cut(LT, pools, 10)
    paper = cut(dataclasses.replace(LT, folds=0, protocol="paper"), pools, 10)
    np.testing.assert_array_equal(whole.train.indices, paper.train.indices)
    assert whole.tail.counts[0] == 30 and whole.tail.counts[-1] == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 1}, "must be 0 (no cross-validation) or at least 2"),
        ({"folds": -1}, "0 <= folds"),
        ({"folds": 21}, "folds <= 20"),
        ({"folds": 2.5}, "folds"),
        ({"folds": 5, "protocol": "paper"}, "`folds` has no effect with protocol=paper"),
        ({"folds": 5, "validation_per_class": 3}, "`validation_per_class` has no effect with folds=5"),
    ],
)
def test_definition_refuses(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(").replace(")", r"\)")):
        DatasetDefinition(name="t", source="folder", folder="/f", **values)  # type: ignore[arg-type]


def test_folds_of_the_command_line_replace_the_held_out_images_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("name: t\nsource: folder\nfolder: /f\nvalidation_per_class: 9\n")
    assert DatasetDefinition.read(file, {"folds": 5}).validation_per_class == 0
    assert DatasetDefinition.read(file, {"folds": 0}).validation_per_class == 9
    with pytest.raises(UsageError, match="`validation_per_class` has no effect with folds=5"):
        DatasetDefinition.read(file, {"folds": 5, "validation_per_class": 9})
    assert DatasetDefinition.read("cifar10-lt", {"folds": 5}).folds == 5


@pytest.mark.parametrize("name", ["cifar100-lt", "digits-lt"])
def test_held_out_images_of_a_file_do_not_prevent_the_papers_protocol(name: str) -> None:
    assert DatasetDefinition.read(name, {"protocol": "paper"}).validation_per_class > 0


def test_validation_images_of_the_source_are_not_left_unused() -> None:
    labels = np.repeat(np.arange(3), 20)
    with pytest.raises(UsageError, match="the 60 validation images of the source would not be used"):
        cut(HONEST, {"train": labels, "validation": labels}, 3)


def test_more_folds_than_images_of_the_largest_class() -> None:
    with pytest.raises(UsageError, match="`folds: 5` needs at least one class with 5 images, but the largest has 4"):
        folds_of((4, 3, 1), 5, name="t")
