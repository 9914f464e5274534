"""Images in Parquet files: bytes in a column, or paths to files."""

import bisect
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.errors import UsageError, did_you_mean

IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")
LABEL_COLUMNS = ("label", "fine_label", "labels", "class", "category", "target")


def open_parquet(definition: DatasetDefinition) -> Source:
    """Describe the Parquet files that `train_list`, `validation_list` and `test_list` name.

    Each is a file or a pattern ("data/train-*.parquet") below `folder`. The image column holds
    bytes, a struct with `bytes`, or paths below `folder`; the label column integers, or names.

    Raises:
        UsageError: A file or column is missing, or labels cannot be understood.
    """
    listed = {"train": definition.train_list, "validation": definition.validation_list, "test": definition.test_list}
    files = {pool: _files(definition.place, pattern) for pool, pattern in listed.items() if pattern}
    if "train" not in files:
        raise UsageError(f"{definition.name}: `train_list` must name the Parquet files of the training images.")
    return parquet_source(files, image=definition.image_column, label=definition.label_column, folder=definition.place)


def parquet_source(files: dict[str, list[Path]], *, image: str, label: str, folder: Path) -> Source:
    """Describe Parquet files by pool; empty column names are found by their usual names."""
    schema = _schema(files["train"][0])
    image = _column(schema.names, image, IMAGE_COLUMNS, f"{files['train'][0]}: `image_column`")
    label = _column(schema.names, label, LABEL_COLUMNS, f"{files['train'][0]}: `label_column`")
    every = [file for several in files.values() for file in several]
    for file in every:
        for column in (image, label):
            _column(_schema(file).names, column, (), f"{file}")
    names = _stated_names(schema, label) or _found_names(files["train"], label)
    listing = [(file.name, file.stat().st_size) for file in every]
    return Source(
        class_names=names,
        origin=f"Parquet files in {files['train'][0].parent}",
        fingerprint=hashlib.sha256(repr((listing, image, label)).encode()).hexdigest(),
        pools={
            pool: partial(ParquetOriginals.open, tuple(several), image=image, label=label, names=names, folder=folder)
            for pool, several in files.items()
        },
        root=str(folder),
        watched=(*map(str, every), *(path for file in every for path in _paths(file, image, folder))),
    )


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern)) if not Path(pattern).is_absolute() else [Path(pattern)]
    if not found or not all(file.is_file() for file in found):
        raise UsageError(f"No file {pattern} in {folder.resolve()}; Parquet files are looked for below `folder`.")
    return found


def _paths(file: Path, image: str, folder: Path) -> list[str]:
    """Return the file of every row's image where the column holds paths; nothing where it holds images."""
    kind = _schema(file).field(image).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return []
    values = pq.read_table(file, columns=[image])[image].to_pylist()
    return [str(folder / value) if value is not None else str(file) for value in values]


def _schema(file: Path) -> Any:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{file}: cannot be read as a Parquet file: {error}") from error


def _column(known: Sequence[str], stated: str, usual: tuple[str, ...], what: str) -> str:
    if stated:
        if stated not in known:
            raise UsageError(f"{what}: no column `{stated}`.{did_you_mean(stated, known)}")
        return stated
    for name in usual:
        if name in known:
            return name
    raise UsageError(f"{what} must be set; columns: {', '.join(known)}.")


def _stated_names(schema: Any, label: str) -> tuple[str, ...]:
    """Return the class names in the schema's `huggingface` metadata, or nothing."""
    text = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(text).get("info", {}).get("features", {}) if text else {}
    return tuple(features.get(label, {}).get("names", ()))


def _found_names(files: list[Path], label: str) -> tuple[str, ...]:
    """Return the sorted label names, or "0", "1", … for integer labels."""
    found: set[Any] = set()
    for file in files:
        found.update(pq.read_table(file, columns=[label])[label].unique().to_pylist())
    if not found:
        raise UsageError(f"{files[0]}: holds no images.")
    if all(isinstance(value, int) for value in found):
        return tuple(str(number) for number in range(max(found) + 1))
    if all(isinstance(value, str) for value in found):
        return tuple(sorted(found))
    wrong = next((value for value in found if not isinstance(value, int | str)), "both")
    raise UsageError(f"{files[0]}: column `{label}` must hold whole numbers or names only, but has {wrong}.")


@dataclass
class ParquetOriginals:
    """Images in Parquet files, read a row group at a time.

    Attributes:
        files: The files, in order.
        image: The image column.
        folder: What paths are relative to.
        labels: Labels (n,).
        groups: (file, row group, first image) of each row group.
        paths: The file of each image where the column holds paths, else nothing.
    """

    files: tuple[Path, ...]
    image: str
    folder: Path
    labels: NDArray[np.int64]
    groups: list[tuple[Path, int, int]]
    paths: tuple[str, ...] = ()
    _last: tuple[int, Any] = field(default=(-1, None))

    @classmethod
    def open(
        cls, files: tuple[Path, ...], *, image: str, label: str, names: tuple[str, ...], folder: Path
    ) -> "ParquetOriginals":
        """Read the labels; no image is read.

        Raises:
            UsageError: A label is not a class.
        """
        groups: list[tuple[Path, int, int]] = []
        labels: list[int] = []
        number = {name: index for index, name in enumerate(names)}
        for file in files:
            with pq.ParquetFile(file) as opened:
                first = len(labels)
                for group in range(opened.metadata.num_row_groups):
                    groups.append((file, group, first))
                    first += opened.metadata.row_group(group).num_rows
                # By way of a list: `to_numpy` would import pandas, in every process of a conversion.
                for row, value in enumerate(_listed(opened, label)):
                    known = number.get(value, -1) if isinstance(value, str) else value
                    if known is None or not 0 <= known < len(names):
                        raise UsageError(f"{file}, row {row}: `{label}` is {value!r}, not one of {len(names)} classes.")
                    labels.append(known)
        paths = tuple(path for file in files for path in _paths(file, image, folder))
        return cls(files, image, folder, np.array(labels, dtype=np.int64), groups, paths)

    def _place(self, index: int) -> tuple[int, int]:
        """Return the row group of an image, and its row there."""
        group = bisect.bisect_right(self.groups, index, key=lambda known: known[2]) - 1
        return group, index - self.groups[group][2]

    @cached_property
    def _starts(self) -> dict[Path, int]:
        """The first image of each file."""
        return {file: first for file, _, first in reversed(self.groups)}

    def place(self, index: int) -> tuple[str, int]:
        """Return file and row, from 0; the image's own file where the column holds paths."""
        if self.paths:
            return self.paths[index], 0
        file = self.groups[self._place(index)[0]][0]
        return str(file), index - self._starts[file]

    def name(self, index: int) -> str:
        """Return file and row, from 0."""
        file = self.groups[self._place(index)[0]][0]
        return f"{file.name}, row {index - self._starts[file]}"

    def read(self, index: int) -> bytes:
        """Return an image's file."""
        group, row = self._place(index)
        if self._last[0] != group:
            file, number, _ = self.groups[group]
            with pq.ParquetFile(file) as opened:
                self._last = group, opened.read_row_group(number, columns=[self.image])[self.image].combine_chunks()
        value = self._last[1][row].as_py()
        if isinstance(value, dict):
            value = value["bytes"] if value.get("bytes") is not None else value["path"]
        if value is None:
            raise OSError("no image in this row")
        return bytes(value) if isinstance(value, bytes) else (self.folder / value).read_bytes()


def _listed(opened: Any, column: str) -> list[Any]:
    values: list[Any] = opened.read(columns=[column])[column].to_pylist()
    return values
