"""`python -m ltray.tune SPACE`: search a method's settings with Ray and Optuna; `ls` lists and `cp` copies spaces."""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from ltray.arguments import (
    check_count,
    check_writable,
    name_or_path,
    path_argument,
    path_value,
    settings_value,
)
from ltray.auto_settings import AUTO_SETTINGS, print_determined
from ltray.command import DONE, INTERRUPTED, exit_with
from ltray.console import new_console
from ltray.data.dataset import ImageData
from ltray.data.pin import Pins
from ltray.errors import RunFailed, UsageError, ray_failures, shown
from ltray.given_files import recorded_files
from ltray.loggers import check_logger
from ltray.network_config import WEIGHTS
from ltray.objective import print_objective, recorded_objective
from ltray.paper_tables.table_file import PaperTable
from ltray.parser import Parser
from ltray.pretraining import announced, features_line, records
from ltray.program import called
from ltray.provenance import environment
from ltray.results.finalists import check_asked
from ltray.results.loaded_run import LoadedRun, load
from ltray.results.next_steps import COMMAND
from ltray.results.output_folder import check_output
from ltray.results.recorded_data import check_for
from ltray.run_folder import RunFolder, start_setting
from ltray.settings import parse_assignments, plain
from ltray.space import catalog
from ltray.space.search_settings import Search
from ltray.space.search_space import SearchSpace
from ltray.study.budget import Budget
from ltray.study.dry_run import check_workers, print_dry_run
from ltray.study.population import check_population
from ltray.study.trial_plan import TrialPlan
from ltray.study.warm_start import Earlier, earlier_searches
from ltray.table_command import DIRECTORY, TableCommand
from ltray.tune_arguments import as_begun, command_words, new_parser

# Settings that a continued search may change: more trials, other resources, finalists.
RUNGS = "rungs"  # in the configuration of a search since the first automatic rung is at a quarter of the run
MAY_DIFFER = ("trials", "trial", "finalists", COMMAND, DIRECTORY, AUTO_SETTINGS, RUNGS)


def main(arguments: list[str]) -> int:
    """Search, print the table, evaluate the best trial on the test set once."""
    if arguments[:1] == ["ls"]:
        return _list(arguments[1:])
    if arguments[:1] == ["cp"]:
        return _copy(arguments[1:])
    options = new_parser().parse(arguments)
    given = parse_assignments(options.settings)
    if Path(options.space).is_dir() and options.space not in catalog.known():
        options, given = as_begun(Path(options.space), options, given)
    if catalog.is_table(file := catalog.find(options.space)):
        return _table(file, options, given).run(dry=options.dry_run)[0]
    for name in ("seeds", "rows"):
        if getattr(options, name):
            raise UsageError(f"--{name} has no effect on a search; for several seeds of each trial, set trial.seeds=n.")
    paths = {"start": options.start, "output": options.output}
    how = {"budget": options.budget, "resume": options.resume, "dry": options.dry_run, "may_exit": True}
    code, _ = _run(options.space, given, **paths, **how)
    return code


def _table(file: Path, options: Namespace, given: Mapping[str, Any]) -> TableCommand:
    """Return the command for a paper's table.

    Raises:
        UsageError: An option has no effect on it.
    """
    for option, value in (("--from", options.start), ("--budget", options.budget)):
        if value:
            raise UsageError(f"{option} has no effect on the table {file.stem}: remove it.")
    words = command_words(options.space, given, start=None, output=options.output)
    words += ["--seeds", str(options.seeds)] if options.seeds else []
    words += ["--rows", *options.rows] if options.rows else []
    how: dict[str, Any] = {"output": options.output, "words": words, "resume": options.resume}
    return TableCommand(file, given, options.seeds or 1, tuple(options.rows or ()), **how)


def table(
    space: str | PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seeds: int = 1,
    rows: Sequence[str] = (),
    output: str | PathLike[str] | None = None,
) -> pd.DataFrame:
    """Train the rows of a paper's table on several seeds; evaluate each run on test images once.

    The same call continues an interrupted table; with more seeds or rows, finished runs are kept.

    Args:
        space: The file of a table, or its name in `ltray tune ls`, such as "paper/bcl-table2".
        settings: Settings that replace those of the rows, such as `{"epochs": 20}`.
        seeds: Number of runs of each row.
        rows: Patterns of the names of the rows to train, such as `["*cifar10-lt*"]`; (): all that ltray can train.
        output: Folder; None: `runs/<table>`.

    Returns:
        A row per row of the paper, with our figures and the published ones.

    Raises:
        UsageError: A setting or value is wrong, data are missing, or the folder contains another run.
        RunFailed: A run failed, or Ray does not start; the same call continues the table.
        KeyboardInterrupt: It was interrupted; the same call continues it.
    """
    check_count("seeds", seeds)
    file, given = catalog.find(path_value("space", space)), settings_value(settings)
    folder = None if output is None else path_value("output", output)
    words = [*command_words(space, given, start=None, output=output), "--seeds", str(seeds)]
    words += ["--rows", *rows] if rows else []
    with ray_failures():
        code, place = TableCommand(file, given, seeds, tuple(rows), folder, words).run()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code != DONE:
        raise RunFailed(f"{place}: a run of the table failed; the reason is printed above")
    return pd.read_parquet(RunFolder(place).paper_table)


def run(
    space: str | PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    start: str | PathLike[str] | None = None,
    output: str | PathLike[str] | None = None,
    budget: str | None = None,
    resume: bool = False,
) -> LoadedRun:
    """Search the settings of a method on Ray with Optuna; write tables, the best model and a report.

    The same call continues an interrupted search. The output is that of the command. After Ctrl-C the running epochs
    are completed; after a second one they are not. If the program has started Ray, that cluster is used and continues
    to run.

    Args:
        space: A search-space file, or a name of `ltray tune ls`.
        settings: Settings that replace those of the file, such as `{"epochs": 20, "search.trials": 8}`.
        start: Run or checkpoint from which every trial continues (`--from` of the command).
        output: Folder; None: `runs/<space>-<dataset>`.
        budget: Limit of the search: "2h", "90min", "8gpuh", "8cpuh" or "40trials"; None: all trials.
        resume: Whether to fail if there is nothing to continue.

    Returns:
        The search, as `ltray.load` returns it.

    Raises:
        UsageError: A setting or value is wrong, the data set cannot be used, or the folder contains another run.
        RunFailed: No trial was valid, a finalist failed, or Ray does not start; the same call continues the search.
        KeyboardInterrupt: It was interrupted; the same call continues it.
    """
    given = settings_value(settings)
    with ray_failures():
        code, folder = _run(space, given, start=start, output=output, budget=budget, resume=resume)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code != DONE:
        raise RunFailed(f"{folder}: the search failed; the reason is printed above")
    return load(folder)


def dry_run(
    space: str | PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    start: str | PathLike[str] | None = None,
    output: str | PathLike[str] | None = None,
) -> None:
    """Check a search and print its space, hours and disk use; run and write nothing. See `run`.

    Raises:
        UsageError: The search would raise this error.
    """
    _run(space, settings_value(settings), start=start, output=output, dry=True)


def _run(
    name: str | PathLike[str],
    given: Mapping[str, Any],
    *,
    start: str | PathLike[str] | None,
    output: str | PathLike[str] | None,
    budget: str | None = None,
    resume: bool = False,
    dry: bool = False,
    may_exit: bool = False,
) -> tuple[int, Path]:
    """Check everything, then search; return the exit code and the folder."""
    console = new_console()
    path = catalog.find(str(path_value("space", name)))
    if catalog.is_table(path):
        raise UsageError(f"{name}: is a table, not a search space; call `ltray.tune.table`.")
    if start and "start" in given:
        raise UsageError(f"`start` is set with --from, but also given as {shown(given['start'])}; keep one of them.")
    overrides = start_setting(None if start is None else path_value("start", start)) | dict(given)
    space = SearchSpace.read(path, overrides)
    check_logger(space.trial.logger)
    target = Path("runs") / f"{path.stem}-{space.base.dataset.name}"
    folder = target if output is None else path_value("output", output)
    check_writable(folder, "--output", folder=True)
    check_output(folder)
    if resume and RunFolder(folder).config() is None:
        raise UsageError(f"{folder}: nothing to resume: the folder contains no search.")
    limit = None if budget is None else Budget.parse(str(budget))
    device = torch.device("cuda" if dry and torch.cuda.is_available() else "cpu")
    opened = _opened(space, console, device, folder=folder, dry=dry)  # kept open, so that no file is replaced
    data = opened[0]
    if space.objective_by_data:
        known = RunFolder(folder).config()
        objective = recorded_objective(known) if known else print_objective(space.base, data, console)
        space = SearchSpace.read(path, overrides | {"search.objectives": [objective]})
    space.search.check_groups(data.tail.groups())
    gpu, known = space.trial.has_gpu(), RunFolder(folder).config()
    automatic = print_determined([space.base, *space.experiments()], gpu=gpu, config=known, console=console)
    space = space.determined(automatic)
    space = _bound(space, data, RunFolder(folder).config(), console)
    plan, earlier = _checked(space, data, folder, console, dry=dry)
    if dry:
        for one in earlier:
            console.print(one.describe(), soft_wrap=True)
        print_dry_run(space, data, folder, console, plan=plan)
        console.print("nothing was written; without --dry-run this search would start")
        return DONE, folder
    known = RunFolder(folder).config()
    with ExitStack() as stack:
        if known is None or known.get("trial") != space.trial.resources():
            from ltray.on_ray import cluster
            from ltray.on_ray.search import join_cluster

            stack.callback(cluster.disconnect)
            join_cluster(space, limit)  # before the folder is written, because it may raise an error
        stack.enter_context(RunFolder(folder).locked())
        pins = Pins({one.definition: one.pin for one in opened})
        command = command_words(name, given, start=start, output=output)
        how: dict[str, Any] = {"plan": plan, "pins": pins, "budget": limit, "may_exit": may_exit, "command": command}
        how["automatic"] = automatic
        return _search(space, data, folder, console, **how), folder


def _opened(space: SearchSpace, console: Console, device: torch.device, *, folder: Path, dry: bool) -> list[ImageData]:
    """Open the data sets of all trials; return them, that of the space's `base` first."""
    check, digest = check_for(folder, dry=dry)
    opened = [space.base.opened(device, check=check, digest=digest)]
    for experiment in {row.experiment.dataset: row.experiment for row in space.rows}.values():
        if experiment.dataset != space.base.dataset:
            opened.append(experiment.opened(device, check=check))
    console.print(opened[0].describe())
    return opened


def _bound(space: SearchSpace, data: ImageData, known: Mapping[str, Any] | None, console: Console) -> SearchSpace:
    """Return the space bound to the data, with defaults that are adapted to them; print the changes.

    A search that a former version started with the papers' values, without adaptation, keeps them.
    """
    bound = space.bind(data.tail.classes, data.tail)
    before = space.base.settings()
    if known is not None and known.get("settings") == before and bound.base.settings() != before:
        return space.bind(data.tail.classes, data.tail, follow=False)
    for line in bound.followed:
        console.print(line, soft_wrap=True)
    return bound


def _checked(
    space: SearchSpace, data: ImageData, folder: Path, console: Console, *, dry: bool
) -> tuple[TrialPlan, list[Earlier]]:
    """Check everything that needs no folder, so that an error leaves none; return plan and earlier searches.

    Raises:
        UsageError: The search would fail.
    """
    check_workers(space)
    known = RunFolder(folder).config()
    if known is None:
        space.check_builds(data.tail, data.class_names)
    how: dict[str, Any] = {"seed": space.search.seed, "seeds": space.trial.seeds}
    plan = TrialPlan.of(space.stop, space.experiments(), data.tail, **how, former=_is_former(known))
    if plan.population:
        check_population(space)
    check_asked(space, check="look" if dry else "trust")
    if known is not None:
        return plan, []  # an existing search has already read the other files
    lines: list[str] = []
    for experiment in {one.network: one for one in space.experiments()}.values():
        if dry and experiment.network.downloads_weights:
            continue  # nothing is downloaded for a dry run
        left_over = experiment.network.check_file(experiment.dataset.image_size)
        lines += [*announced(experiment, left_over, data.tail), *filter(None, [features_line(experiment, data)])]
    for line in dict.fromkeys(lines):
        console.print(line, soft_wrap=True)
    return plan, earlier_searches(space, folder, digest=data.digest if space.search.warm_start else "")


def _search(
    space: SearchSpace,
    data: ImageData,
    folder: Path,
    console: Console,
    *,
    plan: TrialPlan,
    pins: Pins,
    budget: Budget | None,
    may_exit: bool,
    command: list[str],
    automatic: Mapping[str, str],
) -> int:
    config = {
        **space.as_dict(),
        "search": _recorded(space.search),
        "stop": {k: plain(v) for k, v in space.stop.as_dict().items()},
        "trials": space.search.trials,
        "trial": space.trial.resources(),
        "finalists": space.finalists.as_dict(),
        COMMAND: command,
        DIRECTORY: os.getcwd(),
    }
    if not _is_former(RunFolder(folder).config()):
        config[RUNGS] = list(plan.rungs)
    if space.trial.seeds > 1:  # folders with one seed per trial may be older than this setting
        config["trial.seeds"] = space.trial.seeds
    if automatic:
        config[AUTO_SETTINGS] = dict(automatic)
    config |= recorded_files(config["settings"])
    stamps = environment(data_digest=data.digest, protocol=space.base.dataset.protocol)
    if RunFolder(folder).config() is None and (weights := records(space.experiments())):
        stamps[WEIGHTS] = weights
    if RunFolder(folder).claim(config, stamps, may_differ=MAY_DIFFER):
        console.print(f"continues the search in {folder}")

    from ltray.on_ray.search import search

    return search(space, plan, folder, console, pins=pins, budget=budget, may_exit=may_exit)


def _is_former(known: Mapping[str, Any] | None) -> bool:
    """Return whether a search was begun by a version whose first automatic rung was earlier; it keeps its rungs."""
    return known is not None and RUNGS not in known


def _recorded(search: Search) -> dict[str, Any]:
    """Return the settings of the proposals that a continued search must have; `prior` only with its sampler."""
    known = {name: plain(value) for name, value in search.as_dict().items() if search.has_effect(name)}
    return {name: value for name, value in known.items() if name != "trials"}


def _list(arguments: list[str]) -> int:
    Parser("tune ls", description="List the search spaces.").parse(arguments)
    new_console().print(catalog.listing(_table_cells))
    return DONE


def _table_cells(path: Path) -> tuple[str, str, str, str]:
    """Return the cells of a table in the list of search spaces."""
    found = PaperTable.read(path)
    return ", ".join(found.methods), ", ".join(found.datasets), f"{len(found.rows)} rows", found.title


def _copy(arguments: list[str]) -> int:
    parser = Parser("tune cp", description="Copy a search space to edit it.")
    parser.add_argument("name", type=name_or_path, metavar="NAME", help=f"a name of `{called('tune ls')}`, or a file")
    parser.add_argument(
        "target", nargs="?", type=path_argument, metavar="TARGET", help="file or folder (default: this folder)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse(arguments)
    target = catalog.copy(options.name, options.target, overwrite=options.overwrite)
    new_console().print(f"{target}: edit the file, then run: {called('tune')} {target}")
    return DONE


if __name__ == "__main__":
    exit_with(main)
