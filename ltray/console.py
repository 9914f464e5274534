"""Where commands write: a terminal as it is, a file or pipe with room for a table."""

from rich.console import Console

PIPE_WIDTH = 140  # rich takes 80 columns where it finds no terminal


def new_console() -> Console:
    """Return a console for standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    return console
