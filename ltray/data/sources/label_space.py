"""The classes of a data set: a class is identified by its name or number over all files, not by its place in a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltray.data.sources.class_names import by_shown_name, check_known, differing_in_case, shown, some, without_images
from ltray.errors import UsageError

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """The classes of the images of one file.

    Attributes:
        where: The file, for messages.
        pool: "train", "validation" or "test".
        numbers: The number of each image's class in this file (n,), not negative.
        names: Names by number, also of classes without images; empty if the file has only numbers.
        common: Whether a number is the same class in every file, as with category ids; else it is only an index of
            this file's names.
        gaps: Whether numbers may have gaps, as with category ids.
        place: Returns the place of an image in the file as text: "line 3".
    """

    where: str
    pool: str
    numbers: Numbers
    names: Mapping[int, str]
    common: bool
    gaps: bool
    place: Callable[[int], str]

    def first(self, number: int) -> str:
        """Return file and place of the first image of a class."""
        return f"{self.where}, {self.place(int(np.flatnonzero(self.numbers == number)[0]))}"

    def used(self) -> list[int]:
        """Return the numbers of the classes that have images, ascending."""
        return [int(number) for number in np.unique(self.numbers)]


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a data set.

    Attributes:
        names: Shown names in label order.
        labels: Labels of the images of each file, in the order of the files.
        notes: The assumptions that were made.
    """

    names: tuple[str, ...]
    labels: tuple[Numbers, ...]
    notes: tuple[str, ...]


@dataclass
class _Classes:
    """Classes that files declare or use.

    Attributes:
        order: Their shown names, in label order.
        known: The shown name of each number of each file.
        notes: The assumptions that were made.
    """

    order: list[str]
    known: list[dict[int, str]]
    notes: list[str]


def label_space(
    files: Sequence[Labelled], *, given: Sequence[str] = (), usual: Mapping[int, str] | None = None
) -> LabelSpace:
    """Combine the classes of all files of a data set.

    Args:
        files: Those of "train" first.
        given: Names that the user gives the classes, in the order of their numbers.
        usual: Names by number for files that have numbers only, such as their images' folders.

    Raises:
        UsageError: Files contradict each other, a class has no training images but other images, two classes are shown
            identically, or numbers have a gap where none is allowed.
    """
    named = any(file.names for file in files)
    classes = _by_name(files) if named else _by_number(files, usual or {})
    if given:
        _rename(classes, given, files)
    by_shown_name(classes.order, files[0].where)
    used: dict[str, set[str]] = {}
    for file, known in zip(files, classes.known, strict=True):
        used.setdefault(file.pool, set()).update(known[number] for number in file.used())
    trained = used.pop("train")
    names = tuple(name for name in classes.order if name in trained)
    check_known(names, used, files[0].where)
    absent = [name for name in classes.order if name not in trained]
    if absent and (given or not named):
        raise UsageError(
            f"{files[0].where}: {len(absent):,} of {len(classes.order):,} classes have no training image: "
            f"{some(absent)}; labels start at 0, and every class up to the last one needs training images."
        )
    if len(names) < 2:
        raise UsageError(f"{files[0].where}: has images of only one class, `{names[0]}`; at least two are needed.")
    if absent:
        classes.notes.append(f"{files[0].where}: classes without images left out: {some(absent)}")
    label = {name: number for number, name in enumerate(names)}
    return LabelSpace(
        names,
        tuple(_labels(file, known, label) for file, known in zip(files, classes.known, strict=True)),
        (*classes.notes, *differing_in_case(names), *without_images(names, used)),
    )


def _labels(file: Labelled, known: Mapping[int, str], label: Mapping[str, int]) -> Numbers:
    used, places = np.unique(file.numbers, return_inverse=True)
    return np.array([label[known[int(number)]] for number in used], dtype=np.int64)[places]


def _by_number(files: Sequence[Labelled], usual: Mapping[int, str]) -> _Classes:
    """Name the classes if all files have only numbers."""
    train = [file for file in files if file.pool == "train"]
    numbers = sorted({number for file in train for number in file.used()})
    if not all(file.gaps for file in train):
        images, last = sum(len(file.numbers) for file in train), numbers[-1]
        if last >= images:
            wrong = next(file for file in train if last in file.used())
            raise UsageError(
                f"{wrong.first(last)} has label {last:,}, but {images:,} training images have at most {images:,} "
                "classes: labels start at 0 and have no gaps."
            )
        numbers = list(range(last + 1))
    names = usual if all(number in usual for number in numbers) else {}
    known = [{number: names.get(number, str(number)) for number in file.used()} for file in files]
    return _Classes([names.get(number, str(number)) for number in numbers], known, [])


def _by_name(files: Sequence[Labelled]) -> _Classes:
    """Combine the names of the numbers of all files.

    Raises:
        UsageError: A category has two names or two ids, a number has no name.
    """
    common: dict[int, tuple[str, str]] = {}
    ids: dict[str, tuple[int, str]] = {}
    own: dict[str, None] = {}
    known: dict[int, dict[int, str]] = {}
    for place, file in enumerate(files):
        by_shown_name(file.names.values(), file.where)
        known[place] = {number: shown(name) for number, name in file.names.items()}
        for number, name in known[place].items():
            if file.common:
                _agree(common.setdefault(number, (name, file.where)), ids.setdefault(name, (number, file.where)),
                       number=number, name=name, where=file.where)  # fmt: skip
            else:
                own[name] = None
    order = list(dict.fromkeys([common[number][0] for number in sorted(common)] + list(own)))
    notes = []
    for place, file in enumerate(files):
        if not file.names:
            known[place], note = _borrowed(files, file, {number: name for number, (name, _) in common.items()})
            notes.append(note)
        stranger = next((number for number in file.used() if number not in known[place]), None)
        if stranger is not None:
            raise UsageError(
                f"{file.first(stranger)} has label {stranger:,}, which is not one of the {len(known[place]):,} classes "
                "that have names."
            )
    return _Classes(order, [known[place] for place in range(len(files))], notes)


def _agree(known_name: tuple[str, str], known_id: tuple[int, str], *, number: int, name: str, where: str) -> None:
    """Raise UsageError if a category id has another name in another file, or a name another id."""
    if known_name[0] != name:
        raise UsageError(
            f"category {number} is `{known_name[0]}` in {known_name[1]}, but `{name}` in {where}; give both files the "
            "same categories."
        )
    if known_id[0] != number:
        raise UsageError(
            f"category `{name}` has the id {known_id[0]} in {known_id[1]}, but {number} in {where}; give both files "
            "the same categories."
        )


def _borrowed(files: Sequence[Labelled], file: Labelled, common: Mapping[int, str]) -> tuple[dict[int, str], str]:
    """Return names for a file that has only numbers, and the file that they are from.

    Raises:
        UsageError: Other files have different names for a number.
    """
    named = [one for one in files if one.names]
    names = dict(common) or {number: shown(name) for number, name in named[0].names.items()}
    for one in named:
        wrong = next((n for n, name in one.names.items() if names.get(n, shown(name)) != shown(name)), None)
        if wrong is not None:
            raise UsageError(
                f"{file.where}: has numbers without names, and class {wrong} is `{names[wrong]}` in {named[0].where}, "
                f"but `{shown(one.names[wrong])}` in {one.where}; add the names."
            )
    return names, f"{file.where}: has numbers without names; the names of {named[0].where} are used"


def _rename(classes: _Classes, given: Sequence[str], files: Sequence[Labelled]) -> None:
    """Give the classes the user's names.

    Raises:
        UsageError: The numbers of names and classes differ.
    """
    if any(file.names for file in files):
        if len(given) != len(classes.order):
            raise UsageError(
                f"`class_names` has {len(given):,} names, but {files[0].where} has {len(classes.order):,} classes."
            )
        name = dict(zip(classes.order, map(shown, given), strict=True))
        classes.known = [{number: name[old] for number, old in known.items()} for known in classes.known]
    else:
        for file in files:
            last = file.used()[-1]
            if last >= len(given):
                raise UsageError(
                    f"{file.first(last)} has label {last:,}, but of {len(given):,} classes the last is "
                    f"{len(given) - 1:,}; labels count from 0."
                )
        classes.known = [{number: shown(given[number]) for number in file.used()} for file in files]
    classes.order = [shown(name) for name in given]
