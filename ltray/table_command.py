"""`python -m ltray.tune paper/bcl-table2`: train the rows of a paper's table, and print the table."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ltray.arguments import check_writable
from ltray.command import DONE
from ltray.console import new_console
from ltray.errors import UsageError
from ltray.paper_tables.prepared import RowRun, prepare
from ltray.paper_tables.table_file import PaperTable
from ltray.paper_tables.table_row import TableRow
from ltray.provenance import environment
from ltray.reproduction.row import row_settings
from ltray.results.next_steps import COMMAND
from ltray.results.output_folder import check_output
from ltray.run_folder import RunFolder
from ltray.space.space_file import TABLE

SEEDS, CHOSEN, DIRECTORY = "seeds", "chosen", "directory"
MAY_DIFFER = (SEEDS, CHOSEN, "trial", COMMAND, DIRECTORY)
"""Parts of the configuration that a continued table may change: more seeds, other rows, other resources."""


@dataclass(frozen=True)
class TableCommand:
    """What a user asked for.

    Attributes:
        path: The file of the table.
        given: Settings that replace those of the rows.
        seeds: Number of runs of each row.
        patterns: Patterns of the rows to train; (): all.
        output: Folder; None: `runs/<table>`.
        words: The arguments of the command, by which the folder alone is continued.
        resume: Whether to fail if there is nothing to continue.
    """

    path: Path
    given: Mapping[str, Any]
    seeds: int
    patterns: Sequence[str]
    output: Path | None
    words: Sequence[str]
    resume: bool = False

    def run(self, *, dry: bool = False) -> tuple[int, Path]:
        """Check everything, then train; return the exit code and the folder.

        Args:
            dry: Whether to print the rows instead.

        Raises:
            UsageError: A setting is wrong, data are missing, or the folder contains another run.
        """
        console = new_console()
        table = PaperTable.read(self.path, self.given, patterns=self.patterns)
        folder = self.output or Path("runs") / table.name
        check_writable(folder, "--output", folder=True)
        check_output(folder)
        if self.resume and RunFolder(folder).config() is None:
            raise UsageError(f"{folder}: nothing to resume: the folder contains no table.")
        table.trial.check_cores()
        if dry:
            print_rows(table, self.seeds, console)
            return DONE, folder
        runs = prepare(table, folder, self.seeds, console) if table.trained else []
        return self._train(table, runs, folder, console), folder

    def _train(self, table: PaperTable, runs: Sequence[RowRun], folder: Path, console: Console) -> int:
        from ltray.on_ray.paper_table import train_rows

        place = RunFolder(folder)
        config = {
            TABLE: table.name,
            "settings": dict(self.given),
            SEEDS: self.seeds,
            CHOSEN: sorted(table.chosen),
            "trial": table.trial.resources(),
            COMMAND: list(self.words),
            DIRECTORY: os.getcwd(),
        }
        protocols = dict.fromkeys(run.experiment.dataset.protocol for run in runs)
        with ExitStack() as stack:
            stack.enter_context(place.locked())
            if place.claim(config, environment(data_digest="", protocol=", ".join(protocols)), may_differ=MAY_DIFFER):
                console.print(f"continues the table in {folder}", soft_wrap=True)
            return train_rows(table, runs, folder, console)


def print_rows(table: PaperTable, seeds: int, console: Console) -> None:
    """Print the rows of a table with the settings in which they differ from the papers' settings; train nothing.

    Args:
        table: The table.
        seeds: Number of runs of each row.
        console: Receives the lines.
    """
    console.print(f"{table.title}: {len(table.trained)} of {len(table.rows)} rows are trained, {seeds} runs each")
    for row in table.rows:
        console.print(f"  {row.label}: {_described(row, row.name in table.chosen)}", soft_wrap=True)
    console.print("nothing was written; without --dry-run these rows would be trained")


def _described(row: TableRow, trained: bool) -> str:
    if row.experiment is None:
        return row.lacks
    methods = ", ".join(method.name for method in row.experiment.methods)
    own = row_settings(row.claim) if row.claim else {key: row.settings()[key] for key in row.experiment.explicit}
    now = row.settings()
    listed = ", ".join(f"{key}={now[key]}" for key in own if key in now)
    return f"{'' if trained else 'not chosen; '}{methods} on {row.dataset}{f', {listed}' if listed else ''}"
