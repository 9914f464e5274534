"""The state of a table that may be running in another process: which runs are finished, how far the others are."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ltray.fitted_table import FittedTable
from ltray.paper_tables.prepared import RUNS
from ltray.program import called
from ltray.quantities import plural
from ltray.reproduction.progress import RowProgress
from ltray.results.paths import shell_word
from ltray.run_folder import RunFolder


def status_of_table(folder: Path, config: Mapping[str, Any]) -> Iterator[str | FittedTable]:
    """Return the lines and the table that describe the folder of a table.

    Args:
        folder: The folder.
        config: The content of its `config.yaml`.

    Raises:
        UsageError: A file in it is damaged.
    """
    holder = RunFolder(folder).holder()
    planned = int(config["seeds"]) * len(config["chosen"])
    runs = {path.name: _state(path) for path in sorted((folder / RUNS).glob("*")) if path.is_dir()}
    ended = sum(state in ("done", "failed") for state in runs.values())
    state = f"running: {holder}" if holder else "complete" if ended >= planned else "interrupted"
    yield f"{folder}: table {config['table']}; {state}"
    yield f"  {ended} of {plural(max(planned, ended), 'run')} ended"
    shown = FittedTable()
    shown.add_column("run")
    shown.add_column("state")
    for name, text in runs.items():
        shown.add_row(name, text)
    if runs:
        yield shown
    if not holder and ended < planned:
        yield f"  to continue: {called('tune')} {shell_word(folder)}"


def _state(folder: Path) -> str:
    if RunFolder(folder).failure_file.exists():
        return "failed"
    return RowProgress.read(folder).text
