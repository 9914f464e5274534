"""Run folders of the former format resume bit for bit, those of this format are read, newer ones are refused.

A released version of ltray has written the literal lines below: never regenerate them to make a test pass.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from ltray.checkpoints import complete_checkpoints
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.session import Session
from ltray.errors import UsageError
from ltray.metrics import CHECKPOINT_SCORE
from ltray.results.folder_session import FolderSession
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.seal import CURRENT_FORMAT, LIST

HISTORY = {
    1: '{"total_epochs": 1, "val/acc_all": 0.25, "checkpoint_score": 0.25}\n',
    2: '{"format": 2, "total_epochs": 1, "val/acc_all": 0.25, "checkpoint_score": 0.25, '
    '"sha256": "1b4cd57e09047c08b6be701182f1852115ae03993374e22ddb7c8a7dfa2bb6cf"}\n',
}
EVALUATION = {
    1: '{"metrics": {"val/acc_all": 0.5}, "selection": {}, "settings": {}}\n',
    2: '{"format": 2, "metrics": {"val/acc_all": 0.5}, "selection": {}, "settings": {}, '
    '"sha256": "311a129d9fdaa741bb8e0e570714c85f032132523df4badc65170fac4e71ed48"}\n',
}
CONFIG = "settings:\n  dataset: digits-lt\n  methods:\n  - bcl\n  start: ''\nworkers:\n  workers: 1\n"
LISTED = (
    '{"format": 2, "files": {"config.yaml": ["6f7e967274ae666d93df048c1e30111121854c76ff7b2c8f97ac987aa7b09cbc"]}, '
    '"sha256": "6fb3105fdcc8827328d47619a3aef255f5d9f08d6f23a37af8cb15c3c5ed7683"}\n'
)
CHECKPOINT = {  # content of `checkpoint.pt` without tensors
    "position": {"stage": 0, "epoch": 1, "total_epochs": 1, "best": 0.25, "best_epoch": 1},
    "stages": {},
    "optimizer": {},
    "settings": {"dataset": "digits-lt"},
    "context": {"class_names": ["0"], "counts": [1]},
    "metrics": {"total_epochs": 1, "checkpoint_score": 0.25},
    "average": {},
}


def recorded(folder: Path, number: int) -> Path:
    """Write the small run folder in the given format."""
    best = folder / "best"
    best.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "history.jsonl").write_text(HISTORY[number])
    (best / "evaluation.json").write_text(EVALUATION[number])
    if number > 1:
        (folder / LIST).write_text(LISTED)
    torch.save(CHECKPOINT, best / "checkpoint.pt")
    size = (best / "checkpoint.pt").stat().st_size
    (best / "summary.json").write_text(json.dumps({"bytes": size, "metrics": CHECKPOINT["metrics"]}))
    return folder


@pytest.mark.parametrize("number", [1, 2])
def test_run_folder_of_each_format_is_read(tmp_path: Path, number: int) -> None:
    run = recorded(tmp_path / "run", number)
    config, evaluation = RunFolder(run).config(), RunFolder(run).best.evaluation()
    written = {"dataset": "digits-lt", "methods": ["bcl"], "start": ""}
    assert config is not None and config["settings"].items() >= written.items()
    assert all(name.partition(".")[2] or name in ("bottleneck", *written) for name in config["settings"])
    assert RunFolder(run).history() == [{"total_epochs": 1, "val/acc_all": 0.25, CHECKPOINT_SCORE: 0.25}]
    assert evaluation == {"metrics": {"val/acc_all": 0.5}, "selection": {}, "settings": {}}
    assert Checkpoint.load(checkpoint_of(run)).plain() == CHECKPOINT
    assert CURRENT_FORMAT == 2, "add literal lines of the new format, and keep those of the former ones"


READERS: Mapping[str, Callable[[Path], object]] = {
    "history.jsonl": lambda folder: RunFolder(folder).history(),
    "best/evaluation.json": lambda folder: RunFolder(folder).best.evaluation(),
    "best/summary.json": checkpoint_of,
    "env.json": lambda folder: RunFolder(folder).environment(),
    LIST: lambda folder: RunFolder(folder).config(),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("number", [3, 17, 0, "two"])
def test_unknown_format_is_refused_with_both_numbers_and_a_remedy(tmp_path: Path, name: str, number: int | str) -> None:
    run = recorded(tmp_path / "run", 2)
    (run / name).write_text(json.dumps({"format": number, "anything": "else"}) + "\n")
    with pytest.raises(UsageError) as refused:
        READERS[name](run)
    assert str(refused.value).startswith(f"{run / name}")
    assert str(refused.value).endswith(
        f"has the format {number!r}, but this version of ltray reads 1 to 2: update ltray, or restore the file from a "
        "copy."
    )


def downgrade(folder: Path) -> None:
    """Convert a run folder to format 1: remove format numbers, digests and their lists."""
    for path in folder.rglob("*"):
        if path.name == LIST:
            path.unlink()
        elif path.suffix in (".json", ".jsonl"):
            objects = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else None
            kept = [
                {key: value for key, value in one.items() if key not in ("format", "sha256", "checkpoint_sha256")}
                for one in objects or [json.loads(path.read_text())]
            ]
            path.write_text("".join(json.dumps(one) + "\n" for one in kept))


class Killed(Exception):
    """Raised to end a run between two epochs."""


class KilledAfterOne(FolderSession):
    """A session whose run is killed after its first epoch."""

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Save the epoch, then raise `Killed`."""
        super().report(metrics, checkpoint)
        raise Killed


def test_run_of_the_former_format_resumes_bit_for_bit(
    train_short: Callable[[Session], None], short_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train_short(KilledAfterOne(tmp_path))
    downgrade(tmp_path)
    assert not any("format" in path.read_text() for path in tmp_path.rglob("*.json*"))
    train_short(FolderSession(tmp_path))
    ours, uninterrupted = (Checkpoint.load(complete_checkpoints(run)[-1][0]) for run in (tmp_path, short_run))
    assert ours.position == uninterrupted.position and ours.position.total_epochs == 3
    assert ours.stages.keys() == uninterrupted.stages.keys()
    assert all(torch.equal(value, uninterrupted.stages[name]) for name, value in ours.stages.items())
    assert [row["total_epochs"] for row in RunFolder(tmp_path).history()] == [1, 2, 3]


def test_file_without_digest_but_with_format_is_damaged(short_run: Path, tmp_path: Path) -> None:
    """A file that lost its digest but kept its format is damaged, not of the former format."""
    shutil.copytree(short_run, tmp_path / "run")
    path = tmp_path / "run" / "history.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in one.items() if k != "sha256"}) + "\n" for one in lines))
    with pytest.raises(UsageError, match="differs from its digest"):
        RunFolder(tmp_path / "run").history()
