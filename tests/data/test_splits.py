"""Splits: the official CIFAR-LT selection, and the properties of the honest protocol."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.data.definition import DatasetDefinition
from ltray.data.imbalance import KINDS, CountRequest
from ltray.data.splits import Split, Splits, cut
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from tests.conftest import Golden

PAPER = DatasetDefinition(name="t", source="cifar100", imbalance_kind="exp", imbalance_factor=100.0, protocol="paper")


def balanced(classes: int, each: int, seed: int = 0) -> np.ndarray:
    """Return shuffled labels with `each` images per class."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), each))


def cut_cifar(definition: DatasetDefinition, classes: int) -> tuple[np.ndarray, Splits]:
    labels = balanced(classes, 50_000 // classes)
    return labels, cut(definition, {"train": labels, "test": balanced(classes, 10)}, classes)


def ordinals(labels: np.ndarray, split: Split) -> np.ndarray:
    """Return the rank of each chosen image within its class, in file order."""
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(len(places))
    return rank[split.indices]


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("factor", [10, 50, 100, 200])
def test_long_tailed_cifar_equals_the_official_selection(golden: Golden, classes: int, factor: int) -> None:
    expected = golden("cifar_lt")
    case = f"cifar{classes}_if{factor}"
    definition = dataclasses.replace(PAPER, imbalance_factor=float(factor))
    labels, splits = cut_cifar(definition, classes)
    counts = np.bincount(splits.train.labels)
    np.testing.assert_array_equal(counts, expected[f"{case}/counts"])
    np.testing.assert_array_equal(splits.train.labels, np.repeat(np.arange(classes), counts))
    np.testing.assert_array_equal(ordinals(labels, splits.train), expected[f"{case}/ordinals"])
    groups = LongTail(tuple(counts.tolist())).groups()
    shots = [len(groups.get(name, [])) for name in ("many", "medium", "few")]
    np.testing.assert_array_equal(shots, expected[f"{case}/shots"])


@pytest.mark.parametrize("classes", [10, 100])
def test_step_imbalance_has_the_official_counts(golden: Golden, classes: int) -> None:
    definition = dataclasses.replace(PAPER, imbalance_kind="step")
    _, splits = cut_cifar(definition, classes)
    expected = golden("cifar_lt")[f"step_cifar{classes}_if100/counts"]
    np.testing.assert_array_equal(np.bincount(splits.train.labels), expected)


@pytest.mark.parametrize("seed", [0, 7])
def test_indices_equal_the_official_ones_for_any_seed(golden: Golden, seed: int) -> None:
    expected = golden("cifar_lt")
    labels = expected["fake/targets"].astype(np.int64)
    definition = dataclasses.replace(PAPER, imbalance_factor=10.0, data_seed=seed, largest_class=100)
    splits = cut(definition, {"train": labels, "test": labels}, 6)
    np.testing.assert_array_equal(splits.train.indices, expected[f"fake/indices_seed{seed}"])


def test_global_random_generator_is_not_changed() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    cut_cifar(PAPER, 10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]


def test_honest_validation_removes_27_training_images_of_cifar100() -> None:
    honest = dataclasses.replace(PAPER, protocol="honest", validation_per_class=25)
    labels, splits = cut_cifar(honest, 100)
    _, official = cut_cifar(PAPER, 100)
    assert len(official.train.indices) - len(splits.train.indices) == 27
    assert set(splits.train.indices) < set(official.train.indices)
    assert splits.validation is not None
    np.testing.assert_array_equal(np.bincount(labels[splits.validation.indices]), [25] * 100)


@given(
    kind=st.sampled_from(["exp", "step", "pareto"]),
    classes=st.integers(2, 7),
    each=st.integers(12, 40),
    factor=st.floats(1.0, 7.0),
    wanted=st.integers(1, 6),
    tests=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_are_disjoint_and_have_the_requested_sizes(
    kind: str, classes: int, each: int, factor: float, wanted: int, tests: int, seed: int
) -> None:
    definition = DatasetDefinition(
        name="t",
        source="digits",
        imbalance_kind=kind,
        imbalance_factor=factor,
        validation_per_class=wanted,
        test_per_class=tests,
        data_seed=seed,
        largest_class=each - tests,
    )
    labels = balanced(classes, each, seed)
    pools = {"train": labels} if tests else {"train": labels, "test": labels}
    splits = cut(definition, pools, classes)
    assert splits.validation is not None
    cut_from_train = [splits.train, splits.validation] + ([splits.test] if tests else [])
    chosen = np.concatenate([split.indices for split in cut_from_train])
    assert len(np.unique(chosen)) == len(chosen)
    for split in (splits.train, splits.validation, splits.test):
        np.testing.assert_array_equal(pools[split.pool][split.indices], split.labels)
    np.testing.assert_array_equal(np.bincount(splits.validation.labels, minlength=classes), [wanted] * classes)
    if tests:
        np.testing.assert_array_equal(np.bincount(splits.test.labels, minlength=classes), [tests] * classes)
    requested = KINDS[kind].counts(
        CountRequest([each - tests] * classes, factor=definition.imbalance_factor, shape=6.0)
    )
    expected = [min(count, each - tests - wanted) for count in requested]
    np.testing.assert_array_equal(np.bincount(splits.train.labels, minlength=classes), expected)


def test_test_set_does_not_depend_on_the_data_seed() -> None:
    labels = balanced(3, 30)
    first, second = (
        cut(
            DatasetDefinition(name="t", source="digits", test_per_class=5, validation_per_class=2, data_seed=seed),
            {"train": labels},
            3,
        )
        for seed in (0, 1)
    )
    np.testing.assert_array_equal(first.test.indices, second.test.indices)
    assert not np.array_equal(first.train.indices, second.train.indices)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"imbalance_kind": "exp", "imbalance_factor": 100.0}, "leaves classes without images"),
        ({"imbalance_kind": "exp", "largest_class": 31}, "lower `largest_class`"),
        ({"imbalance_kind": "exp", "validation_per_class": 30}, "`validation_per_class: 30` needs 31 images"),
        ({"imbalance_kind": "exp", "test_per_class": 30}, "`test_per_class: 30` needs 31 images"),
        ({"protocol": "honest"}, "needs validation images"),
    ],
)
def test_impossible_split_is_refused(given: dict[str, object], message: str) -> None:
    labels = balanced(3, 30)
    with pytest.raises(UsageError, match=message):
        cut(DatasetDefinition(**({"name": "t", "source": "digits"} | given)), {"train": labels, "test": labels}, 3)  # type: ignore[arg-type]


def test_small_classes_of_a_natural_tail_keep_most_of_their_images() -> None:
    labels = np.repeat(np.arange(4), [60, 12, 3, 1])
    definition = DatasetDefinition(name="t", source="folder", validation_per_class=5, test_per_class=5)
    splits = cut(definition, {"train": labels}, 4)
    assert splits.validation is not None
    parts = [splits.train, splits.validation, splits.test]
    counts = [np.bincount(part.labels, minlength=4).tolist() for part in parts]
    assert counts == [[50, 4, 1, 1], [5, 4, 1, 0], [5, 4, 1, 0]]


def test_official_validation_set_is_used_if_available() -> None:
    pools = {"train": balanced(3, 9), "validation": balanced(3, 4), "test": balanced(3, 5)}
    splits = cut(DatasetDefinition(name="t", source="folder", validation_per_class=2), pools, 3)
    assert splits.validation is not None and splits.validation.pool == "validation"
    assert len(splits.train.indices) == 27


def test_cap_limits_only_the_large_classes() -> None:
    pools = {"train": np.repeat(np.arange(3), [50, 20, 4]), "test": balanced(3, 2)}
    definition = DatasetDefinition(name="t", source="folder", protocol="paper", largest_class=20)
    assert np.bincount(cut(definition, pools, 3).train.labels).tolist() == [20, 20, 4]


@pytest.mark.parametrize(
    ("kind", "cap", "counts"),
    [
        ("exp", 0, [100, 46, 21, 10]),
        ("exp", 50, [50, 23, 10, 5]),
        ("step", 0, [100, 100, 10, 10]),
        ("step", 50, [50, 50, 5, 5]),
        ("pareto", 0, [100, 45, 23, 10]),
        ("pareto", 50, [50, 22, 11, 5]),
    ],
)
@pytest.mark.parametrize("seed", [0, 5])
def test_generated_tail_has_its_factor_below_its_cap_for_any_seed(
    kind: str, cap: int, counts: list[int], seed: int
) -> None:
    pools = {"train": balanced(4, 100), "test": balanced(4, 2)}
    definition = dataclasses.replace(
        PAPER, imbalance_kind=kind, imbalance_factor=10.0, largest_class=cap, data_seed=seed
    )
    assert np.bincount(cut(definition, pools, 4).train.labels).tolist() == counts


def test_power_of_a_reference_needs_the_same_classes() -> None:
    definition = DatasetDefinition(
        name="t", source="folder", protocol="paper", imbalance_kind="power", reference_list="r"
    )
    pools = {"train": balanced(3, 9), "test": balanced(3, 2)}
    assert np.bincount(cut(definition, pools, 3, [9, 4, 2]).train.labels).tolist() == [9, 4, 2]
    with pytest.raises(UsageError, match="`reference_list` has 2 classes, the source 3"):
        cut(definition, pools, 3, [9, 4])


def test_source_without_a_test_set_needs_test_per_class() -> None:
    with pytest.raises(UsageError, match="set `test_per_class`"):
        cut(DatasetDefinition(name="t", source="digits", protocol="paper"), {"train": balanced(3, 30)}, 3)
