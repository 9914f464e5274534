"""Orders of an epoch: a function of seed and epoch, with the documented class frequencies."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ltray.data.sampling import SAMPLINGS, Sampling, epoch_order
from ltray.errors import UsageError

KINDS = list(SAMPLINGS)
LABELS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)[torch.randperm(100, generator=torch.Generator().manual_seed(1))]


def drawn_classes(kind: str, epochs: int = 200, column: int = 0) -> np.ndarray:
    """Return the share of each class among many epochs' draws."""
    orders = [epoch_order(Sampling(kind), LABELS, seed=5, epoch=epoch)[:, column] for epoch in range(epochs)]
    return np.bincount(LABELS[torch.cat(orders)].numpy()) / (epochs * len(LABELS))


@pytest.mark.parametrize("kind", KINDS)
def test_order_depends_on_seed_and_epoch(kind: str) -> None:
    def order(seed: int, epoch: int) -> Tensor:
        return epoch_order(Sampling(kind, epochs=10), LABELS, seed=seed, epoch=epoch)

    assert torch.equal(order(1, 2), order(1, 2))
    # The order must not depend only on seed + epoch: (1, 0) and (0, 1) are different epochs.
    assert not torch.equal(order(1, 0), order(0, 1))
    assert not torch.equal(order(1, 2), order(1, 3))


def test_natural_order_has_every_image_once() -> None:
    order = epoch_order(Sampling(), LABELS, seed=0, epoch=0)
    assert sorted(order[:, 0].tolist()) == list(range(100))


def test_class_balanced_draws_classes_and_images_uniformly() -> None:
    np.testing.assert_allclose(drawn_classes("class_balanced"), [1 / 3] * 3, atol=0.02)
    orders = [epoch_order(Sampling("class_balanced"), LABELS, seed=5, epoch=epoch) for epoch in range(400)]
    rare = np.bincount(torch.cat(orders)[:, 0].numpy(), minlength=100)[LABELS.numpy() == 2]
    np.testing.assert_allclose(rare / rare.sum(), [0.1] * 10, atol=0.01)


def test_reversed_draws_classes_by_their_inverse_counts() -> None:
    inverse = 1 / np.array([60, 30, 10])
    np.testing.assert_allclose(drawn_classes("reversed"), inverse / inverse.sum(), atol=0.02)


def test_square_root_draws_classes_by_the_root_of_their_counts() -> None:
    root = np.sqrt([60, 30, 10])
    np.testing.assert_allclose(drawn_classes("square_root"), root / root.sum(), atol=0.02)


@pytest.mark.parametrize("epoch", [0, 100, 199])
def test_progressive_moves_from_the_natural_to_the_balanced_distribution(epoch: int) -> None:
    sampling = Sampling("progressive", epochs=200)
    orders = [epoch_order(sampling, LABELS, seed=seed, epoch=epoch)[:, 0] for seed in range(200)]
    drawn = np.bincount(LABELS[torch.cat(orders)].numpy()) / (200 * len(LABELS))
    expected = (1 - epoch / 200) * np.array([0.6, 0.3, 0.1]) + epoch / 200 / 3
    np.testing.assert_allclose(drawn, expected, atol=0.02)


def test_pairs_have_two_classes_of_equal_probability() -> None:
    order = epoch_order(Sampling("pairs"), LABELS, seed=0, epoch=0)
    assert order.shape == (100, 2)
    assert (LABELS[order[:, 0]] != LABELS[order[:, 1]]).all()
    for column in (0, 1):
        np.testing.assert_allclose(drawn_classes("pairs", column=column), [1 / 3] * 3, atol=0.02)


@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=6), run=st.integers(1, 5), long=st.booleans())
def test_class_aware_draws_classes_and_images_in_passes(counts: list[int], run: int, long: bool) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = epoch_order(Sampling("class_aware", run, long), labels, seed=3, epoch=1)[:, 0]
    assert len(order) == (max(counts) * len(counts) if long else sum(counts))
    complete = len(order) - len(order) % run
    runs = labels[order[:complete]].view(-1, run)
    assert (runs == runs[:, :1]).all()
    for turn in runs[:, 0].split(len(counts)):
        assert len(turn.unique()) == len(turn)
    for label in range(len(counts)):
        uses = np.bincount(order[labels[order] == label].numpy(), minlength=len(labels))[labels.numpy() == label]
        assert uses.max() - uses.min() <= 1


def test_absent_classes_are_not_drawn() -> None:
    labels = torch.tensor([1, 1, 4, 4, 4, 9])
    for kind in KINDS:
        order = epoch_order(Sampling(kind), labels, seed=0, epoch=0)
        assert order.min() >= 0 and order.max() < 6


@pytest.mark.parametrize("kind", KINDS)
def test_every_sampling_draws_positions_of_the_training_set(kind: str) -> None:
    order = epoch_order(Sampling(kind, epochs=3), LABELS, seed=0, epoch=1)
    assert order.dtype == torch.int64 and order.shape == (100, 2 if kind == "pairs" else 1)
    assert order.min() >= 0 and order.max() < 100


@pytest.mark.parametrize(
    ("kind", "hint"), [("class_aware_", "Did you mean `class_aware`"), ("uniform", "Known: "), ("", "Known: ")]
)
def test_unknown_sampling_is_refused(kind: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"{kind!r} is not a sampling of epochs.*{hint}"):
        epoch_order(Sampling(kind), LABELS, seed=0, epoch=0)
