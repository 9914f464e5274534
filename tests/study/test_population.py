"""Population based training: exploitation, and valid perturbations that keep checkpoints loadable."""

import io
import random

import optuna
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.metrics import CHECKPOINT_SCORE
from ltray.results.printed_trials import render
from ltray.results.tables import state_of, trial_table
from ltray.space.search_space import SearchSpace
from ltray.study.population import Population, check_population, explore
from ltray.study.study import COPIES, PAPER, SETTINGS

TAIL = LongTail((40, 30, 20, 10, 9, 8, 7, 6, 5, 5))
EXPLORE = """
  rescom.learning_rate: {from: 0.01, to: 0.3, log: true}
  rescom.queue_size: {from: 2, to: 32}
  rescom.hard_positives: {from: 1, to: 32}
  rescom.hard_negatives: {from: 8, to: 1000}
  rescom.temperature: {among: [0.1, 0.2, 0.4]}
"""


def space_of(folder, explore_lines=EXPLORE, trials=8):
    path = folder / "space.yaml"
    path.write_text(
        f"dataset: digits-lt\nmethods: [rescom]\nexplore:{explore_lines}"
        f"fix: {{rescom.epochs: 9}}\nsearch: {{trials: {trials}, sampler: random}}\nstop: {{rule: pbt}}\n"
    )
    return SearchSpace.read(path).bind(classes=10)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return space_of(tmp_path_factory.mktemp("population"))


def point(space, seed):
    chance = random.Random(seed)

    class Draw:
        def suggest_int(self, name, low, high, **more):
            return chance.randint(low, high)

        def suggest_float(self, name, low, high, **more):
            return chance.uniform(low, high)

        def suggest_categorical(self, name, choices):
            return chance.choice(choices)

    return space.suggest(Draw())


def test_worst_quarter_copies_from_the_best_quarter(space):
    population = Population(every=2, epochs=9, share=0.25, seed=0)
    values = {number: number / 10 for number in range(8)}
    settings = {number: point(space, number) for number in values}
    copies = population.copies(2, values, settings, space)
    assert set(copies) == {0, 1} and {copy.source for copy in copies.values()} <= {6, 7}
    assert copies == population.copies(2, dict(reversed(values.items())), settings, space)
    assert population.ends == (2, 4, 6, 8)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_perturbation_is_valid_and_keeps_fixed_settings(space, seed):
    before = point(space, seed)
    after = explore(before, space, random.Random(seed))
    Experiment.from_settings(after).knobs[0].check_classes(10)
    assert after["rescom.queue_size"] == before["rescom.queue_size"]
    for dimension in space.dimensions:
        assert dimension.contains(after[dimension.key])
    changed = [d for d in space.dimensions if after[d.key] != before[d.key]]
    assert any(d.name == "learning_rate" for d in changed) or after["rescom.learning_rate"] in (0.01, 0.3)


def test_dependent_bound_is_met_after_a_perturbation(space):
    tight = point(space, 0) | {"rescom.queue_size": 5, "rescom.hard_positives": 5, "rescom.hard_negatives": 45}
    for seed in range(30):
        after = explore(tight, space, random.Random(seed))
        assert after["rescom.hard_positives"] <= 5 and after["rescom.hard_negatives"] <= 45


def test_space_without_dynamic_knobs_is_refused(tmp_path):
    lines = "\n  rescom.queue_size: {from: 2, to: 32}\n"
    with pytest.raises(UsageError, match="changes settings during training, but no explored setting can change then"):
        check_population(space_of(tmp_path, lines))
    with pytest.raises(UsageError, match="needs a population"):
        check_population(space_of(tmp_path, trials=1))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_checkpoint_does_not_depend_on_dynamic_knobs(name):
    knobs = METHODS[name].knobs
    methods = ["cross_entropy", name] if METHODS[name].needs_network else [name]
    base = Experiment.from_settings({"dataset": "digits-lt", "methods": methods})
    own = base.knobs[-1]
    dynamic = [knob for knob, spec in knobs.specs().items() if spec.dynamic and own.has_effect(knob)]
    assert {"learning_rate", "weight_decay"} <= set(dynamic) or own.epochs == 0
    changed = {}
    for knob in dynamic:
        value = own.as_dict()[knob]
        legal = value - 1 if isinstance(value, int) else value * 0.8
        changed |= {f"{name}.{knob}": max(legal, knobs.specs()[knob].low or 0)}
    other = Experiment.from_settings({"dataset": "digits-lt", "methods": methods} | changed)
    states = [torch.nn.ModuleList(one.stages(TAIL)).state_dict() for one in (base, other)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_member_that_left_the_papers_setting_is_marked_in_the_table():
    study, epochs = optuna.create_study(direction="maximize"), []
    for number, copies in enumerate([[[2, 1], [3, 1]], [], None]):
        attributes = {SETTINGS: '{"rescom.temperature": 0.1}', PAPER: number < 2} | ({COPIES: copies} if copies else {})
        study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs=attributes))
        for epoch in (1, 2, 3, 4):
            metrics = {CHECKPOINT_SCORE: 1.0 / epoch, "val/acc_all": 1.0 / epoch}
            epochs.append({"trial": number, "epoch": epoch} | metrics)
    table = trial_table(study, pd.DataFrame(epochs), {}, selection="val").set_index("trial", drop=False)
    assert table["paper"].to_dict() == {0: False, 1: True, 2: False}
    assert state_of(table.loc[0]) == "complete, papers' setting until epoch 2, copied trial 1 at epoch 2, 1 at 3"
    assert [state_of(table.loc[number]) for number in (1, 2)] == ["complete", "complete"]
    assert table["best_epoch"].to_dict() == {0: 4, 1: 1, 2: 1}  # epochs before the copy do not count
    console = Console(file=io.StringIO(), width=160)
    console.print(render(table, {"rescom.temperature": "τ"}, selection="val", most=5))
    assert "papers' setting until epoch 2, copied trial 1 at epoch 2, 1 at 3" in console.file.getvalue()
