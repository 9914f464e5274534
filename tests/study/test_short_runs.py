"""Trials of several short runs: their start weights, and exact resume at any epoch."""

from functools import partial

import pytest
import torch

import ltray.experiment
from ltray.data.dataset import open_data
from ltray.engine.memory_session import MemorySession
from ltray.metrics import CHECKPOINT_SCORE
from ltray.study.short_runs import ShortRuns, train_runs
from ltray.testing import contract

SETTINGS = {"methods": ["rescom", "tau_norm"], "rescom.epochs": 2, "rescom.milestones": [1], "rescom.warmup_epochs": 0}
LENGTHS = (1, 2)  # with a report of tau-norm after each run: 2 and 3 reports
CLOCKS = ("train/seconds", "train/images_per_second")


@pytest.fixture(autouse=True)
def memory_data(monkeypatch):
    monkeypatch.setattr(ltray.experiment, "open_data", partial(open_data, source="memory"))


def run(session, promotion, settings=SETTINGS):
    experiment = contract.small_experiment(settings)
    train_runs(experiment, ShortRuns(LENGTHS, promotion), session=session, device=contract.CPU)
    return [{k: v for k, v in report.items() if k not in CLOCKS} for report in session.reports]


@pytest.mark.parametrize(
    ("promotion", "settings"), [("restart", SETTINGS), ("continue", SETTINGS | {"rescom.average_decay": 0.9})]
)
def test_trial_interrupted_after_any_epoch_equals_an_uninterrupted_one(promotion, settings):
    uninterrupted = MemorySession()
    reports = run(uninterrupted, promotion, settings)
    assert [(r["run"], r["run_epoch"]) for r in reports] == [
        *((0, e) for e in (1, 2)),
        *((1, e) for e in (1, 2, 3)),
    ]
    assert [r["total_epochs"] for r in reports] == list(range(1, 6))
    assert {r["planned_epochs"] for r in reports} == {5}
    for cut in range(1, len(reports)):
        session = contract.InterruptedSession(cut)
        with pytest.raises(contract.Interrupted):
            run(session, promotion, settings)
        resumed = MemorySession(session.saved)
        assert run(resumed, promotion, settings) == reports[cut:]
        contract.assert_same_state(
            uninterrupted.resume().stages, resumed.resume().stages, f"after an interruption at epoch {cut}"
        )


def test_restarted_last_run_equals_a_complete_run_and_a_continued_one_does_not():
    plain = contract.run(contract.small_experiment(SETTINGS), MemorySession()).state
    ends = {}
    for promotion in ("restart", "continue"):
        session = MemorySession()
        run(session, promotion)
        ends[promotion] = session.resume().stages
    contract.assert_same_state(plain, ends["restart"], "after a restart from scratch")
    weight = "0.network.classifier.weight"
    assert not torch.equal(plain[weight], ends["continue"][weight])


def test_continued_run_starts_from_the_end_of_the_previous_run(monkeypatch):
    starts = []
    monkeypatch.setattr(
        ltray.experiment,
        "train",
        lambda stages, *arguments, train=ltray.experiment.train, **named: (
            starts.append({name: value.clone() for name, value in torch.nn.ModuleList(stages).state_dict().items()}),
            train(stages, *arguments, **named),
        )[1],
    )
    ended = []
    session = MemorySession()
    keep = session.report

    def report(metrics, checkpoint):
        keep(metrics, checkpoint)
        ended.append(session.resume())

    session.report = report
    run(session, "continue", SETTINGS | {"rescom.average_decay": 0.9})
    contract.assert_same_state(starts[1], ended[1].weights(), "at the start of a continued run")
    assert not torch.equal(starts[0]["0.network.classifier.weight"], starts[1]["0.network.classifier.weight"])


def test_value_and_best_checkpoint_are_those_of_the_last_run():
    session = MemorySession()
    reports = run(session, "restart")
    scores = [r[CHECKPOINT_SCORE] for r in reports]
    assert max(scores[:2]) < min(scores[2:])
    assert reports[-1]["val/acc_all_best"] == max(r["val/acc_all"] for r in reports[4:])


def test_every_run_has_its_own_schedule():
    session = MemorySession()
    rates = [r["train/lr"] for r in run(session, "restart") if "train/lr" in r]
    assert rates == pytest.approx([0.05, 0.05, 0.005])
