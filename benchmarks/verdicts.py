"""How often verdicts are correct, in simulated searches with known true accuracies.

    python -m benchmarks.verdicts                    # the tables of docs/protocol.md, as Markdown
    python -m benchmarks.verdicts --searches 500     # faster, less precise

It takes about three minutes on one core, most of it the table about dropping.

Runs are draws around a true accuracy; the rules are those of the package, compared with its earlier
rules. One value is both validation and test accuracy, which is the most difficult case: the same noise
then selects and evaluates a setting. Points are per cent, a spread is a standard deviation over seeds, and
seeds have no effect that settings share (pairing would remove it).
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from ltray.published.check import agreement
from ltray.published.spreads import Spread
from ltray.results.finalists import ROUNDS_BEFORE_DROPPING, Cell, Results, clear_losers, looks
from ltray.results.intervals import Interval, mean_interval
from ltray.results.multiple_comparisons import chosen_margins, difference_margins

FINALISTS, SEEDS, RUNS = (2, 3, 5, 10, 20), (2, 3, 5, 10), (1, 2, 3, 5, 10, 50)
LEAD = 2.0
FINALISTS_TIMES, DROPPING_SHARE = 5, 10
"""Factors of the number of searches: for the tables about finalists, which are computed together, and for the table
about dropping, whose searches take the longest time."""
METRIC = "val/acc_all"
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Scenario:
    """How runs vary.

    Attributes:
        name: Its description.
        draw: Draws values with mean 0 and spread 1.
        every: Factor of the spread of every second finalist.
        reference: Factor of the reference's spread.
    """

    name: str
    draw: Draw
    every: float = 1.0
    reference: float = 1.0

    def runs(self, random: np.random.Generator, searches: int, seeds: int, lead: Sequence[float]) -> np.ndarray:
        """Return accuracy in points, searches × seeds × (the reference, then each finalist)."""
        spreads = np.array([self.reference, *(self.every if i % 2 else 1.0 for i in range(len(lead)))])
        noise = self.draw(random, (searches, seeds, len(spreads)))
        return noise * spreads + np.array([0.0, *lead])


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.standard_normal(shape)


def _heavy(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.standard_t(3, shape) / np.sqrt(3)


SCENARIOS = (
    Scenario("equal spreads", _normal),
    Scenario("every second finalist spreads 3 times as much", _normal, every=3.0),
    Scenario("the papers' setting spreads 3 times as much", _normal, reference=3.0),
    Scenario("heavy tails (t with 3 degrees of freedom)", _heavy),
)


def names(count: int) -> list[str]:
    """Return the keys of the reference and of `count` finalists."""
    return [f"{i:02d}" for i in range(count + 1)]


def called_better(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which finalists each search calls better: with the earlier rule, and with the package's rule."""
    lead = runs[:, :, 1:] - runs[:, :, :1]
    count = lead.shape[1]
    half = student.ppf(0.975, count - 1) * lead.std(axis=1, ddof=1) / np.sqrt(count)
    before = lead.mean(axis=1) - half > 0
    after = lead.mean(axis=1) > difference_margins(lead.var(axis=1, ddof=1), np.full(lead.shape[2], float(count)))
    return before, after


def covered(runs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the interval of each search's winner contains its true accuracy, before and after."""
    means, variances, seeds = runs.mean(axis=1), runs.var(axis=1, ddof=1), runs.shape[1]
    winners = means.argmax(axis=1)[:, None]
    before = student.ppf(0.975, seeds - 1) * np.sqrt(variances / seeds)
    after = chosen_margins(variances, np.full(runs.shape[2], float(seeds)), 0.0)
    off = np.abs(means - truth)
    of_winners = [np.take_along_axis(off <= margins, winners, axis=1)[:, 0] for margins in (before, after)]
    return of_winners[0], of_winners[1]


def dropped(runs: np.ndarray, rule: Callable[[Results, Sequence[Sequence[Cell]], int], list[str]]) -> np.ndarray:
    """Return the number of rounds of each setting in each search; the reference always gets all rounds."""
    searches, seeds, count = runs.shape
    cells = [(seed, 0) for seed in range(seeds)]
    rounds = np.full((searches, count), seeds)
    for search, own in enumerate(runs):
        results = {
            key: {cell: {"selection": {METRIC: value}} for cell, value in zip(cells, values, strict=True)}
            for key, values in zip(names(99), own.T.tolist(), strict=False)
        }
        for done in range(ROUNDS_BEFORE_DROPPING, seeds):
            order = [[cell] for cell in cells[:done]]
            for key in rule(results, order, looks([[cell] for cell in cells])):
                if key != "00":
                    del results[key]
                    rounds[search, int(key)] = done
    return rounds


def _dropped_before(results: Results, order: Sequence[Sequence[Cell]], looks: int) -> list[str]:
    values = np.array(
        [[own[cell]["selection"][METRIC] for cells in order for cell in cells] for own in results.values()]
    )
    lead = values - values[values.mean(axis=1).argmax()]
    half = student.ppf(0.975, values.shape[1] - 1) * lead.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    return [key for key, high in zip(results, lead.mean(axis=1) + half, strict=True) if high < 0]


def _dropped_after(results: Results, order: Sequence[Sequence[Cell]], looks: int) -> list[str]:
    return clear_losers(results, order, metric=METRIC, looks=looks)


def misjudged(
    random: np.random.Generator, draw: Draw, runs: int, *, searches: int, own: float, published: float
) -> tuple[float, float]:
    """Return the percentage of searches in which a perfect reproduction is called above or below, before and after.

    Args:
        random: Source of the draws.
        draw: Draws the noise.
        runs: Number of own runs.
        searches: Number of searches.
        own: True spread of the own runs, relative to the listed spread.
        published: True spread of the published run.
    """
    mine = own * draw(random, (searches, runs)) / 100
    theirs = published * draw(random, (searches, 1))[:, 0] / 100
    listed = Spread(1.0, 16, "")
    wrong = np.zeros(2)
    for values, claim in zip(mine.tolist(), theirs.tolist(), strict=True):
        accuracy = mean_interval(values)
        wrong += [not _within(accuracy, claim), not _within(agreement(accuracy, listed).interval, claim)]
    return float(100 * wrong[0] / searches), float(100 * wrong[1] / searches)


def _within(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def _cell(before: float, after: float) -> str:
    return f"{before:.1f} → {after:.1f}"


def _table(title: str, rows: Sequence[tuple[str, Sequence[str]]], columns: Sequence[str]) -> list[str]:
    head = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    return [f"**{title}**", "", *head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows), ""]


def finalist_tables(random: np.random.Generator, searches: int) -> list[str]:
    """Return the tables about finalists."""
    searches *= FINALISTS_TIMES
    wrong, cover, power = [], [], []
    for scenario in SCENARIOS:
        for count in FINALISTS:
            name = f"{scenario.name}, {count} finalists"
            none, lead = [0.0] * count, [LEAD, *[0.0] * (count - 1)]
            cells: list[list[str]] = [[], [], []]
            for seeds in SEEDS:
                runs = scenario.runs(random, searches, seeds, none)
                cells[0].append(_cell(*(100 * found.any(axis=1).mean() for found in called_better(runs))))
                cells[1].append(_cell(*(100 * found.mean() for found in covered(runs, np.zeros(count + 1)))))
                runs = scenario.runs(random, searches, seeds, lead)
                cells[2].append(_cell(*(100 * found[:, 0].mean() for found in called_better(runs))))
            for rows, own in zip((wrong, cover, power), cells, strict=True):
                rows.append((name, own))
    columns = [f"{seeds} seeds" for seeds in SEEDS]
    return [
        *_table("No true difference: searches that call any finalist better, %", wrong, columns),
        *_table("The winner's interval contains its true accuracy, %", cover, columns),
        *_table("One finalist is better by 2 points: searches that call it better, %", power, columns),
    ]


def dropping_table(random: np.random.Generator, searches: int) -> list[str]:
    """Return the table about finalists that get no further round."""
    searches //= DROPPING_SHARE
    rows = []
    for scenario in SCENARIOS:
        for count in FINALISTS[1:]:
            cells = []
            for lead in ([0.0] * count, [-float(i) for i in range(count)]):
                for seeds in (5, 10):
                    runs = scenario.runs(random, searches, seeds, lead)
                    of = [dropped(runs, rule) for rule in (_dropped_before, _dropped_after)]
                    shares = [
                        (found[:, 1] < seeds).mean() if lead[-1] == 0 else 1 - found.mean() / seeds for found in of
                    ]
                    cells.append(_cell(*(100 * share for share in shares)))
            rows.append((f"{scenario.name}, {count} finalists", cells))
    columns = [f"{what}, {seeds} seeds" for what in ("dropped", "runs saved") for seeds in (5, 10)]
    return _table(
        "Dropped: a given one of equal finalists; saved runs: if each finalist is a point worse than the one before, %",
        rows,
        columns,
    )


def claim_table(random: np.random.Generator, searches: int) -> list[str]:
    """Return the table about reproductions."""
    cases: tuple[tuple[str, Draw, float, float], ...] = (
        ("both vary as listed", _normal, 1.0, 1.0),
        ("heavy tails", _heavy, 1.0, 1.0),
        ("both vary half as much as listed", _normal, 0.5, 0.5),
        ("both vary twice as much as listed", _normal, 2.0, 2.0),
        ("the published run varies twice as much as ours", _normal, 1.0, 2.0),
    )
    rows = [
        (
            name,
            [_cell(*misjudged(random, draw, runs, searches=searches, own=own, published=published)) for runs in RUNS],
        )
        for name, draw, own, published in cases
    ]
    columns = ["1 run", *(f"{runs} runs" for runs in RUNS[1:])]
    return _table("A perfect reproduction is called above or below the published figure, %", rows, columns)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=2000, help="searches per cell (finalists: ×5, dropping: ÷10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    options = parser.parse_args()
    tables: tuple[Callable[[np.random.Generator, int], list[str]], ...] = (finalist_tables, dropping_table, claim_table)
    for place, table in enumerate(tables):
        print("\n".join(table(np.random.default_rng(options.seed + place), options.searches)), flush=True)


if __name__ == "__main__":
    main()
