"""The one exception for a user's mistake, and the words that help to mend it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(ValueError):
    """Bad usage or configuration: commands print its text without a traceback and exit with 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the nearest known name, or the list of known names.

    Args:
        name: What the user wrote.
        known: Every name that would have been right.
    """
    names = sorted(set(known))
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" Known: {', '.join(f'`{n}`' for n in names)}." if names else ""
