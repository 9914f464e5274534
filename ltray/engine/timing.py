"""Duration of a stage, measured on a few real steps."""

import time
from collections.abc import Callable, Iterator
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
        saving: Seconds of writing the checkpoint after every epoch.
        preparation: Seconds before the first epoch.
    """

    epochs: int
    steps: int
    step: float | None
    evaluation: float
    saving: float = 0.0
    preparation: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of the complete stage, as far as measured."""
        after_epochs = max(self.epochs, 1) * (self.evaluation + self.saving)
        return self.preparation + self.epochs * self.steps * (self.step or 0.0) + after_epochs


def clock(device: torch.device) -> Callable[[], float]:
    """Return the clock that measures work on a device, in seconds.

    On a CPU it counts the CPU time of all threads, divided by their number: other programs on the machine make a step
    wait, but do not change its work. On a GPU it is the time that passes.
    """
    if device.type == "cuda":
        return time.perf_counter
    threads = torch.get_num_threads()
    return lambda: time.process_time() / threads


def time_stage(stage: Stage, data: Data, device: torch.device, *, images: int) -> StageTime:
    """Train a stage for a few steps, as the loop does, and evaluate it; its weights change.

    The steps of a stage that trains on features are not timed, because the features are computed by the trained
    network; their computation takes as long as the evaluation of the training images.

    Args:
        stage: The stage, on `device`.
        data: The data set.
        device: The device of the stage.
        images: Number of images in the evaluation of every epoch.
    """
    each = _seconds_an_image(stage, data.selection(), device)
    optimizer, now = new_optimizer(stage), clock(device)
    if optimizer is None or stage.source == "features":
        features = data.tail.total * each if stage.source == "features" else 0.0
        return StageTime(stage.recipe.epochs, 0, None, images * each, preparation=features)
    set_training_mode(stage)
    started = now()
    stage.prepare(data.without_augmentation())
    preparation = now() - started
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=0)
    set_training_mode(stage)
    stage.begin_epoch(0)

    def steps() -> Iterator[None]:
        for batch in loader.epoch(0):
            rate = learning_rate(stage.recipe, epoch=0, step=0, steps=loader.steps)
            train_step(stage, batch, optimizer, rate=rate, precision=stage.recipe.precision)
            _wait(device)
            yield

    step = _seconds_each(steps(), now)
    return StageTime(stage.recipe.epochs, loader.steps, step, images * each, preparation=preparation)


@torch.no_grad()
def _seconds_an_image(stage: Stage, loader: EvaluationLoader, device: torch.device) -> float:
    """Return the mean seconds per classified image, over the first batches after one that is not timed."""
    stage.eval()
    images, _ = next(iter(loader))
    stage.logits(images)
    _wait(device)
    now, waiting, done = clock(device), time.perf_counter(), 0
    started = now()
    for images, _ in loader:
        stage.logits(images)
        _wait(device)
        done += images.shape[0]
        if time.perf_counter() - waiting > LONGEST / 3:
            break
    return (now() - started) / done


def _seconds_each(steps: Iterator[None], now: Callable[[], float]) -> float:
    """Return the mean seconds of a few steps after the first steps, or of the first if there are no others."""
    waiting, started = time.perf_counter(), now()
    times = []
    for _ in islice(steps, WARM + STEPS):
        times.append(now())
        if time.perf_counter() - waiting > LONGEST:
            break
    if len(times) <= WARM:
        return times[-1] - started
    return (times[-1] - times[WARM - 1]) / (len(times) - WARM)


def _wait(device: torch.device) -> None:
    """Wait until an accelerator has completed its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
