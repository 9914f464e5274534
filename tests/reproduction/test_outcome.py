"""The verdict on finished runs of a row, and its row of a Markdown table."""

from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.reproduction.outcome import HEADINGS, NO_FIGURE, RowOutcome, hardware, short_commit
from ltray.reproduction.progress import RowProgress, folders_of, is_finished, state_of
from ltray.reproduction.row import PublishedRow
from tests.paths import ROOT
from tests.reproduction.finished import write_run

FOCAL = PublishedRow.of("bcl-table3/focal-loss/cifar100-lt/100", {})


def outcome(folder: Path, accuracies: list[float], row: PublishedRow = FOCAL) -> RowOutcome:
    folders = [folder / str(seed) for seed in range(len(accuracies))]
    for seed, accuracy in enumerate(accuracies):
        write_run(row, folders[seed], seed=seed, accuracy=accuracy)
    return RowOutcome.read(row.name, row.claim, folders)


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ([0.38], "within noise; a difference of up to"),
        ([0.20], "below"),
        ([0.60], "above"),
        ([0.380, 0.384, 0.386], "within noise; a difference of up to 1.5 points is not significant"),
        ([0.410, 0.411, 0.412], "above"),
    ],
)
def test_verdict_is_that_of_all_seeds(tmp_path: Path, accuracies: list[float], verdict: str) -> None:
    found = outcome(tmp_path, accuracies)
    assert found.verdict.startswith(verdict)
    assert ("judged from one run" in found.verdict) == (len(accuracies) == 1)
    assert found.seconds == 200 * 12.5 * len(accuracies)


def test_row_of_the_table_has_date_hardware_seconds_and_commit(tmp_path: Path) -> None:
    found = outcome(tmp_path, [0.38, 0.39])
    assert found.cells[:4] == ("2026-11-29", f"`{FOCAL.name}`, seeds 0, 1", "38.5 (65.8 / 35.6 / 8.4)", "38.41")
    assert found.cells[5:] == ("Test CPU, 2 cores", "5,000", "0123456+changes")
    heading, rule, row = found.markdown().splitlines()
    assert len({line.count("|") for line in (heading, rule, row)}) == 1
    assert row == found.markdown(headings=False)
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert heading in page, "the table of the page has other columns"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"epochs": 3}, "their epochs: 200, ours: 3"),
        ({"dataset.imbalance_factor": 50}, "their imbalance factor: 100, ours: 50"),
        ({"dataset.largest_class": 8}, "their largest_class: 0, ours: 8"),
        ({"dataset.protocol": "honest"}, "their epoch was chosen on the test set"),
    ],
)
def test_run_of_other_conditions_is_not_comparable(tmp_path: Path, settings: dict, reason: str) -> None:
    row = PublishedRow.of(FOCAL.name, settings)
    verdict = outcome(tmp_path, [0.38], row).verdict
    assert verdict.startswith("not comparable: ") and reason in verdict


def test_other_knobs_are_named_in_the_verdict(tmp_path: Path) -> None:
    row = PublishedRow.of(FOCAL.name, {"precision": "bfloat16"})
    assert "with focal.precision=bfloat16 instead of float32" in outcome(tmp_path, [0.38], row).verdict


def test_row_without_a_figure_over_all_classes_has_no_verdict(tmp_path: Path) -> None:
    claim = vars(FOCAL.claim) | {"all": None, "many": 60.0}
    found = outcome(tmp_path, [0.38])
    without = RowOutcome("row", type(FOCAL.claim)(**claim), found.evaluations, found.environments, 1.0)
    assert (without.verdict, without.theirs) == (NO_FIGURE, "– (60 / – / –)")


def test_unfinished_run_has_no_outcome(tmp_path: Path) -> None:
    write_run(FOCAL, tmp_path, epochs=3, accuracy=None)
    with pytest.raises(UsageError, match="no finished run"):
        RowOutcome.read(FOCAL.name, FOCAL.claim, [tmp_path])


def test_state_of_a_row_in_its_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert state_of(FOCAL) == "not begun"
    write_run(FOCAL, FOCAL.folder, epochs=24, accuracy=None)
    assert state_of(FOCAL) == "epoch 24 of 200"
    second = FOCAL.folder.with_name(f"{FOCAL.folder.name}-seed1")
    write_run(FOCAL, second, seed=1)
    assert folders_of(FOCAL) == [FOCAL.folder, second]
    assert state_of(FOCAL) == "1 seed done; epoch 24 of 200"
    (FOCAL.folder / "history.jsonl").write_text("{}\n")
    assert "history.jsonl" in state_of(FOCAL)


def test_finished_run_with_other_settings_is_another_run(tmp_path: Path) -> None:
    write_run(FOCAL, tmp_path / "run")
    assert RowProgress.read(tmp_path / "run").text == "done"
    assert is_finished(FOCAL, tmp_path / "run", 0)
    assert not is_finished(FOCAL, tmp_path / "run", 1)
    assert not is_finished(PublishedRow.of(FOCAL.name, {"precision": "bfloat16"}), tmp_path / "run", 0)
    assert not is_finished(FOCAL, tmp_path / "missing", 0)


def test_hardware_and_commit_as_text() -> None:
    assert hardware({"gpus": ["A", "A"], "processor": "B", "cpus": 8}) == "2 × A"
    assert hardware({"gpus": [], "cpus": 1}) == "processor not recorded, 1 core"
    assert [short_commit(one) for one in (None, "0123456789", "0123456789+changes")] == [
        "–",
        "0123456",
        "0123456+changes",
    ]
    assert len(HEADINGS) == 8
