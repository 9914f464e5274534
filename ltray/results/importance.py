"""Which knobs moved the accuracy of a search, for all classes and for each group of them."""

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import BaseImportanceEvaluator, FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from ltray.metrics import BALANCED, heading, shown_keys
from ltray.space.dimension import Dimension
from ltray.space.draws import label

LEAST_TRIALS, LEAST_BEST = 15, 5  # below, the best ones are too few to tell their settings from chance
BEST_SHARE = 0.1
SHUFFLES, CHANCE = 60, 0.95
LEAST_FOR_FANOVA = 30


@dataclass(frozen=True)
class Importance:
    """How much each explored knob moved one accuracy.

    Attributes:
        group: "all", "many", "medium" or "few".
        shares: Part of 1 by knob, as PED-ANOVA has it: how far the settings of the best
            trials differ from those of all.
        beyond_chance: The knobs whose value 95 % of shuffled searches do not reach; the
            shares of the others mean nothing.
        variance: Part of the variance by knob, as fANOVA has it; None where it does not
            apply: after early stopping, with conditional knobs, below 30 trials.
    """

    group: str
    shares: Mapping[str, float]
    beyond_chance: frozenset[str]
    variance: Mapping[str, float] | None


def importances(
    table: pd.DataFrame, explored: Sequence[Dimension], *, selection: str, rule: str, objective: str = BALANCED
) -> list[Importance] | str:
    """Return the knobs' importance for every group of classes that the table has, and for the first objective.

    What ended a search prints, and a report may: call it with what `ltray.results.tables.trial_table`
    returned or `results.parquet` holds, and the space's `dimensions`. Trials that were
    stopped early count as tried and never as among the best: they were stopped for that.
    Failed trials do not count. A conditional knob is weighed where it stands.

    Args:
        table: One row a trial: "state", the settings, `<selection>/acc_<group>`.
        explored: The explored knobs.
        selection: "val" or "test".
        rule: `stop.rule` of the search.
        objective: The first objective.

    Returns:
        One entry a group, but for those in which all trials came to the same; or why nothing can be said.

    Source: Watanabe, Bansal and Hutter, PED-ANOVA, IJCAI 2023; Hutter, Hoos and
    Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014.
    """
    if reason := untold(table, rule):
        return reason
    tried = _tried(table)
    complete = int((tried["state"] == "complete").sum())
    study = _study(tried, explored)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(BEST_SHARE, LEAST_BEST / len(tried)))
    limits = _limits(study, evaluator)
    alike = all(trial.params.keys() == limits.keys() for trial in study.get_trials(deepcopy=False))
    applies = alike and complete == len(tried) >= LEAST_FOR_FANOVA
    found = []
    for metric_key in shown_keys(objective):
        metric = f"{selection}/{metric_key}"
        if metric in tried and tried[metric].notna().all() and tried[metric].nunique() > 1:
            stopped = tried["state"] != "complete"
            values = tried[metric].where(~stopped, tried[metric] - 2.0).tolist()  # below every whole run
            raw = _evaluate(study, evaluator, values)
            variance = _parts(_evaluate(study, FanovaImportanceEvaluator(seed=0), values)) if applies else None
            beyond = frozenset(key for key, value in raw.items() if value > limits[key])
            found.append(Importance(heading(metric_key), _parts(raw), beyond, variance))
    return found or "which knobs matter cannot be told: all trials came to the same accuracies"


def untold(table: pd.DataFrame, rule: str) -> str:
    """Return why nothing can be said of a search's knobs, or "".

    A member of a population has had several values of a knob, and weights that were trained with
    those of other members: its accuracy belongs to none of them.
    """
    if rule == "pbt":
        return (
            "which knobs matter cannot be told of a population: its members changed their settings while they trained "
            "and copied one another's weights, so that no accuracy belongs to one value of a knob"
        )
    tried = _tried(table)
    complete = int((tried["state"] == "complete").sum())
    if len(tried) < LEAST_TRIALS or complete < LEAST_BEST:
        return (
            f"too few trials to tell which knobs matter: {len(tried)} tried, {complete} of them to the end; "
            f"it takes {LEAST_TRIALS}, {LEAST_BEST} of them to the end"
        )
    return ""


def _tried(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["state"].isin(["complete", "stopped early"])]


def _limits(study: optuna.Study, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    """Return what each knob's value stays below in 95 % of searches whose results are chance."""
    order = random.Random(0)
    values = [float(trial.number) for trial in study.get_trials(deepcopy=False)]
    found: dict[str, list[float]] = {}
    for _ in range(SHUFFLES):
        order.shuffle(values)
        for key, value in _evaluate(study, evaluator, values).items():
            found.setdefault(key, []).append(value)
    return {key: sorted(drawn)[math.ceil(CHANCE * SHUFFLES) - 1] for key, drawn in found.items()}


def _parts(raw: Mapping[str, float]) -> dict[str, float]:
    whole = sum(raw.values())
    return {key: value / whole if whole else 0.0 for key, value in sorted(raw.items(), key=lambda item: -item[1])}


def _evaluate(study: optuna.Study, evaluator: BaseImportanceEvaluator, values: Sequence[float]) -> dict[str, float]:
    """Return each knob's raw importance for values by trial number, larger ones better."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that PED-ANOVA minimises: hence the sign
        return dict(evaluator.evaluate(study, target=lambda trial: -values[trial.number]))


def _study(tried: pd.DataFrame, explored: Sequence[Dimension]) -> optuna.Study:
    """Return a study in memory of the trials' real settings, whatever their sampler held."""
    study = optuna.create_study()
    for row in tried.to_dict("records"):
        params, distributions = {}, {}
        for dimension in explored:
            value = row.get(dimension.key)
            if value is not None and value == value:  # NaN: the trial's method lacks the knob
                params[dimension.key], distributions[dimension.key] = _held(dimension, value)
        study.add_trial(create_trial(value=0.0, params=params, distributions=distributions))
    return study


def _held(dimension: Dimension, cell: Any) -> tuple[Any, BaseDistribution]:
    """Return a table's cell as a value of the knob's whole range; of a logarithmic scale the logarithms.

    Optuna's fANOVA takes every range for a linear one, which would weigh the last decade of five with 90 %.
    """
    if dimension.among is not None:
        labels = [label(choice) for choice in dimension.among]
        return next((known for known in labels if known == cell), cell), CategoricalDistribution(labels)
    assert dimension.low is not None and dimension.high is not None
    if dimension.log:
        return math.log(cell), FloatDistribution(math.log(dimension.low), math.log(dimension.high))
    if dimension.integer:
        return int(cell), IntDistribution(int(dimension.low), int(dimension.high))
    return float(cell), FloatDistribution(dimension.low, dimension.high)
