"""The training loop, from top to bottom: a run's stages, a stage's epochs, an epoch's steps."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ltray.distributed import data_parallel, total, world_size
from ltray.engine.backbone_knobs import apply_drop_path
from ltray.engine.checkpoint import Checkpoint, Position
from ltray.engine.epoch_evaluation import evaluate_epoch, prepare
from ltray.engine.observations import observed_metrics
from ltray.engine.optimizers import Optimization
from ltray.engine.out_of_memory import memory_explained
from ltray.engine.session import Run, Session
from ltray.engine.single_values import refusing_single_values
from ltray.engine.train_step import check_finite, derived_seed, seed_step, set_training_mode, train_step, trained_share
from ltray.lr_schedule import learning_rate
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.parts.batch_norm import synchronise
from ltray.stage import Data, Loader, Stage

FINITE_CHECK_EVERY = 16  # steps; every step would make a GPU wait for the host


def planned_epochs(stages: Sequence[Stage]) -> int:
    """Return the number of reports of a run; a stage without epochs reports once."""
    return sum(max(stage.recipe.epochs, 1) for stage in stages)


def train(
    stages: Sequence[Stage], data: Data, session: Session, run: Run, *, saved: Checkpoint | None = None
) -> Position:
    """Train the stages in order, from a checkpoint if there is one.

    A stage without epochs is prepared and evaluated once. A stage with `average_decay` is evaluated with its averaged
    weights; the next stage and predictions from the checkpoint use them as well.

    Args:
        stages: At least one; the last one's `logits` are the run's prediction.
        data: The data set.
        session: Receives metrics and a checkpoint after every epoch.
        run: Seed, device, provenance.
        saved: The checkpoint that the session's `resume` returned.

    Returns:
        The final position, with the best epoch.

    Raises:
        NotFinite: A loss term became NaN or infinite.
        UsageError: The objective has no value on this data, or a stage names an unknown optimizer.
    """
    # Channels last: convolutions are a quarter faster on CPU, and on GPU in low precision.
    everything = nn.ModuleList(stages).to(run.device).to(memory_format=torch.channels_last)
    synchronise(everything)
    position = saved.position if saved else Position()
    if saved:
        everything.load_state_dict(dict(saved.stages))
    for index in range(position.stage, len(stages)):
        stage, resumed = stages[index], saved if saved and saved.position.stage == index else None
        position = position.at_stage(index)
        optimization = _begin_stage(stage, data, resumed, everything=everything, position=position, run=run)
        for metrics in memory_explained(_epochs(stage, data, optimization, position, run), stage, data, run.device):
            metrics |= evaluate_epoch(stage, data, optimization.average, run, epoch=position.total_epochs)
            value = metrics[run.metric]
            position = position.after_epoch(value)
            metrics |= {"stage": index, "total_epochs": position.total_epochs, PLANNED_EPOCHS: planned_epochs(stages)}
            metrics |= {f"chosen/{name}": value for name, value in stage.chosen().items()}
            metrics |= {f"{run.metric}_best": position.best, CHECKPOINT_SCORE: index + value}
            session.report(metrics, _checkpoint(position, everything, optimization, run, metrics))
        if optimization.average:
            optimization.average.settle()
    return position


def _begin_stage(
    stage: Stage, data: Data, saved: Checkpoint | None, *, everything: nn.Module, position: Position, run: Run
) -> Optimization:
    """Prepare a stage, or restore it from a checkpoint that was saved during its epochs."""
    if position.epoch == 0:
        seed_step(run.seed, position.stage, 0, 0)
        set_training_mode(stage)
        prepare(stage, data, position.stage, run.held_out)
    apply_drop_path(stage)
    set_training_mode(stage)
    optimization = Optimization.of(stage)
    if saved:
        optimization.load(saved, everything)
    return optimization


def _epochs(
    stage: Stage, data: Data, optimization: Optimization, position: Position, run: Run
) -> Iterator[dict[str, float]]:
    """Train the stage's remaining epochs, yielding the training metrics after each."""
    if optimization.optimizer is None:
        if position.epoch == 0:
            yield {}
        return
    # Each stage has a separate seed, so that two stages never share an order.
    seed = derived_seed(run.seed, position.stage)
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=seed)
    model = data_parallel(stage)
    for epoch in range(position.epoch, stage.recipe.epochs):
        stage.begin_epoch(epoch)
        metrics = _train_epoch(model, stage, loader, optimization, at=(position.stage, epoch), run=run)
        stage.end_epoch(data.without_augmentation())
        yield metrics


def _train_epoch(
    model: nn.Module, stage: Stage, loader: Loader, optimization: Optimization, *, at: tuple[int, int], run: Run
) -> dict[str, float]:
    """Train one epoch; `at` is the index of the stage and the epoch of that stage."""
    started, recipe, epoch, rate = time.perf_counter(), stage.recipe, at[1], 0.0
    sums: dict[str, Tensor] = {}
    norms: list[Tensor] = []
    assert optimization.optimizer is not None
    for step, batch in enumerate(loader.epoch(epoch)):
        rate = learning_rate(recipe, epoch=epoch, step=step, steps=loader.steps)
        stage.observing = step + 1 == loader.steps
        checked = (step + 1) % FINITE_CHECK_EVERY == 0 or stage.observing
        seed_step(run.seed, *at, step)
        with refusing_single_values(stage) if len(batch.labels) == 1 else nullcontext():
            terms = train_step(
                model,
                batch,
                optimization.optimizer,
                rate=rate,
                precision=recipe.precision,
                clip=recipe.clip_norm,
                gradient_norms=norms if checked else None,
            )
        if optimization.average:
            optimization.average.update(epoch * loader.steps + step)
        sums |= {name: sums.get(name, 0.0) + value.detach() for name, value in terms.items()}
        if checked:
            check_finite(sums, epoch, step)
    means = {name: float(total(value)) / (loader.steps * world_size()) for name, value in sums.items()}
    seconds = time.perf_counter() - started
    return {f"loss/{name}": value for name, value in means.items()} | {
        "loss/total": sum(means.values()),
        "train/lr": rate,
        "train/images_per_second": loader.steps * batch.labels.shape[0] * world_size() / seconds,
        "train/seconds": seconds,
        **trained_share(stage),
        **observed_metrics(stage, optimization.average, norms),
    }


def _checkpoint(
    position: Position, everything: nn.Module, optimization: Optimization, run: Run, metrics: Mapping[str, float]
) -> Checkpoint:
    weights, (optimizer, average) = everything.state_dict(), optimization.state(everything)
    return Checkpoint(position, weights, optimizer, run.settings, run.saved_context(), metrics, average)
