"""The expected cost of a search, from measured steps: hours, with early stopping, and disk space."""

import hashlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ltray.data.dataset import ImageData
from ltray.engine.checkpoint import Checkpoint, Position
from ltray.engine.optimizers import new_optimizer
from ltray.engine.timing import StageTime, clock, time_stage
from ltray.experiment import Experiment
from ltray.stage import Stage

KEPT = 2  # checkpoints of a trial: its best and its newest
LOG_BYTES = 2_000  # per epoch in result.json and TensorBoard's events, measured in real searches
LONGEST_START = 30.0  # seconds; a program that has computed for longer before this import is not a command
IMPORTED = min(time.process_time(), LONGEST_START)
"""CPU seconds of this process for its imports, which those of every process of a run are similar to."""
PROCESSES = 2  # of a training command with one worker


@dataclass(frozen=True)
class TrialCost:
    """The cost of one trial.

    Attributes:
        stages: The measured stages, in order.
        checkpoint: Bytes of its largest checkpoint.
        start: Seconds of a process before the first step.
        ending: Seconds of the evaluation on the test images at the end of a training command.
    """

    stages: tuple[StageTime, ...]
    checkpoint: int
    start: float = 0.0
    ending: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of a trial of a search, from the start of its process to the last epoch."""
        return self.start + sum(stage.seconds for stage in self.stages)

    @property
    def command_seconds(self) -> float:
        """Seconds of a training command: the trial, the start of the command's process, and the evaluation."""
        return self.seconds + (PROCESSES - 1) * self.start + self.ending

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
    now = clock(device)
    started = now()
    stages = experiment.stages(data.tail, load=False)
    everything = torch.nn.ModuleList(stages).to(device).to(memory_format=torch.channels_last)
    images = sum(data.selection().share_sizes())
    start = IMPORTED + now() - started
    times = tuple(time_stage(stage, data, device, images=images) for stage in stages)
    saved = Checkpoint(Position(), everything.state_dict(), {}, experiment.settings())
    written, started = io.BytesIO(), now()
    torch.save(saved.plain(), written)
    hashlib.sha256(written.getbuffer()).digest()
    size = written.getbuffer().nbytes
    followers = max(_followers(stage) for stage in stages)
    saving = (now() - started) * (1 + followers / size)
    tested = len(data.splits.test.indices) + (images if data.splits.validation else 0)  # both are evaluated at the end
    return TrialCost(
        tuple(replace(one, saving=saving) for one in times),
        size + followers,
        start=start,
        ending=times[-1].evaluation * tested / images,
    )


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
