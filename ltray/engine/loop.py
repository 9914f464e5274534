"""The one training loop: stages in, metrics and checkpoints out."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ltray.distributed import data_parallel, rank, total, world_size
from ltray.engine.checkpoint import Checkpoint, Position
from ltray.engine.ema import WeightAverage
from ltray.engine.evaluation import evaluate
from ltray.engine.lr_schedule import learning_rate
from ltray.engine.single_values import refusing_single_values
from ltray.errors import UsageError
from ltray.metrics import standard_error_key
from ltray.parts.batch_norm import synchronise
from ltray.stage import Batch, Data, Loader, Stage

FINITE_CHECK_EVERY = 16  # steps; every step would make a GPU wait for the host

# The metric by which the best checkpoint of a run is kept: the run's objective, plus
# the index of the stage, so that the last stage's epochs win over those before it.
CHECKPOINT_SCORE = "checkpoint_score"

# How often the whole run reports: who reads `total_epochs` below it knows that the run was stopped.
PLANNED_EPOCHS = "planned_epochs"


class Session(Protocol):
    """Whoever started the run: Ray in production, memory in tests."""

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint to continue from, or None for a fresh run."""
        ...

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Take the metrics and the state at the end of an epoch; called on every worker."""
        ...


class NotFinite(ArithmeticError):
    """A loss term is NaN or infinite; training on would only spread it."""


@dataclass(frozen=True)
class Run:
    """What stays fixed while a run trains.

    Attributes:
        seed: Seed of order, augmentation and every random draw.
        device: Where the stages live.
        selection: Prefix of the metrics that epochs are compared on: "val", or "test"
            under the `paper` protocol.
        objective: The metric that epochs are compared on, such as "acc_few".
        settings: The run's settings, kept in every checkpoint.
        context: What prediction needs besides; see `Checkpoint`.
    """

    seed: int
    device: torch.device
    selection: str = "val"
    objective: str = "acc_all"
    settings: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The metric that epochs are compared on, such as "val/acc_all"."""
        return f"{self.selection}/{self.objective}"


def planned_epochs(stages: Sequence[Stage]) -> int:
    """Return how often a whole run reports; a stage without epochs reports once."""
    return sum(max(stage.recipe.epochs, 1) for stage in stages)


def train(
    stages: Sequence[Stage], data: Data, session: Session, run: Run, *, saved: Checkpoint | None = None
) -> Position:
    """Train the stages in turn, from a checkpoint where there is one.

    A stage without epochs does its work in `prepare` and is evaluated once. One with
    `average_decay` is evaluated with its averaged weights, which also are what the next
    stage, and whoever predicts from the checkpoint, gets.

    Args:
        stages: At least one; the last one's `logits` are the run's prediction.
        data: The data set.
        session: Gets metrics and a checkpoint after every epoch.
        run: Seed, device, provenance.
        saved: What the session's `resume` gave.

    Returns:
        The final position, with the best epoch.

    Raises:
        NotFinite: A loss term became NaN or infinite.
    """
    # Channels last: convolutions are a quarter faster on CPU, and on GPU in low precision.
    everything = nn.ModuleList(stages).to(run.device).to(memory_format=torch.channels_last)
    synchronise(everything)
    position = saved.position if saved else Position()
    if saved:
        everything.load_state_dict(dict(saved.stages))
    for index in range(position.stage, len(stages)):
        if position.stage != index:
            position = replace(position, stage=index, epoch=0, best=-1.0)
        resumed = saved if saved and saved.position.stage == index else None
        trained = _begin_stage(stages[index], data, resumed, everything=everything, position=position, run=run)
        for terms in _epochs(stages[index], data, trained, position, run):
            metrics = terms | _evaluate(stages[index], data, trained.average, run)
            value = _objective(metrics, run)
            position = _advance(position, value)
            metrics |= {"stage": index, "total_epochs": position.total_epochs, PLANNED_EPOCHS: planned_epochs(stages)}
            metrics |= {f"chosen/{name}": value for name, value in stages[index].chosen().items()}
            metrics |= {f"{run.metric}_best": position.best, CHECKPOINT_SCORE: index + value}
            session.report(metrics, _checkpoint(position, everything, trained, run, metrics))
        if trained.average:
            trained.average.settle()
    return position


@dataclass(frozen=True)
class Trained:
    """What moves a stage's weights, and what follows them.

    Attributes:
        optimizer: None for a stage without epochs.
        average: The moving average of the weights; None where none is asked for.
    """

    optimizer: torch.optim.SGD | None
    average: WeightAverage | None


def _begin_stage(
    stage: Stage, data: Data, saved: Checkpoint | None, *, everything: nn.Module, position: Position, run: Run
) -> Trained:
    """Prepare a stage, or take it up from a checkpoint of its own epochs."""
    if position.epoch == 0:
        seed_step(run.seed, position.stage, 0, 0)
        set_training_mode(stage)
        stage.prepare(data.without_augmentation())
    set_training_mode(stage)
    optimizer, decay = new_optimizer(stage), stage.recipe.average_decay
    average = WeightAverage(stage, decay) if optimizer and decay else None
    if saved and optimizer:
        _load_optimizer(optimizer, saved.optimizer)
    if saved and average:
        average.load(saved.average, everything)
    return Trained(optimizer, average)


def _load_optimizer(optimizer: torch.optim.SGD, saved: Mapping[str, Any]) -> None:
    """Take up what the optimiser remembers; its settings are the run's own, which a population may have changed."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(saved))
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        group.update(settings)


def _evaluate(stage: Stage, data: Data, average: WeightAverage | None, run: Run) -> dict[str, float]:
    """Return the metrics of a stage, with its average for weights where it has one."""
    with average.in_place() if average else nullcontext():
        found = evaluate(stage, data.selection(), classes=data.tail.classes, device=run.device)
    metrics = found.metrics(data.tail, run.selection)
    if run.metric in metrics:
        metrics[standard_error_key(run.metric)] = found.standard_error(run.objective, data.tail)
    return metrics


def _objective(metrics: Mapping[str, float], run: Run) -> float:
    if run.metric not in metrics:
        raise UsageError(f"The objective `{run.objective}` has no value: no image that selects is of such a class.")
    return metrics[run.metric]


def _checkpoint(
    position: Position, everything: nn.Module, trained: Trained, run: Run, metrics: Mapping[str, float]
) -> Checkpoint:
    return Checkpoint(
        position,
        everything.state_dict(),
        trained.optimizer.state_dict() if trained.optimizer else {},
        run.settings,
        run.context,
        metrics,
        trained.average.state(everything) if trained.average else {},
    )


def _epochs(stage: Stage, data: Data, trained: Trained, position: Position, run: Run) -> Iterator[dict[str, float]]:
    """Train the stage's remaining epochs, yielding the training metrics after each."""
    if trained.optimizer is None:
        if position.epoch == 0:
            yield {}
        return
    # A stage of its own seed, so that two stages never share an order.
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=_mixed(run.seed, position.stage))
    model = data_parallel(stage)
    for epoch in range(position.epoch, stage.recipe.epochs):
        stage.begin_epoch(epoch)
        terms = _train_epoch(model, stage, loader=loader, trained=trained, at=(position.stage, epoch), run=run)
        stage.end_epoch(data.without_augmentation())
        yield terms


def _train_epoch(
    model: nn.Module, stage: Stage, *, loader: Loader, trained: Trained, at: tuple[int, int], run: Run
) -> dict[str, float]:
    started, recipe, epoch = time.perf_counter(), stage.recipe, at[1]
    sums: dict[str, Tensor] = {}
    rate = 0.0
    assert trained.optimizer is not None
    for step, batch in enumerate(loader.epoch(epoch)):
        rate = learning_rate(recipe, epoch=epoch, step=step, steps=loader.steps)
        seed_step(run.seed, *at, step)
        with refusing_single_values(stage) if len(batch.labels) == 1 else nullcontext():
            terms = train_step(model, batch, trained.optimizer, rate=rate, precision=recipe.precision)
        if trained.average:
            trained.average.update(epoch * loader.steps + step)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
        if (step + 1) % FINITE_CHECK_EVERY == 0 or step + 1 == loader.steps:
            _check_finite(sums, epoch, step)
    means = {name: float(total(value)) / (loader.steps * world_size()) for name, value in sums.items()}
    seconds = time.perf_counter() - started
    return {f"loss/{name}": value for name, value in means.items()} | {
        "loss/total": sum(means.values()),
        "train/lr": rate,
        "train/images_per_second": loader.steps * batch.labels.shape[0] * world_size() / seconds,
        "train/seconds": seconds,
    }


def train_step(
    model: nn.Module, batch: Batch, optimizer: torch.optim.SGD, *, rate: float, precision: str
) -> Mapping[str, Tensor]:
    """Make one step of SGD and return the loss terms."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
    optimizer.zero_grad(set_to_none=True)
    low = precision == "bfloat16"
    with torch.autocast(batch.labels.device.type, dtype=torch.bfloat16, enabled=low):
        terms: Mapping[str, Tensor] = model(batch)
    torch.stack([value.float() if low else value for value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return terms


def _check_finite(sums: Mapping[str, Tensor], epoch: int, step: int) -> None:
    """Raise on every worker alike, so that none waits for another."""
    for name, value in sums.items():
        if not torch.isfinite(total(value)):
            raise NotFinite(f"loss/{name} is not finite in epoch {epoch + 1} at or before step {step + 1}.")


def new_optimizer(stage: Stage) -> torch.optim.SGD | None:
    """Build SGD over the stage's groups; None for a stage without epochs."""
    recipe = stage.recipe
    if recipe.epochs == 0:
        return None
    return torch.optim.SGD(
        stage.parameter_groups(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov and recipe.momentum > 0.0,  # without momentum there is nothing to look ahead by
    )


def set_training_mode(stage: Stage) -> None:
    """Put what `trained()` names into training mode; freeze the rest in evaluation mode."""
    stage.eval().requires_grad_(False)
    for module in stage.trained():
        module.train().requires_grad_(True)
    for module in stage.modules():
        if getattr(module, "never_trained", False):
            module.requires_grad_(False)


def seed_step(seed: int, stage: int, epoch: int, step: int) -> None:
    """Make every random draw of a step a function of its position and the worker's rank."""
    torch.manual_seed(_mixed(seed, stage, epoch, step, rank()))


def _mixed(*numbers: int) -> int:
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _advance(position: Position, value: float) -> Position:
    done = position.total_epochs + 1
    better = value > position.best
    return replace(
        position,
        epoch=position.epoch + 1,
        total_epochs=done,
        best=value if better else position.best,
        best_epoch=done if better else position.best_epoch,
    )
