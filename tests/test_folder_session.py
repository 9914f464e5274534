"""Runs in a folder: stopped anywhere they end alike; the last evaluation and what it leaves."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import torch

from ltray.assessment import Assessment
from ltray.data.source import open_data
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.loop import train
from ltray.errors import UsageError
from ltray.final_evaluation import keep_evaluated
from ltray.folder_session import FolderSession
from ltray.run_folder import (
    best_checkpoint,
    checkpoint_of,
    read_evaluation,
    read_history,
    whole_checkpoints,
)
from ltray.testing import contract

SETTINGS = {
    "methods": ["cross_entropy"],
    "cross_entropy.epochs": 3,
    "cross_entropy.schedule": "cosine",
    "dataset.largest_class": 8,
    "dataset.imbalance_factor": 4,
}


class Stopped(FolderSession):
    """A session whose process dies after a number of reports."""

    left = 2

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Save, then die when it is time."""
        super().report(metrics, checkpoint)
        self.left -= 1
        if not self.left:
            raise contract.Interrupted


def run(session: FolderSession) -> None:
    """Train in this process, reading the digits from memory."""
    experiment = contract.small_experiment(SETTINGS)
    data, saved = contract.open_small(experiment), session.resume()
    stages = experiment.stages(data.tail, saved=saved)
    train(stages, data, session, experiment.run(contract.CPU, data, saved=saved), saved=saved)


@pytest.fixture(autouse=True)
def from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits read from memory, without a conversion."""
    monkeypatch.setattr("ltray.experiment.open_data", partial(open_data, source="memory"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(FolderSession(folder))
    return folder


def test_a_run_stopped_and_started_again_ends_like_an_undisturbed_one(whole: Path, tmp_path: Path):
    with pytest.raises(contract.Interrupted):
        run(Stopped(tmp_path))
    assert len(read_history(tmp_path)) == 2
    run(FolderSession(tmp_path))
    clock = ("train/seconds", "train/images_per_second")
    plain = [[{k: v for k, v in m.items() if k not in clock} for m in read_history(f)] for f in (whole, tmp_path)]
    assert plain[0] == plain[1] and len(plain[0]) == 3
    assert 1 <= len(whole_checkpoints(whole)) <= 2


def test_of_equal_scores_the_earliest_epoch_is_the_best():
    found = [(Path(str(e)), {"checkpoint_score": s, "total_epochs": e}) for e, s in ((1, 0.4), (2, 0.6), (3, 0.6))]
    assert best_checkpoint(found) == Path("2")
    assert best_checkpoint([]) is None


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no checkpoint"):
        checkpoint_of(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        checkpoint_of(tmp_path / "absent")


def test_the_last_evaluation_is_kept_with_the_checkpoint_and_its_validation_logits(whole: Path):
    best = checkpoint_of(whole)
    evaluation = keep_evaluated(whole, best, torch.device("cpu"), stamps={"trial": 7})
    assert read_evaluation(whole) == json.loads(json.dumps(evaluation)) and evaluation["trial"] == 7
    assert evaluation["selection"]["val/acc_all"] == Checkpoint.load(best).metrics["val/acc_all"]
    assert {"test/acc_all", "test/acc_few", "test/mcc", "test/nmi", "test/ece"} <= evaluation["metrics"].keys()
    assert sum(evaluation["seen"]) == 400
    assert checkpoint_of(whole) == whole / "best"
    saved = Assessment.load(whole / "best" / "selection.npz")
    assert saved.metrics() == evaluation["selection"]
