"""The console of commands, with the width of the terminal, or of a table for a file or pipe. Markup is not used."""

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from ltray.printable import printable_lines

PIPE_WIDTH = 140  # rich uses 80 columns if there is no terminal
WIDE = 1000  # columns, if tables are to be printed whole


def new_console(*, stderr: bool = False, wide: bool = False) -> Console:
    """Return a console for standard output, or for standard error.

    Text is printed unchanged: `[old]` in a path is not markup; coloured text is a `rich.text.Text`.

    Args:
        stderr: For standard error.
        wide: Print tables with all their columns, however wide the terminal is.
    """
    console = _PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr)
    if wide or not console.is_terminal:
        width = WIDE if wide else PIPE_WIDTH
        console = _PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr, width=width)
    return console


class _PlainConsole(Console):
    """A console that escapes unprintable characters in every text: lines, cells, headings and titles of tables."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable_lines(text), **options)


def write_what_can_be_shown() -> None:
    """Make standard output and error escape characters that are not in the terminal's encoding, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
