"""`python -m ltray.reproduce`: list the papers' published rows; train one as published, and judge the result."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ltray.arguments import check_writable, count_argument, path_argument
from ltray.command import DONE, FAILED, INTERRUPTED, exit_with
from ltray.console import new_console
from ltray.errors import RunFailed, UsageError
from ltray.parser import Parser
from ltray.published.row_names import named_rows
from ltray.quantities import plural
from ltray.reproduction.availability import MachineCheck, check_trainable
from ltray.reproduction.background import how_to_follow, start
from ltray.reproduction.hours import RowHours
from ltray.reproduction.listing import LEGEND, ListedRow, filtered, lines
from ltray.reproduction.outcome import RowOutcome
from ltray.reproduction.progress import folders_of, folders_of_seeds, is_finished, state_of
from ltray.reproduction.row import SEED, PublishedRow
from ltray.results.classifier import best_device
from ltray.results.output_folder import check_output
from ltray.run_folder import RunFolder
from ltray.settings import parse_assignments
from ltray.space.search_settings import TrialResources
from ltray.train import RunInterrupted, begin_or_continue

EXAMPLE = "python -m ltray.reproduce bcl-table3/ldam-drw/cifar100-lt/100 --seeds 3 precision=bfloat16"
ONLY_LISTED = ("paper", "dataset", "method", "runnable", "time")  # options of --list
ONLY_TRAINED = ("seeds", "output", "background")  # options without --list


def main(arguments: list[str]) -> int:
    """List the rows, or train the named rows, one after another, and print their verdicts."""
    options = new_parser().parse(arguments)
    given = parse_assignments(options.settings)
    _check_options(options)
    if options.list:
        _list(options, given)
        return DONE
    rows = [PublishedRow.of(name, given) for name in options.rows]
    _check(rows, options)
    if options.background:
        _start(rows, options)
        return DONE
    try:
        for row in rows:
            _reproduce(row, options, new_console())
    except RunFailed as error:
        new_console().print(f"failed: {error}", style="red")
        return FAILED
    except RunInterrupted:
        return INTERRUPTED
    return DONE


def _check_options(options: Namespace) -> None:
    """Raise an error for missing rows and for options without an effect."""
    if not options.list and not options.rows:
        raise UsageError("Name at least one row, or list the rows with --list.")
    for name in ONLY_TRAINED if options.list else ONLY_LISTED:
        if getattr(options, name) not in (None, False):
            raise UsageError(f"--{name} has no effect {'with' if options.list else 'without'} --list: remove it.")
    if len(options.rows) != len(set(options.rows)):
        raise UsageError("A row is named twice; name each row once.")
    if options.output and len(options.rows) > 1:
        raise UsageError(f"--output is the folder of one row, but {len(options.rows)} rows are named.")


def _check(rows: Sequence[PublishedRow], options: Namespace) -> None:
    """Check rows, settings and folders before anything is trained."""
    TrialResources().check_cores()
    for row in rows:
        check_trainable(row)
        for folder in _folders(row, options).values():
            check_writable(folder, "--output", folder=True)
            check_output(folder)
            if RunFolder(folder).holder():
                raise UsageError(
                    f"{folder}: in use by another process; wait until it ends, or end it. See --list for its state."
                )


def _folders(row: PublishedRow, options: Namespace) -> dict[int, Path]:
    return folders_of_seeds(row, options.output, row.seeds(options.seeds or 1))


def _start(rows: Sequence[PublishedRow], options: Namespace) -> None:
    arguments = [*options.rows, "--seeds", str(options.seeds or 1), *options.settings]
    if options.output:
        arguments += ["--output", str(options.output)]
    folder = options.output or rows[0].folder
    log = folder.with_name(f"{folder.name}.log")
    check_writable(log, "--output")
    for line in how_to_follow(start(arguments, log), log):
        print(line)


def _reproduce(row: PublishedRow, options: Namespace, console: Console) -> None:
    """Train the seeds of a row, and print the verdict on all of them."""
    folders = _folders(row, options)
    for seed, folder in folders.items():
        if is_finished(row, folder, seed):
            console.print(f"{row.name}, seed {seed}: finished in {folder}", soft_wrap=True)
            continue
        console.print(f"{row.name}, seed {seed}: trains in {folder}", soft_wrap=True)
        settings = row.settings | {SEED: seed}
        begin_or_continue(row.claim.dataset, row.claim.methods, settings, TrialResources(), start=None, output=folder)
    outcome = RowOutcome.read(row.name, row.claim, list(folders.values()))
    runs = plural(len(folders), "run")
    console.print(f"{row.name}: published {outcome.theirs} %, ours {outcome.ours} % ({runs})", soft_wrap=True)
    console.print(f"verdict: {outcome.verdict}", soft_wrap=True)
    console.print(f"as a row of a Markdown table:\n{outcome.markdown()}", soft_wrap=True)


def _list(options: Namespace, given: Mapping[str, Any]) -> None:
    """Print the table of the rows; measure their hours with --time."""
    console = new_console()
    known, machine = RowHours(best_device()), MachineCheck()
    chosen = [PublishedRow.of(name, {}) for name in options.rows or named_rows()]
    rows = filtered(chosen, paper=options.paper, dataset=options.dataset, method=options.method)
    listed = []
    for plain in rows:
        row = _with_settings(plain, given)
        there = machine.of(row)
        if options.runnable and not there.runnable:
            continue
        hours = known.known(row)
        if options.time and there.runnable:
            console.print(f"timing {row.name}", soft_wrap=True)
            hours = known.measure(row)
        listed.append(ListedRow(row, there, hours.text if hours else "", _state(row)))
    for line in [*lines(listed), LEGEND]:
        console.print(line, soft_wrap=True)
    runnable = sum(one.availability.runnable for one in listed)
    console.print(f"{plural(len(listed), 'row')}, {runnable} of them can be trained here", soft_wrap=True)


def _with_settings(row: PublishedRow, given: Mapping[str, Any]) -> PublishedRow:
    """Return a row with settings of the user, of a row that ltray can train."""
    return PublishedRow.of(row.name, given) if row.claim.methods else row


def _state(row: PublishedRow) -> str:
    """Return the state of a row's runs, with the verdict if they are finished."""
    state = state_of(row)
    if not state.startswith("done"):
        return state
    return f"{state}: {RowOutcome.read(row.name, row.claim, folders_of(row)).verdict}"


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser(
        "reproduce",
        description="Train rows of the papers' tables as published and compare the results with the published figures. "
        "Run the same command again to continue an interrupted run.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names of rows, such as bcl-table3/bcl/cifar100-lt/100")
    parser.add_settings("settings that replace those of the row, such as precision=bfloat16; the verdict lists them")
    parser.add_argument("--list", action="store_true", help="list the rows: figure, whether they run here, state")
    parser.add_argument("--paper", metavar="P", help="with --list: rows of a paper or table (bcl, bcl-table3)")
    parser.add_argument("--dataset", metavar="D", help="with --list: rows on a data set")
    parser.add_argument("--method", metavar="M", help="with --list: rows of a method of ltray")
    parser.add_argument("--runnable", action="store_true", help="with --list: only rows that can be trained here")
    parser.add_argument("--time", action="store_true", help="with --list: measure the hours on this machine")
    parser.add_argument("--seeds", type=count_argument, metavar="N", help="runs, one after another (default: 1)")
    parser.add_argument(
        "--output", type=path_argument, metavar="DIR", help="run folder (default: runs/reproduced/<row>)"
    )
    parser.add_argument(
        "--background", action="store_true", help="train in a process that continues after the terminal is closed"
    )
    return parser


if __name__ == "__main__":
    exit_with(main)
