"""The runs of `benchmarks.gpu`: methods of ltray on the data file, with their papers' settings."""

from dataclasses import dataclass
from typing import Any

import torch

from ltray.data.dataset import ImageData
from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import seed_step, set_training_mode, train_step
from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.hardware import fastest_precision
from ltray.lr_schedule import learning_rate
from ltray.stage import Loader, Stage

METHODS = ("bcl", "cross_entropy", "ldam", "balanced_softmax", "paco", "rescom", "proco")
"""In the order in which they are trained."""


def experiment_of(method: str, data: ImageData, *, epochs: int, precision: str) -> Experiment:
    """Return the run of a method on the opened data."""
    settings: dict[str, Any] = {"dataset": data.definition.name, "methods": [method]}
    settings |= {f"dataset.{name}": value for name, value in data.definition.as_dict().items()}
    settings |= {f"{method}.epochs": epochs, f"{method}.precision": precision}
    found = Experiment.from_settings(settings, complete=True)
    return found.following(TrainingSize.of(data.tail))


def usual_precision(device: torch.device) -> str:
    """Return the number format that is fastest on a device."""
    return fastest_precision(device)


@dataclass
class Work:
    """A stage that takes steps.

    Attributes:
        stage: The first stage of a method, on the device.
        loader: Its batches.
        optimizer: Its optimizer.
        device: The device.
    """

    stage: Stage
    loader: Loader
    optimizer: torch.optim.Optimizer
    device: torch.device

    @classmethod
    def begin(cls, method: str, data: ImageData, *, epochs: int = 200, precision: str | None = None) -> "Work":
        """Build a method and prepare its first stage, as the training loop does."""
        experiment = experiment_of(method, data, epochs=epochs, precision=precision or usual_precision(data.device))
        stage = experiment.stages(data.tail)[0].to(data.device).to(memory_format=torch.channels_last)
        seed_step(0, 0, 0, 0)
        set_training_mode(stage)
        stage.prepare(data.without_augmentation())
        set_training_mode(stage)
        optimizer = new_optimizer(stage)
        assert optimizer is not None, f"{method} trains"
        loader = data.training(stage, stage.select(data.without_augmentation()), seed=0)
        stage.begin_epoch(0)
        return cls(stage, loader, optimizer, data.device)

    def steps(self, count: int) -> None:
        """Take steps, over several epochs if necessary, and wait for the device."""
        done = epoch = 0
        recipe = self.stage.recipe
        while done < count:
            for step, batch in enumerate(self.loader.epoch(epoch)):
                rate = learning_rate(recipe, epoch=min(epoch, recipe.epochs - 1), step=step, steps=self.loader.steps)
                train_step(self.stage, batch, self.optimizer, rate=rate, precision=recipe.precision)
                done += 1
                if done == count:
                    break
            epoch += 1
        wait(self.device)


def wait(device: torch.device) -> None:
    """Wait until a GPU has completed its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
