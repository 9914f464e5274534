"""Sections of the report and tables of commands: percent, signed points, correct classes."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from ltray.evaluation.findings import Findings
from ltray.evaluation.printed import class_table
from ltray.long_tail import LongTail
from ltray.report.best_model import BestModel
from ltray.report.facts import key_figures
from ltray.report.sections import classes, confusion, overview, tau, trials
from ltray.results.final_evaluation import epoch_line
from ltray.results.predictions import Predictions
from ltray.results.run_record import RunRecord
from ltray.results.tau_curve import TauCurve
from ltray.testing.contract import small_experiment

SETTINGS = {"dataset": "digits-lt", "methods": ["bcl"], "dataset.protocol": "honest"}
TAIL = LongTail((5, 300, 50, 40))
NAMES = ("rare", "common", "usual", "unseen")


def record(folder: Path, **parts: Any) -> RunRecord:
    known: dict[str, Any] = {"trials": None, "finalists": None, "finalist_runs": None, "evaluation": None}
    known |= {"config": {"settings": SETTINGS}, "environment": {}, "history": pd.DataFrame()}
    return RunRecord(folder=folder, **(known | parts))


def predictions() -> Predictions:
    """Predictions with 1 of 4 correct images of class 0, 3 of 4 of class 1, 2 of 3 of class 2; class 3 has no image."""
    labels = torch.tensor([0] * 4 + [1] * 4 + [2] * 3)
    guesses = torch.tensor([0, 1, 1, 1] + [1, 1, 1, 0] + [2, 2, 0])
    return Predictions("val", torch.nn.functional.one_hot(guesses, 4).float(), labels, TAIL)


def model(**evaluation: Any) -> BestModel:
    known = {"metrics": {"test/mcc": 0.512, "test/nmi": 0.4, "test/ece": 0.031}, "epoch": 12}
    return BestModel(Path(), known | evaluation, predictions(), NAMES)


def test_class_table_shows_percent_ordered_by_frequency():
    trained: Any = SimpleNamespace(
        checkpoint=SimpleNamespace(context={"class_names": NAMES}, position=SimpleNamespace(total_epochs=3)),
        experiment=SimpleNamespace(dataset=SimpleNamespace(protocol="honest")),
        chosen=dict,
        margin=0,
    )
    findings = Findings(Path(), trained, predictions(), look=0, recorded=None)
    shown = class_table(findings)
    assert str(shown.columns[4].header) == "accuracy, %"
    assert list(zip(*(column.cells for column in shown.columns), strict=True)) == [
        ("common", "many", "300", "4", "75.0"),
        ("usual", "medium", "50", "3", "66.7"),
        ("unseen", "medium", "40", "0", "–"),
        ("rare", "few", "5", "4", "25.0"),
    ]


def test_class_section_has_names_groups_and_intervals_of_the_test_images():
    section = classes.classes(model(correct=[1, 3, 2, 0], seen=[4, 4, 3, 0], predicted=[3, 6, 2, 0]))
    assert [row[:5] for row in section.values["table"].rows] == [
        ["common", "many", "300", "4", "75.0"],
        ["usual", "medium", "50", "3", "66.7"],
        ["unseen", "medium", "40", "0", "–"],
        ["rare", "few", "5", "4", "25.0"],
    ]
    assert section.values["table"].headings[3] == "test images"
    # 95 % interval with the share (c + 1) / (n + 2): 1.96 · sqrt(2/3 · 1/3 / 4) = 46.2 points
    assert section.values["table"].rows[0][5] == "± 46.2"
    groups = {row[0]: row[1:3] for row in section.values["groups"].rows}
    assert groups["all"] == ["4", "54.5"] and groups["many"] == ["1", "75.0"] and groups["few"] == ["1", "25.0"]
    page = section.html()
    assert "MCC 51.2, NMI 40.0, ECE 3.1 (of 100)" in page and "epoch 12" in page and "highest common 75.0 %" in page


def test_class_section_uses_the_logits_where_the_evaluation_has_no_counts():
    section = classes.classes(model())
    assert section.values["table"].headings[3] == "validation images"
    assert [row[4] for row in section.values["table"].rows] == ["75.0", "66.7", "–", "25.0"]


def test_initial_weights_are_named_with_a_warning_if_they_have_seen_the_classes():
    assert "Initial weights" not in classes.classes(model()).html()
    weights = {"name": "timm/n.in1k", "sha256": "ab" * 32, "pretrained_on": "ImageNet-1k", "imagenet_1k_labels": "yes"}
    page = classes.classes(model(weights=weights, settings={"dataset.train_list": "/x/ImageNet_LT_train.txt"})).html()
    assert "Initial weights: timm/n.in1k (SHA-256 abababababab…)" in page and "Do not compare this result" in page


def test_confusion_is_by_frequency_in_percent_of_each_class():
    section = confusion.confusion(model())
    (trace,) = section.values["plot"].figure.data
    # common, usual, unseen, rare
    expected = [[75, 0, 0, 25], [0, 66.7, 0, 33.3], [0, 0, 0, 0], [75, 0, 0, 25]]
    assert [list(row) for row in trace.z] == expected
    assert section.values["table"].rows[0] == ["rare (few)", "common (many)", "3", "75"]
    assert len(section.values["table"].rows) == 3
    groups = {row[0]: row[1:] for row in section.values["groups"].rows}
    assert groups["few"] == ["4", "75.0", "0.0", "25.0", "25.0"] and groups["medium"][-1] == "66.7"


def test_confusion_of_many_classes_is_drawn_in_blocks():
    classes_ = 1203
    tail = LongTail(tuple(range(classes_ + 5, 5, -1)))
    labels = torch.arange(classes_)
    logits = torch.nn.functional.one_hot(labels.roll(1), classes_).float()
    many = BestModel(Path(), {}, Predictions("val", logits, labels, tail), [f"c{n}" for n in range(classes_)])
    section = confusion.confusion(many)
    (trace,) = section.values["plot"].figure.data
    assert len(trace.z) == len(trace.z[0]) == 93  # 13 classes in each block
    assert trace.z[0][0] == pytest.approx(92.3) and len(section.values["table"].rows) == confusion.LARGEST


@pytest.mark.parametrize(("accuracy", "gain"), [(0.65, "+5.0 points"), (0.58, "-2.0 points")])
def test_gain_of_the_best_tau_is_in_points(accuracy: float, gain: str):
    curve = TauCurve("val", {"all": [(0.0, 0.6), (3.0, 0.65)]}, best=1.234, accuracy=accuracy, plain=0.6)
    assert tau.gain(curve) == f"Without τ: 60.0 %. Best at τ = 1.23: {100 * accuracy:.1f} % ({gain})."


def test_run_shows_percent_by_group_on_test_and_validation_images(tmp_path: Path):
    metrics = {"test/acc_all": 0.612, "test/acc_many": 0.8, "test/acc_medium": 0.5, "test/acc_few": 0.345}
    evaluation = {"metrics": metrics, "selection": {"val/acc_all": 0.7, "val/acc_few": 0.1}}
    one = record(tmp_path, evaluation=evaluation)
    shown = {message: figure for figure, message in key_figures(one)}
    assert shown == {"test all": "61.2 %", "test many": "80.0 %", "test medium": "50.0 %", "test few": "34.5 %"}
    row = overview.overview_row(one)
    assert row[1:] == ["bcl", "honest", "70.0", "61.2", "80.0", "50.0", "34.5"]


def test_leaderboards_keep_data_sets_and_protocols_apart(tmp_path: Path):
    def run(name: str, value: float, **settings: Any) -> RunRecord:
        evaluation = {"metrics": {"test/acc_all": value, "test/acc_all_se": 0.01}, "selection": {}}
        config = {"settings": SETTINGS | settings}
        return record(tmp_path / name, evaluation=evaluation, config=config, environment={"data_digest": "d"})

    other = {"dataset.imbalance_factor": 50.0}
    runs = [run("a", 0.5), run("b", 0.7), run("c", 0.9, **other), run("d", 0.8, **{"dataset.protocol": "paper"})]
    boards = overview.overview(runs).values["boards"]
    assert [[row[0] for row in board["table"].rows] for board in boards] == [["b", "a"], ["c"], ["d"]]
    assert "b 70.0 ± 2.0" in boards[0]["plot"].label and "imbalance factor 50" in boards[1]["title"]


def test_trial_table_shows_percent_by_group(tmp_path: Path):
    row = {"trial": 4, "name": "", "paper": True, "state": "complete", "reason": "", "epochs": 9, "bcl.momentum": 0.85}
    row |= {"val/acc_all": 0.612, "val/acc_many": 0.8, "val/acc_medium": 0.5, "val/acc_few": 0.345, "test/acc_all": 0.1}
    config = {"settings": SETTINGS, "search": {}, "explore": {"bcl.momentum": "0 … 0.9"}}
    section = trials.trials(record(tmp_path, trials=pd.DataFrame([row]), config=config))
    assert section is not None
    table = section.values["table"]
    assert list(table.headings[:6]) == ["trial", "all", "many", "medium", "few", "epochs"]
    cells = table.rows[0]
    assert cells[:6] == ["4 (paper's setting)", "61.2", "80.0", "50.0", "34.5", "9"] and cells[-1] == "0.85"
    page = section.html()
    assert "Accuracy on validation images in %" in page
    assert re.search(r'<th scope="row" class="word">4 \(paper&#39;s setting\)</th>', page)


def test_epoch_line_shows_percent_and_images_per_second():
    metrics = {"total_epochs": 3, "val/acc_all": 0.612, "val/acc_few": 0.345, "test/acc_all": 0.9}
    metrics |= {"loss/ce": 1.25, "loss/total": 1.25, "train/images_per_second": 1234.4}
    line = epoch_line(metrics, 30, small_experiment({"methods": ["cross_entropy"]}))
    assert line == "epoch 3/30  val: all 61.2 %  few 34.5 %  loss: ce 1.2500  1234 images/s"
