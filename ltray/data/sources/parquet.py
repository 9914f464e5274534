"""Images in Parquet files: bytes in a column, or paths to files."""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.data.image_files import read_file
from ltray.data.originals import Source
from ltray.data.sources.label_space import label_space
from ltray.data.sources.parquet_labels import parquet_labels
from ltray.errors import UsageError, did_you_mean

IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")
LABEL_COLUMNS = ("label", "fine_label", "labels", "class", "category", "target")


def open_parquet(definition: DatasetDefinition) -> Source:
    """Describe the Parquet files of `train_list`, `validation_list` and `test_list`.

    Each is a file or a pattern ("data/train-*.parquet") below `folder`. The image column contains
    bytes, a struct with `bytes`, or paths below `folder`; the label column integers, or names.

    Raises:
        UsageError: A file or column is missing, or labels are invalid.
    """
    listed = {"train": definition.train_list, "validation": definition.validation_list, "test": definition.test_list}
    files = {pool: parquet_files(definition.place, pattern) for pool, pattern in listed.items() if pattern}
    if "train" not in files:
        raise UsageError(f"{definition.name}: `train_list` must be the Parquet files of the training images.")
    return parquet_source(files, image=definition.image_column, label=definition.label_column, folder=definition.place)


def parquet_source(files: dict[str, list[Path]], *, image: str, label: str, folder: Path) -> Source:
    """Describe Parquet files by pool; for an empty column name the usual names are searched."""
    image, label = image_and_label_columns(files, image=image, label=label)
    every = [file for several in files.values() for file in several]
    labelled = parquet_labels(files, label)
    space = label_space(labelled)
    labels = {
        pool: np.concatenate([part for one, part in zip(labelled, space.labels, strict=True) if one.pool == pool])
        for pool in files
    }
    return Source(
        class_names=space.names,
        origin=f"Parquet files in {files['train'][0].parent}",
        pools={
            pool: partial(ParquetOriginals.open, tuple(several), image=image, labels=labels[pool], folder=folder)
            for pool, several in files.items()
        },
        notes=(*_column_note(_schema(files["train"][0]).names, label, files["train"][0]), *space.notes),
        root=str(folder),
        watched=(*map(str, every), *(path for file in every for path in _paths(file, image, folder))),
    )


def image_and_label_columns(files: Mapping[str, Sequence[Path]], *, image: str, label: str) -> tuple[str, str]:
    """Return the columns of images and labels, which all files must have.

    Args:
        files: Files by pool; the first one decides where a column is not stated.
        image: The image column; "": by the usual names.
        label: The label column; "": by the usual names.

    Raises:
        UsageError: A column is missing, or images are of another type.
    """
    every = [file for several in files.values() for file in several]
    names = _schema(every[0]).names
    image = _column(names, image, IMAGE_COLUMNS, f"{every[0]}: `image_column`")
    label = _column(names, label, LABEL_COLUMNS, f"{every[0]}: `label_column`")
    for file in every:
        for column in (image, label):
            _column(_schema(file).names, column, (), f"{file}")
        _check_images(file, image)
    return image, label


def parquet_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern below a folder, sorted; an absolute path is one file.

    Raises:
        UsageError: There is none.
    """
    found = sorted(folder.glob(pattern)) if not Path(pattern).is_absolute() else [Path(pattern)]
    if not found or not all(file.is_file() for file in found):
        raise UsageError(f"No file {pattern} in {folder.resolve()}; Parquet files are searched below `folder`.")
    return found


def _paths(file: Path, image: str, folder: Path) -> list[str]:
    """Return the file of every row's image if the column contains paths; nothing if it contains images."""
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


def _column(known: Sequence[str], given: str, usual: tuple[str, ...], what: str) -> str:
    if given:
        if given not in known:
            raise UsageError(f"{what}: no column `{given}`.{did_you_mean(given, known)}")
        return given
    for name in usual:
        if name in known:
            return name
    raise UsageError(f"{what} must be set; columns: {', '.join(known)}.")


def _column_note(known: Sequence[str], label: str, file: Path) -> list[str]:
    """Return a note if another column may be the right one."""
    others = [f"`{name}`" for name in LABEL_COLUMNS if name in known and name != label]
    more = f"; it also has {', '.join(others)}; set `label_column` to use another column" if others else ""
    return [f"{file}: labels are read from `{label}`{more}"] if others else []


def _check_images(file: Path, image: str) -> None:
    """Raise UsageError if the image column can contain neither files nor paths."""
    kind = _schema(file).field(image).type
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    fields = {field.name for field in kind} if pa.types.is_struct(kind) else set()
    if not any(one(kind) for one in kinds) and not fields & {"bytes", "path"}:
        raise UsageError(
            f"{file}: column `{image}` must contain image files (bytes, or a struct with `bytes`) or paths, but "
            f"contains {kind}; set `image_column`."
        )


@dataclass
class ParquetOriginals:
    """Images in Parquet files, read a row group at a time.

    Attributes:
        files: The files, in order.
        image: The image column.
        folder: The folder to which paths are relative.
        labels: Labels (n,).
        groups: (file, row group, first image) of each row group.
        paths: The file of each image if the column contains paths, else nothing.
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
        cls, files: tuple[Path, ...], *, image: str, labels: NDArray[np.int64], folder: Path
    ) -> "ParquetOriginals":
        """Find the first image of each row group; no image is read."""
        groups: list[tuple[Path, int, int]] = []
        first = 0
        for file in files:
            with pq.ParquetFile(file) as opened:
                for group in range(opened.metadata.num_row_groups):
                    groups.append((file, group, first))
                    first += opened.metadata.row_group(group).num_rows
        paths = tuple(path for file in files for path in _paths(file, image, folder))
        return cls(files, image, folder, labels, groups, paths)

    def _place(self, index: int) -> tuple[int, int]:
        """Return the row group of an image, and its row there."""
        group = bisect.bisect_right(self.groups, index, key=lambda known: known[2]) - 1
        return group, index - self.groups[group][2]

    @cached_property
    def _starts(self) -> dict[Path, int]:
        """The first image of each file."""
        return {file: first for file, _, first in reversed(self.groups)}

    def place(self, index: int) -> tuple[str, int]:
        """Return file and row, from 0; the image's file if the column contains paths."""
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
            value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        if value is None:
            raise OSError("no image in this row")
        return bytes(value) if isinstance(value, bytes) else read_file(self.folder / value)
