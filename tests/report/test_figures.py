"""Figures of the report and of `ltray.evaluate --classes`: percent, signed points, correct classes."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from ltray.evaluate import Findings, _class_table
from ltray.long_tail import LongTail
from ltray.report import figures, model, search, summary
from ltray.results.predictions import Predictions
from ltray.results.run_record import RunRecord
from ltray.results.tau_curve import TauCurve
from ltray.train import _line

SETTINGS = {"dataset": "digits-lt", "methods": ["bcl"], "dataset.protocol": "honest"}
TAIL = LongTail((5, 300, 50, 40))


def record(folder: Path, **parts: Any) -> RunRecord:
    known: dict[str, Any] = {"trials": None, "finalists": None, "finalist_runs": None, "evaluation": None}
    known |= {"config": {"settings": SETTINGS}, "environment": {}, "history": pd.DataFrame()}
    return RunRecord(folder=folder, **(known | parts))


def predictions() -> Predictions:
    """Predictions with 1 of 4 correct images of class 0, 3 of 4 of class 1, 2 of 3 of class 2; class 3 has no image."""
    labels = torch.tensor([0] * 4 + [1] * 4 + [2] * 3)
    guesses = torch.tensor([0, 1, 1, 1] + [1, 1, 1, 0] + [2, 2, 0])
    return Predictions("val", torch.nn.functional.one_hot(guesses, 4).float(), labels, TAIL)


def test_class_table_shows_percent_ordered_by_frequency():
    trained: Any = SimpleNamespace(
        checkpoint=SimpleNamespace(
            context={"class_names": ("rare", "common", "usual", "unseen")}, position=SimpleNamespace(total_epochs=3)
        ),
        experiment=SimpleNamespace(dataset=SimpleNamespace(protocol="honest")),
        chosen=dict,
        margin=0,
    )
    findings = Findings(Path(), trained, predictions(), look=0, recorded=None)
    shown = _class_table(findings)
    assert str(shown.columns[4].header) == "accuracy, %"
    assert list(zip(*(column.cells for column in shown.columns), strict=True)) == [
        ("common", "many", "300", "4", "75.0"),
        ("usual", "medium", "50", "3", "66.7"),
        ("unseen", "medium", "40", "0", "–"),
        ("rare", "few", "5", "4", "25.0"),
    ]


def test_class_figure_has_a_dot_per_class_with_percent_and_group():
    drawn = figures.per_class([0.25, 0.75, 2 / 3, float("nan")], TAIL.counts, TAIL.groups())
    hints = re.findall(r"class \d+: [^<\"]*", drawn)
    assert hints == [
        "class 1: 75.0 %, 300 training images",
        "class 2: 66.7 %, 50 training images",
        "class 0: 25.0 %, 5 training images",
    ]


def test_class_page_shows_correct_over_evaluated_images(tmp_path: Path):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "selection.npz").write_bytes(predictions().as_bytes())
    metrics = {"test/mcc": 0.512, "test/nmi": 0.4, "test/ece": 0.031}
    evaluation = {"correct": [1, 3, 2, 0], "seen": [4, 4, 3, 0], "metrics": metrics, "epoch": 12}
    page = model.classes(record(tmp_path, evaluation=evaluation))
    assert "MCC 51.2, NMI 40.0, ECE 3.1 (of 100)" in page and "epoch 12" in page
    assert "class 0: 25.0 %" in page and "class 2: 66.7 %" in page
    assert "Started from" not in page
    weights = {"name": "timm/n.in1k", "sha256": "ab" * 32, "pretrained_on": "ImageNet-1k", "imagenet_1k_labels": "yes"}
    evaluation |= {"weights": weights, "settings": {"dataset.profile": "imagenet_lt"}}
    page = model.classes(record(tmp_path, evaluation=evaluation))
    assert "Initial weights: timm/n.in1k (SHA-256 abababababab…)" in page and "Do not compare this result" in page


@pytest.mark.parametrize(("accuracy", "gain"), [(0.65, "+5.0 points"), (0.58, "-2.0 points")])
def test_gain_of_the_best_tau_is_in_points(accuracy: float, gain: str):
    curve = TauCurve("val", {"all": [(0.0, 0.6), (3.0, 0.65)]}, best=1.234, accuracy=accuracy, plain=0.6)
    message = f"Without τ: 60.0 %. Best at τ = 1.23: {100 * accuracy:.1f} % ({gain})."
    assert message in model._tau(curve)


def test_run_shows_percent_by_group_on_test_and_validation_images(tmp_path: Path):
    metrics = {"test/acc_all": 0.612, "test/acc_many": 0.8, "test/acc_medium": 0.5, "test/acc_few": 0.345}
    evaluation = {"metrics": metrics, "selection": {"val/acc_all": 0.7, "val/acc_few": 0.1}}
    one = record(tmp_path, evaluation=evaluation)
    shown = {message: figure for figure, message in summary.key_figures(one)}
    assert shown == {"test all": "61.2 %", "test many": "80.0 %", "test medium": "50.0 %", "test few": "34.5 %"}
    row = summary.overview_row(one)
    assert row[1:] == ["bcl", "digits-lt", "honest", "70.0", "61.2", "80.0", "50.0", "34.5"]


def test_trial_table_shows_percent_by_group(tmp_path: Path):
    row = {"trial": 4, "name": "", "paper": True, "state": "complete", "reason": "", "epochs": 9, "bcl.momentum": 0.85}
    row |= {"val/acc_all": 0.612, "val/acc_many": 0.8, "val/acc_medium": 0.5, "val/acc_few": 0.345, "test/acc_all": 0.1}
    config = {"settings": SETTINGS, "search": {}, "explore": {"bcl.momentum": "0 … 0.9"}}
    page = search.trials(record(tmp_path, trials=pd.DataFrame([row]), config=config))
    heads, cells = (re.findall(rf"<{tag}(?: [^>]*)?>(.*?)</{tag}>", page) for tag in ("th", "td"))
    assert heads[:6] == ["trial", "all", "many", "medium", "few", "epochs"]
    assert cells[:6] == ["4 (paper&#x27;s setting)", "61.2", "80.0", "50.0", "34.5", "9"] and cells[-1] == "0.85"
    assert "Accuracy on validation images in %" in page


def test_epoch_line_shows_percent_and_images_per_second():
    metrics = {"total_epochs": 3, "val/acc_all": 0.612, "val/acc_few": 0.345, "test/acc_all": 0.9}
    metrics |= {"loss/ce": 1.25, "loss/total": 1.25, "train/images_per_second": 1234.4}
    line = _line(metrics, 30, "val", "acc_all")
    assert line == "epoch 3/30  val: all 61.2 %  few 34.5 %  loss: ce 1.2500  1234 images/s"
