"""The expected cost of a search, from measured steps: hours, with early stopping, and disk space."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ltray.data.dataset import ImageData
from ltray.engine.checkpoint import Checkpoint, Position
from ltray.engine.optimizers import new_optimizer
from ltray.engine.timing import StageTime, time_stage
from ltray.experiment import Experiment
from ltray.stage import Stage

KEPT = 2  # checkpoints of a trial: its best and its newest
LOG_BYTES = 2_000  # per epoch in result.json and TensorBoard's events, measured in real searches


@dataclass(frozen=True)
class TrialCost:
    """The cost of one trial.

    Attributes:
        stages: The measured stages, in order.
        checkpoint: Bytes of its largest checkpoint.
    """

    stages: tuple[StageTime, ...]
    checkpoint: int

    @property
    def seconds(self) -> float:
        """Seconds from the first to the last epoch."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def epochs(self) -> int:
        """The number of epochs that it reports."""
        return sum(max(stage.epochs, 1) for stage in self.stages)

    @property
    def disk(self) -> int:
        """Bytes in its folder when it has ended."""
        return KEPT * self.checkpoint + LOG_BYTES * self.epochs


def measure(experiment: Experiment, data: ImageData, device: torch.device) -> TrialCost:
    """Build an experiment's stages and time a few steps of each on real data.

    Args:
        experiment: The experiment of a trial.
        data: Its data set, on `device`.
        device: The device of the computation.

    Raises:
        UsageError: The stages cannot be built.
    """
    stages = experiment.stages(data.tail, load=False)
    everything = torch.nn.ModuleList(stages).to(device).to(memory_format=torch.channels_last)
    images = sum(data.selection().share_sizes())
    times = tuple(time_stage(stage, data, device, images=images) for stage in stages)
    saved = Checkpoint(Position(), everything.state_dict(), {}, experiment.settings())
    written = io.BytesIO()
    torch.save(saved.plain(), written)
    size = written.getbuffer().nbytes
    return TrialCost(times, size + max(_followers(stage) for stage in stages))


def _followers(stage: Stage) -> int:
    """Return the bytes in a checkpoint in addition to the weights: SGD's momentum, and the weights' average if any."""
    optimizer = new_optimizer(stage)
    groups = optimizer.param_groups if optimizer else []
    trained: int = sum(p.numel() * p.element_size() for group in groups for p in group["params"])
    return 2 * trained if stage.recipe.average_decay else trained


def expected_share(rungs: Sequence[int], epochs: int, *, keep_one_in: int) -> float:
    """Return the share of a trial's epochs that successive halving runs on average.

    Args:
        rungs: Epochs after which one in `keep_one_in` continues, ascending, all below `epochs`.
        epochs: Epochs of a complete run.
        keep_one_in: η.
    """
    ends = [*rungs, epochs]
    starts = [0, *rungs]
    spent: float = sum(
        (end - start) / keep_one_in**rung for rung, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    return spent / epochs
