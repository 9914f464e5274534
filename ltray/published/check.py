"""Comparison of a result with a published figure: within noise, below, above, or not comparable and why."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltray.data.imbalance import KINDS
from ltray.published import Claim, published
from ltray.published.departures import other_recipe, other_row
from ltray.published.spreads import Spread, listed_spread
from ltray.results.intervals import LEVEL, Interval

WITHIN, BELOW, ABOVE, NOT = "within noise", "below", "above", "not comparable"
MEANING = {
    WITHIN: "the difference is not significant: different seeds can cause it",
    BELOW: "ours is significantly lower: different seeds cause such a difference in less than 5 % of cases",
    ABOVE: "ours is significantly higher: different seeds cause such a difference in less than 5 % of cases",
    NOT: "measured under other or unknown conditions, so the difference does not show which is better",
}
"""Meaning of each verdict, for readers without knowledge of statistics."""
MOST_KNOBS = 3  # listed in a verdict; with more knobs, only their number


@dataclass(frozen=True)
class Comparison:
    """A published figure compared with a result.

    Attributes:
        claim: The published figure.
        verdict: One of the four.
        reasons: Why it is not comparable; empty otherwise.
        difference: Our mean minus the claim, in points.
        expected: 95 % prediction interval of one more run like ours, as a share of 1.
        recipe: Knobs that differ from the paper's setting although the row is the same, as text.
        basis: Source of the spread if our own runs do not give one; empty otherwise.
    """

    claim: Claim
    verdict: str
    reasons: tuple[str, ...]
    difference: float
    expected: Interval
    recipe: tuple[str, ...] = ()
    basis: str = ""

    @property
    def text(self) -> str:
        """The verdict with its reasons or its qualifications."""
        if self.reasons:
            return f"{self.verdict}: {'; '.join(self.reasons)}"
        knobs = [self.other_knobs] if self.other_knobs else []
        more = [f"a difference of up to {self.allowed:.1f} points is not significant"] if self.verdict == WITHIN else []
        basis = [self.basis] if self.basis else []
        return "; ".join([self.verdict, *knobs, *more, *basis])

    @property
    def other_knobs(self) -> str:
        """The knobs that are not at the paper's values: "with bcl.temperature=0.2 instead of 0.1"; "" if none is."""
        if len(self.recipe) > MOST_KNOBS:
            return f"with {len(self.recipe)} knobs not at the paper's values"
        return f"with {', '.join(self.recipe)}" if self.recipe else ""

    @property
    def allowed(self) -> float:
        """The largest difference that is not significant, in points."""
        return 100 * self.expected.half


@dataclass(frozen=True)
class Agreement:
    """Interval of published figures that agree with a result.

    Attributes:
        interval: Interval around our mean.
        basis: As in `Comparison`.
    """

    interval: Interval
    basis: str


def agreement(accuracy: Interval, listed: Spread) -> Agreement:
    """Return the 95 % prediction interval of one more run: mean ± t·s·√(1 + 1/n) of n runs.

    The published figure is one run; its variance is assumed to equal that of our runs.

    Args:
        accuracy: Mean of our runs with its Student-t interval, a share of 1.
        listed: The spread to use if there is only one run.
    """
    from scipy.stats import t as student

    mean, count = accuracy.mean, accuracy.count
    if count > 1:  # half the interval's width is t·s/√n
        return Agreement(_about(mean, accuracy.half * math.sqrt(count + 1), count), "")
    half = float(student.ppf((1 + LEVEL) / 2, listed.freedom)) * listed.points / 100 * math.sqrt(2)
    text = f"judged from one run: seeds are assumed to differ by about {listed.points:.1f} points, {listed.source}"
    return Agreement(_about(mean, half, count), text)


def _about(mean: float, half: float, count: int) -> Interval:
    return Interval(mean, mean - half, mean + half, count)


def compare(settings: Mapping[str, Any], accuracy: Interval, *, subsets: int = 1) -> list[Comparison]:
    """Return every claim on the same methods, data set and imbalance factor; comparable ones first.

    Args:
        settings: Complete flat settings of the runs; only the seeds may differ.
        accuracy: Test accuracy over all images, a share of 1, over our runs, with its Student-t interval.
        subsets: Number of draws of the training images (data seeds) in the mean.
    """
    factor = settings["dataset.imbalance_factor"]
    cut = KINDS[settings["dataset.imbalance_kind"]].by_factor
    found = []
    for claim in published():
        same = claim.dataset == settings["dataset"] and claim.methods == tuple(settings["methods"])
        if same and claim.all is not None and (not cut or claim.imbalance_factor == factor):
            found.append(compare_with(claim, settings, accuracy, subsets=subsets))
    return sorted(found, key=lambda one: (one.verdict == NOT, len(one.reasons), one.claim.where))


def compare_with(claim: Claim, settings: Mapping[str, Any], accuracy: Interval, *, subsets: int = 1) -> Comparison:
    """Return the comparison with one claim on the same methods; see `compare`.

    Args:
        claim: The published figure, with an accuracy over all images.
        settings: Complete flat settings of the runs.
        accuracy: As for `compare`.
        subsets: As for `compare`.
    """
    assert claim.all is not None
    share = claim.all / 100.0
    difference = 100.0 * accuracy.mean - claim.all
    expected = agreement(accuracy, listed_spread(claim.dataset, claim.methods, accuracy.mean))
    reasons = (
        *_other_dataset(claim, settings),
        *_other_factor(claim, settings),
        *other_row(claim, settings, subsets=subsets),
    )
    if reasons:
        return Comparison(claim, NOT, reasons, difference, expected.interval)
    low, high = expected.interval.low, expected.interval.high
    verdict = BELOW if high < share else ABOVE if low > share else WITHIN
    recipe = tuple(other_recipe(claim, settings))
    return Comparison(claim, verdict, (), difference, expected.interval, recipe, expected.basis)


def _other_dataset(claim: Claim, settings: Mapping[str, Any]) -> list[str]:
    name = settings["dataset"]
    return [] if name == claim.dataset else [f"their data set: {claim.dataset}, ours: {name}"]


def _other_factor(claim: Claim, settings: Mapping[str, Any]) -> list[str]:
    factor = settings["dataset.imbalance_factor"]
    cut = KINDS[settings["dataset.imbalance_kind"]].by_factor
    return (
        [f"their imbalance factor: {claim.imbalance_factor:g}, ours: {factor:g}"]
        if (cut and factor != claim.imbalance_factor)
        else []
    )
