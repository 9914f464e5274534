"""No setting is tried twice: methods and branches with few settings leave the other trials to the rest of the space."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ltray.space.search_space import SearchSpace
from ltray.study.new_setting import new_setting
from ltray.study.study import SETTINGS, _proposal, ask, begin, own_trials

RACE: dict[str, Any] = {
    "dataset": "digits-lt",
    "methods": {"among": ["focal", "balanced_softmax", "class_balanced"]},
    "explore": {"focal.learning_rate": {"from": 0.01, "to": 0.1}, "class_balanced.loss": "auto"},
}
BRANCHES: dict[str, Any] = {
    "dataset": "digits-lt",
    "methods": ["bcl"],
    "explore": {
        "bcl.prototypes": {"among": ["mlp", "learnable", "ema"]},
        "bcl.prototype_momentum": {"from": 0.5, "to": 0.99},
    },
}
FINITE: dict[str, Any] = {
    "dataset": "digits-lt",
    "methods": ["rescom"],
    "explore": {
        "rescom.temperature": {"among": [0.1, 0.2]},
        "rescom.hard_positives": {"from": 1, "to": 3},
    },
    "fix": {"rescom.queue_size": 8},
}
SAMPLERS = ("tpe", "random")  # the others need a space in which every knob has an effect in every trial


def space_of(content: dict[str, Any], folder: Path, sampler: str, trials: int) -> SearchSpace:
    own = {"search": {"sampler": sampler, "trials": trials}, "stop": {"rule": "none"}}
    path = folder / "space.yaml"
    path.write_text(json.dumps(content | own))
    return SearchSpace.read(path).bind(classes=10)


def value_of(settings: dict[str, Any]) -> float:
    """The branches with one setting have the highest values, so that a sampler proposes them again."""
    return 0.9 if settings["methods"] == ["balanced_softmax"] or settings.get("bcl.prototypes") == "mlp" else 0.1


def searched(space: SearchSpace, *, restarts: bool = False) -> list[dict[str, Any]]:
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    for number in range(space.search.trials):
        if restarts:
            study = optuna.load_study(study_name=study.study_name, storage=study._storage)
            if number >= 3:  # killed after the proposal, before the trial began
                known = {trial.user_attrs[SETTINGS] for trial in own_trials(study)}
                if params := new_setting(study, space, _proposal(study, space, own_trials(study)), known):
                    study.enqueue_trial(params)
        trial, settings = ask(study, space)
        if number % 4 == 3:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value_of(settings))
    return [json.loads(trial.user_attrs[SETTINGS]) for trial in own_trials(study)]


def repeated(found: list[dict[str, Any]]) -> list[str]:
    counts = Counter(json.dumps(settings) for settings in found)
    return [settings for settings, count in counts.items() if count > 1]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_method_with_one_setting_gets_one_trial_of_a_race(sampler: str, tmp_path: Path) -> None:
    space = space_of(RACE, tmp_path, sampler, 12)
    assert "balanced_softmax: 1 different setting, which is tried once" in space.followed
    assert any(line.startswith("class_balanced: ") and line.endswith("each tried once") for line in space.followed)
    assert space.search.trials == 12
    found = searched(space)
    methods = Counter(settings["methods"][0] for settings in found)
    assert methods["balanced_softmax"] == 1 and methods["class_balanced"] <= 3 and methods.total() == 12
    assert not repeated(found)
    assert searched(space, restarts=True) == found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_value_of_a_choice_without_further_knobs_is_tried_once(sampler: str, tmp_path: Path) -> None:
    space = space_of(BRANCHES, tmp_path, sampler, 10)
    found = searched(space)
    assert Counter(settings["bcl.prototypes"] for settings in found) == {"mlp": 1, "learnable": 1, "ema": 8}
    assert not repeated(found) and searched(space, restarts=True) == found


@pytest.mark.parametrize("sampler", [*SAMPLERS, "qmc"])
def test_search_ends_when_every_setting_has_been_tried(sampler: str, tmp_path: Path) -> None:
    space = space_of(FINITE, tmp_path, sampler, 20)
    assert space.search.trials == 6
    assert "search.trials is 20, but the space has 6 different settings, each tried once" in space.followed
    found = searched(space)
    assert len(found) == 6 and not repeated(found)
    assert space_of(FINITE, tmp_path, sampler, 4).search.trials == 4


def test_space_with_a_range_in_every_trial_needs_no_comparison(tmp_path: Path) -> None:
    explored = FINITE["explore"] | {"rescom.temperature": {"from": 0.1, "to": 0.5}}
    space = space_of(FINITE | {"explore": explored}, tmp_path, "tpe", 50)
    assert not space.may_repeat() and space.search.trials == 50
    assert not any("tried once" in line for line in space.followed)
    assert space_of(BRANCHES, tmp_path, "tpe", 50).may_repeat()


def test_last_setting_of_many_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltray.study.new_setting.RANDOM_DRAWS", 0)
    monkeypatch.setattr("ltray.study.new_setting.DRAWS", 0)
    found = searched(space_of(FINITE, tmp_path, "random", 20))
    assert len(found) == 6 and not repeated(found)
