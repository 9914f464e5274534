"""A run folder with one damaged file: readers return the same content as before, or name the file."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.checkpoints import check_newest, complete_checkpoints
from ltray.data.dataset import open_data
from ltray.engine.checkpoint import Checkpoint
from ltray.errors import UsageError
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.folder_session import FolderSession
from ltray.results.predictions import Predictions
from ltray.results.run_record import RunRecord
from ltray.results.tables import write_table
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.study.budget import Spent
from ltray.testing import contract
from tests.damage import Damage, damages


@pytest.fixture(scope="module")
def run(short_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with every file that is read later."""
    folder = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(short_run, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ltray.experiment.open_data", partial(open_data, source="memory"))
        keep_evaluated(folder, checkpoint_of(folder), contract.CPU)
    config = {"settings": Checkpoint.load(folder / "best").settings, "workers": {}}
    RunFolder(folder).claim(config, {"commit": "abc", "data_digest": "d", "protocol": "honest"}, may_differ=())
    Spent(seconds=12.5).write(folder)
    columns = {"trial": [0], "name": [""], "paper": [True], "state": ["complete"], "reason": [""], "epochs": [3]}
    write_table(pd.DataFrame(columns | {"val/acc_all": [0.5]}), folder / "results.parquet")
    moved = {"group": ["all"], "knob": ["x"], "share": [0.5], "beyond_chance": [True], "variance": [0.25]}
    write_table(pd.DataFrame(moved), folder / "importance.csv")
    for checkpoint in folder.glob("checkpoint_*"):
        shutil.rmtree(checkpoint)
    return folder


def record(folder: Path) -> list[Any]:
    """Return the content that a report reads."""
    found = RunRecord.read(folder)
    tables = [found.history, found.trials, found.importance]
    return [found.config, found.environment, found.evaluation, [t.to_json() for t in tables if t is not None]]


def model(folder: Path) -> list[Any]:
    """Return the content that predictions depend on."""
    checkpoint = Checkpoint.load(checkpoint_of(folder))
    weights = b"".join(value.numpy().tobytes() for value in checkpoint.stages.values())
    return [checkpoint.metrics, checkpoint.settings, sha256(weights).hexdigest()]


def scores(folder: Path) -> list[Any]:
    found = Predictions.load(folder / "best" / "selection.npz")
    return [found.logits.tolist(), found.labels.tolist(), found.tail.counts]


READERS: dict[str, Callable[[Path], Any]] = {
    "config.yaml": record,
    "env.json": record,
    "history.jsonl": record,
    "results.parquet": record,
    "importance.csv": record,
    "digests.json": record,
    "spent.json": lambda folder: vars(Spent.read(folder)),
    "best/evaluation.json": record,
    "best/selection.npz": scores,
    "best/digests.json": scores,
    "best/summary.json": model,
    "best/checkpoint.pt": model,
}
"""The reader of each file of a run folder."""


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=12, derandomize=True)
@given(damage=damages)
def test_damaged_file_reads_equal_or_is_named(run: Path, name: str, damage: Damage) -> None:
    file, read = run / name, READERS[name]
    content, expected = file.read_bytes(), json.dumps(read(run))
    try:
        damage.apply(file)
        assert json.dumps(read(run)) == expected
    except UsageError as error:
        assert str(file) in str(error) or f"{file.parent}: its checkpoint is incomplete" in str(error)
        assert "Traceback" not in str(error)
    finally:
        file.write_bytes(content)


def test_every_file_of_a_run_has_a_reader(run: Path) -> None:
    names = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file() and "tfevents" not in p.name}
    assert names == READERS.keys()


@settings(max_examples=12, derandomize=True)
@given(damage=damages, name=st.sampled_from(["checkpoint.pt", "summary.json"]))
def test_run_resumes_from_a_complete_checkpoint_or_names_the_damaged_one(
    short_run: Path, tmp_path_factory: pytest.TempPathFactory, damage: Damage, name: str
) -> None:
    folder = tmp_path_factory.mktemp("interrupted")
    shutil.copytree(short_run, folder, dirs_exist_ok=True)
    newest = complete_checkpoints(folder)[-1][0]
    damage.apply(newest / name)
    try:
        found = complete_checkpoints(folder)
        check_newest(found)
        resumed = FolderSession(folder).resume()
    except UsageError as error:
        assert str(newest / name) in str(error) or str(newest / "checkpoint.pt") in str(error)
    else:
        assert resumed is not None  # as after a killed process: training resumes earlier
        expected_checkpoint = Checkpoint.load(short_run / found[-1][0].name)
        assert json.dumps(resumed.metrics) == json.dumps(expected_checkpoint.metrics)


def test_missing_best_checkpoint_is_not_replaced_by_a_remaining_one(short_run: Path, tmp_path: Path) -> None:
    shutil.copytree(short_run, tmp_path / "run")
    left = [path.name for path, _ in complete_checkpoints(tmp_path / "run")]
    RunFolder(tmp_path / "run").append_history({"total_epochs": 9, "checkpoint_score": 0.9})
    with pytest.raises(
        UsageError, match=f"the checkpoint of the best epoch, 9, is incomplete or .*: {', '.join(left)}"
    ):
        checkpoint_of(tmp_path / "run")


@pytest.mark.parametrize("name", ["checkpoint.pt", "summary.json"])
def test_incomplete_best_is_not_replaced_by_another_checkpoint(
    short_run: Path, run: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(short_run, tmp_path / "run")
    shutil.copytree(run / "best", tmp_path / "run" / "best")
    (tmp_path / "run" / "best" / name).unlink()
    with pytest.raises(UsageError, match="best: its checkpoint is incomplete: restore it from a copy, or use one of"):
        checkpoint_of(tmp_path / "run")


def test_checkpoint_of_an_earlier_version_with_only_a_byte_count_is_read(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "best", tmp_path / "old")
    size = (tmp_path / "old" / "checkpoint.pt").stat().st_size
    (tmp_path / "old" / "summary.json").write_text(json.dumps({"bytes": size, "metrics": {"total_epochs": 1}}))
    assert model(tmp_path / "old") == model(run)


def test_moved_run_reads_equal(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved [1] #?"
    shutil.copytree(run, moved)
    assert record(moved) == record(run) and model(moved) == model(run) and scores(moved) == scores(run)
