"""Runs in a folder: equal after any interruption; the final evaluation and its files."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from ltray.checkpoints import best_checkpoint, complete_checkpoints
from ltray.engine.checkpoint import Checkpoint
from ltray.errors import UsageError
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.folder_session import FolderSession
from ltray.results.predictions import Predictions
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.testing import contract


class Stopped(FolderSession):
    """A session whose process dies after a number of reports."""

    left = 2

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Save the epoch, and raise `Interrupted` after the given number of reports."""
        super().report(metrics, checkpoint)
        self.left -= 1
        if not self.left:
            raise contract.Interrupted


def test_interrupted_and_resumed_run_equals_an_uninterrupted_one(train_short, short_run: Path, tmp_path: Path):
    with pytest.raises(contract.Interrupted):
        train_short(Stopped(tmp_path))
    assert len(RunFolder(tmp_path).history()) == 2
    train_short(FolderSession(tmp_path))
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 3  # no epoch was trained twice
    clock = ("train/seconds", "train/images_per_second")
    plain = [
        [{k: v for k, v in m.items() if k not in clock} for m in RunFolder(f).history()] for f in (short_run, tmp_path)
    ]
    assert plain[0] == plain[1] and len(plain[0]) == 3
    assert 1 <= len(complete_checkpoints(short_run)) <= 2


def test_images_per_second_and_seconds_agree(short_run: Path):
    for epoch in RunFolder(short_run).history():  # two steps of 16 images
        assert epoch["train/images_per_second"] * epoch["train/seconds"] == pytest.approx(32)


def test_earliest_epoch_of_equal_scores_is_the_best():
    found = [(Path(str(e)), {"checkpoint_score": s, "total_epochs": e}) for e, s in ((1, 0.4), (2, 0.6), (3, 0.6))]
    assert best_checkpoint(found) == Path("2")
    assert best_checkpoint([]) is None


def test_folder_without_a_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="contains no checkpoint"):
        checkpoint_of(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        checkpoint_of(tmp_path / "absent")


@pytest.mark.usefixtures("digits_from_memory")
def test_final_evaluation_is_saved_with_checkpoint_and_validation_logits(short_run: Path, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(short_run, folder)
    best = checkpoint_of(folder)
    evaluation = keep_evaluated(folder, best, torch.device("cpu"), stamps={"trial": 7})
    assert RunFolder(folder).best.evaluation() == json.loads(json.dumps(evaluation)) and evaluation["trial"] == 7
    assert evaluation["selection"]["val/acc_all"] == Checkpoint.load(best).metrics["val/acc_all"]
    assert {"test/acc_all", "test/acc_few", "test/mcc", "test/nmi", "test/ece"} <= evaluation["metrics"].keys()
    assert sum(evaluation["seen"]) == 400
    assert checkpoint_of(folder) == folder / "best"
    saved = Predictions.load(folder / "best" / "selection.npz")
    assert saved.metrics() == evaluation["selection"] and saved.norms is not None
    assert sorted(p.name for p in (folder / "best").iterdir()) == [
        "checkpoint.pt",
        "digests.json",
        "evaluation.json",
        "selection.npz",
        "summary.json",
    ]


@pytest.mark.usefixtures("digits_from_memory")
def test_evaluation_records_the_values_chosen_by_every_stage(tmp_path: Path):
    methods = ["cross_entropy", "post_hoc_adjustment", "temperature"]
    few = {"dataset.largest_class": 8, "dataset.imbalance_factor": 4, "cross_entropy.epochs": 1}
    contract.small_experiment(few | {"methods": methods}).train(FolderSession(tmp_path), contract.CPU)
    evaluation = keep_evaluated(tmp_path, checkpoint_of(tmp_path), contract.CPU)
    assert list(evaluation["chosen"]) == ["τ", "T"]
