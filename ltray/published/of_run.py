"""Published figures that the results of a run folder are compared with."""

import pandas as pd

from ltray.published.check import Comparison, compare
from ltray.results.finalist_table import OF_PAPERS, name_of
from ltray.results.intervals import mean_interval, run_interval
from ltray.results.run_record import RunRecord
from ltray.run_folder import RunFolder


def claims_of(record: RunRecord) -> dict[str, list[Comparison]]:
    """Return the published figures for a run, or for a search's winner and the papers' settings, by name.

    Results without a published figure are left out.
    """
    if record.finalists is None or record.finalist_runs is None:
        return _of_evaluation(record)
    found = {}
    finalists = record.finalists
    papers = finalists[OF_PAPERS] if OF_PAPERS in finalists else finalists["paper"]
    for _, row in finalists[finalists["winner"] | papers].iterrows():
        valid = record.finalist_runs[(record.finalist_runs["trial"] == row["trial"]) & ~_failed(record)]
        if not len(valid):
            continue
        first = valid.iloc[0]
        run = RunFolder(record.folder).finalist_run(row["trial"], first["seed"], first["data_seed"])
        evaluation = RunFolder(run).best.evaluation()
        assert evaluation is not None, f"{run} is a finished run"
        rounds = [list(own["test/acc_all"]) for _, own in valid.groupby("data_seed", sort=True)]
        several = int(row["data_seeds"]) > 1
        accuracy = run_interval(rounds if several else [[value] for value in rounds[0]])
        subsets = len(rounds) if several else 1
        found[name_of(row)] = compare(evaluation["settings"], accuracy, subsets=subsets)
    return {name: comparisons for name, comparisons in found.items() if comparisons}


def _failed(record: RunRecord) -> "pd.Series[bool]":
    assert record.finalist_runs is not None
    return record.finalist_runs["failure"] != ""


def _of_evaluation(record: RunRecord) -> dict[str, list[Comparison]]:
    evaluation = record.evaluation
    if not evaluation:
        return {}
    name = f"trial {evaluation['trial']}" if "trial" in evaluation else record.folder.name
    comparisons = compare(evaluation["settings"], mean_interval([evaluation["metrics"]["test/acc_all"]]))
    return {name: comparisons} if comparisons else {}
