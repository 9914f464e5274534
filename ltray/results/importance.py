"""Hyperparameter importance: which knobs influence the accuracy, for all classes and for each group of classes."""

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
from ltray.strategies.stopping_rules import STOPPING_RULES

LEAST_TRIALS, LEAST_BEST = 15, 5  # with fewer, the best trials are too few to be significant
BEST_SHARE = 0.1
SHUFFLES, CHANCE = 60, 0.95
LEAST_FOR_FANOVA = 30


@dataclass(frozen=True)
class Importance:
    """How much each explored knob influences one metric.

    Attributes:
        group: "all", "many", "medium" or "few".
        shares: PED-ANOVA's importance by knob, with the sum 1: how much the settings of the
            best trials differ from those of all trials.
        significant: The knobs whose importance is higher than in 95 % of searches with
            shuffled results; the shares of the other knobs have no meaning.
        variance: fANOVA's share of the variance by knob; None if fANOVA cannot be used:
            after early stopping, with conditional knobs, below 30 trials.
    """

    group: str
    shares: Mapping[str, float]
    significant: frozenset[str]
    variance: Mapping[str, float] | None


def importances(
    table: pd.DataFrame, explored: Sequence[Dimension], *, selection: str, rule: str, objective: str = BALANCED
) -> list[Importance] | str:
    """Return the importance of the knobs for every group of classes in the table, and for the first objective.

    A search prints the importance at its end. Call this function with the result of
    `ltray.results.tables.trial_table` or the content of `results.parquet`, and with the `dimensions` of the space.
    Trials that were stopped early count as tried, but never as one of the best: they were stopped because they were
    worse. Failed trials do not count. A conditional knob counts in the trials that have it.

    Args:
        table: One row per trial: "state", the settings, `<selection>/acc_<group>`.
        explored: The explored knobs.
        selection: "val" or "test".
        rule: `stop.rule` of the search.
        objective: The first objective.

    Returns:
        One entry per group, without the groups in which all trials have the same accuracy; or the reason why
        the importance cannot be computed.

    Source: Watanabe, Bansal and Hutter, PED-ANOVA, IJCAI 2023; Hutter, Hoos and
    Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014.
    """
    if reason := reason_unavailable(table, rule):
        return reason
    tried = _tried(table)
    complete = int((tried["state"] == "complete").sum())
    study = _study(tried, explored)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(BEST_SHARE, LEAST_BEST / len(tried)))
    limits = _limits(study, evaluator)
    one_space = all(trial.params.keys() == limits.keys() for trial in study.get_trials(deepcopy=False))
    applies = one_space and complete == len(tried) >= LEAST_FOR_FANOVA
    found = []
    for metric_key in shown_keys(objective):
        metric = f"{selection}/{metric_key}"
        if metric in tried and tried[metric].notna().all() and tried[metric].nunique() > 1:
            stopped = tried["state"] != "complete"
            values = tried[metric].where(~stopped, tried[metric] - 2.0).tolist()  # below every complete trial
            raw = _evaluate(study, evaluator, values)
            variance = _parts(_evaluate(study, FanovaImportanceEvaluator(seed=0), values)) if applies else None
            beyond = frozenset(key for key, value in raw.items() if value > limits[key])
            found.append(Importance(heading(metric_key), _parts(raw), beyond, variance))
    return found or "hyperparameter importance cannot be computed: all trials have the same accuracies"


def reason_unavailable(table: pd.DataFrame, rule: str) -> str:
    """Return why the importance of the knobs cannot be computed, or "".

    A member of a population had several values of a knob, and weights that were trained with the
    values of other members: its accuracy is not the result of one value.
    """
    if STOPPING_RULES[rule].population:
        return (
            "hyperparameter importance cannot be computed for a population: its members changed their settings during "
            "training and copied weights from each other, so that no accuracy is the result of one value of a knob"
        )
    tried = _tried(table)
    complete = int((tried["state"] == "complete").sum())
    if len(tried) < LEAST_TRIALS or complete < LEAST_BEST:
        return (
            f"too few trials for hyperparameter importance: {len(tried)} trials, {complete} of them complete; "
            f"it needs {LEAST_TRIALS} trials, {LEAST_BEST} of them complete"
        )
    return ""


def _tried(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["state"].isin(["complete", "stopped early"])]


def _limits(study: optuna.Study, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    """Return the 95 % quantile of each knob's importance over searches with shuffled results."""
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
    """Return each knob's importance, not normalised, for values by trial number; larger values are better."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning that PED-ANOVA minimises, which is why the sign is changed
        return dict(evaluator.evaluate(study, target=lambda trial: -values[trial.number]))


def _study(tried: pd.DataFrame, explored: Sequence[Dimension]) -> optuna.Study:
    """Return a study in memory with the trials' actual settings instead of the sampler's internal values."""
    study = optuna.create_study()
    for row in tried.to_dict("records"):
        params, distributions = {}, {}
        for dimension in explored:
            value = row.get(dimension.key)
            if value is not None and value == value:  # NaN: the trial's method does not have the knob
                params[dimension.key], distributions[dimension.key] = _held(dimension, value)
        study.add_trial(create_trial(value=0.0, params=params, distributions=distributions))
    return study


def _held(dimension: Dimension, cell: Any) -> tuple[Any, BaseDistribution]:
    """Return a table's cell and the knob's complete range, as logarithms if the scale is logarithmic.

    Optuna's fANOVA treats every range as linear, which would give the last of five decades a weight of 90 %.
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
