"""The answer: the best method or setting, how sure it is, and what to do next."""

from dataclasses import dataclass, field

import pandas as pd

from ltray.metrics import title
from ltray.published.of_run import claims_of
from ltray.report.facts import images_of, key_figures
from ltray.report.formatting import percent
from ltray.report.section import Section
from ltray.results.finalist_table import name_of, shift_of, spread
from ltray.results.intervals import MEANING
from ltray.results.ledger import describe_look, number_of
from ltray.results.next_steps import Step, further_step
from ltray.results.run_record import RunRecord
from ltray.results.tables import precision_of_best, trial_label
from ltray.results.verdict import verdict_of


@dataclass(frozen=True)
class Answer:
    """The answer of a run.

    Attributes:
        sentences: The answer and its evidence, the most important first.
        steps: What to do next.
    """

    sentences: list[str]
    steps: list[Step] = field(default_factory=list)


def answer(record: RunRecord) -> Section:
    """Return the first section: sentences, key figures, further commands."""
    found = answer_of(record)
    values = {
        "sentences": [*found.sentences, *_published(record)],
        "steps": found.steps,
        "tiles": key_figures(record),
    }
    return Section("answer", "Answer", values)


def answer_of(record: RunRecord) -> Answer:
    """Return the answer of a run or a search, without the published figures."""
    verdict = verdict_of(record)
    if verdict is not None:
        return Answer(verdict.sentences, list(verdict.steps))
    if record.finalists is not None and len(record.finalists):
        return Answer(_of_finalists(record, record.finalists))
    if record.is_search:
        return _of_trials(record)
    return Answer(_of_run(record))


def _of_finalists(record: RunRecord, table: pd.DataFrame) -> list[str]:
    best = table.iloc[0]
    metric = f"test/{record.objectives[0]}"
    sentences = [
        f"Best setting: {_trial(name_of(best))}, {spread(best, 'selection')} % {_metric(record)} on {images_of(record)}"
        f" and {spread(best, metric)} % on test images (mean and 95 % interval over {best['runs']} runs on new seeds)."
    ]
    if best["paper"]:
        return [
            *sentences,
            f"This is the papers' setting: no other finalist has a higher value on {images_of(record)}.",
        ]
    verdict = str(best["verdict"])
    if verdict:
        compared = f"Compared with the papers' setting: {verdict}, {shift_of(best)} points on test images"
        sentences.append(f"{compared}; {MEANING.get(verdict, '')}.".replace("; .", "."))
    return sentences


def _of_trials(record: RunRecord) -> Answer:
    table, metric = record.trials, record.metric
    complete = None if table is None or metric not in table else table[table["state"] == "complete"]
    if complete is None or not len(complete) or pd.isna(complete.iloc[0][metric]):
        return Answer(["No trial is complete, so there is no answer yet."])
    best = complete.iloc[0]
    error = precision_of_best(complete, metric)
    sentences = [
        f"Best setting: trial {trial_label(best['trial'], best['paper'])}, {percent(best[metric])} % {_metric(record)} "
        f"on {images_of(record)}" + (f"; the standard error from the number of images is {error}." if error else ".")
    ]
    sentences += _against_papers(best, complete, metric)
    sentences += _test(record)
    return Answer(sentences, _steps(record))


def _against_papers(best: pd.Series, complete: pd.DataFrame, metric: str) -> list[str]:
    papers = complete[complete["paper"]]
    if best["paper"]:
        return ["This is the papers' setting: no other complete trial has a higher value."]
    if not len(papers):
        return ["The papers' setting has no complete trial, so there is no comparison with it."]
    lead = 100 * (best[metric] - papers.iloc[0][metric])
    return [
        f"This is {lead:.1f} points above the papers' setting ({percent(papers.iloc[0][metric])} %). The best of "
        "several trials has a high value partly by chance, so this alone does not show that the setting is better."
    ]


def _steps(record: RunRecord) -> list[Step]:
    why = "train the three best settings and the papers' setting again on new seeds, and compare them on test images"
    return [further_step(record, why, {"finalists.best": 3})]


def _of_run(record: RunRecord) -> list[str]:
    return _test(record) or ["The run has no evaluation on test images yet."]


def _test(record: RunRecord) -> list[str]:
    known = record.evaluation
    metric = f"test/{record.objectives[0]}"
    if not known or metric not in known["metrics"]:
        return []
    value = f"{percent(known['metrics'][metric])} % {_metric(record)} on test images"
    return [f"The model in best/ has {value}: {describe_look(number_of(known))}."]


def _published(record: RunRecord) -> list[str]:
    """Return a sentence for each published figure that the run is compared with."""
    return [
        f"Published for this method and data: {one.claim.all:g} % ({one.claim.where}); {_trial(name)} differs by "
        f"{one.difference:+z.1f} points: {one.text}."
        for name, comparisons in claims_of(record).items()
        for one in comparisons[:2]
    ]


def _metric(record: RunRecord) -> str:
    return title(record.objectives[0]).removesuffix(" all")


def _trial(name: str) -> str:
    return f"trial {name}" if name[:1].isdigit() else name
