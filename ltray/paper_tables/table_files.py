"""The files of a table in its folder: Markdown, LaTeX, CSV, Parquet."""

from collections.abc import Sequence
from pathlib import Path

from ltray.paper_tables.layout import TableLayout
from ltray.paper_tables.markup import latex, markdown
from ltray.paper_tables.result import RowResult
from ltray.paper_tables.result_frame import result_frame
from ltray.results.tables import write_table
from ltray.run_folder import RunFolder
from ltray.seal import write_listed


def write_files(folder: Path, name: str, layout: TableLayout, results: Sequence[RowResult]) -> list[Path]:
    """Write the table in every format; return the files.

    Args:
        folder: The folder of the table.
        name: The name of the table.
        layout: The table for people.
        results: The results of its rows.
    """
    data = RunFolder(folder).paper_table
    frame = result_frame(name, results)
    write_listed(data.with_suffix(".md"), markdown(layout))
    write_listed(data.with_suffix(".tex"), latex(layout, name))
    write_table(frame, data.with_suffix(".csv"))
    write_table(frame, data)
    return [data.with_suffix(suffix) for suffix in (".md", ".tex", ".csv", ".parquet")]
