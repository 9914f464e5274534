"""Runs analyses one after another; what is finished is kept, and is not computed again."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltray.errors import UsageError
from ltray.evaluation.analysis import Analysis
from ltray.evaluation.difference import file_stem
from ltray.evaluation.files import EvaluationFolder
from ltray.evaluation.subject import Subject
from ltray.printable import printable


@dataclass(frozen=True)
class Analysed:
    """One finished analysis.

    Attributes:
        analysis: The analysis.
        content: The content of its JSON file; None: it was left out.
        seconds: Its duration; 0.0 if it was already there.
        reason: Why it was left out, a sentence; "" otherwise.
    """

    analysis: Analysis
    content: Mapping[str, Any] | None
    seconds: float = 0.0
    reason: str = ""


def stem_of(analysis: Analysis, subject: Subject) -> str:
    """Return the name of the JSON file of an analysis; one of two models contains the digest of the other."""
    if analysis.compares and subject.other is not None:
        return file_stem(subject.other.digest)
    return analysis.name


def missing(analyses: Sequence[Analysis], subject: Subject, folder: EvaluationFolder) -> list[Analysis]:
    """Return the analyses that are not yet in the folder.

    Raises:
        UsageError: A result is damaged.
    """
    return [one for one in analyses if folder.known(stem_of(one, subject)) is None]


def analysed(
    analyses: Sequence[Analysis],
    subject: Subject,
    folder: EvaluationFolder,
    *,
    begin: Callable[[Analysis], None],
    leave_out: bool,
) -> Iterator[Analysed]:
    """Compute the analyses that are not yet in the folder, write each one, and yield all of them.

    Args:
        analyses: The analyses, in order.
        subject: The model and its split.
        folder: Where their files are.
        begin: Called before an analysis is computed.
        leave_out: Whether an analysis that this model does not allow is left out; otherwise it is an error.

    Raises:
        UsageError: An analysis is not possible, or a result is damaged.
    """
    for one in analyses:
        stem = stem_of(one, subject)
        known = folder.known(stem)
        if known is not None:
            yield Analysed(one, known)
            continue
        begin(one)
        started = time.monotonic()
        try:
            check_possible(one, subject)
            found = one.compute(subject)
        except UsageError as error:
            if not leave_out:
                raise
            yield Analysed(one, None, reason=printable(str(error)))
            continue
        content = folder.keep(stem, one.title, found)
        yield Analysed(one, content, time.monotonic() - started)


def check_possible(analysis: Analysis, subject: Subject) -> None:
    """Check that an analysis has what it needs.

    Raises:
        UsageError: It classifies images, but those of a cross-validation trained this model.
    """
    if analysis.needs_images and subject.predictions.folds is not None:
        raise UsageError(
            f"`{analysis.name}` classifies images, but the images of the folds trained this model, and the models of "
            "the folds are not kept: use --test."
        )
