"""The page of the documentation with all tables and figures of the papers, and the command that makes each."""

import re
from pathlib import Path

from ltray.paper_tables.table_file import PaperTable
from ltray.space.catalog import SHIPPED

INTRODUCTION = """# The papers' tables

`ltray tune paper/<table>` trains the rows of a published table, evaluates each on test images once, and prints the
table with its own row names, our figures, the published ones and the verdict. With `--seeds n` each row is trained n
times:

```
python -m ltray.tune paper/bcl-table2 --seeds 3               # the complete table, as published
python -m ltray.tune paper/bcl-table3 --rows '*cifar10-lt*'   # some rows: patterns of their names or labels
python -m ltray.tune paper/bcl-table2 dataset=cifar10-lt epochs=20        # with other settings; "not comparable: …"
python -m ltray.tune paper/rescom-table7 --dry-run            # the rows and their settings; trains nothing
python -m ltray.tune runs/bcl-table2 --seeds 5                # two more seeds of each row; finished runs are kept
python -m ltray.status runs/bcl-table2                        # which runs are finished, how far the others are
```

**Rows.** They are those of `ltray/published/`, in the order of the paper; `ltray reproduce --list --paper bcl-table2`
lists their names and hours. A row of a method, network or variant that ltray does not have stands there with the
published figure alone. A setting such as `epochs=20` applies to each row that has it, a bare knob of every method to
the row's first method; other settings that count epochs keep their shares of the run. A row's protocol is `paper` where
its source chose the epoch on the test images.

**Runs.** Each row and seed is an ordinary run folder, `runs/<table>/rows/<row>-seed<seed>`. They are trained on Ray,
as many at a time as fit (`trial.workers`, `trial.gpus_per_worker`, as in a search). Run the command again to continue
after an interruption or a kill: unfinished runs continue from their checkpoints, finished ones are not repeated, and
their test images are not read again. More seeds, other rows and other resources may be chosen later; other settings
need another folder (`--output`).

**Results.** "ours" is the mean of the runs ± half of its 95 % interval; with one run there is no interval. The verdict
is that of [protocol.md](protocol.md#published-figures); its reasons are notes below the table. The table is also in
`table.md`, `table.tex` (needs the package booktabs), `table.csv` and `table.parquet`: shares of 1, one column for each
figure, its interval and the published value.
Published latencies and corruption errors are shown in columns of their own. Training does not measure them.

**Own tables.** A file with `table: <any name>` and `rows:` is trained in the same way, without published figures. Rows
may have different `methods` and `dataset`; `fix:` and `trial:` are those of a search space. From Python:
`ltray.tune.table("paper/bcl-table2", seeds=3)` returns the table as a pandas data frame.

| table | contents | rows: trained / all | data sets | command |
|---|---|---:|---|---|
"""


def page() -> str:
    """Return the page in Markdown."""
    files = sorted((SHIPPED / "paper").glob("*.yaml"), key=_order)
    return INTRODUCTION + "".join(_line(file) for file in files)


def _order(file: Path) -> list[str | int]:
    """Return the key by which `table9` comes before `table10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.stem)]


def _line(file: Path) -> str:
    table = PaperTable.read(file)
    name, _, contents = table.title.partition(": ")
    rows = f"{len(table.trained)} / {len(table.rows)}"
    return f"| {name} | {contents} | {rows} | {', '.join(table.datasets)} | `ltray tune paper/{file.stem}` |\n"
