"""The files of a task's recorded curves."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ltray.files import atomic_write

PROVENANCE = b"provenance"
SCHEMA = pa.schema(
    {
        "task": pa.dictionary(pa.int8(), pa.string()),
        "setting": pa.int16(),
        "seed": pa.int16(),
        "epoch": pa.int16(),
        "value": pa.float32(),
    }
)


@dataclass
class Curves:
    """The curves of a task.

    Attributes:
        task: Its name.
        values: The value after each epoch, by setting and seed; shorter than a run if a loss was NaN.
        provenance: Command, commit, versions, hardware and date of each recording.
    """

    task: str
    values: dict[tuple[int, int], Sequence[float]] = field(default_factory=dict)
    provenance: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, task: str, folder: Path) -> Self:
        """Read a task's curves; a task that is not recorded has none."""
        path = folder / f"{task}.parquet"
        if not path.exists():
            return cls(task)
        table = pq.read_table(path)
        values: dict[tuple[int, int], list[float]] = {}
        for row in sorted(table.to_pylist(), key=lambda row: (row["setting"], row["seed"], row["epoch"])):
            curve = values.setdefault((row["setting"], row["seed"]), [])
            if row["epoch"]:  # epoch 0 marks a run whose first loss was NaN
                curve.append(row["value"])
        return cls(task, dict(values), json.loads(table.schema.metadata[PROVENANCE]))

    def write(self, folder: Path) -> None:
        """Write the curves; the file is replaced atomically."""
        rows: list[dict[str, Any]] = []
        for (setting, seed), curve in sorted(self.values.items()):
            own = {"task": self.task, "setting": setting, "seed": seed}
            rows += [own | {"epoch": epoch, "value": value} for epoch, value in enumerate(curve, start=1)]
            if not curve:
                rows.append(own | {"epoch": 0, "value": None})
        table = pa.Table.from_pylist(rows, SCHEMA)
        _write(
            table.replace_schema_metadata({PROVENANCE: json.dumps(self.provenance)}), folder / f"{self.task}.parquet"
        )


def write_settings(task: str, explored: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write the explored values of each setting, in order."""
    rows = [{"setting": number} | dict(values) for number, values in enumerate(explored)]
    _write(pa.Table.from_pylist(rows), folder / f"{task}-settings.parquet")


def read_settings(task: str, folder: Path) -> list[dict[str, Any]]:
    """Return the explored values of each setting, in order."""
    rows = pq.read_table(folder / f"{task}-settings.parquet").to_pylist()
    return [{name: value for name, value in row.items() if name != "setting"} for row in rows]


def _write(table: pa.Table, path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    atomic_write(path, buffer.getvalue())
