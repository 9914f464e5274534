"""The exception for a user's mistake, and suggestions for its correction."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

from ltray.masked import without_credentials

Implementation = TypeVar("Implementation")
SHOWN = 120  # characters of a value in a message


class UsageError(ValueError):
    """Bad usage or configuration: commands print its message without a traceback and exit with code 2."""


class RunFailed(RuntimeError):
    """A run, search or conversion failed after its start; completed parts are in its folder."""


@contextmanager
def ray_failures() -> Iterator[None]:
    """Raise `RunFailed` instead of the exit of a command because Ray does not start."""
    try:
        yield
    except SystemExit as error:
        raise RunFailed("Ray does not start or cannot be joined; the reason is printed") from error


class CannotWrite(UsageError):
    """A file cannot be written, for example because the disk is full; run the same command again after the remedy."""


def shown(value: Any) -> str:
    """Return a value in the form for messages: its `repr`, without credentials, shortened if it is long."""
    if isinstance(value, int) and value.bit_length() > 4 * SHOWN:  # Python does not convert very long integers to text
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, str):
        value = without_credentials(value)
    if isinstance(value, str) and len(value) > SHOWN:
        return f"{value[:SHOWN]!r}… ({len(value):,} characters)"
    text = without_credentials(repr(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the nearest known name, or the list of known names.

    Args:
        name: The user's text.
        known: All valid names.
    """
    names = sorted(set(known))
    near = get_close_matches(name[:SHOWN], names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" Known: {', '.join(f'`{n}`' for n in names)}." if names else ""


def chosen(name: Any, known: Mapping[str, Implementation], what: str) -> Implementation:
    """Return the implementation of a name from a mapping whose keys are the legal names.

    Args:
        name: The name in the settings.
        known: The implementations by name.
        what: Their kind, with its article: "an optimizer".

    Raises:
        UsageError: It is not a key; the message suggests the nearest key.
    """
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"{shown(name)} is not {what}.{did_you_mean(str(name), known)}")
    return known[name]
