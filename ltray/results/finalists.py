"""Finalists: settings that are trained again on new seeds, the seeds, and the results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import TrialState

from ltray.data.beton.store import Check
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.files import is_there
from ltray.methods.find import find_method
from ltray.results.multiple_comparisons import ERROR, differences, mean
from ltray.run_folder import RunFolder, trial_name
from ltray.seal import read_sealed
from ltray.space.search_settings import Finalists
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import STOPPING_RULES
from ltray.study.seed_runs import seeds_from
from ltray.study.study import PAPER, SETTINGS, as_read

PAPERS = "paper"  # key of the papers' setting if no trial has it
ROUNDS_BEFORE_DROPPING = 3

Cell = tuple[int, int]
"""(training seed, data seed) of one run."""


@dataclass(frozen=True)
class Finalist:
    """A setting that is trained again.

    Attributes:
        key: The trial's number as in folder names, or "paper".
        settings: Flat settings of the trial.
        paper: Whether it is the papers' setting with which the others are compared; true for exactly one.
        of_papers: Whether it is the papers' setting of one of several methods.
    """

    key: str
    settings: Mapping[str, Any]
    paper: bool
    of_papers: bool = False

    @property
    def methods(self) -> str:
        """The methods, in order."""
        return ", ".join(find_method(reference).name for reference in self.settings.get("methods", ()))

    def run_settings(self, cell: Cell) -> dict[str, Any]:
        """Return the settings with the seeds of one run."""
        return dict(self.settings) | {"seed": cell[0], "dataset.data_seed": cell[1]}

    def folder(self, search: Path, cell: Cell) -> Path:
        """Return the folder of one run."""
        return RunFolder(search).finalist_run(self.key, *cell)


def choose(study: optuna.Study, space: SearchSpace) -> list[Finalist]:
    """Return the k best complete trials on the selection metric, best first, and the papers' setting last.

    If several methods are searched, each has its papers' setting: finalists are compared with
    the best of these; the other papers' settings are finalists only if they are among the k best.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if SETTINGS in t.user_attrs]
    ranked = sorted(trials, key=lambda t: (-t.values[0] if t.state == TrialState.COMPLETE else 0.0, t.number))
    papers = [t for t in ranked if t.user_attrs.get(PAPER)][:1]
    complete = [t for t in ranked if t.state == TrialState.COMPLETE and t not in papers]
    best = complete[: space.finalists.best]
    chosen = [
        Finalist(trial_name(t.number), settings, t in papers, bool(t.user_attrs.get(PAPER)))
        for t in [*best, *papers]
        for settings in [as_read(json.loads(t.user_attrs[SETTINGS]), space)]
    ]
    if not papers:
        chosen.append(Finalist(PAPERS, space.base.settings(), True, True))
    return chosen


def rounds(asked: Finalists, *, seed: int, data_seed: int, used: int = 1) -> list[list[Cell]]:
    """Return the runs of each finalist, in the order in which they are trained.

    A round is one observation of a confidence interval: a training seed or, with several data
    seeds, a data seed with all its training seeds, because runs on the same images are not
    independent. Training seeds and data seeds are crossed.

    Args:
        asked: The block `finalists`.
        seed: Training seed of the search; no run uses it.
        data_seed: Data seed of the search; no run uses it if there are several data seeds.
        used: Training seeds of each trial of the search, from `seed` on; no run uses them.
    """
    seeds = seeds_from(seed + used, asked.seeds)
    if asked.data_seeds == 1:
        return [[(s, data_seed)] for s in seeds]
    return [[(s, fresh) for s in seeds] for fresh in seeds_from(data_seed + 1, asked.data_seeds)]


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return the result of a finished run, its evaluation or `{"failure": reason}`; None if the run is not finished."""
    run = RunFolder(folder)
    path = run.failure_file
    return read_sealed(path) if is_there(path) else run.best.evaluation()


def read_runs(one: Finalist, order: Sequence[Sequence[Cell]], search: Path) -> dict[Cell, dict[str, Any]]:
    """Return the results of a finalist's finished runs, by cell."""
    found = {cell: read_run(one.folder(search, cell)) for cells in order for cell in cells}
    return {cell: result for cell, result in found.items() if result is not None}


def check_asked(space: SearchSpace, *, check: Check = "trust") -> None:
    """Raise an error for finalists that have no meaning.

    Args:
        space: The search space.
        check: How the data set is opened.

    Raises:
        UsageError: Trials have no single setting to train again, or all data seeds select the same images.
    """
    if space.finalists.best and STOPPING_RULES[space.stop.rule].population:
        raise UsageError(
            f"`finalists.best` cannot be used with `stop.rule: {space.stop.rule}`: a member of a population changes "
            "its settings during training, so that there is no single setting to train again. Set finalists.best=0."
        )
    if space.finalists.best and space.stop.promotion == "continue":
        raise UsageError(
            "each finalist is trained in one complete run, but with stop.promotion=continue a trial is a sequence of "
            "warm restarts: set stop.promotion=restart, or finalists.best=0."
        )
    asked = space.finalists.data_seeds
    if asked == 1:
        return
    digests = []
    for data_seed in (1, 2):
        settings = space.base.settings() | {"dataset.data_seed": data_seed}
        experiment = Experiment.from_settings(settings, complete=True)
        digests.append(experiment.open_data(torch.device("cpu"), check=check).digest)
    if digests[0] == digests[1]:
        raise UsageError(
            f"`finalists.data_seeds={asked}` has no effect: the data seed does not change the images of "
            f"{space.base.dataset.name}. Set finalists.data_seeds=1."
        )


Results = Mapping[str, Mapping[Cell, Mapping[str, Any]]]
"""Evaluations by finalist and cell; a failed run has no "metrics"."""


def values(own: Mapping[Cell, Mapping[str, Any]], kind: str, name: str) -> dict[Cell, float]:
    """Return one metric of every valid run.

    Args:
        own: One finalist's evaluations by cell.
        kind: "selection" or "metrics" (the test set's).
        name: Name of the metric, such as "val/acc_all".
    """
    return {cell: found[kind][name] for cell, found in own.items() if kind in found and name in found[kind]}


def round_means(of: Mapping[Cell, float], order: Sequence[Sequence[Cell]]) -> list[float]:
    """Return the mean of each round's runs, which is one observation of an interval."""
    known = [[of[cell] for cell in cells if cell in of] for cells in order]
    return [mean(some) for some in known if some]


def paired(one: Mapping[Cell, float], other: Mapping[Cell, float], order: Sequence[Sequence[Cell]]) -> list[float]:
    """Return the mean difference of each round, over the runs that both finalists have."""
    return round_means({cell: one[cell] - other[cell] for cell in one if cell in other}, order)


def looks(order: Sequence[Sequence[Cell]]) -> int:
    """Return the number of rounds after which finalists may be dropped."""
    return max(len(order) - ROUNDS_BEFORE_DROPPING, 1)


def clear_losers(results: Results, order: Sequence[Sequence[Cell]], *, metric: str, looks: int = 1) -> list[str]:
    """Return the finalists that are significantly worse than the leader.

    The leader has the highest mean. Over all decisions together, the truly best finalist is dropped in
    at most 5 % of searches: each decision has an equal share of this error, corrected for the number
    of finalists that the best one may be compared with. The metric is that of the selection images;
    it is a test metric only if the protocol selects on the test set.

    Args:
        results: Results of the finalists that have not been dropped.
        order: The rounds that all of them have finished.
        metric: Metric of the selection, such as "val/acc_all".
        looks: Number of such decisions in a search.
    """
    if len(order) < ROUNDS_BEFORE_DROPPING:
        return []
    of = {key: values(own, "selection", metric) for key, own in results.items()}
    means = {key: mean(round_means(found, order)) for key, found in of.items() if found}
    if not means:
        return []
    leader = max(sorted(means), key=lambda key: means[key])
    behind = {key: paired(of[key], of[leader], order) for key in means if key != leader}
    return [key for key, found in differences(behind, ERROR / looks).items() if found.bounds.high < 0]
