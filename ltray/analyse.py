"""`python -m ltray.analyse RUN`: the papers' theory, measured on a trained model."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console

from ltray import __version__
from ltray.analysis.measured import bound, centres, clusters, collapse, frequencies, gradients, positives, separation
from ltray.analysis.measured.result import NotApplicable, TheoryResult
from ltray.analysis.measured.subject import AnalysedModel
from ltray.arguments import check_count, check_writable, count_argument, path_argument, path_value
from ltray.command import DONE, exit_with
from ltray.console import new_console
from ltray.engine.checkpoint import FILE_NAME
from ltray.errors import UsageError, did_you_mean, shown
from ltray.figures.result_folder import ResultFolder
from ltray.files import digest_of, writing
from ltray.fitted_table import FittedTable
from ltray.parser import Parser
from ltray.printable import printable
from ltray.provenance import environment
from ltray.results.classifier import best_device
from ltray.results.ledger import run_of
from ltray.results.predictions import TrainedModel
from ltray.run_folder import checkpoint_of

ANALYSES: Mapping[str, Callable[[AnalysedModel], TheoryResult | NotApplicable]] = {
    "pair_frequencies": frequencies.analyse,
    "gradient_by_rank": gradients.analyse,
    "paco_optimum": centres.analyse,
    "dscl_positives": positives.analyse,
    "bcl_bound": bound.analyse,
    "neural_collapse": collapse.analyse,
    "head_tail_separation": separation.analyse,
    "cluster_balance": clusters.analyse,
}
"""The analyses by name, which is also that of their files."""
BATCHES = 20
FOLDER = "analysis"


@dataclass(frozen=True)
class TheoryResults:
    """The results of `ltray analyse`.

    Attributes:
        checkpoint: The checkpoint's folder.
        folder: The folder of the files.
        found: The content of the JSON file of each analysis that applies, by name, without its provenance.
        left_out: The reason for each other analysis.
    """

    checkpoint: Path
    folder: Path
    found: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]


def run(
    model: str | PathLike[str],
    *,
    only: Sequence[str] = (),
    output: str | PathLike[str] | None = None,
    batches: int = BATCHES,
    report: Callable[[str, Mapping[str, Any] | str], None] | None = None,
) -> TheoryResults:
    """Measure the papers' theory on a trained model; write each result as JSON, PNG and PDF.

    Results of the same checkpoint and version that are in the folder are not computed again.

    Args:
        model: Folder of a run, a search or a checkpoint.
        only: Names of `ANALYSES`; empty: all.
        output: The folder of the files; None: `analysis` in the run folder.
        batches: Number of real batches in which pairs of images are measured, 1 or more.
        report: Called after each analysis with its name and its content, or the reason why it does not apply.

    Raises:
        UsageError: There is no checkpoint, it is damaged, its data are missing or have changed, or an argument is
            wrong.
    """
    for name in only:
        if name not in ANALYSES:
            raise UsageError(f"{shown(name)} is not an analysis.{did_you_mean(name, ANALYSES)}")
    check_count("batches", batches)
    given = path_value("model", model)
    checkpoint = checkpoint_of(given)
    of_run = run_of(checkpoint) if checkpoint == given else given
    place = of_run / FOLDER if output is None else path_value("output", output)
    check_writable(place, "--output", folder=True)
    trained = TrainedModel.open(checkpoint, best_device(), check="compare")
    subject = AnalysedModel(trained, batches=batches, seed=trained.experiment.seed)
    known = {"checkpoint_sha256": digest_of(checkpoint / FILE_NAME), "ltray": __version__, "batches": batches}
    folder, found, left_out = ResultFolder(place), {}, {}
    for name in dict.fromkeys(only or ANALYSES):
        result = folder.read(name, provenance=known) or _computed(name, subject, folder, known)
        if isinstance(result, NotApplicable):
            left_out[name] = result.reason
        else:
            found[name] = result
        if report:
            report(name, left_out.get(name) or found[name])
    return TheoryResults(checkpoint, place, found, left_out)


def _computed(
    name: str, subject: AnalysedModel, folder: ResultFolder, known: Mapping[str, Any]
) -> Mapping[str, Any] | NotApplicable:
    """Run an analysis and write its files."""
    result = ANALYSES[name](subject)
    if isinstance(result, NotApplicable):
        return result
    trained = subject.trained
    provenance = {
        **known,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "epoch": trained.checkpoint.position.total_epochs,
        "methods": [method.reference for method in trained.experiment.methods],
        "data_set": trained.experiment.dataset.name,
        "seed": subject.seed,
        "environment": environment(data_digest=trained.data.digest, protocol=trained.experiment.dataset.protocol),
    }
    with writing(folder.path):
        folder.write(name, result.as_json(), provenance=provenance, draw=result.draw)
    content = folder.read(name, provenance=known)
    assert content is not None
    return content


def main(words: list[str]) -> int:
    """Analyse, print each table when it is complete; a command that is run again after Ctrl-C continues."""
    options = new_parser().parse(words)
    console = new_console(wide=options.wide)

    def show(name: str, content: Mapping[str, Any] | str) -> None:
        if not options.json:
            _print(name, content, console)

    done = run(options.model, only=options.only, output=options.output, batches=options.batches, report=show)
    if options.json:
        print(json.dumps({"folder": str(done.folder), "analyses": done.found, "left_out": done.left_out}, indent=1))
    elif done.found:
        line = f"wrote {len(done.found)} results as JSON, PNG and PDF: {printable(done.folder)}"
        console.print(line, soft_wrap=True)
    return DONE


def _print(name: str, content: Mapping[str, Any] | str, console: Console) -> None:
    if isinstance(content, str):
        console.print(f"{name}: does not apply. {content}", soft_wrap=True)
        return
    table = FittedTable(title=f"{content['title']} ({name})", optional=[["source"]], remedy="--wide shows it")
    table.add_column("quantity")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("theory", justify="right", no_wrap=True)
    table.add_column("source")
    for row in content["rows"]:
        theory = "" if row["theory"] is None else number_text(row["theory"])
        table.add_row(row["quantity"], number_text(row["measured"]), theory, row["source"])
    console.print(table)


def number_text(value: float | None) -> str:
    """Return a number with four digits; ∞ or none, which JSON writes as null, as a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser("analyse", description="Measure the theory of the papers on a trained model, with figures.")
    parser.add_argument("model", type=path_argument, metavar="RUN", help="folder of a run, a search or a checkpoint")
    parser.add_argument(
        "--only", nargs="+", default=(), choices=tuple(ANALYSES), metavar="NAME", help=f"of {', '.join(ANALYSES)}"
    )
    parser.add_argument("--output", type=path_argument, metavar="FOLDER", help=f"default: {FOLDER} in the run folder")
    parser.add_argument(
        "--batches", type=count_argument, default=BATCHES, metavar="N", help=f"real batches of pairs; default {BATCHES}"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--wide", action="store_true", help="print all columns of tables, on a narrow terminal too")
    return parser


if __name__ == "__main__":
    exit_with(main)
