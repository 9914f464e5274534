"""`python -m ltray.space`: every setting of a data set, a run and a search, as Markdown."""

from ltray.command import DONE, exit_with
from ltray.parser import Parser
from ltray.space.settings_page import markdown


def new_parser() -> Parser:
    """Return the parser of the command line."""
    return Parser("space", description=__doc__)


def main(arguments: list[str]) -> int:
    """Print docs/settings.md."""
    new_parser().parse(arguments)
    print(markdown(), end="")
    return DONE


if __name__ == "__main__":
    exit_with(main)
