"""The nesting of a data set's folders: the splits, the classes, and the assumptions that were made."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ltray.data.image_files import folders_in, holds_images
from ltray.data.sources.class_names import some
from ltray.errors import UsageError

_Place = TypeVar("_Place")
_SPLITS = {
    "train": "train|training|trn",
    "validation": "val|valid|validation|dev",
    "test": "test|testing|tst",
}
_SPLIT = re.compile(
    "(?:"
    + "|".join(f"(?P<{pool}>{names})" for pool, names in _SPLITS.items())
    + ")(?:[-_ ]?(?:set|split|data|images))?"
)


@dataclass(frozen=True)
class Layout:
    """Where the images of each class are.

    Attributes:
        classes: Name and folder of every class, by pool.
        places: The parent of the class folders of each pool.
        notes: The assumptions that were made.
    """

    classes: Mapping[str, tuple[tuple[str, Path], ...]]
    places: Mapping[str, Path]
    notes: tuple[str, ...] = ()

    @classmethod
    def of_pools(cls, places: Mapping[str, Path], notes: Iterable[str] = ()) -> "Layout":
        """Use every folder in a pool's folder as a class."""
        classes = {pool: tuple((one.name, one) for one in folders_in(place)) for pool, place in places.items()}
        return cls(classes, places, tuple(notes))


def split_of(name: str) -> str:
    """Return the pool of a folder's name: "train", "validation" or "test"; "" if it is not a split."""
    match = _SPLIT.fullmatch(name.strip().lower())
    return str(match.lastgroup) if match else ""


def find_layout(root: Path) -> Layout:
    """Return the layout of a data set's folders.

    One folder per class, with or without folders of the splits above them or inside each of them. A
    single folder next to train is the test set, also if its name is "val", as in ImageNet, where the
    papers' results are on "val". Validation images are then taken from train.

    Raises:
        UsageError: The folder or its training split is missing, or the nesting is ambiguous.
    """
    if not root.is_dir():
        raise UsageError(
            f"`folder: {root}` is not a folder on this machine; give the path of the images: folder=/path."
        )
    place = _inside_wrappers(root)
    notes = [f"classes are read from {place}: {root} contains no other images"] if place != root else []
    filled = [folder for folder in folders_in(place) if holds_images(folder)]
    splits = [folder for folder in filled if split_of(folder.name)]
    nested = [folder for folder in splits if any(map(holds_images, folders_in(folder)))]
    flat = [folder for folder in splits if folder not in nested]
    others = [folder for folder in filled if folder not in splits]
    if nested or (flat and not others):
        return _by_split(place, nested=nested, flat=flat, others=others, notes=notes)
    if flat:
        notes.append(f"{_are(flat)} used as a class, not as a split: the images are in the folder itself")
    inside = _splits_inside(place, filled)
    if inside:
        return Layout(inside.classes, inside.places, (*notes, *inside.notes))
    return Layout.of_pools({"train": place}, notes)


def _inside_wrappers(root: Path) -> Path:
    """Return the folder of the classes: the innermost of folders with a single subfolder, as photos/photos."""
    while not holds_images(root, itself=True):
        filled = [folder for folder in folders_in(root) if holds_images(folder)]
        if len(filled) != 1 or split_of(filled[0].name) or holds_images(filled[0], itself=True):
            break
        root = filled[0]
    return root


def _by_split(root: Path, *, nested: list[Path], flat: list[Path], others: list[Path], notes: list[str]) -> Layout:
    """Return the layout of split folders that contain class folders.

    Args:
        root: The parent of the splits.
        nested: Folders of splits with class folders.
        flat: Folders of splits with images only.
        others: Other folders with images.
        notes: The assumptions so far.
    """
    if not nested:
        raise UsageError(
            f"{root}: {_are(flat)} used as a split, but the images are in the folder itself; put them into one folder "
            "per class: train/cat, train/dog."
        )
    found = _pools(nested, root)
    _test_from_validation(found)
    if "train" not in found:
        raise UsageError(f"{root}: has {_names(nested)}, but no train folder that contains class folders.")
    if others and set(found) == {"train"}:
        raise UsageError(
            f"{root}: `{found['train'].name}` may be the training split, or a class as {_names(others)}; put the "
            "classes into a separate folder, or move the other folders."
        )
    if flat:
        notes.append(f"{_are(flat)} ignored: images without a class folder")
    if others:
        notes.append(f"ignored, next to the splits: {_names(others)}")
    return Layout.of_pools(found, notes)


def _splits_inside(root: Path, classes: list[Path]) -> Layout | None:
    """Return the layout of class folders that contain the splits, such as cat/train; None if the layout is different.

    Raises:
        UsageError: Some class folders contain several splits, others do not.
    """
    inside = {folder: _filled(folder) for folder in classes}
    split = [folder for folder, below in inside.items() if below and all(split_of(one.name) for one in below)]
    if not any(len(inside[folder]) > 1 for folder in split):
        return None
    others = [folder for folder in classes if folder not in split]
    if others:
        raise UsageError(
            f"{root}: {_names(split)} {'contains' if len(split) == 1 else 'contain'} splits, but "
            f"{_names(others)} {'does' if len(others) == 1 else 'do'} not; arrange them as train/{split[0].name}, "
            f"test/{split[0].name}."
        )
    pools: dict[str, list[tuple[str, Path]]] = {}
    for folder in split:
        for pool, place in _pools(inside[folder], folder).items():
            pools.setdefault(pool, []).append((folder.name, place))
    _test_from_validation(pools)
    if "train" not in pools:
        raise UsageError(f"{root}: the splits are inside the classes, but no class has a training split.")
    example = split[0] / inside[split[0]][0].name
    return Layout(
        {pool: tuple(several) for pool, several in pools.items()},
        dict.fromkeys(pools, root),
        (f"the splits are inside the classes, as {example}: {', '.join(sorted(pools))}",),
    )


def _filled(folder: Path) -> list[Path]:
    """Return the folders in a folder that contain images; none if the folder itself contains images."""
    return [] if holds_images(folder, itself=True) else [below for below in folders_in(folder) if holds_images(below)]


def _pools(folders: Iterable[Path], where: Path) -> dict[str, Path]:
    """Return the folders of splits by pool.

    Raises:
        UsageError: Two folders are the same split.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        pool = split_of(folder.name)
        if pool in found:
            raise UsageError(
                f"{where}: `{found[pool].name}` and `{folder.name}` both look like the {pool} split; rename one."
            )
        found[pool] = folder
    return found


def _test_from_validation(found: dict[str, _Place]) -> None:
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")


def _names(folders: Iterable[Path]) -> str:
    return some([folder.name for folder in folders])


def _are(folders: Iterable[Path]) -> str:
    names = [f"`{folder.name}`" for folder in folders]
    return f"{some(names)} {'is' if len(names) == 1 else 'are'}"


def merged_subfolders(classes: Iterable[tuple[str, Path]]) -> Iterator[str]:
    """Yield a note for classes whose images are all in subfolders of the class folder.

    Args:
        classes: Name and folder of each class.
    """
    nested = []
    for name, folder in classes:
        below = [one.name for one in _filled(folder)]
        if len(below) > 1:
            nested.append(f"{name} ({some(below)})")
    if nested:
        yield f"images in subfolders of a class folder belong to this class: {some(nested)}"
