"""The one exception for a user's mistake, and the suggestions that help to correct it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

Implementation = TypeVar("Implementation")
SHOWN = 120  # characters of a value in a message


class UsageError(ValueError):
    """Bad usage or configuration: commands print its text without a traceback and exit with 2."""


class RunFailed(RuntimeError):
    """A run, search or conversion that began and failed; its folder keeps what was completed."""


@contextmanager
def ray_failures() -> Iterator[None]:
    """Raise `RunFailed` where a command would leave the process because Ray does not start."""
    try:
        yield
    except SystemExit as error:
        raise RunFailed("Ray does not start or cannot be joined; the reason is printed") from error


class CannotWrite(UsageError):
    """A file system that takes no more, such as a full disk: run the same command again to continue once it does."""


def shown(value: Any) -> str:
    """Return a value as messages show it: its `repr`, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 4 * SHOWN:  # Python refuses to write the longest ones
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, str) and len(value) > SHOWN:
        return f"{value[:SHOWN]!r}… ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the nearest known name, or the list of known names.

    Args:
        name: What the user wrote.
        known: Every name that would have been right.
    """
    names = sorted(set(known))
    near = get_close_matches(name[:SHOWN], names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" Known: {', '.join(f'`{n}`' for n in names)}." if names else ""


def chosen(name: Any, known: Mapping[str, Implementation], what: str) -> Implementation:
    """Return what a name stands for in a mapping whose keys are the legal names.

    Args:
        name: What somebody wrote.
        known: The implementations by name.
        what: What they are, with its article: "an optimizer".

    Raises:
        UsageError: It is not a key; the nearest one is suggested.
    """
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"{shown(name)} is not {what}.{did_you_mean(str(name), known)}")
    return known[name]
