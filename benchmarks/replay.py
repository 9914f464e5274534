"""Replay samplers and rules of early stopping on recorded curves; print or write a table, as Markdown.

python -m benchmarks.replay --sampler tpe prior --rule median --tasks digits-ldam
python -m benchmarks.replay --write docs/search-benchmark.md        # everything
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.recorded.tables import Curves, read_settings
from benchmarks.recorded.tasks import HERE, TASKS
from benchmarks.replayed_search import Ended, Method, ReplayedSearch, Table
from ltray.files import atomic_write
from ltray.strategies.stopping_rules import HyperBand, MedianStopping, Rule, SuccessiveHalving

REPETITIONS = 30
TRIALS = 40  # of random search, at most half of the recorded settings
SLACK = 0.01
GOAL = 0.2
BUDGETS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
RESAMPLES = 2000

RULES: Mapping[str, Callable[[int], Rule | None]] = {
    "none": lambda epochs: None,
    "asha 1/9": lambda epochs: SuccessiveHalving(_growing(max(epochs // 9, 1), epochs), 3),
    "asha 1/4": lambda epochs: SuccessiveHalving(_growing(max(epochs // 4, 1), epochs), 3),
    "asha 1/4, η 2": lambda epochs: SuccessiveHalving(_growing(max(epochs // 4, 1), epochs, 2), 2),
    "hyperband 1/9": lambda epochs: HyperBand(_growing(max(epochs // 9, 1), epochs), 3),
    "median 1/8": lambda epochs: MedianStopping(max(epochs // 8, 1)),
    "median 1/4": lambda epochs: MedianStopping(max(epochs // 4, 1)),
}
"""Rules by name, each from the epochs of the first stage; the fraction is the first rung."""

PRIORS = {"good": 0.9, "middling": 0.5, "adversarial": 0.05}
"""Quantile of the true values at which the centre of a prior is."""


def _growing(first: int, epochs: int, factor: int = 3) -> list[int]:
    found = [first]
    while found[-1] * factor < epochs:
        found.append(found[-1] * factor)
    return found


@dataclass(frozen=True)
class Result:
    """One repetition of a search, compared with random search.

    Attributes:
        share: Epochs until a complete trial is within SLACK of random search's best true value, as a share of random
            search's epochs; infinite if there is none.
        regrets: At each of BUDGETS, the true value of the best setting minus that of the trial that the search would
            return; before its first complete trial, that of the median setting.
        random: The same of random search.
    """

    share: float
    regrets: tuple[float, ...]
    random: tuple[float, ...]


@cache
def table_of(task: str, seed: int, folder: Path) -> Table:
    """Return the table of a task in which the search sees one seed, and the others are held out."""
    curves, settings, space = Curves.read(task, folder), read_settings(task, folder), TASKS[task].space()
    seeds = TASKS[task].seeds
    known = [n for n in range(len(settings)) if all((n, one) in curves.values for one in seeds)]
    epochs = max(map(len, curves.values.values()))

    def best(setting: int, one: int) -> float:
        curve = curves.values[setting, one]
        return max(curve) if len(curve) == epochs else 0.0

    return Table(
        space,
        [settings[n] for n in known],
        [curves.values[n, seed] for n in known],
        [float(np.mean([best(n, one) for one in seeds if one != seed])) for n in known],
        epochs,
    )


def repetition(task: str, method: Method, rule: str, number: int, folder: Path) -> Result:
    """Run one repetition; its number determines the seed that the search sees and every random choice."""
    seeds = TASKS[task].seeds
    table = table_of(task, seeds[number % len(seeds)], folder)
    first_stage = table.space.base.knobs[0].epochs
    epochs = budget(table)
    random = random_search(task, number, folder)
    method = replace(method, rule=RULES[rule](first_stage))
    ended = ReplayedSearch(table, method, epochs=epochs, seed=number).run()
    wanted = max(table.true[one.setting] for one in random) - SLACK
    reached = [one.spent / epochs for one in ended if table.true[one.setting] >= wanted]
    return Result(min(reached, default=np.inf), regrets(table, ended, epochs), regrets(table, random, epochs))


@cache
def random_search(task: str, number: int, folder: Path) -> list[Ended]:
    """Return random search's complete trials; its first trial is drawn too."""
    seeds = TASKS[task].seeds
    table = table_of(task, seeds[number % len(seeds)], folder)
    method = Method("random", first_try=False)
    return ReplayedSearch(table, method, epochs=budget(table), seed=10_000 + number).run()


def budget(table: Table) -> int:
    """Return the epochs of random search."""
    return min(TRIALS, len(table.settings) // 2) * table.epochs


def regrets(table: Table, ended: Sequence[Ended], epochs: int) -> tuple[float, ...]:
    """Return the regret of the trial that a search would return, at each of BUDGETS."""
    found = []
    for share in BUDGETS:
        known = [one for one in ended if one.spent <= share * epochs]
        chosen = max(known, key=lambda one: one.value, default=None)
        value = float(np.median(table.true)) if chosen is None else table.true[chosen.setting]
        found.append(max(table.true) - value)
    return tuple(found)


def row(task: str, method: Method, rule: str, *, repetitions: int, folder: Path, label: str = "") -> str:
    """Replay a method on a task; return its row of the table."""
    results = [repetition(task, method, rule, number, folder) for number in range(repetitions)]
    reached = np.array([one.share <= GOAL for one in results], dtype=float)
    shares = np.array([min(one.share, 1.0) for one in results])
    ratios = np.mean([one.regrets for one in results], 0) / np.maximum(np.mean([o.random for o in results], 0), 1e-9)
    final = np.array([100 * one.regrets[1] for one in results])
    held = " (held out)" if TASKS[task].held_out else ""
    cells = (
        f"{task}{held}",
        label or method.sampler,
        rule,
        str(method.slots),
        interval(shares, 2),
        f"{100 * reached.mean():.0f} %",
        interval(final, 1),
        f"{ratios.max():.2f}",
    )
    return f"| {' | '.join(cells)} |"


def interval(values: np.ndarray, digits: int) -> str:
    """Return the mean and its 95 % interval over resampled repetitions."""
    means = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


HEADER = (
    "| task | sampler | rule | slots | share of random search's epochs | within 1/5 | regret at 1/5, points "
    "| regret / random's, worst |\n|---|---|---|---:|---:|---:|---:|---:|"
)

EVERYTHING: Sequence[tuple[str, Sequence[str]]] = (
    ("random", ("none",)),
    ("tpe", ("none", "asha 1/9", "asha 1/4", "median 1/4")),
    ("prior", ("asha 1/4",)),
)
"""The rows of the table for each task: samplers, each with its rules."""

INTRODUCTION = """# Benchmark of searches

Written by `python -m benchmarks.replay --write docs/search-benchmark.md` from the recorded curves in
`benchmarks/recorded/`, which `python -m benchmarks.record_curves TASK` records.
"""


@dataclass(frozen=True)
class Row:
    """The inputs of `row`."""

    task: str
    method: Method
    rule: str
    repetitions: int
    folder: Path
    label: str = ""

    def text(self) -> str:
        """Replay."""
        how = {"repetitions": self.repetitions, "folder": self.folder, "label": self.label}
        return row(self.task, self.method, self.rule, **how)


def priors(task: str, folder: Path) -> Iterator[tuple[str, Method]]:
    """Yield `prior` with priors around a good, a middling and a bad setting, by the true values, with their labels."""
    true = table_of(task, TASKS[task].seeds[0], folder).true
    order = np.argsort(true)
    for name, quantile in PRIORS.items():
        centre = int(order[round(quantile * (len(order) - 1))])
        yield f"prior, {name}", Method("prior", centre=centre)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows that the command asks for."""
    pairs = [(sampler, rule) for sampler in options.sampler for rule in options.rule]
    pairs = [(sampler, rule) for sampler, rules in EVERYTHING for rule in rules] if options.write else pairs
    for task in options.tasks:
        for (sampler, rule), slots in product(() if options.priors else pairs, options.slots):
            yield Row(task, Method(sampler, slots=slots), rule, options.repetitions, options.folder)
        for label, method in priors(task, options.folder) if options.priors or options.write else ():
            yield Row(task, method, "asha 1/4", options.repetitions, options.folder, label)


def main() -> None:
    """Replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--sampler", nargs="+", default=["tpe"], help="values of search.sampler")
    parser.add_argument("--rule", nargs="+", choices=RULES, default=["none"])
    parser.add_argument("--slots", nargs="+", type=int, default=[4], help="trials in parallel")
    parser.add_argument("--priors", action="store_true", help="good, middling and adversarial priors instead")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=HERE, help="folder of the recorded files")
    parser.add_argument("--write", type=Path, help="write the complete table to this file")
    options = parser.parse_args()
    lines: list[str] = []
    print(HEADER)
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        for line in pool.map(Row.text, rows(options)):
            lines.append(line)
            print(line, flush=True)
    if options.write:
        atomic_write(options.write, "\n".join([INTRODUCTION, HEADER, *lines]) + "\n")


if __name__ == "__main__":
    main()
