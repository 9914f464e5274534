"""Figures of a run folder that are compared with published ones: overall test accuracy of valid runs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ltray.evaluation.findings import Findings
from ltray.experiment import Experiment
from ltray.published.of_run import claims_of
from ltray.results.intervals import mean_interval, run_interval
from ltray.results.run_record import RunRecord

SETTINGS = Experiment.from_settings(
    {"dataset": "cifar100-lt", "methods": ["bcl"], "dataset.protocol": "paper"}
).settings()
PUBLISHED = 51.93  # BCL, table 3


def record(folder: Path, **parts: Any) -> RunRecord:
    known: dict[str, Any] = {"trials": None, "finalists": None, "finalist_runs": None, "evaluation": None}
    return RunRecord(folder=folder, config={}, environment={}, history=pd.DataFrame(), **(known | parts))


def difference(found: dict, name: str) -> float:
    (one,) = [one for one in found[name] if one.claim.where == "BCL, table 3"]
    return one.difference


def test_run_is_compared_by_its_overall_test_accuracy(tmp_path: Path):
    metrics = {"test/acc_all": 0.50, "test/acc_few": 0.2, "test/balanced": 0.3}
    evaluation = {"settings": SETTINGS, "metrics": metrics, "selection": {"val/acc_all": 0.9}}
    found = claims_of(record(tmp_path, evaluation=evaluation))
    assert list(found) == [tmp_path.name]
    assert difference(found, tmp_path.name) == pytest.approx(50.0 - PUBLISHED)
    assert list(claims_of(record(tmp_path, evaluation=evaluation | {"trial": 4}))) == ["trial 4"]
    assert claims_of(record(tmp_path)) == {}


def finalists(folder: Path, data_seeds: int, *, start: int = 0) -> RunRecord:
    """Write a winner, another finalist and the papers' setting; the winner's first run failed."""
    table = pd.DataFrame({"trial": ["0003", "0005", "0000"], "winner": [True, False, False]})
    table = table.assign(paper=[False, False, True], data_seeds=data_seeds)
    rows = []
    for trial, accuracy in (("0003", 0.56), ("0005", 0.70), ("0000", 0.50)):
        for seed in (1, 2, 3):
            for data_seed in range(start, start + data_seeds):
                failure = "NaN" if trial == "0003" and (seed, data_seed) == (1, 0) else ""
                own = 0.01 if failure else accuracy + 0.01 * seed + 0.02 * data_seed
                row = {"trial": trial, "seed": seed, "data_seed": data_seed, "failure": failure}
                rows.append(row | {"test/acc_all": own, "val/acc_all": 0.9})
                best = folder / "finalists" / f"{trial}-seed{seed}-data{data_seed}" / "best"
                best.mkdir(parents=True)
                settings = SETTINGS | {"dataset.data_seed": data_seed}
                (best / "evaluation.json").write_text(
                    json.dumps({"settings": settings, "metrics": {}, "selection": {}})
                )
    return record(folder, finalists=table, finalist_runs=pd.DataFrame(rows))


def test_winner_and_papers_setting_are_compared_without_failed_runs(tmp_path: Path):
    found = claims_of(finalists(tmp_path, 1))
    assert list(found) == ["3", "0 (paper's setting)"]
    assert difference(found, "3") == pytest.approx(100 * (0.58 + 0.59) / 2 - PUBLISHED)
    assert difference(found, "0 (paper's setting)") == pytest.approx(52.0 - PUBLISHED)
    (one,) = [one for one in found["0 (paper's setting)"] if one.claim.where == "BCL, table 3"]
    assert one.verdict == "within noise"
    assert one.expected.half == pytest.approx(mean_interval([0.51, 0.52, 0.53]).half * 2)  # √(n + 1) of n = 3


def test_observation_with_data_seeds_is_the_mean_per_data_seed(tmp_path: Path):
    found = claims_of(finalists(tmp_path, 2))
    (one,) = [one for one in found["0 (paper's setting)"] if one.claim.where == "BCL, table 3"]
    accuracy = run_interval([[0.51, 0.52, 0.53], [0.53, 0.54, 0.55]])
    assert one.difference == pytest.approx(53.0 - PUBLISHED)
    assert one.expected.half == pytest.approx(accuracy.half * (accuracy.count + 1) ** 0.5)


@pytest.mark.parametrize(("data_seeds", "reasons"), [(1, 1), (2, 0)])
def test_single_other_data_seed_prevents_a_comparison(data_seeds: int, reasons: int, tmp_path: Path):
    found = claims_of(finalists(tmp_path, data_seeds, start=3))
    (one,) = [one for one in found["0 (paper's setting)"] if one.claim.where == "BCL, table 3"]
    message = "different training images: data_seed=3, the official draw is 0"
    assert list(one.reasons) == [message] * reasons


@pytest.mark.parametrize("split", ["test", "val"])
def test_only_evaluations_on_test_images_are_compared(split: str):
    predictions = SimpleNamespace(split=split, metrics=lambda: {f"{split}/acc_all": 0.5, "test/acc_few": 0.1})
    trained = SimpleNamespace(experiment=SimpleNamespace(settings=lambda: SETTINGS))
    found = Findings(Path(), trained, predictions, 1, None).comparisons  # type: ignore[arg-type]
    assert bool(found) == (split == "test")
    assert {round(one.difference, 6) for one in found if one.claim.where == "BCL, table 3"} <= {-1.93}
