"""Out-of-fold scores: what is pooled, what is kept, and the standard error, against closed forms and simulations."""

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.engine.evaluation import Evaluation
from ltray.engine.fold_error import corrected, error_with_folds, pseudo_values
from ltray.engine.held_out import HeldOut, evaluation_of
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.metrics import COUNTED

TAIL = LongTail((30, 25, 4))
SHARES = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=10)


def scores(seed: int, folds: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, labels and folds of 59 images, 4 of them of a rare class."""
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(TAIL.counts))
    logits = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    return logits, labels, torch.arange(len(labels)) % folds


@given(st.integers(0, 99))
def test_pooled_metrics_are_those_of_all_images_together(seed: int) -> None:
    logits, labels, folds = scores(seed)
    pooled, together = evaluation_of(logits, labels, folds), Evaluation.of(logits, labels)
    assert pooled.metrics(TAIL, "val") == together.metrics(TAIL, "val")
    assert pooled.seen.tolist() == list(TAIL.counts)  # a class with 4 images is judged on 4 images
    recall = [float((logits.argmax(1) == labels)[labels == label].float().mean()) for label in range(3)]
    assert pooled.metrics(TAIL, "val")["val/balanced_accuracy"] == pytest.approx(statistics.mean(recall))
    assert pooled.metrics(TAIL, "val")["val/worst_class"] == pytest.approx(min(recall))


@given(st.integers(0, 99))
def test_values_of_equal_folds_are_their_accuracies(seed: int) -> None:
    logits, labels = scores(seed)[:2]
    logits, labels, folds = logits[:55], labels[:55], torch.arange(55) % 5
    pooled = evaluation_of(logits, labels, folds)
    right = (logits.argmax(1) == labels).double()
    values = pooled.fold_values("acc_all", TAIL)
    assert values == pytest.approx([float(right[folds == fold].mean()) for fold in range(5)])
    images = COUNTED["acc_all"].error(pooled._evaluated("", TAIL))
    beyond = max(statistics.variance(values) / 5 - images**2, 0.0)
    assert pooled.standard_error("acc_all", TAIL) == pytest.approx(math.sqrt(images**2 + (1 + 5 / 4) * beyond))


@given(SHARES)
def test_error_is_at_least_that_of_the_images_and_at_most_the_corrected_one(values: list[float]) -> None:
    images = 0.03
    found, folds = error_with_folds(images, values), len(values)
    between = math.sqrt(statistics.variance(values) * (1 / folds + 1 / (folds - 1)))
    assert images - 1e-12 <= found <= max(images, between) + 1e-12
    assert error_with_folds(0.0, values) == pytest.approx(between)


@given(SHARES, st.floats(0.0, 1.0))
def test_corrected_values_have_the_mean_and_the_corrected_variance(values: list[float], whole: float) -> None:
    found, folds = corrected(whole, values), len(values)
    assert statistics.mean(found) == pytest.approx(whole, abs=1e-9)
    wanted = statistics.variance(values) * (1 / folds + 1 / (folds - 1))
    assert statistics.variance(found) / folds == pytest.approx(wanted, abs=1e-12)


def test_pseudo_values_of_a_mean_are_the_values() -> None:
    values = [0.2, 0.4, 0.9]
    without = [statistics.mean(values[:place] + values[place + 1 :]) for place in range(3)]
    assert pseudo_values(statistics.mean(values), without) == pytest.approx(values)


def test_one_fold_and_an_absent_group_have_no_values_of_folds() -> None:
    logits, labels, folds = scores(0)
    assert evaluation_of(logits, labels, torch.zeros_like(folds)).fold_values("acc_all", TAIL) == []
    assert evaluation_of(logits, labels, folds).fold_values("acc_many", TAIL) == []
    assert Evaluation.of(logits, labels).fold_values("acc_all", TAIL) == []


def new(folds: int = 3, images: int = 9, epochs: int = 2) -> HeldOut:
    fold_of = torch.arange(images) % folds
    fold_of[-1] = -1
    return HeldOut.new(fold_of, torch.arange(images) % 3, count=folds, epochs=epochs, classes=3)


def test_scores_are_those_of_the_folds_so_far_and_never_of_an_image_in_no_fold() -> None:
    found = new()
    for fold in range(3):
        rows = found.fold_of == fold
        found.of_run(fold).add(1, torch.full((int(rows.sum()), 3), float(fold)), found.labels[rows])
        known = found.of_run(fold).predictions(1)
        assert sorted(set(known.folds.tolist())) == list(range(fold + 1))
        assert (known.logits[:, 0] == known.folds).all()
    final = HeldOut.from_state(found.of_run(3).state())
    assert final.fold is None and len(final.predictions(1).labels) == 8
    assert torch.equal(final.predictions(1).logits, found.of_run(2).predictions(1).logits)
    assert not final.predictions(0).logits.any()


def test_saved_state_is_not_changed_by_later_epochs() -> None:
    found = new().of_run(0)
    state = found.state()
    rows = found.fold_of == 0
    found.add(0, torch.ones(int(rows.sum()), 3), found.labels[rows])
    found.keep_chosen(1, {"τ": 1.0})
    assert not state["scores"].any() and state["chosen"] == {}


def test_the_final_training_gets_the_mean_of_the_chosen_values() -> None:
    found = new()
    for fold, value in enumerate((1.0, 2.0, 6.0)):
        found.of_run(fold).keep_chosen(1, {"τ": value})
        assert found.of_run(fold).chosen_by_folds(1) == {}
    assert found.of_run(3).chosen_by_folds(1) == {"τ": 3.0}
    assert found.of_run(3).chosen_by_folds(0) == {}


def test_too_many_scores_are_refused_before_training() -> None:
    with pytest.raises(UsageError, match="set folds=0 and validation_per_class"):
        HeldOut.new(torch.zeros(50_000), torch.zeros(50_000), count=5, epochs=200, classes=100)


def test_interval_covers_the_true_accuracy_of_simulated_folds() -> None:
    """Folds whose models differ: their true accuracies scatter by 4 points around the expected one, independently."""
    random, folds, each, truth, covered, naive = np.random.default_rng(0), 5, 60, 0.7, 0, 0
    for _ in range(1_000):
        own = np.clip(random.normal(truth, 0.04, folds), 0, 1)
        right = [random.random(each) < one for one in own]
        accuracy = float(np.mean(right))
        images = math.sqrt(accuracy * (1 - accuracy) / (folds * each))
        error = error_with_folds(images, [float(np.mean(one)) for one in right])
        covered += abs(accuracy - truth) < 1.96 * error
        naive += abs(accuracy - truth) < 1.96 * images
    assert naive < 935 and covered >= 940  # of 1,000: the error of the images alone is too small
