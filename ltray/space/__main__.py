"""`python -m ltray.space`: every setting of a data set, a run and a search, as Markdown."""

from ltray.arguments import Parser
from ltray.command import DONE, run
from ltray.space.settings_page import markdown


def main(words: list[str]) -> int:
    """Print docs/settings.md."""
    Parser(prog="python -m ltray.space", description=__doc__).parse_args(words)
    print(markdown(), end="")
    return DONE


if __name__ == "__main__":
    run(main)
