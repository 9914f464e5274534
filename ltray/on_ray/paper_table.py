"""Trains the rows of a paper's table on several seeds, and prints the table."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ltray.checkpoints import check_newest, complete_checkpoints
from ltray.command import DONE, FAILED, INTERRUPTED
from ltray.on_ray import cluster
from ltray.on_ray.waves import Wave, WaveRun
from ltray.paper_tables.layout import TableLayout
from ltray.paper_tables.prepared import RowRun, finished_runs
from ltray.paper_tables.result import read_results
from ltray.paper_tables.table_file import PaperTable
from ltray.paper_tables.table_files import write_files
from ltray.results.ledger import declare_end_of


def train_rows(table: PaperTable, runs: Sequence[RowRun], folder: Path, console: Console) -> int:
    """Train the runs that are not finished, evaluate each on test images once, and print the table.

    Args:
        table: The table.
        runs: All its runs.
        folder: Its folder, locked.
        console: Receives the lines.

    Returns:
        The exit code.

    Raises:
        UsageError: A folder contains another run, or the cluster cannot be joined.
    """
    for run in runs:
        run.claim(table.trial.as_dict())
    left = [run for run in runs if not run.finished]
    for run in left:
        check_newest(complete_checkpoints(run.folder))
    try:
        crashed = _train(table, left, folder, console, of=len(runs)) if left else []
    except KeyboardInterrupt:
        print_table(table, runs, folder, console)
        console.print(f"interrupted; run the same command again to continue the table in {folder}")
        return INTERRUPTED
    finally:
        cluster.disconnect()
    failed = print_table(table, runs, folder, console)
    return FAILED if crashed or failed else DONE


def _train(table: PaperTable, runs: Sequence[RowRun], folder: Path, console: Console, *, of: int) -> list[str]:
    """Train the runs; return the reasons why some of them crashed."""
    what = f"{table.name}: each row on each seed"
    looks: dict[str, int] = {}
    for run in runs:
        protocol = run.experiment.dataset.protocol
        if protocol not in looks:
            looks[protocol] = declare_end_of(folder, run.experiment, what)
    wave = Wave(table.trial, "rows", console)
    return wave.run([_wave_run(run, looks[run.experiment.dataset.protocol]) for run in runs], of=of)


def _wave_run(run: RowRun, look: int) -> WaveRun:
    return WaveRun(
        f"{run.row.label}, seed {run.experiment.seed}",
        run.experiment.settings(),
        run.folder.resolve(),
        stamps=run.stamps(look),
        selection=run.experiment.selection,
    )


def print_table(table: PaperTable, runs: Sequence[RowRun], folder: Path, console: Console) -> bool:
    """Write and print the table of the finished runs; return whether a run failed."""
    folders = {row.name: finished_runs(folder, row) for row in table.rows}
    for run in runs:
        folders[run.row.name][run.experiment.seed] = run.folder
    results = read_results(table.rows, folders)
    layout = TableLayout.of(table.title, results)
    files = write_files(folder, table.name, layout, results)
    console.print(layout.terminal(f"they are in {files[0].name}"))
    console.print(f"files: {', '.join(map(str, files))}", soft_wrap=True)
    return any(one.failures for one in results)
