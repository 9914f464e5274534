"""The tables of finalists: means with intervals, differences from the papers' setting, the winner."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ltray.fitted_table import FittedTable
from ltray.metrics import BALANCED, heading, shown_keys
from ltray.network_config import WEIGHTS
from ltray.pretraining import columns
from ltray.results.finalists import PAPERS, Cell, Finalist, Results, paired, read_runs, round_means, rounds, values
from ltray.results.intervals import MEANING, SAME, UNJUDGED, Interval
from ltray.results.ledger import LOOK
from ltray.results.multiple_comparisons import Difference, differences, mean_intervals
from ltray.results.printed_trials import FIRST_LEFT_OUT
from ltray.results.tables import trial_label, write_table
from ltray.run_folder import RunFolder
from ltray.space.search_space import SearchSpace

OF_PAPERS = "of_papers"


def write_finalists(
    space: SearchSpace, finalists: Sequence[Finalist], folder: Path, *, look: int = 1
) -> pd.DataFrame | None:
    """Write `finalists` (a row each) and `finalist_runs` (a row per run), and copy the winner's best run to `best/`.

    Args:
        space: The search space.
        finalists: All of them.
        folder: The run folder.
        look: Number of the look at the test images (all finalists together are one look), from 1.

    Returns:
        The summary, or None if no run was valid.
    """
    base = space.base
    order = rounds(space.finalists, seed=base.seed, data_seed=base.dataset.data_seed, used=space.trial.seeds)
    results = {one.key: read_runs(one, order, folder) for one in finalists}
    if not any("metrics" in found for own in results.values() for found in own.values()):
        return None
    objective = base.objective
    table = summary(finalists, results, order, protocol=base.dataset.protocol, objective=objective)
    table[LOOK] = look
    for path, content in (
        (RunFolder(folder).finalists_table, table),
        (RunFolder(folder).finalist_runs_table, run_table(finalists, results)),
    ):
        write_table(content, path)
        write_table(content, path.with_suffix(".csv"))
    winner = next(one for one in finalists if one.key == table["trial"][0])
    found = values(results[winner.key], "selection", base.metric)
    run = winner.folder(folder, max(found, key=lambda cell: found[cell]))
    evaluation = RunFolder(run).best.evaluation()
    assert evaluation is not None
    RunFolder(folder).keep_best(
        RunFolder(run).best.path, evaluation | {"run": str(run.relative_to(folder)), LOOK: look}
    )
    return table


def run_table(finalists: Sequence[Finalist], results: Results) -> pd.DataFrame:
    """Return one row per finished run: seeds, accuracy on validation and test images, calibration, protocol."""
    rows = []
    for one in finalists:
        for (seed, data_seed), found in sorted(results[one.key].items()):
            row: dict[str, Any] = {"trial": one.key, "methods": one.methods, "paper": one.paper}
            row |= {"seed": seed, "data_seed": data_seed}
            row |= {"failure": found.get("failure", ""), "epoch": found.get("epoch"), "protocol": found.get("protocol")}
            row |= columns(found.get(WEIGHTS, {}))
            rows.append(row | dict(found.get("selection", {})) | dict(found.get("metrics", {})))
    return pd.DataFrame(rows)


def summary(
    finalists: Sequence[Finalist],
    results: Results,
    order: Sequence[Sequence[Cell]],
    *,
    protocol: str,
    objective: str = BALANCED,
) -> pd.DataFrame:
    """Return one row per finalist, best validation mean first.

    Intervals and verdicts are simultaneous for all finalists (`multiple_comparisons`). The first
    valid row is the winner; the test set has no effect on this, unless the protocol selects on it.

    Args:
        finalists: All of them; their order has no effect.
        results: Their evaluations.
        order: The rounds.
        protocol: "honest" or "paper".
        objective: The metric that is compared, such as "acc_few".
    """
    metric = f"{'test' if protocol == 'paper' else 'val'}/{objective}"
    shown = {"selection": ("selection", metric)} | {
        f"test/{key}": ("metrics", f"test/{key}") for key in shown_keys(objective)
    }
    means = {name: _means(results, order, *where) for name, where in shown.items()}
    compared = _differences(finalists, results, order, f"test/{objective}")
    rows = []
    for one in finalists:
        own = results[one.key]
        failed = sum("failure" in found for found in own.values())
        finished = all(cell in own for cells in order for cell in cells)
        row: dict[str, Any] = {"trial": one.key, "methods": one.methods, "paper": one.paper}
        row |= {OF_PAPERS: one.of_papers, "runs": len(own) - failed, "failed": failed}
        row["state"] = "finished" if finished else f"stopped early, after {len(own)} of {sum(map(len, order))} runs"
        for name, found in means.items():
            if name == "selection" or found[one.key].count:
                row |= _columns(name, found[one.key])
        difference = compared[one.key]
        row |= _columns("difference", difference.interval)
        row |= {"difference_least": difference.bounds.low, "difference_most": difference.bounds.high}
        row["verdict"] = "" if one.paper else difference.verdict if difference.bounds.count > 1 else UNJUDGED
        row |= {"protocol": protocol, "objective": objective}
        rows.append(row | {"seeds": len({c[0] for cells in order for c in cells})})
    table = pd.DataFrame(rows).sort_values("trial", kind="stable")
    table = table.sort_values("selection_mean", ascending=False, na_position="last", kind="stable")
    table["data_seeds"] = len({cell[1] for cells in order for cell in cells})
    table["winner"] = [place == 0 and not math.isnan(mean) for place, mean in enumerate(table["selection_mean"])]
    return table.reset_index(drop=True)


def _means(results: Results, order: Sequence[Sequence[Cell]], kind: str, name: str) -> dict[str, Interval]:
    return mean_intervals({key: round_means(values(own, kind, name), order) for key, own in results.items()})


def _differences(
    finalists: Sequence[Finalist], results: Results, order: Sequence[Sequence[Cell]], metric: str
) -> dict[str, Difference]:
    """Return every finalist's difference from the papers' setting, whose difference from itself is 0."""
    paper = next(one.key for one in finalists if one.paper)
    of = {key: values(own, "metrics", metric) for key, own in results.items()}
    found = differences({key: paired(of[key], of[paper], order) for key in of if key != paper})
    none = Interval(0.0 if of[paper] else math.nan, 0.0, 0.0, len(of[paper]))
    return found | {paper: Difference(none, none)}


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_mean": interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def render_finalists(table: pd.DataFrame, *, remedy: str = "") -> FittedTable:
    """Return the summary for the terminal.

    Args:
        table: The result of `summary`.
        remedy: How to see the columns that do not fit.
    """
    first = table.iloc[0]
    unit = f"{first['seeds']} seeds" if first["data_seeds"] == 1 else f"{first['data_seeds']} data seeds"
    title = f"finalists: accuracy in %, mean ± 95 % interval over {unit}"
    if first["protocol"] == "paper":
        title += "; selected on test"
    metrics = [key for key in shown_keys(first["objective"]) if f"test/{key}_mean" in table]
    groups = [(f"test {heading(key)}",) for key in FIRST_LEFT_OUT if key != first["objective"]]
    caption = "\n".join(meanings(table))
    shown = FittedTable(title=title, caption=caption, optional=[("runs",), *groups], remedy=remedy)
    several = methods_of(table)
    figures = ["runs", selected_on(first), *(f"test {heading(key)}" for key in metrics), against(table)]
    for column in ("finalist", *(["methods"] if several else []), *figures, ""):
        shown.add_column(column, justify="left" if column in ("methods", "") else "right")
    for _, row in table.iterrows():
        cells = [spread(row, "selection"), *(spread(row, f"test/{key}") for key in metrics)]
        shift = shift_of(row)
        text = "; ".join(filter(None, ("" if row["state"] == "finished" else row["state"], row["verdict"])))
        names = [name_of(row), *([row["methods"]] if several else [])]
        shown.add_row(*names, str(row["runs"]), *cells, shift, text, style="bold" if row["winner"] else None)
    return shown


def meanings(table: pd.DataFrame) -> list[str]:
    """Return the meaning of each verdict in the summary, one line each."""
    given = set(table["verdict"])
    return [f"{verdict}: {meaning}" for verdict, meaning in MEANING.items() if verdict in given]


def selected_on(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return the heading of the column by which the winner is chosen."""
    group = heading(row["objective"])
    where = "selected on test" if row["protocol"] == "paper" else "validation"
    return where if group == "all" else f"{where} {group}"


def against(table: pd.DataFrame) -> str:
    """Return the heading of the column of differences; with several papers' settings it contains the trial."""
    group = heading(table.iloc[0]["objective"])
    several = OF_PAPERS in table and table[OF_PAPERS].sum() > 1
    trial = table[table["paper"]].iloc[0]["trial"]
    reference = f"trial {int(trial)}" if several and trial != PAPERS else "paper's setting"
    return f"test − {reference}" if group == "all" else f"test {group} − {reference}"


def methods_of(table: pd.DataFrame) -> bool:
    """Return whether finalists have different methods, so that a table needs a column for them."""
    return "methods" in table and table["methods"].nunique() > 1


def name_of(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return the name of a finalist in tables."""
    if row["trial"] == PAPERS:
        return PAPERS
    number = str(int(row["trial"]))
    return trial_label(number, row["paper"] or row.get(OF_PAPERS, False))


def shift_of(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return a difference from the papers' setting in points, with the bound on which its verdict is based.

    `+1.9 (≥ +0.1)` for a better setting, `-1.9 (≤ -0.1)` for a worse one, `+0.5 ± 1.7` for any other.
    """
    if row["paper"]:
        return ""
    if row["verdict"] in ("", SAME, UNJUDGED):
        return spread(row, "difference", signed=True)
    sign, bound = ("≥", row["difference_least"]) if row["difference_mean"] > 0 else ("≤", row["difference_most"])
    return f"{100 * row['difference_mean']:+z.1f} ({sign} {100 * bound:+z.1f})"


def spread(row: Mapping[Any, Any] | pd.Series, name: str, *, signed: bool = False) -> str:
    """Return `71.2 ± 0.8` of a column's mean and interval, in percent; `71.2` for a single run."""
    mean, half = row[f"{name}_mean"], (row[f"{name}_high"] - row[f"{name}_low"]) / 2
    if pd.isna(mean):
        return "–"
    text = f"{100 * mean:+z.1f}" if signed else f"{100 * mean:.1f}"
    return text if math.isinf(half) else f"{text} ± {100 * half:.1f}"
