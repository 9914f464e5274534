"""`python -m ltray.report RUN…`: an HTML page and a summary on the terminal, for runs and searches."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ltray.arguments import check_writable, count_argument, path_argument
from ltray.command import DONE, exit_with
from ltray.console import new_console
from ltray.errors import UsageError
from ltray.parser import Parser
from ltray.published.of_run import claims_of
from ltray.published.table import claim_table
from ltray.report.facts import headline, knob_label
from ltray.report.render import write_report
from ltray.report.watch import ReportServer
from ltray.results.final_evaluation import accuracy_line
from ltray.results.finalist_table import render_finalists
from ltray.results.ledger import describe_look, number_of
from ltray.results.printed_trials import BEST_SHOWN, render
from ltray.results.run_record import RunRecord
from ltray.run_folder import RunFolder
from ltray.setting_names import distinct_headings

REMEDY = "--wide shows all"
LARGEST_PORT = 65_535


def main(arguments: list[str]) -> int:
    """Write the page, print the summary."""
    options = new_parser().parse(arguments)
    console = new_console(wide=options.wide)
    if options.output:
        check_writable(options.output, "--output")
    _check_watch(options)
    if options.watch:
        return _watch(options.runs, options.port, console)
    records = [RunRecord.read(folder) for folder in options.runs]
    path = options.output or RunFolder(records[0].folder if len(records) == 1 else Path()).report_file
    for record in records:
        _summarise(record, console)
    console.print(f"report: {write_report(records, path)}", soft_wrap=True)
    return DONE


def _check_watch(options: argparse.Namespace) -> None:
    if options.port and not options.watch:
        raise UsageError("`--port` has an effect only with `--watch`.")
    if options.port > LARGEST_PORT:
        raise UsageError(f"`--port {options.port}`: the largest port is {LARGEST_PORT}.")
    if options.watch and options.output:
        raise UsageError("`--output` has no effect with `--watch`, which writes no file.")


def _watch(folders: Sequence[Path], port: int, console: Console) -> int:
    """Serve the page until Ctrl-C."""
    with ReportServer(folders, port) as server:
        server.report.page()  # an error in a folder is reported here, not in the browser
        console.print(f"report: {server.address} (this machine only; Ctrl-C ends it)", soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("stopped")
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
        "--watch",
        action="store_true",
        help="serve the page to a browser of this machine; it follows the runs while they train",
    )
    parser.add_argument("--port", type=count_argument, default=0, metavar="N", help="port of --watch (default: any)")
    parser.add_argument(
        "--output",
        type=path_argument,
        metavar="FILE",
        help="default: report.html in the run folder; for several runs, in the working directory",
    )
    return parser


if __name__ == "__main__":
    exit_with(main)
