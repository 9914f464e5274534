"""`python -m ltray.report RUN…`: an HTML page and a summary on the terminal, for runs and searches."""

from pathlib import Path
from typing import Any

from rich.console import Console

from ltray.arguments import check_writable, path_argument
from ltray.command import DONE, exit_with
from ltray.console import new_console
from ltray.parser import Parser
from ltray.published.of_run import claims_of
from ltray.published.table import claim_table
from ltray.report.facts import headline, knob_label
from ltray.report.render import write_report
from ltray.results.final_evaluation import accuracy_line
from ltray.results.finalist_table import render_finalists
from ltray.results.ledger import describe_look, number_of
from ltray.results.printed_trials import BEST_SHOWN, render
from ltray.results.run_record import RunRecord
from ltray.run_folder import RunFolder
from ltray.setting_names import distinct_headings

REMEDY = "--wide shows all"


def main(arguments: list[str]) -> int:
    """Write the page, print the summary."""
    options = new_parser().parse(arguments)
    console = new_console(wide=options.wide)
    if options.output:
        check_writable(options.output, "--output")
    records = [RunRecord.read(folder) for folder in options.runs]
    path = options.output or RunFolder(records[0].folder if len(records) == 1 else Path()).report_file
    for record in records:
        _summarise(record, console)
    console.print(f"report: {write_report(records, path)}", soft_wrap=True)
    return DONE


def _summarise(record: RunRecord, console: Console) -> None:
    console.print(f"{record.folder}: {headline(record)}", soft_wrap=True)
    if record.trials is not None and f"{record.selection}/acc_all" in record.trials:
        names = distinct_headings({knob: knob_label(knob) for knob in record.varied})
        how: dict[str, Any] = {"selection": record.selection, "objective": record.objectives[0]}
        most = len(record.config.get("rows", ())) or BEST_SHOWN
        console.print(render(record.trials, names, most=most, remedy=REMEDY, **how))
    if record.finalists is not None:
        console.print(render_finalists(record.finalists, remedy=REMEDY))
    elif record.evaluation:
        found = accuracy_line(record.evaluation["metrics"], "test", record.objectives[0])
        console.print(f"test ({describe_look(number_of(record.evaluation))}): {found}")
    claims = claims_of(record)
    if claims:
        console.print(claim_table(claims))


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser(
        "report",
        description="Report runs and searches. Several folders give one common report.",
    )
    parser.add_argument(
        "runs", nargs="+", type=path_argument, metavar="RUN", help="folder of ltray.train or ltray.tune"
    )
    parser.add_argument("--wide", action="store_true", help="print all columns of tables, on a narrow terminal too")
    parser.add_argument(
        "--output",
        type=path_argument,
        metavar="FILE",
        help="default: report.html in the run folder; for several runs, in the working directory",
    )
    return parser


if __name__ == "__main__":
    exit_with(main)
