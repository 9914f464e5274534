"""Every sampler with every rule of early stopping, for one and two objectives: allowed, or refused with the reason."""

import itertools

import optuna
import pytest

from ltray.errors import UsageError
from ltray.space.compatibility import CONDITIONAL, CONTINUOUS, LISTED, refusal
from ltray.space.search_settings import Search, Stop
from ltray.space.search_space import SearchSpace
from ltray.strategies.samplers import SAMPLERS
from ltray.study.study import ask, begin
from tests.paths import ROOT

RULES = Stop.specs()["rule"].choices
ALLOWED = {
    "tpe": {"asha", "hyperband", "median", "none"},
    "prior": {"asha", "hyperband", "median", "none"},
    "random": {"asha", "hyperband", "median", "none", "pbt"},
    "qmc": {"asha", "hyperband", "median", "none", "pbt"},
    "grid": {"asha", "hyperband", "median", "none"},
    "cmaes": {"asha", "hyperband", "median", "none"},
    "gp": {"none"},
}
RANGES = """dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.queue_size: {from: 2, to: 16}
  rescom.hard_positives: {from: 1, to: 8}
search:
  trials: 20
  sampler: SAMPLER
  objectives: OBJECTIVES
stop:
  rule: RULE
"""
VALUES = (
    RANGES.replace("{from: 0.05, to: 0.5, log: true}", "{among: [0.1, 0.2]}")
    .replace("{from: 2, to: 16}", "{among: [2, 16]}")
    .replace("{from: 1, to: 8}", "{among: [1, 4]}")
)


def read(tmp_path, text, **parts):
    path = tmp_path / "space.yaml"
    for name, value in ({"SAMPLER": "tpe", "OBJECTIVES": "[acc_all]", "RULE": "none"} | parts).items():
        text = text.replace(name, value)
    path.write_text(text)
    return SearchSpace.read(path).bind(10)


def test_compatibility_table_has_every_sampler_and_rule():
    assert set(ALLOWED) == set(SAMPLERS) == set(Search.specs()["sampler"].choices)
    assert set.union(*ALLOWED.values()) == set(RULES)


@pytest.mark.parametrize(("sampler", "rule", "two"), list(itertools.product(SAMPLERS, RULES, [False, True])))
def test_every_sampler_and_rule_proposes_or_is_refused_with_the_reason(tmp_path, sampler, rule, two):
    allowed = rule in ALLOWED[sampler] and not (two and (rule != "none" or sampler in ("cmaes", "prior")))
    parts = {"SAMPLER": sampler, "RULE": rule, "OBJECTIVES": "[acc_all, acc_few]" if two else "[acc_all]"}
    text = VALUES if sampler == "grid" else RANGES
    if not allowed:
        line = "10: `search.objectives`" if two and rule == "none" else "12: `stop.rule`"
        with pytest.raises(UsageError, match=f"space.yaml:{line}: .*(use|set|write) "):
            read(tmp_path, text, **parts)
        return
    space = read(tmp_path, text, **parts)
    study = optuna_study(space)
    for _ in range(4):
        trial, settings = ask(study, space)
        study.tell(trial, [settings["rescom.temperature"]] * (2 if two else 1))


def optuna_study(space):
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    return study


@pytest.mark.parametrize(
    ("sampler", "content", "where"),
    [
        ("grid", CONTINUOUS, "space.yaml:4: `search.sampler`: the space contains a range"),
        ("cmaes", LISTED, "space.yaml:4: `search.sampler`: the space contains a list of values"),
    ],
)
def test_space_that_a_sampler_cannot_draw_is_refused_with_its_line(tmp_path, sampler, content, where):
    with pytest.raises(UsageError, match=where):
        read(tmp_path, RANGES if content == CONTINUOUS else VALUES, SAMPLER=sampler)


@pytest.mark.parametrize("sampler", ["qmc", "cmaes", "gp"])
def test_choice_of_methods_is_refused_by_samplers_of_fixed_spaces(tmp_path, sampler):
    text = RANGES.replace("methods: [rescom]", "methods: {among: [rescom, cross_entropy]}")
    with pytest.raises(UsageError, match=r"space.yaml:2: `search.sampler`: the space contains knobs that depend"):
        read(tmp_path, text, SAMPLER=sampler)
    assert refusal("tpe", "asha", objectives=1, contents=[CONDITIONAL, LISTED, CONTINUOUS]) is None


@pytest.mark.parametrize(
    ("objectives", "sentence"),
    [
        ("[acc_all, acc_all]", "must be different metrics"),
        ("[acc_al]", "Did you mean `acc_all`"),
        ("[seconds, acc_all]", "must begin with an accuracy"),
        ("[]", "must be different metrics"),
    ],
)
def test_invalid_objectives_are_refused(tmp_path, objectives, sentence):
    with pytest.raises(UsageError, match=rf"space.yaml:\d+: .*{sentence}"):
        read(tmp_path, RANGES, OBJECTIVES=objectives)


def test_objective_of_a_missing_group_is_refused():
    with pytest.raises(UsageError, match="`acc_few` does not exist: no class of this data is few-shot"):
        Search(objectives=("acc_all", "acc_few")).check_groups({"many": [0], "medium": [1]})


@pytest.mark.parametrize(
    ("tries", "sentence"),
    [
        ("[{temprature: 0.1}]", "Did you mean `temperature`"),
        ("[{temperature: 3}]", "`0.001 <= temperature <= 1` must hold"),
        ("[{temperature: 0.01}]", "rescom.temperature=0.01 is not in 0.05 … 0.5"),
        ("[{queue_size: 4, hard_positives: 8}]", "rescom.hard_positives=8 is not in 1 … 4"),
        ("[{learning_rate: 0.1}]", "`rescom.learning_rate` is not explored"),
        ("papers", "must be `paper`, `none` or a list"),
    ],
)
def test_invalid_first_try_is_refused(tmp_path, tries, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(tmp_path, RANGES.replace("trials: 20", f"trials: 20\n  first_try: {tries}"))


def test_first_tries_are_the_papers_setting_with_changes(tmp_path):
    space = read(tmp_path, RANGES.replace("trials: 20", "trials: 20\n  first_try: [{queue_size: 4}, paper]"))
    study = optuna_study(space)
    drawn = [ask(study, space)[1] for _ in range(2)]
    assert [settings["rescom.queue_size"] for settings in drawn] == [4, 16]
    assert {settings["rescom.temperature"] for settings in drawn} == {0.2}


def test_grid_larger_than_the_search_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the grid has 6 points, but search.trials is 5. Set search.trials=6"):
        read(tmp_path, VALUES.replace("trials: 20", "trials: 5"), SAMPLER="grid")


def test_document_has_the_compatibility_table():
    lines = (ROOT / "docs" / "searching.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| | `asha`"))
    rules = [cell.strip(" `") for cell in lines[start].split("|")[2:7]]
    assert sorted(rules) == sorted(RULES)
    for sampler, line in zip(SAMPLERS, lines[start + 2 :], strict=False):
        message = [cell.strip() for cell in line.split("|")[1:8]]
        does = [refusal(sampler, rule, objectives=1) is None for rule in rules]
        does.append(refusal(sampler, "none", objectives=2) is None)
        assert message == [f"`{sampler}`", *("yes" if works else "no" for works in does)]
