"""Impossible combinations of sampler, contents of the space, objectives and early stopping.

One table contains all of them. A pair that is not in the table is possible.
"""

from collections.abc import Collection
from dataclasses import dataclass

from ltray.strategies.stopping_rules import STOPPING_RULES

# The contents of a space; some samplers cannot draw some of them.
CONTINUOUS = "a range"
LISTED = "a list of values"
CONDITIONAL = "knobs that depend on a choice"

# Why a sampler cannot draw a space. All samplers can draw a bound that depends on other knobs (draws.py).
SPACES: dict[tuple[str, str], str] = {
    ("grid", CONTINUOUS): "grid tries every combination and needs lists of values: write `among: [...]`",
    (
        "cmaes",
        LISTED,
    ): "cmaes cannot draw from a list of values: write {from, to}, fix the knob, or use sampler=tpe",
    ("cmaes", CONDITIONAL): "cmaes draws all knobs of one fixed space together; use sampler=tpe",
    ("gp", CONDITIONAL): "gp models all knobs of one fixed space together; use sampler=tpe",
    ("qmc", CONDITIONAL): "qmc needs one fixed space; use sampler=random",
}

_WHOLE_RUNS = "gp uses only complete trials, and with early stopping there are few; use sampler=tpe or stop.rule=none"
_POPULATION = "pbt starts all trials before the first result, so that {} has no results to use; use sampler=random"

# Why a sampler and a stopping rule cannot be combined.
EXCLUDED: dict[tuple[str, str], str] = {
    **{("gp", rule): _WHOLE_RUNS for rule, kind in STOPPING_RULES.items() if kind.stops},
    **{(sampler, "pbt"): _POPULATION.format(sampler) for sampler in ("tpe", "prior", "cmaes", "gp")},
    ("grid", "pbt"): "pbt changes settings during training, so that no point of the grid would be trained completely; "
    "use sampler=random",
}

LEARNING = ("tpe", "prior", "cmaes", "gp")  # samplers that use results
SEVERAL_OBJECTIVES = {
    "prior": "prior ranks trials by one number; use sampler=tpe or gp",
    "cmaes": "cmaes maximises one number; use sampler=tpe or gp",
}


@dataclass(frozen=True)
class Refusal:
    """The reason why a search cannot run with its settings.

    Attributes:
        key: The setting that causes the problem.
        reason: The reason and the remedy.
        content: The content of the space that causes the problem, or "".
    """

    key: str
    reason: str
    content: str = ""

    def __str__(self) -> str:
        return f"`{self.key}`: {self.reason}"


def refusal(
    sampler: str,
    rule: str,
    *,
    objectives: int,
    contents: Collection[str] = (),
    warm: bool = False,
    seeds: int = 1,
    fidelity: str = "epochs",
    folds: int = 0,
) -> Refusal | None:
    """Return the reason why a search cannot run with its settings, or None if it can.

    Args:
        sampler: `search.sampler`.
        rule: `stop.rule`.
        objectives: Number of objectives.
        contents: The contents of the space: CONTINUOUS, LISTED, CONDITIONAL.
        warm: Whether the sampler uses the results of earlier searches.
        seeds: `trial.seeds`.
        fidelity: `stop.fidelity`.
        folds: `dataset.folds`.
    """
    if folds and (refused := _refused_with_folds(folds, rule=rule, seeds=seeds, fidelity=fidelity)):
        return refused
    if seeds > 1 and STOPPING_RULES[rule].population:
        return Refusal(
            "trial.seeds",
            f"{seeds} runs of one setting are not possible with stop.rule={rule}, which changes a trial's settings "
            "during its run; set trial.seeds=1 or another rule",
        )
    if seeds > 1 and fidelity != "epochs":
        return Refusal(
            "trial.seeds",
            f"a trial is either {seeds} complete runs on different seeds or several short runs on one seed; set "
            "trial.seeds=1 or stop.fidelity=epochs",
        )
    for content in sorted(contents):
        if reason := SPACES.get((sampler, content)):
            return Refusal("search.sampler", f"the space contains {content}, but {reason}", content)
    if objectives > 1 and rule != "none":
        return Refusal(
            "stop.rule",
            f"{rule} compares unfinished trials by one number, but there are {objectives} objectives; "
            "set stop.rule=none",
        )
    if objectives > 1 and sampler in SEVERAL_OBJECTIVES:
        return Refusal("search.objectives", f"there are {objectives} objectives, but {SEVERAL_OBJECTIVES[sampler]}")
    if reason := EXCLUDED.get((sampler, rule)):
        return Refusal("stop.rule", reason)
    if warm and sampler not in LEARNING:
        return Refusal("search.warm_start", f"{sampler} does not use results; use sampler={LEARNING[0]}, or remove it")
    return None


def _refused_with_folds(folds: int, *, rule: str, seeds: int, fidelity: str) -> Refusal | None:
    """Return the reason why the trials of a search cannot be cross-validations, or None; see `refusal`."""
    trained = f"with dataset.folds={folds}, a trial is {folds + 1} complete runs"
    if seeds > 1:
        return Refusal(
            "trial.seeds",
            f"{trained} on one seed, whose folds already show the noise of training; set trial.seeds=1 or "
            "dataset.folds=0. Finalists repeat the cross-validation on new seeds",
        )
    if STOPPING_RULES[rule].population:
        return Refusal(
            "stop.rule",
            f"{trained} of one setting, but {rule} changes settings during a run; set another rule or dataset.folds=0",
        )
    if fidelity != "epochs":
        return Refusal(
            "stop.fidelity", f"{trained}, not several short ones; set stop.fidelity=epochs or dataset.folds=0"
        )
    return None
