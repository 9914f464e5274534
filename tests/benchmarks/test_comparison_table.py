"""The page that compares all methods: accuracies by column, in percent, with the runs they are from."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import compare_methods
from benchmarks.comparison_table import written

STAMPS = {"commit": "abc", "protocol": "honest", "data_digest": "d1", "cpus": 2, "platform": "Linux", "python": "3.12"}
HEADINGS = ["method", "continues from", "epochs", "all", "many", "medium", "few", "validation, all", "CPU s per run"]


def result(method: str, seed: int, share: float, **more: Any) -> dict[str, Any]:
    test = {"all": share, "many": share + 0.1, "medium": share + 0.02, "few": share - 0.2}
    known: dict[str, Any] = {"method": method, "seed": seed, "start": "", "epochs": 30, "cpu_seconds": 20.0 + seed}
    known |= {"test": {f"test/acc_{name}": value for name, value in test.items()} | {"test/mcc": 0.123}}
    known["validation"] = {"val/acc_all": share + 0.05, "val/acc_few": 0.01}
    return known | {"environment": STAMPS | {"time": f"day {seed}", "versions": {"torch": "2"}}} | more


def cells(page: str) -> dict[str, dict[str, str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    assert rows[0] == HEADINGS
    return {row[0]: dict(zip(HEADINGS, row, strict=True)) for row in rows[2:]}


def test_row_shows_percent_on_test_images_by_group_and_on_validation_images():
    page = written([result("bcl", 3, 0.612), result("crt", 3, 0.5, start="bcl", epochs=10)], dataset="digits-lt")
    found = cells(page)
    figures = dict(zip(HEADINGS, ["bcl", "", "30", "61.2", "71.2", "63.2", "41.2", "66.2", "23"], strict=True))
    assert found["bcl"] == figures and list(found) == ["bcl", "crt"]
    assert found["crt"]["continues from"] == "bcl" and found["crt"]["epochs"] == "10"
    assert "Accuracy on test images in %, of seed 3 only" in page and "Protocol: honest" in page


def test_cell_over_seeds_is_the_mean_with_half_of_the_95_percent_interval():
    page = written([result("bcl", seed, share) for seed, share in enumerate((0.60, 0.61, 0.63))], dataset="digits-lt")
    found = cells(page)["bcl"]
    # s = 1.5275 points, t(0.975, 2) = 4.3027, over √3
    assert found["all"] == "61.3 ± 3.8" and found["validation, all"] == "66.3 ± 3.8" and found["CPU s per run"] == "21"
    assert "mean and 95 % interval (Student's t) over seeds 0, 1, 2" in page


def test_missing_group_is_empty():
    one = result("bcl", 0, 0.5)
    del one["test"]["test/acc_medium"]
    assert cells(written([one], dataset="digits-lt"))["bcl"]["medium"] == ""


@pytest.mark.parametrize(("name", "start"), [("bcl", ""), ("crt", "cross_entropy")])
def test_result_is_the_best_validation_epoch_and_one_test_evaluation(
    name: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    requested: list[dict[str, Any]] = []
    dataset = SimpleNamespace(protocol="honest")
    experiment = SimpleNamespace(
        dataset=dataset,
        train=lambda session, device: SimpleNamespace(total_epochs=30),
        settings=lambda: {"seed": 5},
    )
    best = SimpleNamespace(
        metrics={"val/acc_all": 0.61, "val/acc_few": 0.4, "val/images": 9, "loss/total": 1.0, "test/acc_all": 0.9},
        position=SimpleNamespace(total_epochs=12),
        context={"data_digest": "d1"},
    )

    def split(name: str, share: float) -> Any:
        return lambda: SimpleNamespace(metrics=lambda: {f"{name}/acc_all": share})

    trained = SimpleNamespace(on_test=split("test", 0.58), on_selection=split("val", 0.61))
    monkeypatch.setattr(compare_methods, "checkpoint_of", lambda folder: folder / "best")
    monkeypatch.setattr(
        compare_methods.Experiment, "from_settings", lambda given: requested.append(given) or experiment
    )
    monkeypatch.setattr(compare_methods.Checkpoint, "load", lambda folder: best)
    monkeypatch.setattr(compare_methods.TrainedModel, "open", lambda folder, device: trained)
    monkeypatch.setattr(compare_methods, "FolderSession", lambda folder: folder.mkdir(parents=True))
    compare_methods.run(name, dataset="digits-lt", seed=5, root=tmp_path)
    found = json.loads((tmp_path / name / "seed5" / "result.json").read_text())
    assert found["test"] == {"test/acc_all": 0.58}
    assert found["validation"] == {"val/acc_all": 0.61, "val/acc_few": 0.4}
    assert (found["best_epoch"], found["epochs"], found["seed"], found["start"]) == (12, 30, 5, start)
    assert requested[0]["methods"] == [name] and requested[0]["seed"] == 5
    assert requested[0].get("start", "").endswith(f"{start}/seed5/best" if start else "")
