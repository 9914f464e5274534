"""Labels in Parquet files: whole numbers with or without names (Hugging Face's ClassLabel), or names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltray.data.sources.label_space import Labelled
from ltray.errors import UsageError
from ltray.files import reading

LARGEST = 10**18  # the largest label: it must fit in 64 bits


@dataclass(frozen=True)
class _Column:
    """The label column of one file.

    Attributes:
        file: The file.
        pool: "train", "validation" or "test".
        values: Whole numbers, or names.
        names: The names of the numbers in the file's metadata, in their order.
    """

    file: Path
    pool: str
    values: list[Any]
    names: tuple[str, ...]


def parquet_labels(files: Mapping[str, Sequence[Path]], column: str) -> list[Labelled]:
    """Read the labels of all files, in the order of the pools; no image is read.

    Args:
        files: The files of each pool.
        column: The label column, which all of them have.

    Raises:
        UsageError: A label is neither a whole number nor a name, or some files have numbers and others names.
    """
    columns = [_read(file, column, pool) for pool, several in files.items() for file in several]
    for pool, several in files.items():
        if not any(one.values for one in columns if one.pool == pool):
            raise UsageError(f"{several[0]}: contains no images.")
    text_labels = sorted({value for one in columns if _has_words(one) for value in one.values})
    if text_labels:
        plain = next((one for one in columns if one.values and not _has_words(one) and not one.names), None)
        if plain:
            other = next(one for one in columns if _has_words(one))
            raise UsageError(
                f"{plain.file}: `{column}` has numbers without names, but {other.file} has names; use one type in both."
            )
    return [_labelled(one, text_labels) for one in columns]


def _has_words(column: _Column) -> bool:
    return bool(column.values) and isinstance(column.values[0], str)


def _labelled(column: _Column, text_labels: Sequence[str]) -> Labelled:
    names = dict(enumerate(column.names))
    numbers = column.values
    if _has_words(column):
        names = dict(enumerate(text_labels))
        number = {word: place for place, word in enumerate(text_labels)}
        numbers = [number[value] for value in column.values]
    return Labelled(
        where=str(column.file),
        pool=column.pool,
        numbers=np.array(numbers, dtype=np.int64),
        names=names,
        common=not names,
        gaps=False,
        place="row {}".format,
    )


def _read(file: Path, title: str, pool: str) -> _Column:
    with reading(file, "cannot be read as a Parquet file"), pq.ParquetFile(file) as opened:
        schema = opened.schema_arrow
        values = opened.read(columns=[title])[title]
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if len(values) and not (is_text or pa.types.is_integer(kind)):
        raise _neither(file, title, 0, values[0].as_py())
    if values.null_count:
        raise _neither(file, title, pc.index(pc.is_null(values), True).as_py(), None)
    listed = values.to_pylist()  # `to_numpy` would import pandas
    if is_text:
        empty = next((row for row, value in enumerate(listed) if not value.strip()), None)
        if empty is not None:
            raise UsageError(f"{file}, row {empty}: `{title}` is {listed[empty]!r}; a class needs a name.")
        return _Column(file, pool, listed, ())
    names = _class_label(file, schema, title)
    _check_numbers(file, title, listed, names)
    return _Column(file, pool, listed, names)


def _neither(file: Path, title: str, row: int, value: Any) -> UsageError:
    shown = repr(value)
    return UsageError(
        f"{file}, row {row}: column `{title}` must contain only whole numbers or only names, but has "
        f"{shown if len(shown) < 60 else shown[:60] + '…'}."
    )


def _check_numbers(file: Path, title: str, numbers: Sequence[int], names: Sequence[str]) -> None:
    """Raise UsageError for numbers that are not class numbers."""
    if numbers and max(numbers) == -1:  # Hugging Face's value for images without a label
        raise UsageError(f"{file}, row 0: `{title}` is {numbers[0]}: the images have no labels.")
    last = len(names) if names else LARGEST
    wrong = next((row for row, number in enumerate(numbers) if not 0 <= number < last), None)
    if wrong is not None:
        known = f"one of the {len(names):,} classes listed in the file" if names else "a class number of at least 0"
        raise UsageError(f"{file}, row {wrong}: `{title}` is {numbers[wrong]}, not {known}.")


def _class_label(file: Path, schema: Any, title: str) -> tuple[str, ...]:
    """Return the class names in the schema's `huggingface` metadata, or nothing."""
    text = (schema.metadata or {}).get(b"huggingface")
    if not text:
        return ()
    with reading(file, "its `huggingface` metadata cannot be read"):
        feature = json.loads(text).get("info", {}).get("features", {}).get(title, {})
        names = feature.get("names", ()) if isinstance(feature, dict) else ()
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"the class names of `{title}` must be text")
        return tuple(names)
