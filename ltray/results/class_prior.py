"""Class priors: stated in a file, implied by a model's scores, estimated from images; and scores adapted to them.

Under label shift, the distribution of the images of a class does not change; only the shares q of the classes differ
from the shares p under which scores are posteriors: P_q(k | x) ∝ P_p(k | x) q_k / p_k (Saerens et al., Neural
Computation 2002, eq. 2.4).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltray.data.sources.class_names import shown as shown_name
from ltray.data.sources.class_names import some
from ltray.data.sources.table import Table, is_table
from ltray.errors import UsageError, did_you_mean, shown
from ltray.files import read_json
from ltray.long_tail import LongTail
from ltray.printable import printable
from ltray.stage import ScorePrior, Stage

ESTIMATE = "estimate"
"""The value of `prior` for an estimate from the images to classify."""
CLOSE = 1e-6  # change of the shares, summed over classes, at which the estimate has converged
MOST_ITERATIONS = 1_000
LEAST, FEW = 2, 10  # images per class: the minimum for an estimate, and for one that is not called uncertain
COLUMNS = ("class", "share")


@dataclass(frozen=True)
class ClassPrior:
    """Shares of the classes among the images that a model is used on.

    Attributes:
        shares: Of each class (K,), float64, sum 1.
        source: Their source, as text.
        notes: Remarks on an estimate, as sentences.
    """

    shares: Tensor
    source: str
    notes: tuple[str, ...] = ()


def read_prior(place: Path, classes: Sequence[str]) -> ClassPrior:
    """Read shares or counts of the classes, which are divided by their sum.

    Args:
        place: JSON (`{"cat": 0.9, "dog": 0.1}`), or a table (CSV, TSV, JSON lines) with the columns `class` and
            `share`.
        classes: Names of the model's classes.

    Raises:
        UsageError: It cannot be read, a class is missing or unknown, or a share is not a number of at least 0.
    """
    if is_table(place):
        rows = _from_table(Table.read(place), place)
    else:
        content = read_json(place)
        if not isinstance(content, dict):
            raise UsageError(
                f"{printable(place)}: must be a JSON object with a share for each class, such as "
                f'{{"{classes[0]}": 0.9, …}}, or a table with the columns `class` and `share`.'
            )
        rows = list(content.items())
    return ClassPrior(_shares(rows, classes, printable(place)), printable(place))


def stated_prior(shares: Mapping[str, float], classes: Sequence[str]) -> ClassPrior:
    """Return a prior that is given as a mapping; see `read_prior`."""
    return ClassPrior(_shares(list(shares.items()), classes, "`prior`"), "stated shares")


def _from_table(table: Table, place: Path) -> list[tuple[str, Any]]:
    headings = {name.strip().lower(): name for name in table.columns}
    if not set(COLUMNS) <= set(headings):
        raise UsageError(
            f"{printable(place)}: must have the columns `class` and `share`, but has "
            f"{some([f'`{printable(name)}`' for name in table.columns])}."
        )
    names, shares = (table.column(headings[name]) for name in COLUMNS)
    return list(zip(names, shares, strict=True))


def _shares(rows: Sequence[tuple[str, Any]], classes: Sequence[str], where: str) -> Tensor:
    found: dict[str, float] = {}
    for written, value in rows:
        name = shown_name(str(written))
        if name not in classes:
            hint = did_you_mean(name, classes)
            raise UsageError(
                f"{where}: the model has no class {shown(name)}." + (hint if "mean" in hint else _listed(classes))
            )
        if name in found:
            raise UsageError(f"{where}: class `{name}` has two shares; keep one of them.")
        found[name] = _share(value, f"{where}: the share of `{name}`")
    missing = [name for name in classes if name not in found]
    if missing:
        raise UsageError(
            f"{where}: {len(missing):,} of {len(classes):,} classes have no share: {some(missing)}; write 0 for a "
            "class that does not occur."
        )
    shares = torch.tensor([found[name] for name in classes], dtype=torch.float64)
    if not 0 < float(shares.sum()) < math.inf:
        raise UsageError(f"{where}: the shares have the sum {float(shares.sum()):g}; at least one must be above 0.")
    return shares / shares.sum()


def _listed(classes: Sequence[str]) -> str:
    return f" Its classes: {some(list(classes))}."


def _share(value: Any, what: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{what} is {shown(value)}, but must be a number of at least 0.") from error
    if not 0 <= found < math.inf:
        raise UsageError(f"{what} is {shown(value)}, but must be a number of at least 0.")
    return found


def score_prior(stages: Sequence[Stage], tail: LongTail) -> ScorePrior | None:
    """Return the class prior of a model's scores, normalised, float64 on the CPU; None: it is not known.

    Args:
        stages: All stages of the model, in order.
        tail: The counts of its training set.
    """
    found: ScorePrior | None = None
    for stage in stages:
        found = stage.score_prior(tail, found)
    if found is None:
        return None
    return ScorePrior(torch.log_softmax(found.log_prior.detach().double().cpu(), dim=0), found.added)


@dataclass(frozen=True)
class Adaptation:
    """Adapts a model's scores to other class shares.

    Attributes:
        temperature: T of `ScorePrior`.
        source: The source of T, as text.
        prior: The class prior of the scores.
    """

    temperature: float
    source: str
    prior: ScorePrior

    def likelihoods(self, logits: Tensor) -> Tensor:
        """Return log P(x | k) (N, K), float64, up to a constant in each row."""
        return (logits.double() - self.prior.added) / self.temperature - self.prior.log_prior

    def scores(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Return scores (N, K) whose softmax are the posteriors if the classes have these shares.

        Args:
            logits: The model's scores (N, K).
            shares: Of each class (K,); a class with the share 0 is never predicted.
        """
        return self.likelihoods(logits) + shares.log()


def estimated_prior(logits: Tensor, adaptation: Adaptation) -> ClassPrior:
    """Estimate the shares of the classes among images without labels, by maximum likelihood (EM).

    Source: Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a Priori Probabilities,
    Neural Computation 14 (2002), eq. 2.9. The likelihood is concave in the shares, so that EM finds its maximum.

    Args:
        logits: Scores of the images (N, K).
        adaptation: Of the model.

    Raises:
        UsageError: There are fewer than `LEAST` images per class.
    """
    count, classes = logits.shape
    if count < LEAST * classes:
        raise UsageError(
            f"`prior` is {ESTIMATE!r}, which needs at least {LEAST * classes:,} images ({LEAST} for each of "
            f"{classes:,} classes), but there are {count:,}; state the shares in a file."
        )
    likelihood = adaptation.likelihoods(logits)
    likelihood = (likelihood - likelihood.amax(dim=1, keepdim=True)).exp()
    shares = adaptation.prior.log_prior.exp()
    for iteration in range(1, MOST_ITERATIONS + 1):
        joint = likelihood * shares
        posterior = joint / joint.sum(dim=1, keepdim=True)
        before, shares = shares, posterior.mean(dim=0)
        if float((shares - before).abs().sum()) < CLOSE:
            return ClassPrior(shares, _estimated(count, iteration), _uncertain(count, classes))
    change = float((shares - before).abs().sum())
    note = f"the estimated class shares did not converge in {MOST_ITERATIONS:,} iterations (last change {change:.1g})"
    return ClassPrior(shares, _estimated(count, MOST_ITERATIONS), (note, *_uncertain(count, classes)))


def _estimated(count: int, iterations: int) -> str:
    return f"estimated from {count:,} images in {iterations:,} iterations"


def _uncertain(count: int, classes: int) -> tuple[str, ...]:
    if count >= FEW * classes:
        return ()
    return (f"the class shares are uncertain: {count:,} images for {classes:,} classes (fewer than {FEW} per class)",)
