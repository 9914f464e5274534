"""`python -m ltray.status RUN…`: how far runs and searches are, their best result, and how they are continued."""

from ltray.arguments import path_argument
from ltray.command import DONE, exit_with
from ltray.console import new_console
from ltray.paper_tables.table_status import status_of_table
from ltray.parser import Parser
from ltray.results.run_status import status_of
from ltray.run_folder import RunFolder
from ltray.space.space_file import TABLE


def main(arguments: list[str]) -> int:
    """Print the status of each run folder; nothing is written."""
    options = new_parser().parse(arguments)
    console = new_console(wide=options.wide)
    for folder in options.runs:
        config = RunFolder(folder).config() or {}
        for part in status_of_table(folder, config) if TABLE in config else status_of(folder):
            console.print(part, soft_wrap=isinstance(part, str))
    return DONE


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser("status", description="Show how far runs and searches are; they may be running.")
    parser.add_argument(
        "runs", nargs="+", type=path_argument, metavar="RUN", help="folder of ltray.train or ltray.tune"
    )
    parser.add_argument("--wide", action="store_true", help="print all columns of tables, on a narrow terminal too")
    return parser


if __name__ == "__main__":
    exit_with(main)
