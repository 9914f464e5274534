"""`python -m ltray.tune --dry-run`: prints a search's settings and estimated cost without training."""

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ltray.data.dataset import ImageData
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.quantities import file_size, hours, number
from ltray.recipe import check_shared
from ltray.space.search_space import SearchSpace
from ltray.start_check import check_batches
from ltray.strategies.stopping_rules import SuccessiveHalving
from ltray.study.cost import TrialCost, expected_share, measure
from ltray.study.trial_plan import TrialPlan


@dataclass(frozen=True)
class Costed:
    """A sequence of methods and the cost of one trial.

    Attributes:
        name: The methods.
        cost: The cost of one trial, measured with the papers' setting or the first row.
    """

    name: str
    cost: TrialCost


def print_dry_run(space: SearchSpace, data: ImageData, folder: Path, console: Console, *, plan: TrialPlan) -> None:
    """Print the trials of a search, its estimated cost, and how the cost was measured.

    Args:
        space: The space, bound to its classes.
        data: The data set, on the device for the measurement.
        folder: The run folder; it is not created.
        console: The console.
        plan: The epochs and runs of a trial.

    Raises:
        UsageError: The disk does not have enough space.
    """
    console.print(f"{len(space.rows)} rows, one trial each:" if space.rows else "explored:")
    console.print(resolved(space))
    _print_fixed(space, console)
    cores = space.trial.cpus_per_worker
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        costed = [_measured(experiment, data) for experiment in _measurable(space)]
    finally:
        torch.set_num_threads(before)
    _print_costs(space, costed, console)
    _print_totals(space, costed, console, plan=plan, device=data.device)
    _print_disk(space, costed, folder, console)


def check_workers(space: SearchSpace) -> None:
    """Check that every batch divides among the workers and, on a cluster of this machine only, that a trial fits.

    Raises:
        UsageError: A batch cannot be divided, or a trial does not fit.
    """
    workers = space.trial.workers
    for dimension in space.dimensions:
        if not dimension.name.endswith("batch_size") or workers == 1:
            continue
        if dimension.among is None:
            raise UsageError(
                f"{dimension.where}`{dimension.key}` has a range, but not every batch of it can be divided equally "
                f"among {workers} workers: write `among: [...]` with multiples of trial.workers."
            )
        for value in dimension.among:
            check_shared(f"{dimension.where}`{dimension.key}`", value, workers)
    for experiment in space.experiments():
        check_batches(experiment, workers)
    space.trial.check_cores()


def resolved(space: SearchSpace) -> Table:
    """Return a table of the rows, or of every explored knob: range, scale, default and the papers' value."""
    if space.rows:
        table = Table()
        for heading in ("name", *space.headings().values()):
            table.add_column(heading)
        for row in space.rows:
            table.add_row(row.name, *(str(value) for value in row.resolved(list(space.headings())).values()))
        return table
    table = Table()
    for heading in ("knob", "symbol", "range", "default", "papers' value", "description"):
        table.add_column(heading, no_wrap=heading == "knob")
    papers = {key: value for alternative in space.alternatives for key, value in alternative.paper_params().items()}
    if len(space.alternatives) > 1:
        table.add_row("methods", "", " | ".join(", ".join(a.methods) for a in space.alternatives), "", "each", "")
    declared = {method.name: method.knobs for one in space.experiments() for method in one.methods}
    for dimension in space.dimensions:
        default = getattr(declared[dimension.method], dimension.name)
        paper = papers.get(dimension.key, "no effect with it")
        bound = ", bounded by others" if dimension.spec.at_most is not None else ""
        table.add_row(
            dimension.key,
            dimension.spec.symbol,
            dimension.describe() + bound,
            str(default),
            str(paper),
            dimension.spec.help,
        )
    return table


def _print_fixed(space: SearchSpace, console: Console) -> None:
    explicit = {key: value for alternative in space.alternatives for key, value in alternative.fixed.items()}
    text = ", ".join(f"{key}={value}" for key, value in explicit.items() if key != "methods")
    console.print(f"fixed: {text}; all other settings as in the papers")


def _measurable(space: SearchSpace) -> list[Experiment]:
    """Return the experiments to measure: one per sequence of methods."""
    return [space.rows[0].experiment] if space.rows else space.experiments()


def _measured(experiment: Experiment, data: ImageData) -> Costed:
    return Costed(", ".join(method.name for method in experiment.methods), measure(experiment, data, data.device))


def _print_costs(space: SearchSpace, costed: Sequence[Costed], console: Console) -> None:
    table = Table(title=f"cost of a trial, measured with {'the first row' if space.rows else 'the papers’ setting'}")
    for heading in (
        "methods",
        "stage",
        "epochs",
        "steps per epoch",
        "seconds per step",
        "seconds per evaluation",
        "hours",
    ):
        table.add_column(heading, justify="left" if heading == "methods" else "right")
    for item in costed:
        for index, stage in enumerate(item.cost.stages):
            step = "–" if not stage.epochs else "not measured" if stage.step is None else number(stage.step)
            table.add_row(
                item.name if index == 0 else "",
                str(index + 1),
                str(stage.epochs),
                str(stage.steps or "–"),
                step,
                number(stage.evaluation),
                number(stage.seconds / 3600),
            )
    console.print(table)


def _print_totals(
    space: SearchSpace, costed: Sequence[Costed], console: Console, *, plan: TrialPlan, device: torch.device
) -> None:
    trials, resources = space.search.trials, space.trial
    cores = resources.cpus_per_worker
    kind, each = ("GPU", 1.0) if device.type == "cuda" else ("CPU", float(cores))
    epochs = max(item.cost.epochs for item in costed)
    # A trial of several short runs has more epochs than its complete run.
    seconds = sum(item.cost.seconds for item in costed) / len(costed) * plan.epochs / epochs
    whole = trials * seconds * each / 3600
    several = f"{plan.folds} folds and a final run" if plan.folds else f"{plan.seeds} seeds" if plan.seeds > 1 else ""
    runs = f"{several}, {plan.epochs} epochs together" if several else f"{plan.epochs} epochs"
    lines = [f"{trials} trials of {runs}: about {hours(whole, kind)} without early stopping"]
    lines.append(plan.describe(space.stop))
    if plan.warning:
        lines.append(plan.warning)
    if isinstance(plan.rule, SuccessiveHalving):
        share = expected_share(plan.rungs, plan.epochs, keep_one_in=space.stop.keep_one_in)
        lines[1] += f": about {hours(share * whole, kind)}; more if good trials start late"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cores} core(s) of {platform.machine()}"
    load = "under its current load" if device.type == "cuda" else "in CPU time, which other programs do not change"
    lines.append(
        f"These are estimates from a few timed steps on {name}, {load}. Other settings of a knob, other "
        f"machines{', other rows' if space.rows else ''} and several workers change the times."
    )
    for line in lines:
        console.print(line, soft_wrap=True)


def _print_disk(space: SearchSpace, costed: Sequence[Costed], folder: Path, console: Console) -> None:
    trials = space.search.trials
    each = sum(item.cost.disk for item in costed) / len(costed)
    checkpoint = max(item.cost.checkpoint for item in costed)
    wanted = trials * each + checkpoint
    place = next(parent for parent in (folder, *folder.resolve().parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    console.print(
        f"disk: about {file_size(wanted)} in {folder} (a checkpoint is {file_size(checkpoint)}; a trial keeps its "
        f"best and its newest checkpoint, and its curves), {file_size(free)} free",
        soft_wrap=True,
    )
    if wanted > free:
        raise UsageError(
            f"{folder}: not enough disk space for this search: it needs {file_size(wanted)}, but only "
            f"{file_size(free)} are free. Free some space, or use another disk with --output."
        )
