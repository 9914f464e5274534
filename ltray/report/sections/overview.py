"""Several runs compared: one leaderboard per data set."""

from collections.abc import Sequence
from typing import Any

from ltray.metrics import shown_keys
from ltray.report.formatting import percent, spread_of
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import colour
from ltray.results.finalist_table import spread
from ltray.results.run_record import RunRecord

HEADINGS = ("run", "methods", "protocol", "selected on, %", "test all, %", "many", "medium", "few")
OF_DATA = ("dataset", "dataset.imbalance_factor", "dataset.largest_class", "dataset.data_seed", "dataset.protocol")
"""The settings in which runs on the same data agree, in addition to the digest of the images."""
ROW = 40  # pixels


def overview(records: Sequence[RunRecord]) -> Section:
    """Return one leaderboard for each data set and protocol; only runs within one are comparable."""
    boards: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in records:
        boards.setdefault(_data(record), []).append(record)
    shown = [{"title": _title(own[0]), "plot": _bars(own), "table": _table(own)} for own in boards.values()]
    return Section("overview", "Leaderboard", {"boards": shown})


def _data(record: RunRecord) -> tuple[Any, ...]:
    settings = record.settings
    return (record.environment.get("data_digest", ""), *(str(settings.get(name)) for name in OF_DATA))


def _title(record: RunRecord) -> str:
    settings = record.settings
    factor = settings.get("dataset.imbalance_factor")
    text = f", imbalance factor {factor:g}" if isinstance(factor, int | float) and factor > 1 else ""
    return f"{settings['dataset']}{text}, protocol {record.protocol}"


def overview_row(record: RunRecord) -> list[str]:
    """Return a run's row in the table that compares several."""
    row = [record.folder.name, record.methods, record.protocol]
    if record.finalists is not None:
        best = record.finalists.iloc[0]
        return row + [spread(best, "selection"), *(spread_of(best, f"test/{key}") for key in shown_keys())]
    evaluation = record.evaluation or {"selection": {}, "metrics": {}}
    return row + [
        percent(evaluation["selection"].get(record.metric)),
        *(percent(evaluation["metrics"].get(f"test/{key}")) for key in shown_keys()),
    ]


def test_interval(record: RunRecord) -> tuple[float, float] | None:
    """Return accuracy on test images in percent and half its 95 % interval (0 if unknown); None without a test."""
    key = "test/acc_all"
    if record.finalists is not None and f"{key}_mean" in record.finalists:
        best = record.finalists.iloc[0]
        half = 50 * (best[f"{key}_high"] - best[f"{key}_low"])
        return (100 * best[f"{key}_mean"], half if half < 100 else 0.0) if best[f"{key}_mean"] >= 0 else None
    metrics = (record.evaluation or {"metrics": {}})["metrics"]
    if key not in metrics:
        return None
    return 100 * metrics[key], 196 * float(metrics.get(f"{key}_se", 0.0))


def _bars(records: Sequence[RunRecord]) -> Plot | None:
    known = [(record, interval) for record in records if (interval := test_interval(record)) is not None]
    if not known:
        return None
    known.sort(key=lambda pair: -pair[1][0])
    figure = new_figure("accuracy on test images, %", left=10)
    figure.add_bar(
        x=[value for _, (value, _) in known],
        y=list(range(len(known))),
        orientation="h",
        marker={"color": colour("blue"), "opacity": 0.6},
        width=0.6,
        error_x={"type": "data", "array": [half for _, (_, half) in known], "color": colour("ink"), "thickness": 1.5},
        customdata=[[record.folder.name, record.methods] for record, _ in known],
        hovertemplate="%{customdata[0]} (%{customdata[1]}): %{x:.1f} %<extra></extra>",
    )
    figure.update_yaxes(
        tickvals=list(range(len(known))),
        ticktext=[short(record.folder.name) for record, _ in known],
        range=[len(known) - 0.5, -0.5],
        showgrid=False,
    )
    parts = [f"{record.folder.name} {value:.1f} ± {half:.1f}" for record, (value, half) in known]
    return Plot(
        figure, f"Accuracy on test images in %, with 95 % intervals: {'; '.join(parts)}.", 60 + ROW * len(known)
    )


def _table(records: Sequence[RunRecord]) -> PageTable:
    order = sorted(records, key=lambda record: -((test_interval(record) or (-1.0, 0.0))[0]))
    return PageTable(
        "Runs, the highest test accuracy first", HEADINGS, [overview_row(r) for r in order], text=(0, 1, 2)
    )
