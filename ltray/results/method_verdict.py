"""The best of several methods, from repeated runs of the settings that a search has tried.

The leader is the setting with the highest mean. Every other setting is compared with it, paired by seed, with
simultaneous intervals for all settings: the leader was chosen by these values, and for a method with more settings, a
high value by chance is more probable. A method is behind if all its settings are. After J. C. Hsu, "Multiple
Comparisons", 1996, chapter 4 (comparisons with the best), with Dunnett's critical value for all settings but one.

Different seeds do not show how much values depend on the evaluated images, because these are the same in all runs. If
the standard error over images is known, it is added, as if the two settings had been evaluated on different images;
the interval is then too wide.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ltray.results.multiple_comparisons import CAUTIOUS, ERROR, critical_value, differences, mean

BEST, TIE, ONE_RUN, ONLY, NONE = "best", "tie", "one run cannot tell", "only one method", "no result"
"""The possible answers."""
BEHIND, TIED, UNKNOWN = "behind", "tie", "cannot tell"
"""The possible verdicts on the other methods."""
LARGE = 10_000.0  # degrees of freedom of a known spread


@dataclass(frozen=True)
class Candidate:
    """A setting of a method with its runs.

    Attributes:
        method: The methods, in order, as text.
        trial: Number or name of the trial.
        score: The value by which it is ranked: the mean on the selection images, in [0, 1].
        values: The compared values, in [0, 1], by seed or another name of a round.
        image_error: Standard error of a value over images; NaN if it is not known.
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
        lead: Difference between the leader and this setting, on the compared values.
        low: Lower end of the 95 % interval of the true lead; −inf if it cannot be computed.
        high: Upper end.
        least: Lower bound of the true lead with 95 % confidence, simultaneous for all settings; above 0 if the lead
            is significant.
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
        """Return the rivals with this verdict."""
        return [rival for rival in self.rivals if rival.verdict == verdict]


def judge(candidates: Sequence[Candidate]) -> Judgement:
    """Compare methods by their settings; the order of settings has no effect.

    Args:
        candidates: Every complete setting of every method.
    """
    ranked = in_order([one for one in candidates if math.isfinite(one.score)])
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


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return settings by score; of equal ones the earlier trial is first, as for the search's best model."""
    return sorted(candidates, key=lambda one: (-one.score, len(one.trial), one.trial))


@dataclass(frozen=True)
class _Lead:
    """The leader's lead over one setting: mean, half width of its interval, and the distance of its bound."""

    mean: float
    half: float
    margin: float


def _compared(leader: Candidate, others: Sequence[Candidate]) -> dict[str, _Lead]:
    """Return the lead over every other setting, by trial; the intervals are simultaneous."""
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
    """Return the comparison of a method with the leader: it is behind if each of its settings is."""
    best, leads = own[0], [compared[one.trial] for one in own]
    lead = compared[best.trial]
    near = [one for one in leads if not one.mean - one.margin > 0]
    if not near:
        verdict = BEHIND
    else:
        verdict = UNKNOWN if all(math.isinf(one.margin) for one in near) else TIED
    return Rival(best, lead.mean, lead.mean - lead.half, lead.mean + lead.half, lead.mean - lead.margin, verdict)
