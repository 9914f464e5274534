"""The numbers of analyses, compared with scikit-learn, loops over pairs and hand-made cases."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from ltray.errors import UsageError
from ltray.evaluation import scores as scores_module
from ltray.evaluation.analyses import ANALYSES, asked
from ltray.evaluation.calibration import calibration
from ltray.evaluation.confusion import as_shares, confusion, largest, matrix
from ltray.evaluation.difference import _paired, difference
from ltray.evaluation.embedding import _sample, project, shown_classes
from ltray.evaluation.scores import _resamples, recalls, scores
from ltray.evaluation.similarity import class_similarities
from ltray.parts.contrast import unit
from ltray.parts.corruption_error import ALEXNET, mean_corruption_error, normalised_corruption_error
from ltray.results.confident_mistakes import confident_mistakes
from tests.evaluation.subjects import predictions, subject


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(scores_module, "RESAMPLES", 20)
    return scores(subject(10))


def test_scores_equal_sklearns(found):
    one = subject(10)
    labels, guesses = one.predictions.labels.numpy(), one.predicted.numpy()
    values = {key: each["value"] for key, each in found.values["metrics"].items()}
    recall = metrics.recall_score(labels, guesses, average=None)
    assert values["acc_all"] == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert values["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, guesses))
    assert values["macro_f1"] == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))
    assert values["worst_class"] == pytest.approx(recall.min())
    assert values["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, guesses))
    assert values["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(labels, guesses))
    for group, own in one.tail.groups().items():
        assert values[f"acc_{group}"] == pytest.approx(recall[own].mean())
    assert found.tables["classes"]["accuracy"].to_numpy() == pytest.approx(recall)
    assert len(found.tables["predictions"]) == len(labels)
    assert (found.tables["predictions"]["predicted"].to_numpy() == guesses).all()


def test_every_metric_is_in_its_interval(found):
    for key, each in found.values["metrics"].items():
        if key not in ("ece", "nmi"):  # both are larger on average for images that are drawn again
            assert each["low"] <= each["value"] <= each["high"], key
        assert each["low"] < each["high"]


def test_resamples_keep_the_images_of_each_class():
    labels = torch.tensor([4, 0, 4, 1, 4, 0])
    for rows in _resamples(labels):
        assert torch.equal(torch.bincount(labels[rows]), torch.bincount(labels))
    assert len({tuple(rows.tolist()) for rows in _resamples(labels)}) > 20


def test_class_without_images_has_no_accuracy():
    from ltray.engine.evaluation import Evaluation

    counts = Evaluation(torch.tensor([1, 0]), torch.tensor([2, 0]), torch.tensor([1, 1]))
    (value, low, high), absent = recalls(counts)
    assert value == 0.5 and 0 <= low < 0.5 < high <= 1 and absent is None


def test_confusion_equals_sklearns():
    one = subject(12)
    labels, guesses = one.predictions.labels, one.predicted
    counts = matrix(labels, guesses, 12)
    assert np.array_equal(counts.numpy(), metrics.confusion_matrix(labels, guesses))
    values = confusion(one)
    assert values.tables["confusion"]["images"].sum() == len(labels)
    shares = as_shares(counts)
    assert shares.sum(dim=1).numpy() == pytest.approx(np.ones(12))
    listed = [share for _, _, share in largest(shares, counts)]
    off = shares.clone().fill_diagonal_(0)
    assert listed == sorted(listed, reverse=True) and listed[0] == float(off.max())
    for row in values.values["between_groups"].values():
        assert sum(row.values()) == pytest.approx(1)


def test_calibration_of_a_hand_made_case():
    one = subject(2)
    logits = torch.log(torch.tensor([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10))
    labels = torch.tensor([0] * 9 + [1] + [1] * 2 + [0] * 8)
    object.__setattr__(one, "predictions", one.predictions.__class__("val", logits, labels, one.tail))
    values = calibration(one).values
    assert values["ece"] == pytest.approx((0.0 + 0.4) / 2, abs=1e-6) and values["mce"] == pytest.approx(0.4, abs=1e-6)
    assert sum(each["images"] for each in values["bins"]) == 20


def test_difference_of_two_models_is_paired():
    one = subject(10, compared=True)
    values = difference(one).values
    labels, theirs = one.predictions.labels, one.other.predictions.logits.argmax(dim=1)
    ours, others = (one.predicted == labels), (theirs == labels)
    assert values["all"]["difference"] == pytest.approx(float(ours.double().mean() - others.double().mean()))
    assert values["only_this_correct"] - values["only_other_correct"] == int(ours.sum() - others.sum())
    assert values["all"]["low"] < values["all"]["difference"] < values["all"]["high"]
    with pytest.raises(UsageError, match="--against"):
        difference(subject(10))


def test_paired_interval_of_hand_made_cases():
    same = torch.tensor([True] * 50 + [False] * 50)
    value, low, high = _paired(same, same)
    assert value == 0 and low == pytest.approx(-high) and high < 0.02
    value, low, high = _paired(torch.ones(100, dtype=torch.bool), torch.zeros(100, dtype=torch.bool))
    assert value == 1 and low > 0.9
    assert _paired(torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.bool)) is None


@given(st.integers(0, 2**32 - 1))
def test_similarities_equal_the_means_over_pairs(seed):
    random = torch.Generator().manual_seed(seed)
    features = unit(torch.randn(14, 5, generator=random))
    labels = torch.randint(0, 4, (14,), generator=random)
    positives, negatives = class_similarities(features, labels, 5)
    cosine = features.double() @ features.double().T
    for label in range(5):
        own, other = (labels == label).nonzero().flatten().tolist(), (labels != label).nonzero().flatten().tolist()
        pairs = [float(cosine[a, b]) for a, b in itertools.combinations(own, 2)]
        crossed = [float(cosine[a, b]) for a in own for b in other]
        for found, each in ((positives[label], pairs), (negatives[label], crossed)):
            assert (bool(found.isnan()) and not each) or float(found) == pytest.approx(np.mean(each), abs=1e-6)


def test_mean_corruption_error_and_its_normalised_form():
    errors = torch.full((15, 5), 0.5, dtype=torch.float64)
    assert mean_corruption_error(errors) == pytest.approx(0.5)
    assert normalised_corruption_error(errors) == pytest.approx(np.mean([0.5 / value for value in ALEXNET.values()]))
    alexnets = torch.tensor(list(ALEXNET.values()), dtype=torch.float64)[:, None].expand(15, 5)
    assert normalised_corruption_error(alexnets) == pytest.approx(1)


def test_mistakes_are_the_most_confident_and_of_different_classes():
    found = predictions(10)
    confidence, guesses = torch.softmax(found.logits, dim=1).max(dim=1)
    rows = confident_mistakes(found, count=8, of_one_class=2)
    assert all(guesses[row] != found.labels[row] for row in rows)
    values = confidence[rows].tolist()
    assert values == sorted(values, reverse=True) and max(torch.bincount(found.labels[rows])) <= 2
    wrong = (guesses != found.labels).nonzero().flatten()
    assert rows[0] == int(wrong[confidence[wrong].argmax()])


def test_projection_is_deterministic_and_separates_clusters():
    random = torch.Generator().manual_seed(0)
    centres = 8 * torch.randn(3, 60, generator=random)
    features = unit(centres.repeat_interleave(20, dim=0) + torch.randn(60, 60, generator=random))
    one, two = project(features, 10.0), project(features, 10.0)
    assert np.array_equal(one, two) and one.shape == (60, 2)
    assert metrics.silhouette_score(one, np.repeat(np.arange(3), 20)) > 0.7


def test_projection_shows_frequent_and_rare_classes():
    order = list(range(100))[::-1]
    shown = shown_classes(order)
    assert len(shown) == 10 and shown[0] == 99 and shown[-1] == 0
    assert shown_classes([2, 0, 1]) == [2, 0, 1]
    labels = torch.tensor([0] * 300 + [1] * 3)
    assert torch.bincount(labels[_sample(labels, [0, 1])]).tolist() == [100, 3]


def test_asked_analyses_are_checked():
    assert [one.name for one in asked(None, everything=True, compared=False)] == [
        n for n in ANALYSES if n != "difference"
    ]
    assert [one.name for one in asked("cam, scores", everything=False, compared=False)] == ["cam", "scores"]
    assert [one.name for one in asked(None, everything=False, compared=True)] == ["difference"]
    assert len(asked(None, everything=True, compared=True)) == len(ANALYSES)
    for text, everything, message in (
        ("confusions", False, "Did you mean `confusion`"),
        ("cam,cam", False, "more than once"),
        ("cam,", False, "'' is not an analysis"),
        ("cam", True, "remove --all or --analyses"),
        ("difference", False, "--against"),
    ):
        with pytest.raises(UsageError, match=message):
            asked(text, everything=everything, compared=False)
