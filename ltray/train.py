"""`python -m ltray.train`: train one method, or a sequence of them, on 1 to N workers."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from rich.console import Console

from ltray.arguments import (
    check_count,
    check_writable,
    count_argument,
    name_or_path,
    path_argument,
    path_value,
    settings_value,
)
from ltray.auto_settings import AUTO_SETTINGS, print_determined
from ltray.checkpoints import check_newest, complete_checkpoints
from ltray.command import DONE, FAILED, INTERRUPTED, exit_with
from ltray.console import new_console
from ltray.data.dataset import ImageData
from ltray.data.pin import Pins
from ltray.errors import RunFailed, UsageError, ray_failures, shown
from ltray.experiment import OBJECTIVE, Experiment
from ltray.files import writing
from ltray.following import TrainingSize
from ltray.given_files import recorded_files
from ltray.loggers import LOGGERS, check_logger
from ltray.network_config import WEIGHTS
from ltray.objective import print_objective, recorded_objective
from ltray.parser import Parser
from ltray.pretraining import announced, features_line, records, seen_before
from ltray.provenance import environment
from ltray.reporting import FAILURE
from ltray.results.final_evaluation import accuracy_line, epoch_line
from ltray.results.ledger import LOOK, declare_end_of, describe_look, number_of
from ltray.results.output_folder import check_output
from ltray.results.paths import tensorboard_command
from ltray.results.recorded_data import check_for
from ltray.run_folder import RunFolder, checkpoint_of, start_setting
from ltray.run_logger import begun_logger
from ltray.setting_names import complete_keys
from ltray.settings import parse_assignments
from ltray.space.search_settings import TrialResources
from ltray.start_check import check_batches, check_start
from ltray.study.fold_runs import runs_of

if TYPE_CHECKING:
    from ltray.results.loaded_run import LoadedRun

EXAMPLE = "python -m ltray.train --methods bcl --dataset cifar100-lt --workers 2 epochs=2"


def run(
    *,
    dataset: str | PathLike[str],
    methods: str | Sequence[str],
    settings: Mapping[str, Any] | None = None,
    workers: int = 1,
    cpus_per_worker: int = 1,
    logger: str = "tensorboard",
    start: str | PathLike[str] | None = None,
    output: str | PathLike[str] | None = None,
) -> "LoadedRun":
    """Train a method, or several in sequence, and evaluate the best epoch on the test set once.

    The same call continues an interrupted run. It prints what the command prints. One worker trains in a
    child process of this machine. Several workers train on Ray: if the program has started Ray, that cluster is
    used and continues to run; else a cluster is joined or started for the call, see `cluster/README.md`. With
    RAY_ADDRESS or in a program that has started Ray, one worker trains on that cluster too.

    Args:
        dataset: The name of a data set of ltray, or a data-set file.
        methods: Names or dotted paths of methods, in order; each continues from the one before it.
        settings: Knobs and data-set fields, such as `{"epochs": 2, "dataset.image_size": 8}`.
        workers: Worker processes, at least 1.
        cpus_per_worker: CPU cores of each worker, at least 1.
        logger: The logger of the metrics: a key of `ltray.loggers.LOGGERS`, or the dotted path of another package's
            logger.
        start: Run or checkpoint from which to continue (`--from` of the command).
        output: Run folder; None: `runs/<methods>-<dataset>`.

    Returns:
        The run, as `ltray.load` returns it.

    Raises:
        UsageError: A setting or value is wrong, the data set cannot be used, or the folder contains another run.
        RunFailed: The run failed, or Ray does not start; the same call continues it.
        KeyboardInterrupt: It was interrupted; the same call continues from the last checkpoint.
    """
    from ltray.results.loaded_run import load  # imported here: it takes a second, and the command does not need it

    given = settings_value(settings)
    paths = {
        name: None if path is None else path_value(name, path) for name, path in (("start", start), ("output", output))
    }
    for name, count in (("workers", workers), ("cpus_per_worker", cpus_per_worker)):
        check_count(name, count)
    path_value("dataset", dataset)
    names = [methods] if isinstance(methods, str) else list(methods)
    resources = TrialResources(workers=workers, cpus_per_worker=cpus_per_worker, logger=logger)
    with ray_failures():
        return load(
            begin_or_continue(str(dataset), names, given, resources, start=paths["start"], output=paths["output"])
        )


def main(arguments: list[str]) -> int:
    """Train, evaluate the best epoch on the test set once, and print where the results are."""
    from ltray.on_ray.exit_timeout import exit_after_timeout

    options = new_parser().parse(arguments)
    given = parse_assignments(options.settings)
    resources = TrialResources(workers=options.workers, cpus_per_worker=options.cpus_per_worker, logger=options.logger)
    paths = {"start": options.start, "output": options.output}
    try:
        begin_or_continue(options.dataset, options.methods, given, resources, **paths, interrupted=exit_after_timeout)
    except RunFailed as error:
        new_console().print(f"failed: {error}", style="red")
        return FAILED
    except RunInterrupted:
        return INTERRUPTED
    return DONE


class RunInterrupted(KeyboardInterrupt):
    """The run was interrupted after it began; the way to continue it is printed."""


def begin_or_continue(
    dataset: str,
    methods: Sequence[str],
    settings: Mapping[str, Any],
    resources: TrialResources,
    *,
    start: Path | None,
    output: Path | None,
    interrupted: Callable[[], object] = lambda: None,
) -> Path:
    """Check everything, then train.

    Args:
        dataset: The name of a data set, or a data-set file.
        methods: Names or dotted paths of methods, in order.
        settings: Knobs and data-set fields.
        resources: The number of workers, and the resources of each.
        start: Run or checkpoint from which to continue, or None.
        output: Run folder; None: `runs/<methods>-<dataset>`.
        interrupted: See `train`.

    Returns:
        The run folder.

    Raises:
        UsageError: See `train`; or a setting or value is wrong, or the data set cannot be used.
        RunFailed: See `train`.
        RunInterrupted: See `train`.
    """
    given = complete_keys(settings, methods)
    for key, flag in (("dataset", "--dataset"), ("methods", "--methods"), ("start", "--from")):
        if key in given:
            raise UsageError(
                f"`{key}` is set with the option {flag}, but got {shown(given[key])} as a setting; use the option."
            )
    check_logger(resources.logger)
    experiment = Experiment.from_settings({"dataset": dataset, "methods": list(methods)} | start_setting(start) | given)
    names = "-".join(method.name for method in experiment.methods)
    folder = output or Path("runs") / f"{names}-{experiment.dataset.name}"
    check_writable(folder, "--output", folder=True)
    check_output(folder)
    resources.check_cores()
    known = RunFolder(folder).config()
    left_over = experiment.network.check_file(experiment.dataset.image_size) if known is None else ""
    console = new_console()
    check, digest = check_for(folder)
    gpu = resources.has_gpu()
    experiment = experiment.determined(print_determined([experiment], gpu=gpu, config=known, console=console))
    data = experiment.opened(torch.device("cpu"), check=check, digest=digest)
    console.print(data.describe())
    if known is None:
        for line in announced(experiment, left_over, data.tail):
            console.print(line, soft_wrap=True)
    if OBJECTIVE not in given:
        objective = recorded_objective(known) if known else print_objective(experiment, data, console)
        experiment = replace(experiment, objective=objective)
    experiment = _suited(experiment, data, resources, known, console)
    if known is None:
        check_start(experiment, data.tail, data.class_names, workers=resources.workers)
    if line := features_line(experiment, data):
        console.print(line, soft_wrap=True)
    train(experiment, data, resources, folder, console, interrupted=interrupted)
    return folder


def train(
    experiment: Experiment,
    data: ImageData,
    resources: TrialResources,
    folder: Path,
    console: Console,
    *,
    interrupted: Callable[[], object],
) -> None:
    """Train an experiment and evaluate its best checkpoint.

    Args:
        experiment: The run to train.
        data: Its data set.
        resources: The number of workers, and the resources of each.
        folder: The run folder; a run that was started there with the same settings continues.
        console: The console.
        interrupted: Called after an interruption, before the disconnection from the cluster.

    Raises:
        UsageError: The folder contains another run or is in use, or the cluster cannot be joined or is too small.
        RunFailed: The run failed.
        RunInterrupted: It was interrupted.
    """
    place = RunFolder(folder)
    config = {"settings": experiment.settings(), "workers": resources.as_dict()}
    config |= recorded_files(config["settings"])
    if experiment.automatic:
        config[AUTO_SETTINGS] = dict(experiment.automatic)
    stamps = environment(data_digest=data.digest, protocol=experiment.dataset.protocol)
    if place.config() is None and (weights := records([experiment])):
        stamps[WEIGHTS] = weights
    planned = experiment.planned_epochs(data.tail) * runs_of(experiment)
    with ExitStack() as stack:
        begun = place.config() is not None
        if begun:
            stack.enter_context(place.locked())
        launcher = stack.enter_context(_launcher(resources))
        if not begun:
            stack.enter_context(place.locked())  # not earlier, so that no folder remains after an error
        if place.claim(config, stamps, may_differ=("workers", AUTO_SETTINGS)):
            console.print(f"continues the run in {folder}")
        try:
            failure = _follow(experiment, data, launcher, resources.logger, folder, console, planned)
            if not failure:
                _evaluate(experiment, folder, launcher, console)
        except KeyboardInterrupt as error:
            console.print(f"interrupted; run the same command again to continue the run in {folder}")
            interrupted()
            raise RunInterrupted from error
    if failure:
        raise RunFailed(failure)


def _suited(
    experiment: Experiment,
    data: ImageData,
    resources: TrialResources,
    known: Mapping[str, Any] | None,
    console: Console,
) -> Experiment:
    """Return the run with defaults that are adapted to the data, checked; print the changes.

    A run that a former version started with the papers' values, without adaptation, keeps them.
    """
    size = TrainingSize.of(data.tail, workers=resources.workers)
    suited = experiment
    if known is None or known.get("settings") != experiment.settings():
        suited = experiment.following(size)
    suited.check_classes(size.classes)
    check_batches(suited, size.workers)
    for line in suited.followed(experiment, size):
        console.print(line, soft_wrap=True)
    return suited


class Launcher(Protocol):
    """Trains and evaluates, in a process on this machine or on a Ray cluster; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> bool | None: ...

    def train(
        self, settings: Mapping[str, Any], pins: Pins, *, folder: Path, notify: Callable[[str], object]
    ) -> Generator[dict[str, Any], None, None]:
        """Yield the metrics of every epoch, from the newest checkpoint in the folder."""
        ...

    def evaluate(self, folder: Path, checkpoint: Path, stamps: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate a checkpoint on the test set and copy it to `best/`."""
        ...


def _launcher(resources: TrialResources) -> Launcher:
    """Return the launcher of one process if that is sufficient: a Ray cluster must start a dozen processes."""
    from ltray.one_worker.launcher import OneWorker, suits

    if suits(resources):
        return OneWorker(resources)
    from ltray.on_ray.launcher import OnRay

    return OnRay(resources)


def _follow(
    experiment: Experiment,
    data: ImageData,
    launcher: Launcher,
    logger_name: str,
    folder: Path,
    console: Console,
    planned: int,
) -> str | None:
    """Run the workers and print every epoch; return the reason why the run failed, or None."""
    place = RunFolder(folder)
    from ltray.on_ray.last_line import last_line

    def print_line(text: str) -> None:
        console.print(text, style="yellow", soft_wrap=True)

    check_newest(complete_checkpoints(folder))
    unseen = [metrics for _, metrics in place.unrecorded()]
    pins = Pins({experiment.dataset: data.pin})
    reports = launcher.train(experiment.settings(), pins, folder=folder, notify=print_line)
    last: Mapping[str, Any] = {}
    shown = {k: v for k, v in experiment.settings().items() if not k.startswith("dataset.")}
    try:
        logger = begun_logger(logger_name, folder, shown, experiment=experiment, data=None if place.history() else data)
        with closing(reports), closing(logger):
            for last in chain(unseen, reports):
                if FAILURE in last:
                    return str(last[FAILURE])
                with writing(folder):
                    logger.epoch(last, int(last["total_epochs"]))
                    place.append_history(last)
                console.print(epoch_line(last, planned, experiment))
            logger.finish(shown, last)
    except UsageError as error:
        return str(error)
    except Exception as error:
        return f"{last_line(str(error) or type(error).__name__)} (complete message in {folder})"
    return None


def _evaluate(experiment: Experiment, folder: Path, launcher: Launcher, console: Console) -> None:
    """Evaluate the best checkpoint on the test set, once."""
    place = RunFolder(folder)
    known = place.best.evaluation()
    if known is None:
        checkpoint = checkpoint_of(folder)
        look = declare_end_of(folder, experiment, f"the run's best checkpoint, {checkpoint.name}")
        known = launcher.evaluate(folder, checkpoint, {LOOK: look})
    chosen = "".join(f", {symbol} = {value:.4g}" for symbol, value in known["chosen"].items())
    accuracy = accuracy_line(known["metrics"], "test", experiment.objective)
    console.print(
        f"test: {accuracy}  (best epoch {known['epoch']}{chosen}, chosen "
        f"{experiment.dataset.selected_how} by {experiment.objective}, "
        f"seed {known['seed']}; {describe_look(number_of(known))})",
        soft_wrap=True,
    )
    if note := seen_before(experiment.settings(), known.get(WEIGHTS, {})):
        console.print(note, soft_wrap=True)
    console.print(f"best checkpoint: {place.best.path}   curves: {tensorboard_command(folder.parent)}", soft_wrap=True)


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser(
        "train",
        description="Train a method, or several methods in sequence, on 1 to N workers.",
        epilog=f"example: {EXAMPLE}",
    )
    what = "name of a data set of ltray, or a data-set file"
    parser.add_argument("--dataset", type=name_or_path, required=True, metavar="D", help=what)
    parser.add_argument("--methods", required=True, nargs="+", metavar="M", help="methods, in order")
    parser.add_argument("--workers", type=count_argument, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument(
        "--cpus-per-worker", type=count_argument, default=1, metavar="N", help="CPU cores of each worker (default: 1)"
    )
    parser.add_argument(
        "--from", dest="start", type=path_argument, metavar="RUN", help="run or checkpoint from which to continue"
    )
    parser.add_argument(
        "--output", type=path_argument, metavar="DIR", help="run folder (default: runs/<methods>-<dataset>)"
    )
    parser.add_argument(
        "--logger",
        default="tensorboard",
        metavar="L",
        help=f"logger of the metrics: {', '.join(LOGGERS)} (default), or the dotted path of another package's logger",
    )
    parser.add_settings("knobs and data-set fields, such as epochs=2")
    return parser


if __name__ == "__main__":
    exit_with(main)
