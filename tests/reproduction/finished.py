"""Run folders of a published row, written without training."""

from pathlib import Path
from typing import Any

from ltray.reproduction.row import SEED, PublishedRow
from ltray.run_folder import RunFolder
from ltray.seal import write_sealed

ENVIRONMENT = {
    "time": "2026-11-29T01:58:38+00:00",
    "processor": "Test CPU",
    "cpus": 2,
    "gpus": [],
    "commit": "0123456789abcdef+changes",
}


def write_run(
    row: PublishedRow, folder: Path, *, seed: int = 0, epochs: int = 200, accuracy: float | None = 0.38
) -> None:
    """Write a run of a row; it is finished if it has an accuracy."""
    run, settings = RunFolder(folder), row.experiment.settings() | {SEED: seed}
    run.claim({"settings": settings, "workers": {}}, ENVIRONMENT, may_differ=())
    for epoch in range(1, epochs + 1):
        run.append_history({"total_epochs": epoch, "planned_epochs": 200, "train/seconds": 12.5})
    if accuracy is not None:
        groups = {"test/acc_many": 0.658, "test/acc_medium": 0.3557, "test/acc_few": 0.0837}
        metrics: dict[str, Any] = {"test/acc_all": accuracy} | groups
        run.best.path.mkdir()
        evaluation = {"settings": settings, "metrics": metrics, "selection": metrics, "seed": seed}
        write_sealed(run.best.evaluation_file, evaluation)
