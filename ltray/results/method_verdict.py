"""Which of several methods is best, from repeated runs of the settings that a search has tried.

The leader is the setting with the highest mean. Every other setting is compared with it, paired by seed, by intervals
that hold over all settings together: the leader was chosen by these values, and a method with more settings has more
chances to look good by luck. A method is behind if all its settings are. After J. C. Hsu, "Multiple Comparisons",
1996, chapter 4 (comparisons with the best), with Dunnett's critical value for all settings but one.

Seeds do not show how much values depend on which images they were measured on: all runs share these images. Where the
standard error over images is known, it is added, as if the two settings had been measured on different images, which
is wider than the truth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ltray.results.multiple_comparisons import CAUTIOUS, ERROR, critical_value, differences, mean

BEST, TIE, ONE_RUN, ONLY, NONE = "best", "tie", "one run cannot tell", "only one method", "no result"
"""The possible answers."""
BEHIND, TIED, UNKNOWN = "behind", "tie", "cannot tell"
"""What can be said of a method that is not the leader's."""
LARGE = 10_000.0  # degrees of freedom of a known spread


@dataclass(frozen=True)
class Candidate:
    """A setting of a method with its runs.

    Attributes:
        method: The methods, in order, as text.
        trial: Number or name of the trial.
        score: What it is ranked by: the mean on the images that select, in [0, 1].
        values: What is compared, in [0, 1], by seed or another name of a round.
        image_error: Standard error of a value over images; NaN: not known.
    """

    method: str
    trial: str
    score: float
    values: Mapping[str, float] = field(hash=False)
    image_error: float = math.nan


@dataclass(frozen=True)
class Rival:
    """A method that is not the leader's, compared with the leader.

    Attributes:
        best: Its setting with the highest score.
        lead: By how much the leader is ahead of this setting, on the compared values.
        low: Low end of the 95 % interval of the true lead; −inf if it cannot be computed.
        high: High end.
        least: The true lead is at least this, with 95 % confidence over all settings; above 0 if it is significant.
        verdict: BEHIND, TIED or UNKNOWN.
    """

    best: Candidate
    lead: float
    low: float
    high: float
    least: float
    verdict: str


@dataclass(frozen=True)
class Judgement:
    """The answer to "which method?".

    Attributes:
        answer: BEST, TIE, ONE_RUN, ONLY or NONE.
        leader: The setting with the highest score; None if there is no result.
        rivals: The other methods, the highest score first.
    """

    answer: str
    leader: Candidate | None
    rivals: tuple[Rival, ...] = ()

    def with_verdict(self, verdict: str) -> list[Rival]:
        """Return the rivals of which this is said."""
        return [rival for rival in self.rivals if rival.verdict == verdict]


def judge(candidates: Sequence[Candidate]) -> Judgement:
    """Compare methods by their settings; the order of settings has no effect.

    Args:
        candidates: Every complete setting of every method.
    """
    ranked = sorted(
        (one for one in candidates if math.isfinite(one.score)), key=lambda one: (-one.score, one.method, one.trial)
    )
    if not ranked:
        return Judgement(NONE, None)
    leader, others = ranked[0], ranked[1:]
    methods = list(dict.fromkeys(one.method for one in others if one.method != leader.method))
    if not methods:
        return Judgement(ONLY, leader)
    compared = _compared(leader, others)
    rivals = tuple(_rival([one for one in others if one.method == method], leader, compared) for method in methods)
    verdicts = {rival.verdict for rival in rivals}
    answer = TIE if TIED in verdicts else ONE_RUN if UNKNOWN in verdicts else BEST
    return Judgement(answer, leader, rivals)


@dataclass(frozen=True)
class _Lead:
    """The leader's lead over one setting: mean, half width of its interval, and the distance of its bound."""

    mean: float
    half: float
    margin: float


def _compared(leader: Candidate, others: Sequence[Candidate]) -> dict[str, _Lead]:
    """Return the lead over every other setting, by trial; intervals hold over all of them together."""
    paired = {one.trial: _paired(leader, one) for one in others}
    found = differences(paired)
    count = len(others)
    images = critical_value(count, LARGE, CAUTIOUS, ERROR)
    leads = {}
    for one in others:
        known = [error for error in (leader.image_error, one.image_error) if math.isfinite(error)]
        of_images = math.hypot(*known) * images if known else 0.0
        difference = found[one.trial]
        leads[one.trial] = _Lead(
            mean(paired[one.trial]) if paired[one.trial] else leader.score - one.score,
            math.hypot(difference.interval.half, max(of_images, _two_sided(of_images, images))),
            math.hypot(difference.bounds.half, of_images),
        )
    return leads


def _two_sided(of_images: float, critical: float) -> float:
    """Return the margin of a two-sided interval of one difference, from that of simultaneous one-sided bounds."""
    return of_images / critical * critical_value(1, LARGE, 0.0, ERROR / 2)


def _paired(leader: Candidate, other: Candidate) -> list[float]:
    return [leader.values[name] - other.values[name] for name in sorted(leader.values.keys() & other.values.keys())]


def _rival(own: Sequence[Candidate], leader: Candidate, compared: Mapping[str, _Lead]) -> Rival:
    """Return what can be said of a method: it is behind if each of its settings is."""
    best, leads = own[0], [compared[one.trial] for one in own]
    lead = compared[best.trial]
    near = [one for one in leads if not one.mean - one.margin > 0]
    if not near:
        verdict = BEHIND
    else:
        verdict = UNKNOWN if all(math.isinf(one.margin) for one in near) else TIED
    return Rival(best, lead.mean, lead.mean - lead.half, lead.mean + lead.half, lead.mean - lead.margin, verdict)
