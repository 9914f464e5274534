"""Trial plans: lengths and rungs of trials; settings without effect are refused."""

import pytest

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.space.search_settings import Stop
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import HyperBand, MedianStopping, SuccessiveHalving
from ltray.study.trial_plan import TrialPlan, rungs_of
from ltray.tune import RUNGS, _is_former
from tests.paths import ROOT

TAIL = LongTail((40, 30, 20, 10, 9, 8, 7, 6, 5, 5))


def plan(stop=None, methods=("rescom",), **knobs):
    settings = {"dataset": "digits-lt", "methods": list(methods), "rescom.epochs": 20, "rescom.schedule": "cosine"}
    if "rescom" not in methods:
        settings = {"dataset": "digits-lt", "methods": list(methods)}
    settings |= {key.replace("__", "."): value for key, value in knobs.items()}
    return TrialPlan.of(Stop(**(stop or {})), [Experiment.from_settings(settings)], TAIL)


def read(tmp_path, stop, **overrides):
    path = tmp_path / "space.yaml"
    explore = "explore: {rescom.temperature: auto}\n"
    path.write_text(f"dataset: digits-lt\nmethods: [rescom]\n{explore}fix: {{rescom.epochs: 9}}\nstop: {stop}\n")
    return SearchSpace.read(path, {f"stop.{key}": value for key, value in overrides.items()})


def test_rungs_are_spaced_by_eta():
    assert plan().rungs == (5, 15) and plan().epochs == 20  # a quarter and three quarters
    assert plan(dict(keep_one_in=2)).rungs == (5, 10)
    assert rungs_of(Stop(), 3, ()) == (1,) and rungs_of(Stop(), 1, ()) == ()
    assert plan(dict(first_rung=5, keep_one_in=2)).rungs == (5, 10)
    assert plan(dict(rungs=[4, 7])).rungs == (4, 7)


def test_rungs_of_a_search_of_a_former_version_and_of_short_runs_begin_at_one_in_eta_squared():
    assert rungs_of(Stop(), 20, (), former=True) == (2, 6, 18)
    assert rungs_of(Stop(fidelity="short_runs"), 20, ()) == (2, 6, 18)
    assert rungs_of(Stop(first_rung=5), 20, (), former=True) == (5, 15)
    assert _is_former({"stop": {}}) and not _is_former({RUNGS: [5, 15]}) and not _is_former(None)


def test_rungs_of_a_step_schedule_follow_its_decays():
    stepped = plan(rescom__schedule="step", rescom__milestones=[8, 15])
    assert stepped.rungs == (9, 16) and not stepped.warning


@pytest.mark.parametrize("stop", [dict(first_rung=4), dict(rungs=[8, 9])])
def test_rung_before_the_first_decay_gives_a_warning(stop):
    stepped = plan(stop, rescom__schedule="step", rescom__milestones=[8, 15])
    assert "is before the first learning-rate decay at epoch 8" in stepped.warning


def test_short_runs_cost_their_sum_and_have_rungs_at_their_ends():
    short = plan(dict(fidelity="short_runs", rungs=[5, 10]))
    assert (short.lengths, short.rungs, short.epochs) == ((5, 10, 20), (5, 15), 35)
    assert "from scratch" in short.describe(Stop(fidelity="short_runs"))
    assert "warm restart" in plan(dict(fidelity="short_runs", promotion="continue")).describe(
        Stop(fidelity="short_runs", promotion="continue")
    )


def test_short_runs_include_a_post_hoc_stage():
    short = plan(dict(fidelity="short_runs", rungs=[5]), methods=("rescom", "tau_norm"))
    assert (short.lengths, short.rungs, short.epochs) == ((5, 20), (6,), 27)


@pytest.mark.parametrize("methods", [("dscl",), ("rescom", "crt")])
def test_short_runs_of_several_trained_stages_are_refused(methods):
    with pytest.raises(UsageError, match="needs methods with exactly one training stage"):
        plan(dict(fidelity="short_runs"), methods=methods)


@pytest.mark.parametrize("rungs", [[20], [7, 4], [4, 4]])
def test_rungs_must_ascend_within_the_run(rungs):
    with pytest.raises(UsageError, match="must ascend and end before the last epoch, 20"):
        plan(dict(rungs=rungs))


def test_first_rung_beyond_the_run_is_refused():
    with pytest.raises(UsageError, match=r"must be below the 20 epochs of a run, but got 20"):
        plan(dict(first_rung=20))


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("asha", SuccessiveHalving), ("hyperband", HyperBand), ("median", MedianStopping), ("none", type(None))],
)
def test_every_rule_is_built(rule, kind):
    assert type(plan(dict(rule=rule)).rule) is kind


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ("{rule: median, keep_one_in: 2}", r"`stop.keep_one_in` has no effect with stop.rule=median.*stop.rule=asha"),
        ("{rule: none, first_rung: 2}", r"`stop.first_rung` has no effect with stop.rule=none"),
        (
            "{rule: asha, exploit_every: 2}",
            r"`stop.exploit_every` has no effect with stop.rule=asha.*set stop.rule=pbt",
        ),
        ("{rule: pbt, rungs: [2]}", r"`stop.rungs` has no effect with stop.rule=pbt"),
        ("{rungs: [2], first_rung: 2}", "has no effect with a list of `stop.rungs`"),
        ("{promotion: continue}", "has no effect with stop.fidelity=epochs.*set stop.fidelity=short_runs"),
        ("{rule: ashaa}", r"Did you mean `asha`"),
        ("{rungs: often}", "must be a list of integers"),
    ],
)
def test_a_setting_without_effect_is_an_error(tmp_path, stop, message):
    with pytest.raises(UsageError, match=message) as error:
        read(tmp_path, stop)
    assert str(error.value).startswith(str(tmp_path / "space.yaml") + ":5: ")


def test_rungs_may_be_auto(tmp_path):
    assert read(tmp_path, "{rungs: auto, first_rung: 2}").stop.rungs == ()


def test_rule_of_the_command_line_discards_the_files_rule_settings(tmp_path):
    stop = read(tmp_path, "{rule: asha, keep_one_in: 2, first_rung: 2}", rule="median").stop
    assert (stop.rule, stop.first_rung, stop.keep_one_in) == ("median", 2, Stop.keep_one_in)
    with pytest.raises(UsageError, match="`stop.keep_one_in` has no effect with stop.rule=median"):
        read(tmp_path, "{rule: asha}", rule="median", keep_one_in=2)


def test_trials_of_different_length_are_refused():
    settings = {"dataset": "digits-lt", "methods": ["rescom"], "rescom.warmup_epochs": 0}
    short, complete = (Experiment.from_settings(settings | {"rescom.epochs": epochs}) for epochs in (5, 20))
    post_hoc = Experiment.from_settings(settings | {"methods": ["rescom", "tau_norm"], "rescom.epochs": 20})
    with pytest.raises(UsageError, match="compares trials at equal epochs, but their epochs would be from 5 to 20"):
        TrialPlan.of(Stop(), [short, complete], TAIL)
    assert TrialPlan.of(Stop(rule="none"), [short, complete], TAIL).epochs == 20
    assert TrialPlan.of(Stop(), [complete, post_hoc], TAIL).epochs == 21
    with pytest.raises(UsageError, match="from 20 to 21"):
        TrialPlan.of(Stop(rule="pbt"), [complete, post_hoc], TAIL)


def test_shipped_spaces_have_rungs_without_a_warning():
    for path in sorted((ROOT / "search_spaces").glob("*.yaml")):
        if "--from" in path.read_text():
            continue  # its stages need the network of a run
        space = SearchSpace.read(path)
        tail = LongTail((20,) * 100) if "cifar100" in path.read_text() else TAIL
        assert not TrialPlan.of(space.stop, space.experiments(), tail).warning, path
