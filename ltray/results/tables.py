"""The tables of a search: one row per trial, one row per trial and epoch."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pyarrow.parquet as pq

from ltray.csv_cell import csv_cell
from ltray.loggers.logger import scalars
from ltray.metrics import BALANCED, CHECKPOINT_SCORE, standard_error_key
from ltray.printable import encodable
from ltray.results.table_schema import as_arrow
from ltray.run_folder import RESULTS_FILE
from ltray.seal import read_lines, write_listed
from ltray.study.run_of_several import RUN, RUN_EPOCH, RUN_FOLD, RUN_SEED
from ltray.study.seed_runs import mean_and_error
from ltray.study.study import COPIES, NAME, PAPER, REASON, SETTINGS, front

STATES = {"COMPLETE": "complete", "PRUNED": "stopped early", "FAIL": "failed", "RUNNING": "interrupted"}
RESULTS = ("val/", "test/", "loss/", "chosen/")
"""Prefixes of the metrics of an epoch that are results of a trial."""
SEEDS, BY_SEED = "seeds", "by_seed"
"""For a trial of several seeds: the number of its runs, and the value of the first objective of each, in order."""
FOLDS = "folds"  # of the cross-validation in which a trial was trained; no such column without one
FRONT = "front"
COPIED = "copied"  # for a member of a population: the trials that it copied, and the epochs after which it copied them
PAPER_UNTIL = "paper_until"  # the epoch after which a member left the papers' setting
OWN_STAMPS = {"seed": "seed", "data_seed": "dataset.data_seed"}
"""The setting of a trial that replaces a stamp."""


def history(folders: Mapping[int, Sequence[Path]]) -> pd.DataFrame:
    """Read every reported epoch.

    Args:
        folders: The folders of each trial's attempts, by trial number. An epoch that two
            attempts report is the same epoch, repeated from the same checkpoint. Epochs of a
            trial of several runs are counted over all of them; "run" and "run_epoch" give the
            position within a run, "run_seed" the training seed of a run on one of several seeds, "run_fold" the fold
            of a run of a cross-validation, whose final run has the number of folds.
    """
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for number, attempts in folders.items():
        for folder in attempts:
            for result in read_lines(folder / RESULTS_FILE):
                if "total_epochs" in result and "copied_from" not in result:
                    epoch = int(result["total_epochs"])
                    score = {CHECKPOINT_SCORE: result[CHECKPOINT_SCORE], "stage": result["stage"]}
                    run = {name: result[name] for name in (RUN, RUN_EPOCH, RUN_SEED, RUN_FOLD) if name in result}
                    rows[number, epoch] = {"trial": number, "epoch": epoch} | score | run | scalars(result)
    return pd.DataFrame([rows[key] for key in sorted(rows)])


def trial_table(
    study: optuna.Study,
    epochs: pd.DataFrame,
    stamps: Mapping[str, Any],
    *,
    selection: str,
    weights: Mapping[int, Mapping[str, Any]] | None = None,
) -> pd.DataFrame:
    """Return one row per trial, sorted by the first objective: state, settings, metrics of its best epoch.

    With several objectives the column `front` marks the Pareto front.

    Args:
        study: The study.
        epochs: `history` of its trials.
        stamps: Columns with the same value in all rows, unless a trial's settings contain it: seed, data_seed,
            protocol.
        selection: "val" or "test".
        weights: Columns of the pretrained weights by trial number; None: random weights.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if SETTINGS in trial.user_attrs]
    objectives = study.metric_names or [BALANCED]
    metric = f"{selection}/{objectives[0]}"
    rows = [_row(t, epochs, dict(stamps) | dict((weights or {}).get(t.number, {})), metric) for t in trials]
    table = pd.DataFrame(rows)
    if len(objectives) > 1:
        table[FRONT] = table["trial"].isin(front(study))
    if metric not in table:
        return table
    table["complete"] = table["state"] == "complete"
    table = table.sort_values(["complete", metric], ascending=False, na_position="last", kind="stable")
    return table.drop(columns="complete").reset_index(drop=True)


def _row(trial: Any, epochs: pd.DataFrame, stamps: Mapping[str, Any], metric: str) -> dict[str, Any]:
    own = epochs[epochs["trial"] == trial.number] if len(epochs) else epochs
    copies = trial.user_attrs.get(COPIES, [])
    paper = bool(trial.user_attrs.get(PAPER, False))
    row: dict[str, Any] = {
        "trial": trial.number,
        NAME: trial.user_attrs.get(NAME, ""),
        "state": STATES[trial.state.name],
        "paper": paper and not copies,  # after a copy it continues with the setting of another trial
        "epochs": int(own["epoch"].max()) if len(own) else 0,
        "reason": trial.user_attrs.get(REASON, ""),
    }
    if copies:
        row[COPIED] = ", ".join(f"{source} at {epoch}" for epoch, source in copies)
        row |= {PAPER_UNTIL: copies[0][0]} if paper else {}
        # epochs before the copy are history, not this trial's result
        own = own[own["epoch"] > copies[-1][0]]
    if len(own):
        best = {str(k): v for k, v in own.loc[[own[CHECKPOINT_SCORE].idxmax()]].to_dict("records")[0].items()}
        row["best_epoch"] = int(best["epoch"])
        row["seconds"] = float(own["train/seconds"].sum()) if "train/seconds" in own else 0.0
        row |= {k: float(v) for k, v in best.items() if k.startswith(RESULTS)}
        row |= _over_seeds(own, metric)
    settings = json.loads(trial.user_attrs[SETTINGS])
    cells = {key: cell(value) for key, value in settings.items()}
    own = {key: settings[name] for key, name in OWN_STAMPS.items() if name in settings}
    return row | cells | dict(stamps) | own


def _over_seeds(own: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Return the values that replace the results of a trial's best epoch if it has several seeds: means over its runs.

    Args:
        own: The epochs of the trial.
        metric: The first objective, such as "val/acc_all".
    """
    if RUN_SEED not in own or own[RUN_SEED].isna().all():
        return {}
    best = own.loc[own.groupby(RUN)[CHECKPOINT_SCORE].idxmax()]
    columns = [name for name in best if str(name).startswith(RESULTS)]
    means = {str(name): math.fsum(best[name]) / len(best) for name in columns}
    values = dict(enumerate(map(float, best[metric])))
    found: dict[str, Any] = {SEEDS: len(best), BY_SEED: ", ".join(f"{value:.6g}" for value in values.values())}
    return means | found | {seeds_error_key(metric): mean_and_error(values)[1]}


def seeds_error_key(metric: str) -> str:
    """Return the column of the standard error of a mean over seeds."""
    return f"{metric}_seeds_se"


def cell(value: Any) -> Any:
    """Return a setting's value for tables: a list becomes text with commas between its items."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet or CSV, depending on the suffix, and list its digest.

    Bytes of names that are not UTF-8 are escaped in both; CSV files contain `csv_cell`s, Parquet files the types of
    `table_schema`.
    """
    text = table.select_dtypes(exclude=["number", "bool"]).columns
    as_text = encodable if path.suffix == ".parquet" else csv_cell
    shown = table.assign(**{name: table[name].map(as_text) for name in text})
    if path.suffix == ".parquet":
        content = io.BytesIO()
        pq.write_table(as_arrow(shown, path.stem), content)
        write_listed(path, content.getvalue())
    else:
        write_listed(path, shown.to_csv(index=False))


def precision_of_best(table: pd.DataFrame, metric: str) -> str:
    """Return the standard error of the best trial's value: "± 8.0 points (33 images)", or "".

    Args:
        table: The result of `trial_table`.
        metric: The first objective, such as "val/acc_all".
    """
    error, images = standard_error_key(metric), f"{metric.partition('/')[0]}/images"
    if not len(table) or not {error, images} <= set(table) or pd.isna(table.iloc[0][error]):
        return ""
    best, folds = table.iloc[0], folds_in(table)
    by = f"{folds}-fold cross-validation, " if folds else ""
    return f"± {100 * best[error]:.1f} points ({by}{best[images]:,.0f} images)"


def folds_in(table: pd.DataFrame) -> int:
    """Return the number of folds of the cross-validation of a search's trials; 0 without one."""
    return int(table.iloc[0][FOLDS]) if FOLDS in table and len(table) else 0


def trial_label(number: int | str, paper: bool) -> str:
    """Return the name of a trial in tables: `7`, or `0 (paper's setting)`."""
    return f"{number} (paper's setting)" if paper else str(number)


def state_of(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return a trial's state for printed tables, with the reason of a failure or the copies of a population."""
    if row["reason"]:
        return f"failed: {row['reason']}"
    parts = [row["state"]]
    if not pd.isna(row.get(PAPER_UNTIL)):
        parts.append(f"papers' setting until epoch {row[PAPER_UNTIL]:.0f}")
    if not pd.isna(row.get(COPIED)):
        parts.append("copied trial " + row[COPIED].replace(" at ", " at epoch ", 1))
    return ", ".join(parts)
