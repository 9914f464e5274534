"""The end of a run: its best checkpoint is evaluated on the test set, once, and copied to `best/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ltray.experiment import Experiment
from ltray.metrics import BALANCED, shown_accuracies
from ltray.model_folder import LAST_EPOCH
from ltray.network_config import WEIGHTS
from ltray.results.predictions import TrainedModel
from ltray.run_folder import RunFolder
from ltray.study.run_of_several import RUN_FOLD


def keep_evaluated(
    folder: Path, checkpoint: Path, device: torch.device, *, stamps: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Evaluate a checkpoint on the test set; write it, its metrics and its validation logits to `best/`.

    Args:
        folder: The run folder.
        checkpoint: The checkpoint's folder.
        device: The device of the computation.
        stamps: Further entries of `evaluation.json`.

    Returns:
        The content of `evaluation.json`.

    Raises:
        UsageError: `best/` contains files that ltray did not write.
    """
    run = RunFolder(folder)
    run.best.check_written_by_ltray()
    trained = TrainedModel.open(checkpoint, device)
    selection = trained.on_selection()
    # With the `paper` protocol these are the same images.
    test = selection if selection.split == "test" else trained.on_test()
    experiment = trained.experiment
    evaluation: dict[str, Any] = dict(stamps or {}) | {
        "epoch": trained.checkpoint.position.total_epochs,
        "protocol": experiment.dataset.protocol,
        "seed": experiment.seed,
        "data_seed": experiment.dataset.data_seed,
        "metrics": test.metrics(),
        "selection": selection.metrics(),
        "chosen": trained.chosen(),
        "settings": experiment.settings(),
    }
    if weights := trained.checkpoint.context.get(WEIGHTS):
        evaluation[WEIGHTS] = weights
    evaluation |= test.evaluation.as_lists()
    if reported := run.history():
        evaluation[LAST_EPOCH] = reported[-1]["total_epochs"]
    run.keep_best(checkpoint, evaluation, scores=selection.as_bytes())
    return evaluation


def accuracy_line(metrics: Mapping[str, float], prefix: str, objective: str = BALANCED) -> str:
    """Return `all 70.0 %  many 100.0 %  …` of the metrics with a prefix, and the objective if it is another metric."""
    shown = shown_accuracies(metrics, prefix, objective)
    return "  ".join(f"{name} {100 * value:.1f} %" for name, value in shown.items())


def epoch_line(metrics: Mapping[str, Any], planned: int, experiment: Experiment) -> str:
    """Return an epoch's metrics as one line.

    Args:
        metrics: The reported metrics.
        planned: Number of epochs of the complete run.
        experiment: The experiment.
    """
    selection, folds = experiment.selection, experiment.dataset.folds
    accuracy = accuracy_line(metrics, selection, experiment.objective)
    if RUN_FOLD in metrics:
        fold = int(metrics[RUN_FOLD]) + 1
        selection = "all images  folds" if fold > folds else f"fold {fold} of {folds}  folds so far"
    losses = "  ".join(f"{k[5:]} {v:.4f}" for k, v in metrics.items() if k.startswith("loss/") and k != "loss/total")
    chosen = "".join(f"  {k[7:]} {v:.4g}" for k, v in metrics.items() if k.startswith("chosen/"))
    speed = f"  {metrics['train/images_per_second']:.0f} images/s" if "train/images_per_second" in metrics else ""
    return f"epoch {metrics['total_epochs']}/{planned}  {selection}: {accuracy}  loss: {losses}{chosen}{speed}"
