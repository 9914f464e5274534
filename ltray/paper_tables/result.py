"""Results of the runs of a row: means over seeds with intervals, and the comparison with the published figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ltray.metrics import BALANCED
from ltray.paper_tables.table_row import TableRow
from ltray.published import Claim
from ltray.published.check import Comparison, compare_with
from ltray.reporting import FAILURE
from ltray.results.finalists import read_run
from ltray.results.intervals import Interval, mean_interval

METRICS = {"all": BALANCED, "many": "acc_many", "medium": "acc_medium", "few": "acc_few"} | {
    name: name for name in ("mcc", "nmi", "ece")
}
"""Our metric for each figure of a claim, as a share of 1."""
QUANTITIES = {"latency": "ms", "mce": "mCE", "nmce": "NmCE"}
"""Figures of a claim that the evaluation of a table does not measure, with the headings of their columns."""


@dataclass(frozen=True)
class RowResult:
    """The results of a row.

    Attributes:
        row: The row.
        evaluations: The content of `evaluation.json` of each finished run, by seed.
        failures: Why a run failed, by seed.
        planned: Number of runs that were asked for; 0 if the row is not trained.
    """

    row: TableRow
    evaluations: Mapping[int, Mapping[str, Any]]
    failures: Mapping[int, str]
    planned: int

    @classmethod
    def read(cls, row: TableRow, folders: Mapping[int, Path]) -> "RowResult":
        """Read the runs of a row.

        Args:
            row: The row.
            folders: The run folder of each seed.

        Raises:
            UsageError: A file is damaged.
        """
        read = {seed: found for seed, folder in folders.items() if (found := read_run(folder)) is not None}
        valid = {seed: found for seed, found in read.items() if FAILURE not in found}
        failures = {seed: str(found[FAILURE]) for seed, found in read.items() if FAILURE in found}
        return cls(row, valid, failures, len(folders))

    @property
    def claim(self) -> Claim | None:
        """The published figure."""
        return self.row.claim

    def ours(self, figure: str) -> Interval | None:
        """Return the mean over our runs with its 95 % interval, a share of 1; None without a value.

        Args:
            figure: A key of `METRICS`.
        """
        key = f"test/{METRICS[figure]}"
        values = [one["metrics"][key] for one in self.evaluations.values() if key in one["metrics"]]
        return mean_interval(values) if values else None

    def published(self, figure: str) -> float | None:
        """Return the published figure.

        Args:
            figure: A key of `METRICS` (in percent) or of `QUANTITIES`.
        """
        value = getattr(self.claim, figure) if self.claim else None
        return None if value is None else float(value)

    @cached_property
    def comparison(self) -> Comparison | None:
        """The comparison of the accuracy over all images; None without a run or a published figure."""
        accuracy = self.ours("all")
        if self.claim is None or self.claim.all is None or accuracy is None:
            return None
        return compare_with(self.claim, next(iter(self.evaluations.values()))["settings"], accuracy)

    @property
    def state(self) -> str:
        """How far the row is: "complete", "not in ltray", "not trained", "1 of 3 runs", "failed"."""
        if self.row.lacks:
            return "not in ltray"
        if not self.planned:
            return "not trained"
        if len(self.failures) == self.planned:
            return "failed"
        done = len(self.evaluations)
        return "complete" if done == self.planned else f"{done} of {self.planned} runs"


def read_results(rows: Sequence[TableRow], folders: Mapping[str, Mapping[int, Path]]) -> list[RowResult]:
    """Return the results of all rows of a table, in order.

    Args:
        rows: The rows.
        folders: The run folders of each row that is trained, by its name and the seed.
    """
    return [RowResult.read(row, folders.get(row.name, {})) for row in rows]
