"""The verdict on the methods of a search: what `verdict.json`, the terminal and the report contain."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console

from ltray.engine.fold_error import corrected
from ltray.fitted_table import FittedTable
from ltray.metrics import fold_key, standard_error_key
from ltray.results.finalists import PAPERS
from ltray.results.method_verdict import BEHIND, Candidate, Judgement, Rival, in_order, judge
from ltray.results.next_steps import Step, next_steps
from ltray.results.run_record import RunRecord
from ltray.results.tables import BY_SEED
from ltray.results.verdict_words import sentences
from ltray.run_folder import RunFolder
from ltray.seal import write_sealed

METHODS = "methods"


@dataclass(frozen=True)
class MethodSummary:
    """The results of a search for one method.

    Attributes:
        method: The methods, in order, as text.
        best: The value of its best complete setting on the selection images, in [0, 1]; NaN if there is none.
        lowest: The value of its worst complete setting.
        complete: Number of complete settings.
        stopped: Number of settings that early stopping ended.
        failed: Number of settings that failed or are not finished.
        hours: Hours of training of all its settings, waiting and evaluation not counted.
    """

    method: str
    best: float
    lowest: float
    complete: int
    stopped: int
    failed: int
    hours: float


@dataclass(frozen=True)
class Verdict:
    """The answer of a search over methods.

    Attributes:
        judgement: The comparison.
        methods: Every method, the best first.
        compared: "new seeds" if finalists were compared, on test images; "search" if trials, on the selection images;
            "folds" if trials, by the folds of a cross-validation.
        metric: The compared metric, such as "val/acc_all".
        protocol: "honest", or "paper": the test images chose the settings.
        selected_how: How settings were chosen, as text: "on validation images".
        runs: Runs of the leader that were compared.
        steps: Further commands.
    """

    judgement: Judgement
    methods: tuple[MethodSummary, ...]
    compared: str
    metric: str
    protocol: str
    selected_how: str
    runs: int
    steps: tuple[Step, ...]

    @property
    def sentences(self) -> list[str]:
        """The verdict in sentences, for readers without knowledge of statistics."""
        words: dict[str, Any] = {"metric": self.metric, "runs": self.runs, "compared": self.compared}
        words["how"] = "on test images" if self.metric.startswith("test/") else self.selected_how
        found = sentences(self.judgement, **words, hours={one.method: one.hours for one in self.methods})
        if stopped := [one.method for one in self.methods if not one.complete and one.stopped]:
            found.append(
                f"Stopped early because other methods were better, and therefore not compared: {'; '.join(stopped)}."
            )
        if failed := [one.method for one in self.methods if not one.complete and not one.stopped]:
            found.append(f"Without a result: {'; '.join(failed)}.")
        if self.protocol == "paper":
            found.append("Settings were chosen on test images (protocol=paper), so these values are too high.")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the content of `verdict.json`."""
        leader = self.judgement.leader
        return {
            "answer": self.judgement.answer,
            "metric": self.metric,
            "protocol": self.protocol,
            "selected": self.selected_how,
            "compared": self.compared,
            "best": _setting(leader) if leader else None,
            "rivals": [_rival(rival) for rival in self.judgement.rivals],
            "methods": [{key: _number(value) for key, value in vars(one).items()} for one in self.methods],
            "sentences": self.sentences,
            "next": [{"why": step.why, "command": step.command} for step in self.steps],
        }


def verdict_of(record: RunRecord) -> Verdict | None:
    """Return the verdict of a search over several methods; None for other runs, or without a trial."""
    table = record.trials
    if METHODS not in record.varied or table is None or record.metric not in table:
        return None
    methods = _summaries(table, record)
    candidates, compared = _of_finalists(record), "new seeds"
    if len({one.method for one in candidates}) < 2:
        candidates, compared = _of_trials(table, record), "folds" if record.folds else "search"
    judgement = judge(candidates)
    split = "test" if compared == "new seeds" else record.selection
    return Verdict(
        judgement,
        methods,
        compared,
        f"{split}/{record.objectives[0]}",
        record.protocol,
        record.selected_how,
        len(judgement.leader.values) if judgement.leader else 0,
        next_steps(judgement, record, ranking=[one.method for one in in_order(_of_trials(table, record))]),
    )


def _of_trials(table: pd.DataFrame, record: RunRecord) -> list[Candidate]:
    """Return the complete trials, with the values of their seeds or folds on the selection images."""
    complete = table[(table["state"] == "complete") & table[record.metric].notna()]
    found = []
    for _, row in complete.iterrows():
        values, error = _by_seed(row, record.metric), float(row.get(standard_error_key(record.metric), math.nan))
        if by_fold := _by_fold(row, record):
            values, error = by_fold, math.nan  # the images of each fold differ: their noise is in the values
        found.append(Candidate(str(row[METHODS]), str(row["trial"]), float(row[record.metric]), values, error))
    return found


def _by_fold(row: pd.Series, record: RunRecord) -> dict[str, float]:
    """Return the values of the folds of a cross-validated trial, spread as `corrected` does; {} if it has none."""
    keys = [fold_key(record.metric, fold) for fold in range(record.folds)]
    if not keys or not all(key in row and math.isfinite(row[key]) for key in keys):
        return {}
    values = corrected(float(row[record.metric]), [float(row[key]) for key in keys])
    return {f"fold {fold + 1}": value for fold, value in enumerate(values)}


def _by_seed(row: pd.Series, metric: str) -> dict[str, float]:
    text = row.get(BY_SEED)
    if not isinstance(text, str):
        return {"0": float(row[metric])}
    return {str(place): float(value) for place, value in enumerate(text.split(", "))}


def _of_finalists(record: RunRecord) -> list[Candidate]:
    """Return the finalists: ranked on the selection images, compared on test images, which selected nothing."""
    table, metric = record.finalist_runs, f"test/{record.objectives[0]}"
    if table is None or not {metric, record.metric, METHODS} <= set(table):
        return []
    table = table[table[metric].notna() & table[record.metric].notna()]
    rounds = "data_seed" if table["data_seed"].nunique() > 1 else "seed"  # runs on the same data are one observation
    error = standard_error_key(metric)
    found = []
    for trial, own in table.groupby("trial"):
        if not own[METHODS].iloc[0]:
            continue
        values = {str(name): math.fsum(rows[metric]) / len(rows) for name, rows in own.groupby(rounds)}
        score = math.fsum(own[record.metric]) / len(own)
        images = float(own[error].mean()) if error in own else math.nan
        found.append(Candidate(str(own[METHODS].iloc[0]), str(trial), score, values, images))
    return [one for one in found if one.trial != PAPERS or len(found) < 2]


def _summaries(table: pd.DataFrame, record: RunRecord) -> tuple[MethodSummary, ...]:
    found = []
    for method, own in table.groupby(METHODS):
        values = own[own["state"] == "complete"][record.metric].dropna()
        stopped = int((own["state"] == "stopped early").sum())
        hours = float(own["seconds"].fillna(0).sum()) / 3600 if "seconds" in own else 0.0
        best, lowest = (float(values.max()), float(values.min())) if len(values) else (math.nan, math.nan)
        found.append(
            MethodSummary(str(method), best, lowest, len(values), stopped, len(own) - len(values) - stopped, hours)
        )
    return tuple(sorted(found, key=lambda one: (-one.best if one.complete else math.inf, one.method)))


def _setting(one: Candidate) -> dict[str, Any]:
    values = list(one.values.values())
    return {
        "method": one.method,
        "trial": one.trial,
        "selection": one.score,
        "mean": math.fsum(values) / len(values),
        "runs": len(values),
        "values": values,
        "image_error": _number(one.image_error),
    }


def _rival(rival: Rival) -> dict[str, Any]:
    return _setting(rival.best) | {
        "behind_by": rival.lead,
        "low": _number(rival.low),
        "high": _number(rival.high),
        "at_least": _number(rival.least) if rival.verdict == BEHIND else None,
        "verdict": rival.verdict,
    }


def _number(value: Any) -> Any:
    """Return a value for JSON; an unknown value is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_verdict(record: RunRecord) -> Verdict | None:
    """Write `verdict.json` in the folder of a search over several methods; return the verdict, None for other runs."""
    verdict = verdict_of(record)
    if verdict:
        write_sealed(RunFolder(record.folder).verdict_file, verdict.as_dict())
    return verdict


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Print the methods, the answer in sentences and further commands."""
    rows = shown_rows(verdict)
    how = "on test images (protocol=paper)" if verdict.protocol == "paper" else verdict.selected_how
    shown = FittedTable(
        title=f"which method: values {how}, one row per method",
        optional=[("minutes",), ("settings",), ("its settings, %",)],
    )
    for heading in rows[0]:
        shown.add_column(heading, justify="right" if "%" in heading or heading == "minutes" else "left")
    for row in rows:
        shown.add_row(*row.values())
    console.print(shown)
    for sentence in verdict.sentences:
        console.print(sentence, soft_wrap=True)
    for step in verdict.steps:
        console.print(f"next: {step.why}" + (f"\n  {step.command}" if step.command else ""), soft_wrap=True)


def shown_rows(verdict: Verdict) -> list[Mapping[str, str]]:
    """Return one row per method for tables, by heading."""
    said = {rival.best.method: rival.verdict for rival in verdict.judgement.rivals}
    leader = verdict.judgement.leader
    rows: list[Mapping[str, str]] = []
    for one in verdict.methods:
        spread = f"{100 * one.lowest:.1f} – {100 * one.best:.1f}" if one.complete > 1 else ""
        description = "highest" if leader and one.method == leader.method else said.get(one.method, "not compared")
        counts = [(one.complete, "complete"), (one.stopped, "stopped early"), (one.failed, "failed or not finished")]
        rows.append(
            {
                "method": one.method,
                "best, %": f"{100 * one.best:.1f}" if one.complete else "–",
                "its settings, %": spread or "–",
                "settings": ", ".join(f"{count} {name}" for count, name in counts if count),
                "minutes": f"{60 * one.hours:.1f}",
                "": description,
            }
        )
    return rows
