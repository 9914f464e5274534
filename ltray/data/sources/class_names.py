"""Names of classes as they are shown; no two classes of a data set are shown identically."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ltray.errors import UsageError
from ltray.printable import printable

SHOWN = 10  # names that a message lists


def shown(name: str) -> str:
    """Return a class's name as every table shows it.

    The result has no spaces around it, has Unicode's composed form (macOS uses the decomposed form
    for folders), and characters that cannot be shown are escaped. Two spellings of a name that give
    the same result are one class.
    """
    return printable(unicodedata.normalize("NFC", name).strip())


def natural(name: str) -> tuple[int, int, str]:
    """Return a key that sorts "2" before "10" if classes are numbered, else by name."""
    return (0, int(name), name) if name.isascii() and name.isdecimal() and len(name) < 1000 else (1, 0, name)


def by_shown_name(names: Iterable[str], where: str) -> dict[str, str]:
    """Return the original name of each class, by its shown name.

    Args:
        names: Original names of different classes.
        where: Their origin, for messages: a file, or a folder of class folders.

    Raises:
        UsageError: Two are shown identically, or one has no visible character.
    """
    found: dict[str, str] = {}
    alike: dict[str, str] = {}
    for name in names:
        look = _look(shown(name))
        if not look:
            raise UsageError(
                f"{where}: a class has the name {ascii(name)}, which has no visible character; rename the class."
            )
        if look in alike:
            raise UsageError(
                f"{where}: two class names look the same, `{shown(name)}`: {ascii(alike[look])} and {ascii(name)}; "
                "rename one, or merge the classes."
            )
        alike[look] = found[shown(name)] = name
    return found


def _look(name: str) -> str:
    """Return a name without invisible differences: characters of zero width, and different kinds of spaces."""
    return " ".join("".join(letter for letter in name if unicodedata.category(letter) != "Cf").split())


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """Return the first names, and whether there are more: "cat, dog, …"."""
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def differing_in_case(names: Iterable[str]) -> Iterator[str]:
    """Yield a note for class names that differ only in upper and lower case."""
    folded = defaultdict(list)
    for name in names:
        folded[name.casefold()].append(name)
    for several in folded.values():
        if len(several) > 1:
            yield f"classes that differ only in upper and lower case: {some(several)}"


def check_known(names: Sequence[str], others: Mapping[str, Iterable[str]], where: str) -> None:
    """Check that every class with images elsewhere has training images.

    Args:
        names: Shown names of the classes with training images.
        others: Shown names of the classes that have images, by pool.
        where: The data set, for the message.

    Raises:
        UsageError: A pool has another class.
    """
    known = set(names)
    for pool, used in others.items():
        strangers = sorted(set(used) - known)
        if strangers:
            alike = {name.casefold(): name for name in names}
            near = next((alike[name.casefold()] for name in strangers if name.casefold() in alike), "")
            hint = f" (train has `{near}`, which differs in upper and lower case)" if near else ""
            raise UsageError(
                f"{where}: {pool} has classes that train does not have: {some(strangers)}{hint}; add training images "
                f"of these classes, or remove them from {pool}."
            )


def without_images(names: Sequence[str], others: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield a note for each pool that has no image of some classes."""
    for pool, used in others.items():
        known = set(used)
        missing = [name for name in names if name not in known]
        if missing:
            yield f"{pool}: no image of {len(missing):,} of {len(names):,} classes: {some(missing)}"
