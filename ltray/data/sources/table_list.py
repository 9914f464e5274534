"""The images and labels of a table: one list for each split, with the line of every image."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ltray.data.sources.class_names import natural, some
from ltray.data.sources.folder_layout import split_of
from ltray.data.sources.list_file import ListFile
from ltray.data.sources.table import Table
from ltray.data.sources.table_columns import Columns, find_columns
from ltray.errors import UsageError
from ltray.printable import printable
from ltray.quantities import plural


def read_table(
    path: Path, *, image: str = "", label: str = "", split: str = "", training: bool = True
) -> dict[str, ListFile]:
    """Return the images that a table lists: all as "train", or by the pools of its split column.

    Args:
        path: A CSV, TSV or JSON lines file.
        image: Column of the paths; "": by the usual names.
        label: Column of the labels; "": by the usual names.
        split: Column of the splits; "": by the usual names.
        training: Whether rows of train are needed.

    Raises:
        UsageError: It cannot be read, or its columns, splits or labels cannot be used.
    """
    table = Table.read(path)
    columns = find_columns(table, image=image, label=label, split=split)
    labels = _labels(table, columns)
    images = table.column(columns.image)
    pools = _pools(table, columns.split, training=training)
    kept, notes = _kept(table, images, labels, pools)
    text_labels = sorted({labels[row] for row in kept}, key=natural)
    number = {word: place for place, word in enumerate(text_labels)}
    found: dict[str, ListFile] = {}
    for pool in dict.fromkeys(pools[row] for row in kept):
        rows = [row for row in kept if pools[row] == pool]
        found[pool] = ListFile(
            path,
            tuple(images[row].removeprefix("./") for row in rows),
            np.array([number[labels[row]] for row in rows], dtype=np.int64),
            np.array([table.lines[row] for row in rows], dtype=np.int64),
            dict(enumerate(text_labels)),
            common=False,
            gaps=True,
            notes=() if found else (columns.note, *notes),
        )
    return found


def as_one_list(lists: Mapping[str, ListFile]) -> ListFile:
    """Return the images of all pools of one table as one list, for a table that is the list of a single pool."""
    parts = list(lists.values())
    return replace(
        parts[0],
        images=tuple(image for one in parts for image in one.images),
        labels=np.concatenate([one.labels for one in parts]),
        places=np.concatenate([one.places for one in parts]),
    )


def _labels(table: Table, columns: Columns) -> list[str]:
    if columns.label:
        return table.column(columns.label)
    places = [table.columns.index(name) for name in columns.one_hot]
    return [
        next(name for name, place in zip(columns.one_hot, places, strict=True) if row[place] in ("1", "1.0"))
        for row in table.rows
    ]


def _pools(table: Table, column: str, *, training: bool) -> list[str]:
    """Return the pool of each row: "train" for all without a column of splits.

    Raises:
        UsageError: A cell is not a split, or rows for train are needed and there are none.
    """
    if not column:
        return ["train"] * len(table.rows)
    cells = table.column(column)
    pools = [split_of(cell) for cell in cells]
    if "" in pools:
        row = pools.index("")
        raise UsageError(
            f"{printable(table.path)}, line {table.lines[row]}: `{printable(column)}` is {cells[row]!r}, but must be "
            "train, validation or test."
        )
    if (
        "test" not in pools and "validation" in pools
    ):  # as for folders: a single set in addition to train is the test set
        pools = ["test" if pool == "validation" else pool for pool in pools]
    if training and "train" not in pools:
        raise UsageError(f"{printable(table.path)}: no row of column `{printable(column)}` is train.")
    return pools


def _kept(
    table: Table, images: Sequence[str], labels: Sequence[str], pools: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Return the rows that are used, and a note for each kind of other rows.

    Raises:
        UsageError: A row has no path, an image has two labels or is in two splits, or no row has a label.
    """
    kept: list[int] = []
    unlabelled: list[int] = []
    first: dict[str, int] = {}
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        where = f"{printable(table.path)}, line {table.lines[row]}"
        if not image:
            raise UsageError(f"{where}: has no path of an image; delete the row or add the path.")
        if "\0" in image:
            raise UsageError(f"{where}: the path contains a NUL character, which is not possible in a path.")
        if not label:
            unlabelled.append(row)
            continue
        known = first.setdefault(image.removeprefix("./"), row)
        if known == row:
            kept.append(row)
        elif labels[known] != label:
            raise UsageError(
                f"{where}: {printable(image)} has label {label!r}, but label {labels[known]!r} in line "
                f"{table.lines[known]}; an image needs a single class."
            )
        elif pools[known] != pools[row]:
            raise UsageError(
                f"{where}: {printable(image)} is in {pools[row]}, but in line {table.lines[known]} in {pools[known]}; "
                "an image needs a single split."
            )
    if not kept:
        raise UsageError(f"{printable(table.path)}: no row has a label.")
    notes = []
    if unlabelled:
        lines = some([str(table.lines[row]) for row in unlabelled])
        notes.append(f"{table.path}: {plural(len(unlabelled), 'row')} without a label left out: line {lines}")
    twice = len(images) - len(kept) - len(unlabelled)
    if twice:
        notes.append(f"{table.path}: images listed several times with one label counted once: {twice:,} more")
    return kept, notes
