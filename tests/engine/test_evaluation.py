"""Accuracy by group against the official evaluation."""

import numpy as np
import pytest
import torch

from ltray.engine.evaluation import Evaluation
from ltray.long_tail import LongTail


def evaluation_of(vectors, case):
    labels, predictions = vectors[f"{case}/labels"], vectors[f"{case}/preds"]
    tail = LongTail(tuple(np.bincount(vectors[f"{case}/train_labels"]).tolist()))
    hits = labels[labels == predictions]
    correct = torch.from_numpy(np.bincount(hits, minlength=tail.classes))
    seen = torch.from_numpy(np.bincount(labels, minlength=tail.classes))
    return tail, Evaluation(correct, seen)


def test_groups_are_the_official_macro_averages(golden):
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
    evaluation = Evaluation(torch.tensor([3, 0, 1]), torch.tensor([4, 0, 4]))
    metrics = evaluation.metrics(tail, "val")
    assert metrics == {"val/acc_all": 0.5, "val/acc_many": 0.75, "val/acc_few": 0.25}


def test_group_bounds_belong_to_medium():
    assert LongTail((101, 100, 20, 19)).groups() == {"many": [0], "medium": [1, 2], "few": [3]}
