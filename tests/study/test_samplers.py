"""Every sampler: valid settings, reproducible from the record, correct after a killed process."""

import json
import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ltray.experiment import Experiment
from ltray.space.search_space import SearchSpace
from ltray.strategies.samplers import SAMPLERS
from ltray.study.redraw import redraw, undrawn
from ltray.study.study import PAPER, SETTINGS, ask, begin, open_study, own_trials, proposed

RANGES = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.queue_size: {from: 2, to: 32, log: true}
  rescom.hard_positives: {from: 1, to: 8}
  rescom.hard_negatives: {from: 8, to: 256, log: true}
"""
VALUES = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {among: [0.1, 0.2]}
  rescom.queue_size: {among: [2, 4, 16]}
  rescom.hard_positives: {among: [1, 2, 3]}
fix: {rescom.hard_negatives: 8}
"""


def new_space(folder: Path, sampler: str, **search) -> SearchSpace:
    path = folder / "space.yaml"
    path.write_text(VALUES if sampler == "grid" else RANGES)
    overrides = {"search.sampler": sampler, "search.trials": 24, "stop.rule": "none"}
    return SearchSpace.read(path, overrides | {f"search.{key}": value for key, value in search.items()}).bind(
        classes=10
    )


def reopened(study: optuna.Study, space: SearchSpace) -> optuna.Study:
    """Return the study as a new process loads it."""
    return optuna.load_study(study_name=study.study_name, storage=study._storage)


def next_trial(study: optuna.Study, space: SearchSpace) -> tuple[optuna.Trial, dict]:
    """Return the next trial of `StudySearch`: an incompletely drawn trial, or a new one."""
    left = undrawn(study)
    return redraw(study, space, left[0]) if left else ask(study, space)


def new_study(space: SearchSpace) -> optuna.Study:
    """Return a study in memory that has the first trials enqueued."""
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    return study


def value_of(settings: dict) -> float:
    distance = math.log(settings["rescom.temperature"] / 0.12) ** 2 + math.log(settings["rescom.queue_size"] / 9) ** 2
    return math.exp(-distance) - 0.01 * settings["rescom.hard_positives"]


def search(study: optuna.Study, space: SearchSpace, *, trials: int, restarts: bool = False) -> list[str]:
    """Run trials one at a time; a restart only has the study."""
    for number in range(trials):
        if restarts:
            study = reopened(study, space)
        trial, settings = ask(study, space)
        value = value_of(settings)
        if number % 5 == 3:
            trial.report(value / 2, 3)
            study.tell(trial, state=TrialState.PRUNED)
        elif number % 7 == 6:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)
    return [trial.user_attrs[SETTINGS] for trial in own_trials(study)]


@pytest.mark.parametrize("sampler", [pytest.param(s, marks=pytest.mark.slow) if s == "gp" else s for s in SAMPLERS])
def test_search_restarted_before_every_trial_proposes_like_an_uninterrupted_one(sampler, tmp_path):
    space = new_space(tmp_path, sampler)
    trials = 15 if sampler == "gp" else 14 if sampler == "grid" else 24  # gp's first model proposes the fifteenth
    uninterrupted = search(new_study(space), space, trials=trials)
    assert search(new_study(space), space, trials=trials, restarts=True) == uninterrupted
    assert len(set(uninterrupted)) > trials // 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_proposal_is_valid_and_the_papers_setting_is_first(sampler, tmp_path):
    space = new_space(tmp_path, sampler)
    study = new_study(space)
    for number in range(8):
        trial, settings = ask(study, space)
        knobs = Experiment.from_settings(settings).knobs[0]
        knobs.check_classes(10)
        assert (PAPER in trial.user_attrs) == (number == 0)
        if number == 0:
            assert knobs.replace(hard_negatives=64, warmup_epochs=5) == space.base.knobs[0].replace(
                hard_negatives=64, warmup_epochs=5
            )
        study.tell(trial, value_of(settings))


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", pytest.param("gp", marks=pytest.mark.slow)])
def test_adaptive_sampler_finds_better_settings_than_random(sampler, tmp_path):
    found = {}
    for name in ("random", sampler):
        folder = tmp_path / name
        folder.mkdir()
        space = new_space(folder, name, first_try="none")
        study = new_study(space)
        for _ in range(45 if sampler == "cmaes" else 24):
            trial, settings = ask(study, space)
            study.tell(trial, value_of(settings))
        last = [trial.value for trial in own_trials(study)][-8:]
        found[name] = sum(last) / len(last)
    assert found[sampler] > found["random"] + 0.2


def test_cmaes_stores_no_pickle_and_advances_by_generations(tmp_path):
    space = new_space(tmp_path, "cmaes", first_try="none")
    study = new_study(space)
    search(study, space, trials=30)
    attributes = [trial.system_attrs for trial in study.get_trials()]
    assert not any("optimizer" in key for own in attributes for key in own)
    assert max(own.get("cma:generation", 0) for own in attributes) >= 2


def test_quasi_random_points_are_one_sequence_over_interruptions(tmp_path):
    space = new_space(tmp_path, "qmc", first_try="none")
    study = new_study(space)
    for _ in range(16):
        trial, _ = next_trial(study, space)
        study.tell(trial, 0.5)
        study.ask()  # a driver that dies before the settings are drawn
    for name in ("rescom.hard_positives (share)", "rescom.hard_negatives (share)"):
        shares = sorted(int(16 * trial.params[name]) for trial in own_trials(study))
        assert shares == list(range(16)), name  # each sixteenth has one point, unlike in random draws


def test_grid_visits_every_valid_combination_once(tmp_path):
    space = new_space(tmp_path, "grid", first_try=[{"rescom.temperature": 0.1}])
    assert space.search.trials == 16  # two temperatures; for Q = 2, 4, 16 there are 2, 3, 3 numbers of positives
    study = new_study(space)
    for number in range(8):  # pairs; the older trial ends first, and some trials fail
        running = [next_trial(study, space)[0] for _ in range(2)]
        study.tell(running[0], 0.5)
        if number % 2:
            study.tell(running[1], state=TrialState.FAIL)
        study = reopened(study, space)
        if number % 3 == 0 and number < 7:  # the driver dies between choosing a point and writing its settings
            killed = ask(study, space)[0]
            attributes = study._storage.get_trial(killed._trial_id).user_attrs
            attributes.pop(SETTINGS)
    assert proposed(study) == 16
    assert len({trial.user_attrs[SETTINGS] for trial in own_trials(study)}) == 16
    with pytest.raises(LookupError):
        ask(study, space)


def test_dependent_bound_of_the_first_trial_does_not_limit_later_ones(tmp_path):
    first = [{"rescom.queue_size": 2, "rescom.hard_positives": 1, "rescom.hard_negatives": 8}]
    space = new_space(tmp_path, "tpe", first_try=first)
    study = new_study(space)
    drawn = []
    for _ in range(24):
        trial, settings = ask(study, space)
        drawn.append(settings)
        study.tell(trial, settings["rescom.hard_positives"] / settings["rescom.queue_size"])
    assert max(settings["rescom.hard_positives"] for settings in drawn[12:]) > 2


def test_reopened_study_returns_the_drawn_settings(tmp_path):
    space = new_space(tmp_path, "tpe")
    drawn = []
    for number in range(3):
        study = open_study(tmp_path, space)
        begin(study, space, [])
        trial, settings = ask(study, space)
        study.tell(trial, 0.1 * number)
        drawn.append(json.dumps(settings))
    assert drawn == [trial.user_attrs[SETTINGS] for trial in own_trials(open_study(tmp_path, space))]
    assert drawn == search(new_study(space), space, trials=3)
