"""MCC and NMI, with accuracy by group, compared with DLSA's metrics."""

import numpy as np
import pytest
import torch

from ltray.engine.evaluation import Evaluation
from ltray.long_tail import LongTail
from ltray.parts.agreement import matthews_correlation, normalised_mutual_information

CASES = ["k10", "k100", "constant_pred"]


@pytest.mark.parametrize("case", CASES)
def test_agreement_equals_the_authors_code(golden, case):
    z = golden("dlsa_metrics")
    labels, predictions = torch.from_numpy(z[f"{case}/y"]), torch.from_numpy(z[f"{case}/pred"])
    assert matthews_correlation(labels, predictions) == pytest.approx(float(z[f"{case}/mcc"]), abs=1e-8)
    assert normalised_mutual_information(labels, predictions) == pytest.approx(float(z[f"{case}/nmi"]), abs=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_accuracies_equal_the_authors_code(golden, case):
    z = golden("dlsa_metrics")
    labels, predictions = torch.from_numpy(z[f"{case}/y"]), torch.from_numpy(z[f"{case}/pred"])
    tail = LongTail(tuple(z[f"{case}/train_counts"].tolist()))
    found = Evaluation.of_predictions(predictions, labels, classes=tail.classes)
    metrics = found.metrics(tail, "test")
    assert metrics["test/acc_all"] == pytest.approx(float(z[f"{case}/acc"]), abs=1e-8)
    np.testing.assert_allclose(found.per_class().nan_to_num(), z[f"{case}/per_class"], atol=1e-8)
    for group, value in zip(("many", "medium", "few"), z[f"{case}/many_med_few"], strict=True):
        assert metrics.get(f"test/acc_{group}", 0.0) == pytest.approx(float(value), abs=1e-8)
