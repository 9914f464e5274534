"""Early stopping: the epochs at which trials ended, and the training that it saved."""

import pandas as pd

from ltray.report.formatting import duration
from ltray.report.plot import Plot, new_figure
from ltray.report.section import Section
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord
from ltray.results.verdict import METHODS
from ltray.strategies.stopping_rules import STOPPING_RULES

STOPPED = "stopped early"


def stopping(record: RunRecord) -> Section | None:
    """Return how many trials ended at which epoch, and what the rest of their epochs would have cost."""
    trials = record.trials
    if trials is None or STOPPING_RULES[record.rule].population or not (trials["state"] == STOPPED).any():
        return None
    complete = trials[trials["state"] == "complete"]
    if not len(complete):
        return None
    stopped = trials[trials["state"] == STOPPED]
    saved, seconds = _saved(stopped, complete)
    trained = int(trials["epochs"].sum())
    values = {
        "rule": record.rule,
        "stopped": len(stopped),
        "trials": len(trials),
        "saved": saved,
        "trained": trained,
        "share": f"{100 * saved / (saved + trained):.0f}" if saved else "0",
        "time": duration(seconds) if seconds else "",
        "plot": _ends(trials),
    }
    return Section("stopping", "Early stopping", values)


def _saved(stopped: pd.DataFrame, complete: pd.DataFrame) -> tuple[int, float]:
    """Return the epochs and seconds that stopped trials would have needed to the end of a complete trial.

    A trial is compared with the longest complete trial of its method, or of all if its method has none.
    """
    epochs, seconds = 0, 0.0
    for _, row in stopped.iterrows():
        own = complete[complete[METHODS] == row[METHODS]] if METHODS in complete else complete
        left = max(0, int((own if len(own) else complete)["epochs"].max()) - int(row["epochs"]))
        epochs += left
        if row["epochs"] and pd.notna(row.get("seconds")):
            seconds += left * float(row["seconds"]) / int(row["epochs"])
    return epochs, seconds


def _ends(trials: pd.DataFrame) -> Plot:
    known = trials[trials["state"].isin([STOPPED, "complete"])]
    figure = new_figure("epochs trained", "trials", legend=True)
    parts = []
    for state, tone in ((STOPPED, "grey"), ("complete", "blue")):
        counts = known[known["state"] == state]["epochs"].value_counts().sort_index()
        figure.add_bar(
            x=[str(epoch) for epoch in counts.index],
            y=counts.tolist(),
            name=state,
            marker={"color": colour(tone)},
            hovertemplate="%{y} trials ended after epoch %{x}<extra></extra>",
        )
        parts += [f"{count} {state} after epoch {epoch}" for epoch, count in counts.items()]
    order = [str(epoch) for epoch in sorted(set(known["epochs"]))]
    figure.update_layout(barmode="stack", bargap=0.7)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return Plot(figure, f"Trials by the epoch after which they ended: {', '.join(parts)}.", height=240)
