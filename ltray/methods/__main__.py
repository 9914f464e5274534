"""`python -m ltray.methods [NAME]`: the methods, or one method's knobs, from the declarations."""

from rich.table import Table

from ltray.command import DONE, exit_with
from ltray.console import new_console
from ltray.methods.find import find_method
from ltray.methods.tables import KNOB_HEADINGS, METHOD_HEADINGS, knob_rows, markdown, method_rows
from ltray.parser import Parser
from ltray.program import called


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser("methods", description=__doc__)
    parser.add_argument(
        "method", nargs="?", metavar="NAME", help="a method's name or dotted path; without it, the list of methods"
    )
    parser.add_argument("--markdown", action="store_true", help="print docs/methods.md")
    return parser


def main(arguments: list[str]) -> int:
    """Print the table of methods, one method's knobs, or all of it as Markdown."""
    options = new_parser().parse(arguments)
    if options.markdown:
        print(markdown(), end="")
        return DONE
    console = new_console()
    if options.method is None:
        console.print(_table("methods", METHOD_HEADINGS, method_rows()))
        console.print(f"knobs of one: {called('methods')} NAME")
        return DONE
    method = find_method(options.method)
    console.print(method.paper)
    console.print(_table(f"knobs of {method.name}", KNOB_HEADINGS, knob_rows(method)))
    return DONE


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    return table


if __name__ == "__main__":
    exit_with(main)
