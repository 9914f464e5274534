"""Methods compared: the values of every method's settings and the verdict on each."""

from typing import TYPE_CHECKING

import pandas as pd

from ltray.report.facts import images_of
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord
from ltray.results.verdict import METHODS, Verdict, shown_rows, verdict_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ROW = 44  # pixels


def methods(record: RunRecord) -> Section | None:
    """Return the comparison of a search over several methods: lead over each, values of its settings, a table."""
    verdict = verdict_of(record)
    if verdict is None or record.trials is None:
        return None
    rows = shown_rows(verdict)
    table = PageTable(
        "One row per method, the best first",
        [name or "verdict" for name in rows[0]],
        [list(row.values()) for row in rows],
        text=(0, 3, 5),
        kinds=["first" if row[""] == "highest" else "" for row in rows],
    )
    plots = [_settings(verdict, record.trials, record)]
    if verdict.judgement.rivals and any(abs(rival.low) < 1 for rival in verdict.judgement.rivals):
        plots.append(_leads(verdict))
    images = "test images (protocol=paper)" if verdict.protocol == "paper" else images_of(record)
    return Section("methods", "Methods compared", {"plots": plots, "table": table, "images": images})


def _settings(verdict: Verdict, trials: pd.DataFrame, record: RunRecord) -> Plot:
    """Draw the value of every complete setting; bars end at the best one."""
    figure = new_figure(f"accuracy on {images_of(record)}, %", left=10)
    shown = [one for one in verdict.methods if one.complete]
    names = [one.method for one in shown]
    figure.add_bar(
        y=list(range(len(shown))),
        x=[100 * one.best for one in shown],
        orientation="h",
        marker={"color": colour("blue"), "opacity": 0.35},
        width=0.6,
        customdata=names,
        hovertemplate="%{customdata}: best %{x:.1f} %<extra></extra>",
    )
    own = trials[(trials["state"] == "complete") & trials[record.metric].notna()]
    places = {name: place for place, name in enumerate(names)}
    figure.add_scatter(
        y=[places[name] for name in own[METHODS]],
        x=[100 * value for value in own[record.metric]],
        mode="markers",
        marker={"color": colour("ink"), "size": 6, "opacity": 0.7},
        customdata=[f"trial {number}" for number in own["trial"]],
        hovertemplate="%{customdata}: %{x:.1f} %<extra></extra>",
    )
    _rows(figure, names)
    best = f"{shown[0].method} {100 * shown[0].best:.1f} %" if shown else "no method finished"
    label = f"Accuracy of every complete setting by method; the highest is {best}."
    return Plot(
        figure, label, height=ROW * len(names) + 60, title="Best setting (bar) and every complete setting (dot)"
    )


def _leads(verdict: Verdict) -> Plot:
    """Draw the leader's lead over every other method with its 95 % interval."""
    leader = verdict.judgement.leader
    assert leader is not None
    rivals = [rival for rival in verdict.judgement.rivals if abs(rival.low) < 1]
    figure = new_figure(f"points behind {short(leader.method)}", left=10)
    figure.add_vline(x=0, line={"color": colour("grey"), "dash": "dot"})
    figure.add_scatter(
        x=[100 * rival.lead for rival in rivals],
        y=list(range(len(rivals))),
        mode="markers",
        marker={"color": colour("blue"), "size": 10},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [100 * (rival.high - rival.lead) for rival in rivals],
            "arrayminus": [100 * (rival.lead - rival.low) for rival in rivals],
            "color": colour("blue"),
            "thickness": 2,
        },
        customdata=[[rival.best.method, rival.verdict] for rival in rivals],
        hovertemplate="%{customdata[0]}: %{x:.1f} points (%{customdata[1]})<extra></extra>",
    )
    _rows(figure, [rival.best.method for rival in rivals])
    parts = [
        f"{rival.best.method} {100 * rival.lead:.1f} ({100 * rival.low:.1f} to {100 * rival.high:.1f})"
        for rival in rivals
    ]
    label = f"Lead of {leader.method} in points with 95 % intervals: {'; '.join(parts)}."
    return Plot(figure, label, height=ROW * len(rivals) + 60, title="Lead of the best method, with 95 % intervals")


def _rows(figure: "Figure", names: list[str]) -> None:
    """Give the rows of a figure their names, the first row at the top."""
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[short(name) for name in names],
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
    )
