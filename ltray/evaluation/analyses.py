"""The table of contents of the analyses, in the order in which `--all` runs them."""

from collections.abc import Mapping, Sequence

from ltray.errors import UsageError, chosen
from ltray.evaluation.activation_maps import CAM
from ltray.evaluation.analysis import Analysis
from ltray.evaluation.calibration import CALIBRATION
from ltray.evaluation.confusion import CONFUSION
from ltray.evaluation.difference import DIFFERENCE
from ltray.evaluation.embedding import TSNE
from ltray.evaluation.latency import LATENCY
from ltray.evaluation.mistakes import MISTAKES
from ltray.evaluation.robustness import ROBUSTNESS
from ltray.evaluation.scores import SCORES
from ltray.evaluation.similarity import SIMILARITY

ANALYSES: Mapping[str, Analysis] = {
    one.name: one
    for one in (
        SCORES,
        CALIBRATION,
        CONFUSION,
        DIFFERENCE,
        MISTAKES,
        LATENCY,
        SIMILARITY,
        TSNE,
        CAM,
        ROBUSTNESS,
    )
}
"""Every analysis by name; the longest are at the end."""


def asked(text: str | None, *, everything: bool, compared: bool) -> list[Analysis]:
    """Return the analyses that a command asks for.

    Args:
        text: The names in `--analyses`, with commas between them; None without it.
        everything: Whether `--all` is given.
        compared: Whether `--against` is given.

    Raises:
        UsageError: A name is not known or occurs twice, or `difference` is asked for without `--against`.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    found = [chosen(name, ANALYSES, "an analysis") for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"`--analyses` contains {twice[0]!r} more than once: remove one of them.")
    if names and everything:
        raise UsageError("`--all` contains every analysis: remove --all or --analyses.")
    if any(one.compares for one in found) and not compared:
        raise UsageError("`difference` compares two models: state the other one with --against.")
    if everything:
        found = [one for one in ANALYSES.values() if compared or not one.compares]
    return _with_difference(found) if compared else found


def _with_difference(found: Sequence[Analysis]) -> list[Analysis]:
    """Return the analyses in their order, with the comparison, which `--against` asks for."""
    return [one for one in ANALYSES.values() if one in found or one.compares]
