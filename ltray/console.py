"""Where commands write: a terminal as it is, a file or pipe with room for a table. Names are never read as markup."""

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from ltray.printable import printable_lines

PIPE_WIDTH = 140  # rich takes 80 columns where it finds no terminal


def new_console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error.

    Text is printed as it stands: `[old]` in a path is no markup; what is to be coloured is a `rich.text.Text`.
    """
    console = _PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr)
    if not console.is_terminal:
        console = _PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr, width=PIPE_WIDTH)
    return console


class _PlainConsole(Console):
    """A console that escapes what cannot be shown in every text: lines, cells, headings and titles of tables."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable_lines(text), **options)


def write_what_can_be_shown() -> None:
    """Let standard output and error escape characters that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
