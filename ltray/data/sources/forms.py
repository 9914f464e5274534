"""The form of a user's images: a table, an archive, Parquet files, or a folder for each class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltray.data.image_files import folders_in, holds_images, is_left_behind
from ltray.data.sources.archive import unpacked
from ltray.data.sources.class_names import some
from ltray.data.sources.folder_layout import split_of
from ltray.data.sources.table import Table, is_table
from ltray.data.sources.table_columns import SeveralColumns, find_columns
from ltray.data.sources.table_list import read_table
from ltray.data.sources.table_paths import locate
from ltray.errors import UsageError
from ltray.printable import printable

ARCHIVES = (".zip",)
"""Suffixes of archives, in lower case."""
LISTS = ("train_list", "validation_list", "test_list")
_POOLS = dict(zip(("train", "validation", "test"), LISTS, strict=True))
_WORDS = ("labels", "label", "annotations", "metadata", "list", "images", "set", "data", "split", "gt")
_TEMPLATES = ("submission",)  # a table of a competition that contains example predictions, not labels


@dataclass(frozen=True)
class Form:
    """The form of a data set.

    Attributes:
        fields: Fields of the data-set file that follow from it: `source`, `folder`, lists.
        why: The form that was found and the reason, as a sentence.
    """

    fields: Mapping[str, str]
    why: str


def is_form(path: Path) -> bool:
    """Return whether a path is a data set of a user, not a data-set file: a folder, table, archive or Parquet file."""
    return path.is_dir() or is_table(path) or path.suffix.lower() in (*ARCHIVES, ".parquet")


def find_form(path: Path, settings: Mapping[str, Any]) -> Form:
    """Return the form of a user's data set.

    Args:
        path: A folder, a zip file, a table, or a Parquet file.
        settings: The user's settings; `source`, `train_list`, … decide if several forms are possible.

    Raises:
        UsageError: It has none of the forms, or several; the message contains the setting that decides.
    """
    if path.suffix.lower() in ARCHIVES and not path.is_dir():
        inside = unpacked(path)
        form = find_form(inside, settings)
        return Form(form.fields, f"unpacked into {inside}, then {form.why}")
    if path.is_dir():
        return _of_folder(path.resolve(), settings)
    return _of_file(path.resolve())


def _of_file(path: Path) -> Form:
    source = "parquet" if path.suffix.lower() == ".parquet" else "lists"
    train = path.name if source == "parquet" else str(path)
    fields = {"source": source, "folder": str(path.parent), "train_list": train}
    kind = "Parquet file of images" if source == "parquet" else "table of paths and labels"
    return Form(fields, f"taken as a {kind} ({path.suffix.lower()}).")


def _of_folder(root: Path, settings: Mapping[str, Any]) -> Form:
    folder = Form({"source": "folder", "folder": str(root)}, "taken as a folder of images for each class.")
    given = settings.get("train_list")
    if given:
        return Form({"source": "lists", "folder": str(root)}, f"taken as images that `train_list: {given}` lists.")
    if settings.get("source") == "folder":
        return folder
    place = _innermost(root)
    tables = _usable(_tables(place))
    beside = "" if tables or _has_classes(place) else " next to the folder"
    if beside:
        tables = [path for path in _tables(place.parent) if _lists_images_in(path, place)]
    if not tables:
        return _of_parquet(place) or folder
    fields = {"source": "lists", "folder": str(place), **_by_pool(tables)}
    first = Path(fields["train_list"])
    if _has_classes(place) and not (_of_splits(place) and first.parent != place):
        if _same_labels(first, place):
            return Form(folder.fields, f"{folder.why[:-1]}; {first.name} has the same labels.")
        raise UsageError(
            f"{printable(root)}: has a folder of images for each of several classes, and the table {first.name} with "
            "other labels; set `source=folder` to use the folders, or "
            f"`train_list={printable(first)}` to use the table."
        )
    listed = ", ".join(Path(fields[key]).relative_to(place.parent).as_posix() for key in LISTS if key in fields)
    return Form(fields, f"taken as images that a table{beside} lists: {listed}.")


def _innermost(root: Path) -> Path:
    """Return the innermost of folders with a single subfolder, as photos/photos in archives."""
    while True:
        inside = [one for one in root.iterdir() if not is_left_behind(one.name)]
        if len(inside) != 1 or not inside[0].is_dir() or split_of(inside[0].name):
            return root
        root = inside[0]


def _tables(folder: Path) -> list[Path]:
    """Return the tables in a folder or, if there are none, in its folders of splits (Hugging Face)."""
    here = _tables_in(folder)
    return here or [path for one in folders_in(folder) if split_of(one.name) for path in _tables_in(one)]


def _tables_in(folder: Path) -> list[Path]:
    files = sorted(one for one in folder.iterdir() if is_table(one) and not is_left_behind(one.name) and one.is_file())
    return [one for one in files if not any(word in one.stem.lower() for word in _TEMPLATES)]


def _usable(tables: Iterable[Path]) -> list[Path]:
    """Return the tables that have a column of paths and a column of labels, unlike tables of captions or boxes.

    Raises:
        SeveralColumns: A table has several possible columns.
    """
    found: list[Path] = []
    for path in tables:
        try:
            find_columns(Table.read(path))
        except SeveralColumns:
            raise
        except UsageError:
            continue
        found.append(path)
    return found


def _by_pool(tables: Sequence[Path]) -> dict[str, str]:
    """Return the field of each table: a single table is for train, several are distinguished by name or folder.

    Raises:
        UsageError: Two tables are for the same split, or none is for train.
    """
    if len(tables) == 1:
        return {"train_list": str(tables[0])}
    found: dict[str, str] = {}
    for path in tables:
        pool = _split_named(path.stem) or split_of(path.parent.name)
        if not pool or _POOLS[pool] in found:
            raise UsageError(
                f"{printable(path.parent)}: several tables may have the labels: "
                f"{some([one.name for one in tables])}; set `train_list=` to one of them (and `test_list=`)."
            )
        found[_POOLS[pool]] = str(path)
    _test_on_validation(found)
    if "train_list" not in found:
        raise UsageError(f"{printable(tables[0].parent)}: no table is for train; set `train_list=` to one of them.")
    return found


def _test_on_validation(found: dict[str, str]) -> None:
    """Use the validation list as the test list if there is none; validation images are then taken from train."""
    if "test_list" not in found and "validation_list" in found:
        found["test_list"] = found.pop("validation_list")


def _split_named(stem: str) -> str:
    """Return the pool of a table's name, such as train_labels."""
    parts = [word for word in stem.lower().replace("-", "_").replace(" ", "_").split("_") if word not in _WORDS]
    return split_of(parts[0]) if len(parts) == 1 else ""


def _has_classes(folder: Path) -> bool:
    """Return whether at least two folders with images may be classes, also below folders of splits."""
    filled = [one for one in folders_in(folder) if holds_images(one)]
    splits = [one for one in filled if split_of(one.name)]
    inside = [below for one in splits for below in folders_in(one) if holds_images(below)]
    return len(filled) - len(splits) > 1 or len(inside) > 1


def _of_splits(folder: Path) -> bool:
    return any(split_of(one.name) for one in folders_in(folder))


def _same_labels(table: Path, folder: Path) -> bool:
    """Return whether the label of every image in a table is the name of the image's folder."""
    for listed in read_table(table).values():
        paths, _ = locate(listed, folder)
        if any(
            Path(path).parent.name != listed.names[int(label)] for path, label in zip(paths, listed.labels, strict=True)
        ):
            return False
    return True


def _lists_images_in(table: Path, folder: Path) -> bool:
    """Return whether a table next to a folder lists images in the folder."""
    try:
        for listed in read_table(table).values():
            paths, _ = locate(listed, folder)
            return any(Path(path).is_relative_to(folder) and Path(path).is_file() for path in paths)
    except UsageError:
        return False
    return False


def _of_parquet(folder: Path) -> Form | None:
    """Return the form of a folder of Parquet files such as data/train-00000-of-00002.parquet, if it has no images."""
    files = sorted((*folder.glob("*.parquet"), *folder.glob("data/*.parquet")))
    if not files or holds_images(folder):
        return None
    found: dict[str, str] = {}
    for file in files:
        pool = split_of(file.stem.split("-")[0])
        if pool:
            found.setdefault(
                _POOLS[pool], str((file.parent / f"{file.stem.split('-')[0]}*.parquet").relative_to(folder))
            )
    _test_on_validation(found)
    if not found and len(files) == 1:
        found = {"train_list": str(files[0].relative_to(folder))}
    if "train_list" not in found:
        raise UsageError(
            f"{printable(folder)}: no Parquet file is for train; set `train_list=` to the pattern of its files."
        )
    return Form({"source": "parquet", "folder": str(folder), **found}, "taken as Parquet files of images.")
