"""Further commands after a search over methods."""

from collections.abc import Sequence
from dataclasses import dataclass

from ltray.results.method_verdict import BEHIND, BEST, NONE, ONLY, Judgement
from ltray.results.paths import shell_word
from ltray.results.run_record import RunRecord

COMMAND = "command"
"""The key of a search's configuration that has the command's arguments, without its budget."""
MOST_FINALISTS = 8


@dataclass(frozen=True)
class Step:
    """A further command.

    Attributes:
        why: What it is good for.
        command: The command; "" where the arguments of the search are not known.
    """

    why: str
    command: str


def next_steps(judgement: Judgement, record: RunRecord, *, ranking: Sequence[str]) -> tuple[Step, ...]:
    """Return further commands, the most useful first.

    Args:
        judgement: The verdict.
        record: The search.
        ranking: The methods of its complete trials, the best trial first.
    """
    trials = record.trials
    planned, had = int(record.config.get("trials", 0)), 0 if trials is None else len(trials)
    steps = []
    is_open = trials is not None and (had < planned or bool((trials["state"] == "interrupted").any()))
    if is_open:
        steps.append(further_step(record, "the search is not finished; continue it", {}))
    if judgement.answer in (NONE, ONLY):
        if not is_open:
            steps.append(further_step(record, "try more settings", {"search.trials": 2 * max(planned, had)}))
        return tuple(steps)
    seeds = int(dict(record.config.get("finalists", {})).get("seeds", 5))
    if record.finalist_runs is None and not is_open:
        count = _finalists(judgement, ranking)
        why = f"train the {count} best settings again on 5 new random numbers, and compare them on test images"
        steps.append(further_step(record, why, {"finalists.best": count, "finalists.seeds": 5}))
    elif record.finalist_runs is not None and judgement.answer != BEST:
        why = f"train the same finalists on {2 * seeds} random numbers instead of {seeds}, to detect smaller leads"
        best = int(dict(record.config["finalists"])["best"])
        steps.append(further_step(record, why, {"finalists.best": best, "finalists.seeds": 2 * seeds}))
    if not is_open:
        why = "try more settings of all methods; the search continues with its previous trials"
        steps.append(further_step(record, why, {"search.trials": 2 * max(planned, had)}))
    return tuple(steps)


def _finalists(judgement: Judgement, ranking: Sequence[str]) -> int:
    """Return the number of best trials that include a trial of every method that may be the best one."""
    assert judgement.leader is not None
    wanted = {judgement.leader.method} | {r.best.method for r in judgement.rivals if r.verdict != BEHIND}
    wanted |= {rival.best.method for rival in judgement.rivals[:1]}
    places = [ranking.index(method) + 1 for method in wanted]
    near = [place for place in places if place <= MOST_FINALISTS]
    return max(near, default=2)


def further_step(record: RunRecord, why: str, settings: dict[str, int]) -> Step:
    """Return the command of a search with further settings."""
    arguments = record.config.get(COMMAND)
    if not isinstance(arguments, list):
        return Step(why + (f": {', '.join(f'{k}={v}' for k, v in settings.items())}" if settings else ""), "")
    kept = [word for word in arguments if word.partition("=")[0] not in settings]
    return Step(why, " ".join([*map(shell_word, kept), *(f"{key}={value}" for key, value in settings.items())]))
