"""Searches over methods: only knobs of the chosen method are drawn, and trials are comparable."""

import json

import optuna
import pytest

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.space.search_space import SearchSpace
from ltray.study.study import PAPER, SETTINGS, ask, open_study
from ltray.study.trial_plan import TrialPlan

GOOD = """
dataset: digits-lt
methods: {among: [ldam, rescom, [rescom, tau_norm]]}
explore:
  rescom: auto
  rescom.temperature: {from: 0.1, to: 0.3}
  ldam.margin: auto
  learning_rate: auto
fix:
  epochs: 9
  schedule: cosine
  rescom.batch_size: 32
"""


def read(tmp_path, text=GOOD, **overrides):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return SearchSpace.read(path, overrides)


def test_only_knobs_of_the_chosen_method_are_drawn(tmp_path):
    space = read(tmp_path).bind(10)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    chosen = set()
    for _ in range(20):
        trial = study.ask()
        settings = space.suggest(trial)
        methods = settings["methods"]
        chosen.add(tuple(methods))
        owners = {key.partition(".")[0] for key in settings if "." in key}
        assert owners <= {"dataset", *methods}
        assert {key.partition(".")[0] for key in trial.params} == {"methods", methods[0]}
        assert Experiment.from_settings(settings).knobs[0].epochs == 9
    assert chosen == {("ldam",), ("rescom",), ("rescom", "tau_norm")}


def test_unlisted_knobs_of_a_method_have_their_declared_ranges(tmp_path):
    dimensions = {d.key: d for d in read(tmp_path).dimensions}
    assert (dimensions["rescom.temperature"].low, dimensions["rescom.temperature"].high) == (0.1, 0.3)
    assert "rescom.batch_size" not in dimensions and "rescom.queue_size" in dimensions
    assert {key for key in dimensions if key.startswith("ldam")} == {"ldam.margin", "ldam.learning_rate"}
    assert read(tmp_path, GOOD.replace("rescom: auto", "weight_decay: auto")).dimensions[0].key == "ldam.weight_decay"
    everything = GOOD.partition("explore:")[0] + "explore: auto\nfix: {epochs: 9, schedule: cosine}\n"
    assert {"ldam.scale", "rescom.queue_size"} <= {d.key for d in read(tmp_path, everything).dimensions}


def test_papers_settings_of_all_alternatives_are_first(tmp_path):
    space = read(tmp_path).bind(10)
    study = open_study(tmp_path, space)
    for _ in range(4):
        ask(study, space)
    papers = [t for t in study.get_trials() if t.user_attrs.get(PAPER)]
    settings = [json.loads(t.user_attrs[SETTINGS]) for t in papers]
    assert [s["methods"] for s in settings] == [["ldam"], ["rescom"], ["rescom", "tau_norm"]]
    assert [Experiment.from_settings(s) for s in settings] == space.experiments()
    assert len(papers) == 3 and not study.get_trials()[3].user_attrs.get(PAPER)


def test_headings_name_the_method_for_equal_symbols(tmp_path):
    headings = read(tmp_path).headings()
    assert headings["methods"] == "methods" and headings["rescom.temperature"] == "τ"
    assert headings["ldam.learning_rate"] == "ldam lr" and headings["rescom.learning_rate"] == "rescom lr"


def test_longest_alternative_includes_its_last_stage(tmp_path):
    space = read(tmp_path, methods={"among": ["ldam", ["ldam", "tau_norm"]]})
    assert space.planned_epochs(LongTail((5,) * 10)) == 10


def test_command_line_restricts_the_choice(tmp_path):
    space = read(tmp_path, methods=["ldam"], **{"explore.ldam.scale": {"from": 20, "to": 40}})
    assert [d.key for d in space.dimensions] == ["ldam.margin", "ldam.learning_rate", "ldam.scale"]
    assert space.base.knobs[0].epochs == 9
    assert read(tmp_path, margin=0.3).alternatives[0].base.knobs[0].margin == 0.3


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("[rescom, tau_norm]", "rescom", r"space.yaml:3: `methods` repeats a choice"),
        (
            "[rescom, tau_norm]",
            "[rescom, tau_nrom]",
            r"space.yaml:3: `tau_nrom` is not a method. Did you mean",
        ),
        ("{among: [ldam, rescom, [rescom, tau_norm]]}", "{among: rescom}", r"space.yaml:3: a choice of methods is"),
        ("  epochs: 9", "  rescom.epochs: 9", r"space.yaml:3: .* but `epochs` is 30 in ldam, 9 in rescom"),
        ("  schedule: cosine", "  ldam.schedule: cosine", r"`schedule` is cosine in ldam, step in rescom"),
        ("ldam.margin", "ladm.margin", r"space.yaml:7: `ladm.margin` is not a setting. Did you mean `ldam.margin`"),
        ("rescom: auto", "rescom: 7", r"space.yaml:5: to explore a method, write `rescom: auto`"),
        ("ldam.margin: auto", "tau_norm.weight_decay: auto", r"space.yaml:7: `tau_norm` has no training"),
        (
            "rescom.batch_size: 32",
            "rescom.hard_mining: false",
            r"`rescom.hard_\w+` has no effect with hard_m",
        ),
    ],
)
def test_mistake_is_reported_with_file_line_and_remedy(tmp_path, before, after, sentence):
    assert before in GOOD
    with pytest.raises(UsageError, match=sentence):
        read(tmp_path, GOOD.replace(before, after)).bind(10)


def test_alternatives_of_other_lengths_are_allowed_without_early_stopping(tmp_path):
    assert read(tmp_path, GOOD.replace("  epochs: 9", "  rescom.epochs: 9"), **{"stop.rule": "none"}).bind(10)


def test_rungs_are_within_the_shortest_alternative(tmp_path):
    space = read(tmp_path, **{"stop.first_rung": 3})
    plan = TrialPlan.of(space.stop, space.experiments(), LongTail((5,) * 10))
    assert plan.rungs == (3,) and plan.epochs == 10
    with pytest.raises(UsageError, match="compares trials at equal epochs, but their epochs would be from 4 to 9"):
        TrialPlan.of(space.stop, [*space.experiments(), space.experiments()[0].shortened(4)], LongTail((5,) * 10))
