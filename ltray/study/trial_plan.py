"""The runs of every trial of a search, and the epochs at which trials are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.space.search_settings import Stop
from ltray.strategies.stopping_rules import STOPPING_RULES, Rule
from ltray.study.population import Population
from ltray.study.seed_runs import SeedRuns
from ltray.study.short_runs import Runs, ShortRuns

FIRST_PART = 4  # the first automatic rung is at this fraction of a run: a quarter


@dataclass(frozen=True)
class TrialPlan:
    """The runs of a trial and its rungs.

    With `fidelity: epochs`, a trial is one run, and a rung is in the middle of it; with a step
    schedule, the learning rate may not have dropped yet. With `short_runs`, a trial consists of several
    runs, each with its own schedule, compressed to its length; a rung is the end of a run.

    Attributes:
        lengths: `epochs` of each run of a trial, ascending; the last is the complete run.
        rungs: Finished epochs, over all runs of a trial, after which trials are compared.
        epochs: Finished epochs of a complete trial, which are its cost.
        promotion: Whether a longer run starts from scratch ("restart") or from the weights of the
            shorter run ("continue").
        rule: The rule that compares trials, or None.
        population: The generations of population based training, or None.
        warning: A warning about the rungs, or "".
        seeds: Complete runs of a trial, each on its own seed; rungs are in the first.
        folds: Folds of a trial's cross-validation, or 0; rungs are in the run of the first.
    """

    lengths: tuple[int, ...]
    rungs: tuple[int, ...]
    epochs: int
    promotion: str
    rule: Rule | None
    population: Population | None = None
    warning: str = ""
    seeds: int = 1
    folds: int = 0

    @classmethod
    def of(
        cls,
        stop: Stop,
        experiments: Sequence[Experiment],
        tail: LongTail,
        *,
        seed: int = 0,
        seeds: int = 1,
        former: bool = False,
    ) -> Self:
        """Determine the plan for the trials of a search.

        Args:
            stop: The block `stop:`.
            experiments: One for each kind of trial: for each alternative or row of the space.
            tail: Class counts of the training set.
            seed: The seed of a population's random choices.
            seeds: Complete runs of a trial, each on its own seed.
            former: Whether a version of ltray began the search whose first automatic rung was earlier.

        Raises:
            UsageError: Trials have different lengths but the rule compares them at equal
                epochs, rungs are outside the run, or methods cannot be shortened to short runs.
        """
        planned = [experiment.planned_epochs(tail) for experiment in experiments]
        experiment, epochs, folds = experiments[0], max(planned), max(one.dataset.folds for one in experiments)
        short, kind = stop.fidelity == "short_runs", STOPPING_RULES[stop.rule]
        # A method after the first one, such as tau-norm, begins after all rungs: these are within the shortest trial.
        compared = planned if short or kind.population else [e.knobs[0].epochs for e in experiments]
        if stop.rule != "none" and min(compared) < max(compared):
            raise UsageError(
                f"`stop.rule: {stop.rule}` compares trials at equal epochs, but their epochs would be from "
                f"{min(compared)} to {max(compared)}. Give all of them the same `epochs`, or set stop.rule=none."
            )
        if short:
            return cls._of_short_runs(stop, experiment, tail)
        decays = _decays(experiment)
        rungs = rungs_of(stop, min(planned), decays, former=former)
        lengths = (max(knobs.epochs for knobs in experiment.knobs),)
        population = _population(stop, epochs, seed) if kind.population else None
        warning = _early(rungs, decays) if kind.stops else ""
        rule = kind.new(rungs, stop.keep_one_in)
        runs = max(seeds, folds + 1)  # both together are refused
        return cls(lengths, rungs, runs * epochs, stop.promotion, rule, population, warning, seeds, folds)

    @classmethod
    def _of_short_runs(cls, stop: Stop, experiment: Experiment, tail: LongTail) -> Self:
        _check_shortens(experiment, tail)
        whole = max(knobs.epochs for knobs in experiment.knobs)
        lengths = (*rungs_of(stop, whole, ()), whole)
        ends = tuple(accumulate(experiment.shortened(length).planned_epochs(tail) for length in lengths))
        rule = STOPPING_RULES[stop.rule].new(ends[:-1], stop.keep_one_in)
        return cls(lengths, ends[:-1], ends[-1], stop.promotion, rule)

    @property
    def runs(self) -> Runs | None:
        """Return the runs of a trial with several runs; None for one run or those of the data set's folds."""
        if self.seeds > 1:
            return SeedRuns(self.seeds)
        return ShortRuns(self.lengths, self.promotion) if len(self.lengths) > 1 else None

    def describe(self, stop: Stop) -> str:
        """Return a description of what happens to a trial."""
        if self.population:
            worst = f"the worst {self.population.share:.0%} copy the best"
            return (
                f"one population; every {self.population.every} epochs {worst} and change the settings that can change "
                "during training"
            )
        if len(self.lengths) == 1:
            rule = STOPPING_RULES[stop.rule].describe(self.rungs, stop.keep_one_in, self.epochs)
            if self.seeds > 1 and STOPPING_RULES[stop.rule].stops:
                rule += f", in the run of a trial's first seed; the other trials get all {self.seeds} runs"
            if self.folds and STOPPING_RULES[stop.rule].stops:
                rule += f", in the run of a trial's first fold; the other trials get all {self.folds + 1} runs"
            return rule
        how = {
            "restart": "each from scratch",
            "continue": "each a warm restart from the weights of the previous run",
        }[self.promotion]
        keep = f"{stop.rule}, the best 1 in {stop.keep_one_in} continue"
        return f"short runs of {_listed(self.lengths)} epochs with their own schedules, {how} ({keep})"


def _population(stop: Stop, epochs: int, seed: int) -> Population:
    every = stop.exploit_every or max(epochs // 10, 1)
    if every >= epochs:
        raise UsageError(f"`stop.exploit_every` must be below the {epochs} epochs of a run, but got {every}.")
    return Population(every, epochs, stop.exploit_share, seed)


def rungs_of(stop: Stop, epochs: int, decays: Sequence[int], *, former: bool = False) -> tuple[int, ...]:
    """Return the rungs: the user's, those right after the decays of a step schedule, or those at a ratio of η.

    The first of the last kind is at a quarter of the run: earlier epochs of a cosine schedule rank settings badly (see
    docs/search-benchmark.md). The first short run, which has a complete schedule, has 1/η² of the epochs.

    Args:
        stop: The block `stop:`.
        epochs: Epochs of the shortest trial.
        decays: Epochs after which the learning rate of a step schedule drops.
        former: Whether the first rung of a former version is used, at 1/η² of the run.
    """
    if stop.rungs:
        if list(stop.rungs) != sorted(set(stop.rungs)) or stop.rungs[-1] >= epochs:
            raise UsageError(
                f"`stop.rungs` must ascend and end before the last epoch, {epochs}, but got {list(stop.rungs)}."
            )
        return stop.rungs
    if stop.first_rung >= epochs > 0:
        raise UsageError(f"`stop.first_rung` must be below the {epochs} epochs of a run, but got {stop.first_rung}.")
    after_decays = [decay + 1 for decay in decays if decay + 1 < epochs]
    if after_decays and not stop.first_rung:
        return tuple(after_decays)
    part = stop.keep_one_in**2 if former or stop.fidelity == "short_runs" else FIRST_PART
    found, rung = [], stop.first_rung or max(epochs // part, 1)
    while rung < epochs:
        found.append(rung)
        rung *= stop.keep_one_in
    return tuple(found)


def _decays(experiment: Experiment) -> list[int]:
    """Return the epochs of the first method after which the learning rate of a step schedule drops."""
    recipe = experiment.knobs[0]
    return sorted(set(recipe.milestones)) if recipe.schedule == "step" else []


def _early(rungs: Sequence[int], decays: Sequence[int]) -> str:
    """Return a warning if a rung is before the first decay of a step schedule, else "".

    Published curves rise by ten points in the epoch after a decay; before it, the ranking is noise.
    """
    early = [rung for rung in rungs if decays and rung <= decays[0]]
    if not early:
        return ""
    return (
        f"warning: early stopping at epochs {early} is before the first learning-rate decay at epoch {decays[0]}, so "
        "that the ranking is mostly noise; use stop.rungs=auto without stop.first_rung, stop.fidelity=short_runs, "
        "schedule=cosine or stop.rule=none"
    )


def _check_shortens(experiment: Experiment, tail: LongTail) -> None:
    """Check that a shorter experiment shortens all of its training.

    Raises:
        UsageError: Several stages are trained, each with its own epochs, or none is.
    """
    stages = [epochs for epochs in experiment.stage_epochs(tail) if epochs]
    if len(stages) != 1:
        raise UsageError(
            "`stop.fidelity: short_runs` needs methods with exactly one training stage, but "
            f"{', '.join(method.name for method in experiment.methods)} has {len(stages)}: the division of a short "
            "run's epochs between stages would be arbitrary. Use stop.fidelity=epochs."
        )


def _listed(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
