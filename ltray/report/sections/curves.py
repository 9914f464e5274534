"""Learning curves: accuracy on the selection images and loss on the training batches, by epoch."""

import math
from collections.abc import Mapping

import pandas as pd

from ltray.report.facts import of_group
from ltray.report.plot import Plot, new_figure
from ltray.report.section import Section
from ltray.report.theme import GROUPS, colour
from ltray.results.run_record import RunRecord
from ltray.study.run_of_several import RUN, RUN_EPOCH, RUN_FOLD, RUN_SEED

LOSS = "loss/total"
Lines = Mapping[int, list[list[tuple[float, float]]]]


def curves(record: RunRecord) -> Section | None:
    """Return accuracy and training loss of every trial by epoch; for a single run also by group."""
    metric, history = record.metric, record.history
    if RUN_SEED in history or RUN_FOLD in history:  # the runs of a trial have the same epochs
        history = history.assign(epoch=history[RUN_EPOCH].fillna(history["epoch"]))
    if metric not in history or not len(history) or not history[metric].notna().any():
        return None
    trials = record.trials if record.trials is not None and len(record.trials) else None
    best = int(trials.iloc[0]["trial"]) if trials is not None else 0
    papers = [int(n) for n in trials[trials["paper"]]["trial"]] if trials is not None else []
    where = record.selected_how
    accuracy = _plot(lines_of(history, metric, 100.0), best, papers, f"Accuracy {where}", "%")
    plots = [accuracy] if record.is_search else [_groups(history, record, where)]
    if LOSS in history and history[LOSS].notna().any():
        plots.append(_plot(lines_of(history, LOSS, 1.0), best, papers, "Loss on training batches", ""))
    legend = [("blue", f"best trial {best}"), ("orange", "papers' setting"), ("grey", "other trials")]
    values = {"note": of_group(record), "plots": plots, "key": legend if record.is_search else []}
    return Section("curves", "Learning curves", values)


def lines_of(history: pd.DataFrame, metric: str, scale: float) -> Lines:
    """Return (epoch, value) by trial; a trial of several runs has one line for each run."""
    known = history[history[metric].notna()]
    runs = known[RUN].fillna(0) if RUN in known else pd.Series(0, index=known.index)
    found: dict[int, list[list[tuple[float, float]]]] = {}
    for (number, _), rows in known.groupby([known["trial"], runs]):
        points = [(float(e), scale * float(v)) for e, v in zip(rows["epoch"], rows[metric], strict=True)]
        found.setdefault(int(str(number)), []).append([point for point in points if math.isfinite(point[1])])
    return {number: parts for number, parts in found.items() if any(parts)}


def _plot(lines: Lines, best: int, papers: list[int], title: str, unit: str) -> Plot:
    """Draw one line per run, the best trial last; dotted vertical lines mark epochs at which trials were stopped."""
    figure = new_figure("epoch", unit, left=40)
    ends = {parts[-1][-1][0] for parts in lines.values() if parts[-1]}
    for rung in sorted(ends - {max(ends, default=0.0)}):
        figure.add_vline(x=rung, line={"color": colour("grey"), "width": 1, "dash": "dot"})
    rank = {number: 2 if number == best else 1 if number in papers else 0 for number in lines}
    tones = ("grey", "orange", "blue")
    for number in sorted(lines, key=lambda n: rank[n]):
        for part in filter(None, lines[number]):
            figure.add_scatter(
                x=[epoch for epoch, _ in part],
                y=[value for _, value in part],
                mode="lines" if len(part) > 1 else "markers",
                line={"color": colour(tones[rank[number]]), "width": 1 + rank[number]},
                opacity=1.0 if rank[number] else 0.55,
                name=f"trial {number}",
                hovertemplate=f"trial {number}, epoch %{{x}}: %{{y:.3~g}} {unit}<extra></extra>",
            )
    last = [part[-1][1] for part in lines.get(best, []) if part]
    text = f"; trial {best} ends at {last[-1]:.3g} {unit}".rstrip() if last else ""
    return Plot(figure, f"{title} by epoch, {len(lines)} trials{text}.", height=280, title=title)


def _groups(history: pd.DataFrame, record: RunRecord, where: str) -> Plot:
    """Draw accuracy of a single run for all classes and for each group."""
    figure = new_figure("epoch", "%", legend=True, left=40)
    parts = []
    shown = {record.metric: "objective"}
    shown |= {f"{record.selection}/acc_{group}": group for group in ("all", "many", "medium", "few")}
    for metric, group in shown.items():
        lines = lines_of(history, metric, 100.0) if metric in history else {}
        points = [point for part in lines.get(0, []) for point in part]
        if points:
            figure.add_scatter(
                x=[epoch for epoch, _ in points],
                y=[value for _, value in points],
                mode="lines" if len(points) > 1 else "markers",
                line={"color": colour(GROUPS.get(group, "purple")), "width": 3 if metric == record.metric else 1.5},
                name=group,
                hovertemplate=f"{group}, epoch %{{x}}: %{{y:.1f}} %<extra></extra>",
            )
            parts.append(f"{group} {points[-1][1]:.1f} %")
    return Plot(figure, f"Accuracy {where} by epoch; at the end: {', '.join(parts)}.", title=f"Accuracy {where}")
