"""A table as data: a row per row of the paper, with numbers in columns."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ltray.paper_tables.result import METRICS, QUANTITIES, RowResult


def result_frame(table: str, results: Sequence[RowResult]) -> pd.DataFrame:
    """Return a row per row of the paper.

    Our figures are means of test metrics over seeds, shares of 1; published ones are in percent in the source, and
    shares of 1 here too. Latencies are milliseconds, corruption errors percent.

    Args:
        table: The name of the table.
        results: The results of its rows.
    """
    return pd.DataFrame([_row(table, one) for one in results])


def _row(table: str, one: RowResult) -> dict[str, Any]:
    claim, experiment = one.claim, one.row.experiment
    found: dict[str, Any] = {"table": table, "row": one.row.name, "name": one.row.label, "state": one.state}
    found["dataset"] = one.row.dataset
    found["imbalance_factor"] = claim.imbalance_factor if claim else None
    if experiment and experiment.dataset.imbalance_factor:
        found["imbalance_factor"] = experiment.dataset.imbalance_factor
    found["backbone"] = claim.backbone if claim else experiment.network.backbone if experiment else ""
    found["methods"] = ", ".join(method.name for method in experiment.methods) if experiment else ""
    found["published_epochs"] = claim.epochs if claim else None
    found["runs"], found["seeds"] = len(one.evaluations), ", ".join(map(str, one.evaluations))
    found["failures"] = "; ".join(f"seed {seed}: {reason}" for seed, reason in one.failures.items())
    for figure in METRICS:
        ours, theirs = one.ours(figure), one.published(figure)
        bounded = ours is not None and ours.count > 1
        found[f"{figure}_mean"] = ours.mean if ours else None
        found[f"{figure}_low"] = ours.low if ours and bounded else None
        found[f"{figure}_high"] = ours.high if ours and bounded else None
        found[f"{figure}_published"] = None if theirs is None else theirs / 100
    for quantity in QUANTITIES:
        found[f"{quantity}_published"] = one.published(quantity)
    found["verdict"] = one.comparison.verdict if one.comparison else ""
    found["verdict_text"] = one.comparison.text if one.comparison else one.row.lacks
    return found
