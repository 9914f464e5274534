"""The verdict on methods in sentences, for readers without knowledge of statistics."""

import math
from collections.abc import Mapping, Sequence

from ltray.metrics import METRICS
from ltray.results.method_verdict import BEHIND, BEST, NONE, ONE_RUN, ONLY, TIED, UNKNOWN, Judgement, Rival

LEAST_SAVED = 1.5
"""The cost is stated if the leader's training was at least this many times as long as that of a tied method."""


def sentences(
    judgement: Judgement, *, metric: str, how: str, runs: int, compared: str, hours: Mapping[str, float]
) -> list[str]:
    """Return the answer, the evidence for it, and the comparisons without a result.

    Args:
        judgement: The comparison.
        metric: The compared metric, such as "val/acc_all".
        how: How the values were measured, as text: "on test images".
        runs: Runs or folds of the leader.
        compared: "new seeds", "search" or "folds".
        hours: Training time of every method.
    """
    leader = judgement.leader
    if judgement.answer == NONE or leader is None:
        return ["No method finished with a result, so there is no answer."]
    value = math.fsum(leader.values.values()) / len(leader.values)
    name = metric.partition("/")[2]
    result = f"{100 * value:.1f} % {METRICS[name].title.removesuffix(' all')} {how}"
    ties, behind = judgement.with_verdict(TIED), judgement.with_verdict(BEHIND)
    unknown = judgement.with_verdict(UNKNOWN)
    if judgement.answer == ONLY:
        return [f"Only {leader.method} finished with a result ({result}): there is no other method to compare with it."]
    if judgement.answer == BEST:
        found = [f"Best method: {leader.method}, {result}."]
    elif judgement.answer == ONE_RUN:
        found = [f"No answer yet: {leader.method} has the highest value, {result}, but this may be chance."]
    else:
        names = _listed([leader.method, *(rival.best.method for rival in ties)])
        found = [
            f"Tie: no significant difference between {names}. The highest value is that of {leader.method}, {result}."
        ]
        found += _tied(ties[0])
        found += _cheaper(leader.method, ties, hours)
    if unknown:
        found.append(_one_run(leader.method, unknown))
    if behind:
        found.append(_ahead(leader.method, behind))
    if compared == "folds":
        found.append(f"Methods were compared on the same {runs} folds of the images, with the same seed.")
    elif runs > 1:
        where = "new random numbers after the search" if compared == "new seeds" else "random numbers of the search"
        found.append(f"Each compared setting was trained {runs} times, on {runs} different {where}.")
    return found


def _tied(rival: Rival) -> list[str]:
    interval = _interval(rival)
    if _is_zero(rival.lead):
        return [f"{rival.best.method} has the same value{interval}."]
    return [
        f"{rival.best.method} is {_points(abs(rival.lead))} {'behind' if rival.lead >= 0 else 'ahead'}, and a "
        f"difference of this size can occur by chance{interval}."
    ]


def _is_zero(share: float) -> bool:
    """Return whether `_points` shows no difference."""
    return abs(share) < 0.0005


def _interval(rival: Rival) -> str:
    if math.isinf(rival.low):
        return ""
    return f" (95 % interval of the true lead: {100 * rival.low:+z.1f} to {100 * rival.high:+z.1f} points)"


def _cheaper(leader: str, ties: Sequence[Rival], hours: Mapping[str, float]) -> list[str]:
    names = [r.best.method for r in ties if 0 < hours.get(r.best.method, 0) * LEAST_SAVED <= hours.get(leader, 0)]
    if not names:
        return []
    least = min(names, key=lambda name: (hours[name], name))
    minutes = {name: f"{60 * hours[name]:.1f} minutes" for name in (least, leader)}
    return [
        f"Of these, the settings of {least} trained for {minutes[least]} together, those of {leader} for "
        f"{minutes[leader]}."
    ]


def _one_run(leader: str, unknown: Sequence[Rival]) -> str:
    nearest = unknown[0]
    name = nearest.best.method
    shown = f"has the same value as {name}" if _is_zero(nearest.lead) else f"is {_points(nearest.lead)} ahead of {name}"
    return (
        f"{leader} {shown}, but there is only one run of each to compare: the same training with other random numbers "
        "gives another value, and one run does not show by how much."
    )


def _ahead(leader: str, behind: Sequence[Rival]) -> str:
    nearest = behind[0]
    rest = _listed([rival.best.method for rival in behind[1:]])
    text = (
        f"{leader} is {_points(nearest.lead)} ahead of {nearest.best.method}; the true lead is at least "
        f"{_points(nearest.least)}, with 95 % confidence, corrected for the choice of the best of several"
        f"{_interval(nearest)}."
    )
    return text + (f" Also behind: {rest}." if rest else "")


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _listed(names: Sequence[str]) -> str:
    quoted = [f"[{name}]" if ", " in name else name for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}" if quoted else ""
