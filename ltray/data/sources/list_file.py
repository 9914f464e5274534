"""List files: "path label" lines, JSON of COCO and iNaturalist, JSON with paths in its annotations (DSCL)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltray.data.sources.label_space import Labelled, Numbers
from ltray.errors import UsageError
from ltray.files import read_bytes, read_json, reading
from ltray.printable import printable
from ltray.quantities import plural

LIMIT = 4 << 30  # bytes of a list file; COCO's largest has 0.5 GB
DIGITS = 18  # of a label; more do not fit 64 bits


@dataclass(frozen=True)
class ListFile:
    """The content of a list file.

    Attributes:
        path: The file.
        images: Paths relative to the images' folder, in the file's order.
        labels: The number of each image's class in this file (n,).
        places: The place of each image in the list (n,): its line, from 1, or its annotation, from 0.
        names: Names by number; empty if the file has none.
        common: Whether a number is the same class in every list.
        gaps: Whether numbers may have gaps: category ids may, labels of lines may not.
        notes: The assumptions that were made.
    """

    path: Path
    images: tuple[str, ...]
    labels: Numbers
    places: Numbers
    names: Mapping[int, str]
    common: bool = True
    gaps: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "ListFile":
        """Read a list file; ".json" is JSON, anything else lines.

        Raises:
            UsageError: The file is missing or has an unknown format; the message contains the line.
        """
        with reading(path, remedy="list files are searched here and below `folder`"):
            path.stat()
        listed = _from_json(path) if path.suffix.lower() == ".json" else _from_lines(path)
        if not listed.images:
            raise UsageError(f"{path}: lists no images.")
        return listed

    def place(self, index: int) -> str:
        """Return the place of an image in the list, and its path."""
        kind = "annotation" if self.path.suffix.lower() == ".json" else "line"
        return f"{kind} {self.places[index]}: {self.images[index]}"

    def labelled(self, pool: str) -> Labelled:
        """Return its declaration of classes."""
        return Labelled(
            str(self.path), pool, self.labels, self.names, common=self.common, gaps=self.gaps, place=self.place
        )


def _from_lines(path: Path) -> ListFile:
    content = read_bytes(path, limit=LIMIT)
    if b"\0" in content:
        raise UsageError(f"{path}: is not a text file in UTF-8 (perhaps UTF-16); save it as UTF-8.")
    # Bytes that are not UTF-8 are kept, because the name of the file contains the same bytes.
    text = content.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    images: list[str] = []
    labels: list[int] = []
    places: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.strip().rsplit(None, 1)  # a path may contain spaces
        if parts:
            labels.append(_label(parts, f"{path}:{number}", line))
            images.append(parts[0].removeprefix("./"))
            places.append(number)
    return ListFile(path, tuple(images), np.array(labels, np.int64), np.array(places, np.int64), {})


def _label(parts: list[str], where: str, line: str) -> int:
    """Return the label of a line with two fields.

    Raises:
        UsageError: It is not a whole number from 0 on.
    """
    label = parts[-1]
    if len(parts) == 2 and label.isascii() and label.isdecimal() and not f"{parts[0]} ".startswith("# "):
        if len(label) > DIGITS:
            raise UsageError(f"{where}: label {label[:40]} is too large; labels start at 0 and have no gaps.")
        return int(label)
    if len(parts) == 2 and label.isascii() and label[0] == "-" and label[1:].isdecimal():
        raise UsageError(f"{where}: label {label} is negative; labels start at 0. Perhaps these images have no labels.")
    raise UsageError(
        f"{where}: must be `path label`, separated by a space or tab, with a label of 0 or more, but is "
        f"{printable(line.strip())[:80]!r}."
    )


def _from_json(path: Path) -> ListFile:
    content = read_json(path, limit=LIMIT)
    with reading(
        path,
        "must be JSON of COCO or iNaturalist (images, annotations, categories), or with annotations of `fpath` and "
        "`category_id`",
    ):
        if "annotations" not in content and "images" in content:
            raise UsageError(f"{path}: has no `annotations`: its images have no labels.")
        notes = content["annotations"]
        if not isinstance(notes, list):
            raise TypeError("`annotations` must be a list")
        if "images" in content:
            images, unlabelled = _images(path, content["images"], notes)
        else:
            images, unlabelled = [_text(note["fpath"], "fpath", path, index) for index, note in enumerate(notes)], 0
        return _joined(path, images, notes, content.get("categories"), unlabelled)


def _images(path: Path, entries: Any, notes: list[Any]) -> tuple[list[str], int]:
    """Return the image of each annotation, and the number of images without an annotation."""
    files: dict[Any, str] = {}
    for entry in entries:
        file = _text(entry["file_name"], "file_name", path, entry["id"])
        if files.setdefault(entry["id"], file) != file:
            raise UsageError(f"{path}: two images have the id {entry['id']!r}: {files[entry['id']]} and {file}.")
    for index, note in enumerate(notes):
        if note["image_id"] not in files:
            raise UsageError(f"{path}, annotation {index}: no image has the id {note['image_id']!r}.")
    return [files[note["image_id"]] for note in notes], len(files.keys() - {note["image_id"] for note in notes})


def _joined(path: Path, images: list[str], notes: list[Any], categories: Any, unlabelled: int) -> ListFile:
    """Combine images and classes; an image with several annotations of one class counts once.

    Raises:
        UsageError: A category is not declared or not an id, or an image has two classes.
    """
    ids: list[Any] = [_category(note["category_id"], path, index) for index, note in enumerate(notes)]
    declared = None if categories is None else _declared(path, categories)
    kinds = {type(one) for one in [*ids, *(declared or ())]}
    if len(kinds) > 1:
        raise UsageError(f"{path}: some category ids are numbers and some are text; use one type for all of them.")
    if declared is not None:
        for index, one in enumerate(ids):
            if one not in declared:
                raise UsageError(f"{path}, annotation {index}: category {one!r} is not one of `categories`.")
    if str in kinds:  # ids that are text: numbers of this file, known by their names
        labels = sorted(set(ids) | set(declared or ()))
        number: dict[Any, int] = {word: place for place, word in enumerate(labels)}
        names = {number[word]: (declared or {}).get(word, str(word)) for word in labels}
        ids = [number[one] for one in ids]
    else:
        names = declared or {}
    kept = list(_once(path, images, ids, names))
    said = [f"{path}: {plural(unlabelled, 'image')} without an annotation left out"] if unlabelled else []
    if len(kept) < len(ids):
        said.append(f"{path}: images with several annotations of one class counted once: {len(ids) - len(kept):,} more")
    return ListFile(
        path,
        tuple(images[index] for index in kept),
        np.array([ids[index] for index in kept], dtype=np.int64),
        np.array(kept, dtype=np.int64),
        names,
        common=str not in kinds,
        gaps=True,
        notes=tuple(said),
    )


def _once(path: Path, images: list[str], ids: list[int], names: Mapping[int, str]) -> Iterator[int]:
    """Yield the first annotation of each image.

    Raises:
        UsageError: Another annotation has another class.
    """
    first: dict[str, int] = {}
    for index, image in enumerate(images):
        known = first.setdefault(image, index)
        if known == index:
            yield index
        elif ids[known] != ids[index]:
            one, other = (names.get(ids[place], str(ids[place])) for place in (known, index))
            raise UsageError(
                f"{path}: {image} has two classes, {one} (annotation {known}) and {other} (annotation {index}); "
                "an image needs a single class."
            )


def _declared(path: Path, categories: Any) -> dict[Any, str]:
    """Return the names of categories by id."""
    names: dict[Any, str] = {}
    for index, category in enumerate(categories):
        one, name = _category(category["id"], path, index, "category"), category["name"]
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise UsageError(f"{path}: category {one!r} must have a name, but has {name!r}.")
        if names.setdefault(one, str(name)) != str(name):
            raise UsageError(f"{path}: category {one!r} has two names, {names[one]} and {name}.")
    return dict(sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _category(value: Any, path: Path, index: int, kind: str = "annotation") -> int | str:
    """Return a category id.

    Raises:
        UsageError: It is neither a whole number of at least 0 nor a word.
    """
    if isinstance(value, str) and value.strip():
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**DIGITS:
        more = ": the images have no labels" if value == -1 else ""
        raise UsageError(
            f"{path}, {kind} {index}: the category id must be a whole number of at least 0, or a word, but is "
            f"{value!r}{more}."
        )
    return value


def _text(value: Any, key: str, path: Path, index: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageError(f"{path}: `{key}` of {index!r} must be a path, but is {value!r}.")
    return value
