"""Parquet files of results: declared types also with missing values, a version, readable by other programs."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltray.errors import UsageError
from ltray.results.table_schema import VERSION, VERSION_KEY, check_version, type_of
from ltray.results.tables import write_table
from tests.paths import ROOT

# Two methods of a search: each row lacks the settings of the other one.
ROWS = [
    {"trial": 0, "bcl.complement": True, "bcl.batch_size": 64, "bcl.views": "sim-sim", "bcl.mixup": 0, "seed": 0},
    {"trial": 1, "ldam.margin": 0.5, "ldam.epochs": None, "val/acc_all": 0.5, "other.knob": 3, "name": ""},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_table(pd.DataFrame(ROWS), tmp_path / "results.parquet")
    return tmp_path / "results.parquet"


def test_settings_keep_their_declared_types_where_other_methods_lack_them(file: Path) -> None:
    schema = pq.read_schema(file)
    expected = {
        "bcl.batch_size": pa.int64(),
        "bcl.complement": pa.bool_(),
        "bcl.views": pa.string(),
        "bcl.mixup": pa.float64(),
        "ldam.margin": pa.float64(),
        "ldam.epochs": pa.int64(),  # also without any value
        "seed": pa.int64(),
    }
    assert {name: schema.field(name).type for name in expected} == expected
    first, second = pq.read_table(file).to_pylist()
    assert first["bcl.batch_size"] == 64 and isinstance(first["bcl.batch_size"], int)
    assert second["bcl.complement"] is None and second["bcl.batch_size"] is None


def test_pandas_polars_and_duckdb_read_the_same_values(file: Path) -> None:
    assert pd.read_parquet(file)["ldam.margin"].tolist()[1] == 0.5
    assert polars.read_parquet(file).filter(polars.col("bcl.batch_size") == 64)["trial"].to_list() == [0]
    found = duckdb.sql(f"""select trial from '{file}' where "bcl.complement" or "ldam.margin" > 0.4""").fetchall()
    assert found == [(0,), (1,)]


def test_files_have_a_version_and_older_ones_open(file: Path, tmp_path: Path) -> None:
    assert pq.read_schema(file).metadata[VERSION_KEY.encode()] == str(VERSION).encode()
    assert pq.read_schema(file).metadata[b"ltray.schema"] == b"results"
    check_version(file)
    old = tmp_path / "old.parquet"
    pd.DataFrame(ROWS).to_parquet(old)
    check_version(old)
    new = tmp_path / "new.parquet"
    pq.write_table(pq.read_table(file).replace_schema_metadata({VERSION_KEY: str(VERSION + 1)}), new)
    with pytest.raises(UsageError, match=r"new\.parquet: has version 2 of the schema.*Install a newer version"):
        check_version(new)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [("bcl.milestones", pa.string()), ("dataset.image_size", pa.int64()), ("other.knob", None), ("val/acc_all", None)],
)
def test_types_are_those_of_the_declarations(column: str, wanted: pa.DataType | None) -> None:
    assert type_of(column) == wanted


def test_examples_of_the_documentation_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame([row | {"methods": method} for row, method in zip(ROWS, ("bcl", "ldam"), strict=True)])
    write_table(table, file)
    monkeypatch.chdir(file.parent)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "results.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(example, found)
    assert found["large"]["trial"].to_list() == [0] and len(found["trials"]) == 2
    assert dict(found["best"]) == {"bcl": None, "ldam": 0.5}
