"""Warm start of a search from earlier searches with the same data and methods, and only from those."""

import io
import json

import pytest
from optuna.trial import TrialState
from rich.console import Console

from ltray.errors import UsageError
from ltray.run_folder import RunFolder
from ltray.settings import plain
from ltray.space.search_space import SearchSpace
from ltray.study.study import ORIGIN, ask, leader, open_study, own_trials, proposed, recorded_values, unfinished
from ltray.study.warm_start import learn_from_earlier

SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.queue_size: {from: 2, to: 32}
  rescom.hard_positives: {from: 1, to: 8}
fix: {rescom.epochs: 9}
"""


def begun(folder, text=SPACE, *, digest="d1", **overrides):
    """Begin a search like `ltray.tune`; return its study, space and output."""
    folder.mkdir()
    path = folder / "space.yaml"
    path.write_text(text)
    space = SearchSpace.read(path, overrides).bind(10)
    search = {k: plain(v) for k, v in space.search.as_dict().items() if k != "trials"}
    protocol = space.base.dataset.protocol
    RunFolder(folder).claim(
        space.as_dict() | {"search": search}, {"data_digest": digest, "protocol": protocol}, may_differ=()
    )
    console = Console(file=io.StringIO(), width=300)
    study = open_study(folder, space, lambda: learn_from_earlier(space, folder, console))
    return study, space, console.file.getvalue()


def search(study, space, trials, value=lambda settings: settings["rescom.temperature"]):
    for number in range(trials):
        trial, settings = ask(study, space)
        if number % 4 == 3:
            trial.report(0.9, 1)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value(settings))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches") / "earlier"
    study, space, _ = begun(folder)
    search(study, space, 12)
    return folder


@pytest.fixture(scope="module")
def peaked(tmp_path_factory):
    """A search whose best temperature is 0.4."""
    folder = tmp_path_factory.mktemp("searches") / "peaked"
    study, space, _ = begun(folder)
    search(study, space, 28, value=lambda settings: -abs(settings["rescom.temperature"] - 0.4))
    return folder


def test_warm_start_trials_are_used_but_not_counted(earlier, tmp_path):
    study, space, printed = begun(tmp_path / "new", **{"search.warm_start": [str(earlier)]})
    assert f"warm start from 9 trials of {earlier}" in printed
    foreign = [trial for trial in study.get_trials() if ORIGIN in trial.user_attrs]
    assert len(foreign) == 9 and all(trial.state == TrialState.COMPLETE for trial in foreign)
    assert foreign[0].user_attrs[ORIGIN] == f"{earlier}, trial 0"
    assert (proposed(study), own_trials(study), unfinished(study), recorded_values(study)) == (0, [], [], {})
    assert leader(study) is None
    trial, settings = ask(study, space)
    assert settings["rescom.temperature"] == 0.2  # the papers' setting is a trial, also if the earlier search had it
    study.tell(trial, 0.01)
    assert leader(study).number == trial.number


def test_warm_start_changes_the_proposals(peaked, tmp_path):
    drawn = {}
    for name, named in (("cold", []), ("warm", [str(peaked)])):
        new, space, _ = begun(tmp_path / name, **{"search.warm_start": named, "search.first_try": "none"})
        drawn[name] = []
        for _ in range(4):
            trial, settings = ask(new, space)
            new.tell(trial, -abs(settings["rescom.temperature"] - 0.4))
            drawn[name].append(settings["rescom.temperature"])
    assert sum(drawn["warm"]) / 4 > 0.3 > sum(drawn["cold"]) / 4


def test_reopened_study_does_not_repeat_the_warm_start(earlier, tmp_path):
    study, space, _ = begun(tmp_path / "new", **{"search.warm_start": [str(earlier)]})
    again = open_study(tmp_path / "new", space, lambda: pytest.fail("read again"))
    assert len(again.get_trials()) == len(study.get_trials())


def test_warm_start_trials_outside_the_new_space_are_excluded_and_counted(earlier, tmp_path):
    text = SPACE.replace("from: 0.05, to: 0.5", "from: 0.15, to: 0.5")
    study, _, printed = begun(tmp_path / "new", text, **{"search.warm_start": [str(earlier)]})
    inside = [t for t in study.get_trials() if ORIGIN in t.user_attrs]
    assert 0 < len(inside) < 9 and all(t.params["rescom.temperature"] >= 0.15 for t in inside)
    assert f"{9 - len(inside)} not used (" in printed and "is not in 0.15 … 0.5" in printed


def test_warm_start_trials_must_have_the_value_of_a_fixed_knob(earlier, tmp_path):
    text = SPACE.replace("  rescom.hard_positives: {from: 1, to: 8}\n", "")
    study, _, printed = begun(tmp_path / "new", text, **{"search.warm_start": [str(earlier)]})
    inside = [t for t in study.get_trials() if ORIGIN in t.user_attrs]
    assert 0 < len(inside) < 9
    assert "rescom.hard_positives is" in printed and "there and fixed at 1 here" in printed


@pytest.mark.parametrize(
    ("change", "digest", "sentence"),
    [
        ({"epochs": 12}, "d1", "`rescom.epochs` is 9 there and 12 here"),
        ({}, "d2", "`data_digest` is 'd1' there and 'd2' here"),
        ({"dataset.protocol": "paper"}, "d1", "`protocol` is 'honest' there and 'paper' here"),
        ({"search.objectives": ["acc_all", "acc_few"], "stop.rule": "none"}, "d1", "`objectives` is"),
        ({"backbone": "resnet50"}, "d1", "`backbone` is 'resnet32' there and 'resnet50' here"),
    ],
)
def test_warm_start_from_a_different_search_is_refused(earlier, tmp_path, change, digest, sentence):
    with pytest.raises(UsageError, match=sentence):
        begun(tmp_path / "new", digest=digest, **{"search.warm_start": [str(earlier)]} | change)


def test_warm_start_accepts_another_training_seed(earlier, tmp_path):
    assert "warm start from 9" in begun(tmp_path / "new", **{"search.warm_start": [str(earlier)], "seed": 4})[2]


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_warm_start_is_refused_for_samplers_that_ignore_results(earlier, tmp_path, sampler):
    with pytest.raises(UsageError, match=f"`search.warm_start`: {sampler} does not use results"):
        begun(tmp_path / "new", **{"search.warm_start": [str(earlier)], "search.sampler": sampler})


def test_warm_start_from_no_search_or_a_duplicate_is_refused(earlier, tmp_path):
    with pytest.raises(UsageError, match="contains no search"):
        begun(tmp_path / "new", **{"search.warm_start": [str(tmp_path)]})
    with pytest.raises(UsageError, match="a duplicate"):
        begun(tmp_path / "twice", **{"search.warm_start": [str(earlier), str(earlier / ".")]})


def test_cmaes_begins_near_the_best_warm_start_trials(peaked, tmp_path):
    overrides = {"search.warm_start": [str(peaked)], "search.sampler": "cmaes", "search.first_try": "none"}
    new, space, _ = begun(tmp_path / "new", **overrides)
    drawn = [ask(new, space)[1]["rescom.temperature"] for _ in range(6)]
    assert min(drawn) > 0.2, json.dumps(drawn)


def test_cmaes_refuses_too_few_warm_start_trials(earlier, tmp_path):
    with pytest.raises(UsageError, match="needs 10 of them, but 9 are in this space"):
        begun(tmp_path / "new", **{"search.warm_start": [str(earlier)], "search.sampler": "cmaes"})
