"""The schema of the Parquet files of results: a declared type for each setting, and a version in the file."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError
from ltray.knobs import Knobs
from ltray.methods import METHODS
from ltray.methods.find import find_method
from ltray.printable import printable
from ltray.run_settings import RunSettings

VERSION = 1
"""Version of the schemas; a change of the meaning or the type of a column increases it."""
VERSION_KEY, NAME_KEY = "ltray.schema_version", "ltray.schema"
"""Keys of the metadata of a Parquet file: the version, and the name of the table."""
TYPES: Mapping[Any, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
"""Types of the columns of settings; a list of values is text, with commas between its items."""


@cache
def _owners() -> dict[str, type[Knobs]]:
    known: dict[str, type[Knobs]] = {"": RunSettings, "dataset": DatasetDefinition}
    return known | {name: find_method(name).knobs for name in METHODS}


def type_of(column: str) -> pa.DataType | None:
    """Return the type of the column of a setting; None for another column, or a method of another package.

    Args:
        column: The full name of the setting: `bcl.batch_size`.
    """
    owner, _, name = column.rpartition(".")
    knobs = _owners().get(owner)
    if knobs is None or name not in knobs.specs():
        return None
    return TYPES.get(knobs.types()[name], pa.string())


def as_arrow(table: pd.DataFrame, name: str) -> pa.Table:
    """Return a table whose settings have their declared types, with the version in its metadata.

    Args:
        table: The table, with texts that can be encoded.
        name: Its name: "results".
    """
    columns = {}
    for column in map(str, table.columns):
        values = [None if _is_missing(value) else value for value in table[column].tolist()]
        declared = type_of(column)
        columns[column] = pa.array(values) if declared is None else _typed(values, declared)
    found = pa.table(columns)
    return found.replace_schema_metadata({VERSION_KEY: str(VERSION), NAME_KEY: name})


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _typed(values: list[Any], declared: pa.DataType) -> pa.Array:
    """Return values in their declared type, which pandas widens in a column with missing ones: 64.0 becomes 64."""
    if declared == pa.string():
        return pa.array([None if value is None else str(value) for value in values], declared)
    convert = {pa.bool_(): bool, pa.int64(): int, pa.float64(): float}[declared]
    return pa.array([None if value is None else convert(value) for value in values], declared)


def check_version(path: Path) -> None:
    """Check that this version of ltray can read a Parquet file of results; files of earlier versions have no number.

    Raises:
        UsageError: A newer version of ltray has written the file.
    """
    metadata = pq.read_schema(path).metadata or {}
    version = int(metadata.get(VERSION_KEY.encode(), b"0"))
    if version > VERSION:
        raise UsageError(
            f"{printable(path)}: has version {version} of the schema, but this version of ltray reads versions up to "
            f"{VERSION}. Install a newer version of ltray."
        )
