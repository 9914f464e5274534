"""Accuracy by group compared with the official evaluation."""

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.engine.evaluation import Evaluation
from ltray.long_tail import LongTail
from ltray.metrics import METRICS, counted


def evaluation_of(vectors, case):
    labels, predictions = vectors[f"{case}/labels"], vectors[f"{case}/preds"]
    tail = LongTail(tuple(np.bincount(vectors[f"{case}/train_labels"]).tolist()))
    return tail, Evaluation.of_predictions(
        torch.from_numpy(predictions), torch.from_numpy(labels), classes=tail.classes
    )


def test_groups_equal_the_official_macro_averages(golden):
    vectors = golden("eval")
    tail, evaluation = evaluation_of(vectors, "shot")
    metrics = evaluation.metrics(tail, "test")
    assert metrics["test/acc_all"] == pytest.approx(float(vectors["shot/top1"]))
    got = [metrics[f"test/acc_{group}"] for group in ("many", "medium", "few")]
    np.testing.assert_allclose(got, vectors["shot/many_medium_few"], rtol=1e-9)
    np.testing.assert_allclose(evaluation.per_class(), vectors["shot/per_class"], rtol=1e-9)


def test_an_empty_group_is_absent_never_zero(golden):
    vectors = golden("eval")
    tail, evaluation = evaluation_of(vectors, "shot_empty")
    metrics = evaluation.metrics(tail, "val")
    # The official code prints 0 for the group without classes.
    assert vectors["shot_empty/many_medium_few"][0] == 0.0
    assert "val/acc_many" not in metrics
    assert metrics["val/acc_medium"] == pytest.approx(float(vectors["shot_empty/many_medium_few"][1]))


def test_a_class_without_images_does_not_count_in_its_group():
    tail = LongTail((200, 150, 5))
    evaluation = Evaluation(torch.tensor([3, 0, 1]), torch.tensor([4, 0, 4]), torch.tensor([5, 1, 2]))
    metrics = evaluation.metrics(tail, "val")
    assert metrics == {
        "val/acc_all": 0.5,
        "val/acc_many": 0.75,
        "val/acc_few": 0.25,
        "val/balanced_accuracy": 0.5,
        "val/macro_f1": pytest.approx((6 / 9 + 2 / 6) / 2),
        "val/worst_class": 0.25,
        "val/geometric_mean": pytest.approx((0.75 * 0.25) ** 0.5),
        "val/images": 8,
    }


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_metrics_equal_those_of_scikit_learn(pairs):
    labels, predictions = np.array(pairs).T
    present = sorted(set(labels.tolist()))
    evaluation = Evaluation.of_predictions(torch.from_numpy(predictions), torch.from_numpy(labels), classes=5)
    found = counted(evaluation.metrics(LongTail((200, 150, 50, 10, 5)), "val"), "val")
    recalls = sklearn.metrics.recall_score(labels, predictions, labels=present, average=None, zero_division=0)
    f1 = sklearn.metrics.f1_score(labels, predictions, labels=present, average="macro", zero_division=0)
    assert found["acc_all"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))
    assert found["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert found["macro_f1"] == pytest.approx(f1)
    assert found["worst_class"] == recalls.min()
    assert found["geometric_mean"] == pytest.approx(np.prod(recalls) ** (1 / len(recalls)), abs=1e-9)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_every_metric_is_in_its_range_and_has_a_standard_error(images, random):
    tail = LongTail(tuple(200 // (label + 1) ** 2 + 1 for label in range(len(images))))
    labels = np.repeat(np.arange(len(images)), images)
    guesses = np.array([random.choice([label, random.randrange(len(images))]) for label in labels])
    evaluation = Evaluation.of_predictions(torch.from_numpy(guesses), torch.from_numpy(labels), classes=len(images))
    for key, value in counted(evaluation.metrics(tail, "val"), "val").items():
        assert METRICS[key].low <= value <= METRICS[key].high
        assert 0 < evaluation.standard_error(key, tail) < 1


TRUE_RECALL, IMAGES = (0.9, 0.8, 0.7, 0.5), (60, 60, 20, 20)


@pytest.mark.parametrize("key", ["acc_all", "acc_many", "acc_few", "balanced_accuracy", "macro_f1", "geometric_mean"])
def test_standard_error_equals_the_spread_over_sampled_test_sets(key):
    random, tail = np.random.default_rng(0), LongTail((500, 300, 15, 10))
    values, errors = [], []
    for _ in range(300):
        labels = np.repeat(np.arange(4), IMAGES)
        others = (labels + random.integers(1, 4, len(labels))) % 4
        guesses = np.where(random.random(len(labels)) < np.array(TRUE_RECALL)[labels], labels, others)
        found = Evaluation.of_predictions(torch.from_numpy(guesses), torch.from_numpy(labels), classes=4)
        values.append(found.metrics(tail, "val")[f"val/{key}"])
        errors.append(found.standard_error(key, tail))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_standard_error_of_33_images_is_8_points():
    evaluation = Evaluation(torch.tensor([16, 7]), torch.tensor([17, 16]), torch.tensor([25, 8]))
    assert 100 * evaluation.standard_error("acc_all", LongTail((30, 5))) == pytest.approx(8.0, abs=0.1)


def test_standard_error_of_the_worst_class_is_that_of_the_class():
    evaluation = Evaluation(torch.tensor([9, 5]), torch.tensor([10, 10]), torch.tensor([14, 6]))
    assert evaluation.standard_error("worst_class", LongTail((30, 5))) == pytest.approx((0.25 / 10) ** 0.5)


def test_class_of_three_images_has_a_standard_error():
    evaluation = Evaluation(torch.tensor([3, 3]), torch.tensor([3, 3]), torch.tensor([3, 3]))
    assert evaluation.standard_error("balanced_accuracy", LongTail((30, 5))) > 0.1


def test_group_bounds_belong_to_medium():
    assert LongTail((101, 100, 20, 19)).groups() == {"many": [0], "medium": [1, 2], "few": [3]}
