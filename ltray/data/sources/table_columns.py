"""The columns of a table that contain paths, labels and splits: by the user's settings or by their usual names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltray.data.image_files import is_image
from ltray.data.sources.class_names import some
from ltray.data.sources.folder_layout import split_of
from ltray.data.sources.table import Table
from ltray.errors import UsageError, did_you_mean
from ltray.printable import printable

IMAGES = (
    *("filename", "file", "filepath", "path", "imagepath", "imgpath", "imagefile", "imagefilename", "filenames"),
    *("image", "img", "imagename", "imgname", "picture", "photo", "imageid", "imgid", "name", "id"),
)
"""Usual names of the column of paths: lower case, letters and digits only."""
LABELS = (
    *("label", "labels", "class", "classes", "classname", "classlabel", "labelname", "category", "categoryname"),
    *("target", "species", "diagnosis", "dx", "breed", "groundtruth", "classid", "categoryid", "labelid", "y"),
)
"""Usual names of the column of labels, in the same form."""
SPLITS = ("split", "subset", "partition", "set", "dataset", "fold", "usage")
"""Usual names of the column of splits, in the same form."""
_LOOKED_AT = 50  # rows that determine whether a column contains paths of images


class SeveralColumns(UsageError):
    """Several columns of a table may contain the paths or the labels; a setting decides."""


@dataclass(frozen=True)
class Columns:
    """Columns of a table.

    Attributes:
        image: The column of paths.
        label: The column of labels; "" if each class has a column of 0 and 1 (`one_hot`).
        split: The column of splits; "" if there is none.
        one_hot: The columns of the classes if `label` is "".
        note: The assumption that was made.
    """

    image: str
    label: str
    split: str = ""
    one_hot: tuple[str, ...] = ()
    note: str = ""


def find_columns(table: Table, *, image: str = "", label: str = "", split: str = "") -> Columns:
    """Return the columns of a table.

    Args:
        table: The table.
        image: The user's setting for the column of paths; "": the usual names are searched.
        label: The same for labels.
        split: The same for splits.

    Raises:
        UsageError: There is no such column, or several are possible; the message contains the setting that decides.
    """
    given = {"image_column": image, "label_column": label, "split_column": split}
    for key, name in given.items():
        if name and name not in table.columns:
            raise UsageError(
                f"{printable(table.path)}: has no column `{name}` (`{key}`); its columns are {_named(table.columns)}."
                + did_you_mean(name, table.columns)
            )
    image = image or _image(table, [name for name in table.columns if name not in (label, split)])
    split = split or _split(table, [name for name in table.columns if name not in (image, label)])
    others = [name for name in table.columns if name not in (image, split)]
    if label or (label := _label(table, others)):
        pass
    elif one_hot := _one_hot(table, others):
        note = f"{table.path}: a column for each class: {some([printable(one) for one in one_hot])}"
        return Columns(image, "", split, one_hot, note)
    else:
        raise UsageError(
            f"{printable(table.path)}: none of its columns has a usual name for labels, such as `label` or `class`; "
            f"set `label_column` to one of {_named(others)}."
        )
    used = f"labels from column `{printable(label)}`" + (f", splits from `{printable(split)}`" if split else "")
    return Columns(image, label, split, note=f"{table.path}: paths from column `{printable(image)}`, {used}")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _named(columns: Sequence[str]) -> str:
    return some([f"`{printable(name)}`" for name in columns])


def _usual(columns: Sequence[str], usual: Sequence[str]) -> list[str]:
    return sorted((name for name in columns if _plain(name) in usual), key=lambda name: usual.index(_plain(name)))


def _image(table: Table, columns: Sequence[str]) -> str:
    usual = _usual(columns, IMAGES)
    paths = [name for name in columns if _holds_paths(table, name)]
    for known in ([name for name in usual if name in paths], paths, usual):
        if len(known) == 1 or (known is usual and known):
            return known[0]
        if known:
            raise SeveralColumns(
                f"{printable(table.path)}: several columns contain paths of images: {_named(known)}; set "
                "`image_column` to one of them."
            )
    raise UsageError(
        f"{printable(table.path)}: none of its columns contains paths of images; set `image_column` to one of "
        f"{_named(table.columns)}."
    )


def _holds_paths(table: Table, name: str) -> bool:
    cells = [cell for cell in table.column(name)[:_LOOKED_AT] if cell]
    return bool(cells) and all(map(is_image, cells))


def _split(table: Table, columns: Sequence[str]) -> str:
    """Return the column with a usual name in which every cell is a split; "" if there is none."""
    for name in _usual(columns, SPLITS):
        if all(map(split_of, set(table.column(name)))):
            return name
    return ""


def _label(table: Table, columns: Sequence[str]) -> str:
    usual = _usual(columns, LABELS)
    if len(usual) > 1:
        text_labels = [name for name in usual if not all(cell.isdecimal() for cell in table.column(name))]
        if len(text_labels) == 1 and all(_one_to_one(table, text_labels[0], name) for name in usual):
            return text_labels[0]  # such as `class_id` and `class_name`
        raise SeveralColumns(
            f"{printable(table.path)}: several columns may contain the labels: {_named(usual)}; set `label_column` to "
            "one of them."
        )
    if usual:
        return usual[0]
    return columns[0] if len(columns) == 1 else ""


def _one_to_one(table: Table, one: str, other: str) -> bool:
    pairs = set(zip(table.column(one), table.column(other), strict=True))
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})


def _one_hot(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the classes if every row has a single 1 (or 1.0) in them and 0 elsewhere."""
    values: Mapping[str, int] = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
    classes = [name for name in columns if all(cell in values for cell in table.column(name))]
    places = [table.columns.index(name) for name in classes]
    single = all(sum(values[row[place]] for place in places) == 1 for row in table.rows)
    return tuple(classes) if len(classes) > 1 and single else ()
