"""The analyses of one command: which are missing, the look at test images, progress and results."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ltray.data.beton.progress import ProgressBars
from ltray.engine.checkpoint import FILE_NAME
from ltray.errors import UsageError
from ltray.evaluation.analysis import Analysis
from ltray.evaluation.difference import check_same_images
from ltray.evaluation.files import FILES, RESULT, EvaluationFolder
from ltray.evaluation.findings import Findings
from ltray.evaluation.run import Analysed, analysed, missing
from ltray.evaluation.subject import Compared, Subject
from ltray.files import digest_of
from ltray.printable import printable
from ltray.results.ledger import declare_look, run_of
from ltray.results.predictions import TrainedModel
from ltray.run_folder import checkpoint_of


def run_analyses(
    findings: Findings, analyses: Sequence[Analysis], *, against: Path | None, console: Console, leave_out: bool
) -> list[Analysed]:
    """Compute the missing analyses of a model, print their main values, and return all.

    Args:
        findings: The model and its predictions.
        analyses: The analyses, in order.
        against: Run or checkpoint of the model with which it is compared, or None.
        console: For the results.
        leave_out: Whether an analysis that this model does not allow is left out; otherwise it is an error.

    Raises:
        UsageError: An analysis is not possible, a result is damaged, or the two models cannot be compared.
    """
    folder = EvaluationFolder.of(findings.checkpoint, findings.trained, findings.predictions.split)
    subject = Subject(findings.trained, findings.predictions, folder.path, ProgressBars())
    if against is not None:
        subject = Subject(**vars(subject) | {"other": _other(findings, subject, against)})
    todo = missing(analyses, subject, folder)
    found = []
    try:
        for one in analysed(analyses, subject, folder, begin=lambda a: _begin(a, todo), leave_out=leave_out):
            found.append(one)
            _print(one, console)
    except KeyboardInterrupt:
        kept = f"finished analyses are kept in {printable(folder.path)}; run the command again to compute the others"
        print(kept, file=sys.stderr)
        raise
    console.print(f"files: {printable(folder.path)}", soft_wrap=True)
    return found


def _other(findings: Findings, subject: Subject, against: Path) -> Compared:
    """Return the other model and its predictions on the same images.

    Raises:
        UsageError: It is the same checkpoint, or its images are others.
    """
    checkpoint = checkpoint_of(against)
    digest = digest_of(checkpoint / FILE_NAME)
    if digest == digest_of(findings.checkpoint / FILE_NAME):
        raise UsageError(f"`--against` {printable(against)}: is the same checkpoint; state another run or checkpoint.")
    trained = TrainedModel.open(checkpoint, findings.trained.device, check="compare")
    split = findings.predictions.split
    predictions = trained.on_test() if split == "test" else trained.on_selection()
    if predictions.split == "test":
        declare_look(run_of(checkpoint), f"ltray.evaluate --test: comparison of the checkpoint {digest[:12]}")
    check_same_images(subject, trained, predictions)
    name = " + ".join(method.name for method in trained.experiment.methods)
    return Compared(f"{name} ({run_of(checkpoint).name})" if name == subject.methods else name, predictions, digest)


def _begin(analysis: Analysis, todo: Sequence[Analysis]) -> None:
    """Print which analysis begins, on the standard error."""
    number = todo.index(analysis) + 1
    print(f"analysis {number} of {len(todo)}: {analysis.name}, {analysis.title}", file=sys.stderr, flush=True)


def _print(one: Analysed, console: Console) -> None:
    if one.content is None:
        console.print(f"{one.analysis.name}: left out: {one.reason}", style="yellow", soft_wrap=True)
        return
    done = f"{one.seconds:.1f} s" if one.seconds else "computed before"
    console.print(f"{one.analysis.name} ({done}): {one.analysis.summary(one.content[RESULT])}", soft_wrap=True)


def analyses_as_json(found: Sequence[Analysed], findings: Findings) -> dict[str, Any]:
    """Return the analyses as plain values: their folder, and by name the result and the names of the files.

    Args:
        found: The analyses.
        findings: The model and its predictions.
    """
    folder = EvaluationFolder.of(findings.checkpoint, findings.trained, findings.predictions.split).path
    return {
        "folder": str(folder),
        **{
            one.analysis.name: {"left_out": one.reason}
            if one.content is None
            else {RESULT: one.content[RESULT], FILES: one.content[FILES]}
            for one in found
        },
    }
