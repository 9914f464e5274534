"""Searches over given rows: checked like all settings, run once and in order, named in tables."""

import json

import pandas as pd
import pytest
from optuna.trial import TrialState
from rich.console import Console

from ltray.errors import UsageError
from ltray.results.printed_trials import render
from ltray.results.tables import trial_table
from ltray.space.search_space import SearchSpace
from ltray.study.redraw import redraw, undrawn
from ltray.study.study import NAME, SETTINGS, ask, open_study, unfinished

GOOD = """
dataset: digits-lt
methods: [rescom]
rows:
  - name: all on
  - name: without mining
    rescom.hard_mining: false
  - {name: small queue, rescom.queue_size: 2, rescom.hard_negatives: 1e1}
  - dataset.imbalance_factor: 11
    rescom.epochs: 4
    seed: 3
fix: {rescom.epochs: 9}
"""


def read(tmp_path, text=GOOD, **overrides):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return SearchSpace.read(path, overrides)


def settings_of(study):
    return [json.loads(t.user_attrs[SETTINGS]) for t in study.get_trials() if SETTINGS in t.user_attrs]


def test_every_trial_has_every_setting_that_rows_vary(tmp_path):
    space = read(tmp_path).bind(classes=10)
    study = open_study(tmp_path, space)
    for _ in range(space.search.trials):
        ask(study, space)
    table = pd.DataFrame(settings_of(study))
    assert table["rescom.hard_mining"].tolist() == [True, False, True, True]
    assert table["rescom.queue_size"].tolist() == [16, 16, 2, 16]
    assert table["rescom.hard_negatives"].tolist() == [64, 64, 10, 64]
    assert table["rescom.epochs"].tolist() == [9, 9, 9, 4]
    assert table["dataset.imbalance_factor"].tolist() == [22.0, 22.0, 22.0, 11.0]
    assert table["seed"].tolist() == [0, 0, 0, 3]
    assert [t.user_attrs[NAME] for t in study.get_trials()] == ["all on", "without mining", "small queue", ""]


def test_a_resumed_search_runs_every_row_exactly_once(tmp_path):
    space = read(tmp_path).bind(classes=10)
    study = open_study(tmp_path, space)
    first, _ = ask(study, space)
    study.tell(first, 0.5)
    ask(study, space)
    study.ask()  # the driver dies while the second row runs, before the third has its settings
    study = open_study(tmp_path, space)
    assert [t.number for t in unfinished(study)] == [1]
    for frozen in undrawn(study):
        redraw(study, space, frozen)
    ask(study, space)
    assert sorted(settings["rescom.queue_size"] for settings in settings_of(study)) == [2, 16, 16, 16]
    assert sorted(settings["rescom.hard_mining"] for settings in settings_of(study)) == [False, True, True, True]
    assert [settings["seed"] for settings in settings_of(study)] == [0, 0, 0, 3]
    assert not [t for t in open_study(tmp_path, space).get_trials() if t.state == TrialState.WAITING]


def test_rows_run_completely_without_an_explicit_rule(tmp_path):
    assert read(tmp_path).stop.rule == "none"
    assert read(tmp_path, GOOD + "stop: {rule: asha}\n").stop.rule == "asha"
    assert read(tmp_path, **{"stop.first_rung": 3}).stop.rule == "asha"


def test_command_line_has_precedence_over_rows(tmp_path):
    space = read(tmp_path, **{"rescom.epochs": 2, "temperature": 0.1})
    assert [(row.experiment.knobs[0].epochs, row.experiment.knobs[0].temperature) for row in space.rows] == [
        (2, 0.1)
    ] * 4
    with pytest.raises(UsageError, match=r"space.yaml:6: this row has the same settings as the row in .*space.yaml:5"):
        read(tmp_path, **{"rescom.hard_mining": True})


def test_table_shows_row_names_and_seeds(tmp_path):
    space = read(tmp_path).bind(classes=10)
    study = open_study(tmp_path, space)
    epochs = []
    for _ in range(4):
        trial, _ = ask(study, space)
        study.tell(trial, trial.number / 10)
        score = {"checkpoint_score": 0.5, "val/acc_all": trial.number / 10}
        epochs.append({"trial": trial.number, "epoch": 1, "stage": 0} | score)
    weights = {1: {"weights_name": "timm/one.in1k", "weights_sha256": "ab"}}
    table = trial_table(study, pd.DataFrame(epochs), {"seed": 0, "data_seed": 7}, selection="val", weights=weights)
    by_trial = table.set_index("trial")["weights_name"]
    assert by_trial[1] == "timm/one.in1k" and by_trial.drop(1).isna().all()
    assert table["name"].tolist() == ["", "small queue", "without mining", "all on"]
    assert table["seed"].tolist() == [3, 0, 0, 0] and table["data_seed"].tolist() == [7] * 4
    console = Console(width=200, record=True)
    console.print(render(table, space.headings(), selection="val", most=1))
    printed = console.export_text()
    assert "hard_mining" not in printed and "SPM" in printed and "imbalance_factor" in printed
    assert "small queue" not in printed  # this table shows only the best row


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("rescom.hard_mining", "rescom.hard_minig", r"space.yaml:7: .*Did you mean `rescom.hard_mining`"),
        ("hard_mining: false", "hard_mining: 0.5", r"space.yaml:7: `hard_mining` must be true or false, but got 0.5"),
        ("queue_size: 2", "queue_size: 0", r"space.yaml:8: `1 <= queue_size <= 1024` must hold"),
        ("seed: 3", "dataset.protocol: paper", r"space.yaml:11: `dataset.protocol` must be the same for all rows"),
        ("seed: 3", "methods: [bcl]", r"space.yaml:11: `methods` must be the same for all rows"),
        ("name: without mining", "name: all on", r"space.yaml:6: two rows have the name `all on`"),
        (
            "name: without mining",
            "name: [a]",
            r"space.yaml:6: a row must contain `key: value` lines and may have a `name`",
        ),
        (
            "rescom.epochs: 4",
            "rescom.epochs: 4\n    rescom.epochs: 5",
            r"space.yaml:11: .*duplicate key `resc",
        ),
        ("fix:", "explore: {rescom.temperature: auto}\nfix:", r"space.yaml:4: `rows` and `explore`"),
        ("fix:", "search: {first_try: paper}\nfix:", r"space.yaml:12: `search.first_try` has no effect with `rows`"),
        ("fix:", "search:\n  trials: 2\nfix:", r"space.yaml:13: `search.trials` has no effect with `rows`"),
    ],
)
def test_mistake_is_reported_with_file_line_and_remedy(tmp_path, before, after, sentence):
    assert before in GOOD
    with pytest.raises(UsageError, match=sentence):
        read(tmp_path, GOOD.replace(before, after))


@pytest.mark.parametrize("rows", ["[]", "7", "{rescom.epochs: 3}"])
def test_rows_must_be_a_list(tmp_path, rows):
    with pytest.raises(UsageError, match=r"space.yaml:3: `rows` must be a list of settings"):
        read(tmp_path, f"dataset: digits-lt\nmethods: [rescom]\nrows: {rows}\n")


def test_a_bound_set_by_the_number_of_classes_is_checked(tmp_path):
    space = read(tmp_path, GOOD.replace("1e1", "19"))
    with pytest.raises(UsageError, match=r"space.yaml:8: `hard_negatives <= 18` must hold with 10 classes"):
        space.bind(classes=10)
    space.bind(classes=11)
