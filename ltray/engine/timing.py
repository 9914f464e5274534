"""Duration of a stage, measured on a few real steps."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.lr_schedule import learning_rate
from ltray.stage import Data, EvaluationLoader, Stage

WARM, STEPS = 1, 4  # the first step includes allocation, compilation of kernels and the first decoding
LONGEST = 30.0  # seconds; fewer steps are timed if they are slow


@dataclass(frozen=True)
class StageTime:
    """The cost of an epoch of a stage.

    Attributes:
        epochs: Its number of epochs; 0 if it only prepares.
        steps: Steps per epoch.
        step: Seconds per step; None if it was not measured.
        evaluation: Seconds of the evaluation after every epoch.
    """

    epochs: int
    steps: int
    step: float | None
    evaluation: float

    @property
    def seconds(self) -> float:
        """Seconds of the complete stage, as far as measured."""
        return self.epochs * self.steps * (self.step or 0.0) + max(self.epochs, 1) * self.evaluation


def time_stage(stage: Stage, data: Data, device: torch.device, *, images: int) -> StageTime:
    """Train a stage for a few steps, as the loop does, and evaluate it; its weights change.

    A stage that trains on features is not timed: they are computed by the
    trained network, and its steps are short.

    Args:
        stage: The stage, on `device`.
        data: The data set.
        device: The device of the stage.
        images: Number of images in the evaluation of every epoch.
    """
    evaluation = images * _seconds_an_image(stage, data.selection(), device)
    optimizer = new_optimizer(stage)
    if optimizer is None or stage.source == "features":
        return StageTime(stage.recipe.epochs, 0, None, evaluation)
    set_training_mode(stage)
    stage.prepare(data.without_augmentation())
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=0)
    set_training_mode(stage)
    stage.begin_epoch(0)

    def steps() -> Iterator[None]:
        for batch in loader.epoch(0):
            rate = learning_rate(stage.recipe, epoch=0, step=0, steps=loader.steps)
            train_step(stage, batch, optimizer, rate=rate, precision=stage.recipe.precision)
            _wait(device)
            yield

    return StageTime(stage.recipe.epochs, loader.steps, _seconds_each(steps()), evaluation)


@torch.no_grad()
def _seconds_an_image(stage: Stage, loader: EvaluationLoader, device: torch.device) -> float:
    """Return the mean seconds per classified image, over the first batches."""
    stage.eval()
    started, done = time.perf_counter(), 0
    for images, _ in loader:
        stage.logits(images)
        _wait(device)
        done += images.shape[0]
        if time.perf_counter() - started > LONGEST / 3:
            break
    return (time.perf_counter() - started) / done


def _seconds_each(steps: Iterator[None]) -> float:
    """Return the mean seconds of a few steps after the first steps, or of the first if there are no others."""
    started = time.perf_counter()
    times = []
    for _ in islice(steps, WARM + STEPS):
        times.append(time.perf_counter())
        if times[-1] - started > LONGEST:
            break
    if len(times) <= WARM:
        return times[-1] - started
    return (times[-1] - times[WARM - 1]) / (len(times) - WARM)


def _wait(device: torch.device) -> None:
    """Wait until an accelerator has completed its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
