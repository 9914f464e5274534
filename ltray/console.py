"""Where commands write: a terminal as it is, a file or pipe with room for a table. Names are never read as markup."""

import sys

from rich.console import Console

PIPE_WIDTH = 140  # rich takes 80 columns where it finds no terminal


def new_console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error.

    Text is printed as it stands: `[old]` in a path is no markup; what is to be coloured is a `rich.text.Text`.
    """
    console = Console(highlight=False, markup=False, emoji=False, stderr=stderr)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, stderr=stderr, width=PIPE_WIDTH)
    return console


def write_what_can_be_shown() -> None:
    """Let standard output and error escape characters that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
