"""Search spaces: checked with the knobs' declarations, valid by construction."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.space.search_space import SearchSpace
from tests.paths import ROOT

SPACES = ROOT / "search_spaces"
GOOD = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.queue_size: {from: 2, to: 32}
  rescom.hard_positives: {from: 1, to: 32}
  rescom.hard_negatives: {from: 8, to: 1000}
fix: {rescom.epochs: 9}
search: {trials: 4}
"""


def read(tmp_path, text=GOOD, **overrides):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return SearchSpace.read(path, overrides)


def test_draws_respect_dependent_bounds(tmp_path):
    space = read(tmp_path).bind(classes=10)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, group=True))
    for _ in range(40):
        trial = study.ask()
        values = space.suggest(trial)
        assert values["rescom.hard_positives"] <= values["rescom.queue_size"]
        assert values["rescom.hard_negatives"] <= 9 * values["rescom.queue_size"]
        Experiment.from_settings(values).knobs[0].check_classes(10)
        study.tell(trial, values["rescom.temperature"])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_any_random_draw_is_a_valid_experiment(seed):
    space = SearchSpace.read(SPACES / "rescom.yaml").bind(classes=100)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    experiment = Experiment.from_settings(space.suggest(study.ask()))
    experiment.knobs[0].check_classes(100)


def test_overrides_apply_to_every_part(tmp_path):
    space = read(tmp_path, epochs=3, **{"search.trials": 2, "stop.rule": "none", "temperature": 0.1, "seed": 5})
    assert space.base.knobs[0].epochs == 3
    assert (space.search.trials, space.stop.rule, space.base.seed) == (2, "none", 5)
    # A knob that the command line fixes is no longer explored.
    assert "rescom.temperature" not in [dimension.key for dimension in space.dimensions]
    assert space.base.knobs[0].temperature == 0.1


def test_auto_takes_the_range_of_the_declaration(tmp_path):
    space = read(tmp_path, GOOD.replace("{from: 0.05, to: 0.5, log: true}", "auto"))
    temperature = next(d for d in space.dimensions if d.name == "temperature")
    assert (temperature.low, temperature.high, temperature.log) == (0.05, 0.5, True)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("rescom.temperature", "rescom.temprature", r"space.yaml:5: .*Did you mean `rescom.temperature`"),
        ("explore:", "exploer:", r"space.yaml:4: `exploer` is not a key of a search space. Did you mean `explore`"),
        ("[rescom]", "[recsom]", r"space.yaml:3: `recsom` is not a method. Did you mean `rescom`"),
        ("from: 0.05", "form: 0.05", r"space.yaml:5: `form` is not a key of a range. Did you mean `from`"),
        ("to: 0.5,", "to: 0.05,", r"space.yaml:5: `from < to` must hold, but got from=0.05, to=0.05"),
        ("to: 0.5,", "to: 5.0,", r"space.yaml:5: `0.001 <= temperature <= 1` must hold, but got temperature=5.0"),
        ("from: 0.05", "from: warm", r"space.yaml:5: `from` must be a number, but got 'warm'"),
        ("{from: 2, to: 32}", "{among: []}", r"space.yaml:6: `among` must be a list with at least one value"),
        ("{from: 2, to: 32}", "{among: [4, 4]}", r"space.yaml:6: `among` repeats a value"),
        (
            "{from: 2, to: 32}",
            "{among: [4, many]}",
            r"space.yaml:6: `queue_size` must be a whole number, but got 'many'",
        ),
        ("{from: 2, to: 32}", "7", r"space.yaml:6: must be `auto`, a list"),
        ("epochs: 9", "epochs: -9", r"space.yaml:9: `0 <= epochs <= 10000` must hold"),
        ("epochs: 9", "epcohs: 9", r"space.yaml:9: `rescom.epcohs` is not a setting. Did you mean `rescom.epochs`"),
        ("trials: 4", "trails: 4", r"space.yaml:10: `trails` is not a setting of `search`. Did you mean `trials`"),
        ("trials: 4", "trials: none", r"space.yaml:10: `trials` must be a whole number, but got 'none'"),
        ("digits-lt", "digit-lt", r"Did you mean `digits-lt`"),
        ("rescom.epochs: 9", "rescom.queue_size: 9", r"space.yaml:6: `rescom.queue_size` is in `explore` and in `fix`"),
        ("rescom.queue_size: {", "rescom.epochs: {", r"changes a trial's length, but `stop.rule` compares"),
    ],
)
def test_mistake_is_reported_with_file_line_and_remedy(tmp_path, before, after, sentence):
    assert before in GOOD
    text = GOOD.replace(before, after).replace("fix: {rescom.epochs: 9}\n" if "changes" in sentence else "\0", "")
    with pytest.raises(UsageError, match=sentence):
        read(tmp_path, text)


def test_range_excluded_by_other_knobs_is_refused(tmp_path):
    space = read(tmp_path, GOOD.replace("hard_negatives: {from: 8", "hard_negatives: {from: 100"))
    with pytest.raises(UsageError, match="starts at 100, but other knobs of the space allow at most 18"):
        space.bind(classes=10)


def test_a_range_without_the_papers_value_is_refused(tmp_path):
    text = GOOD.replace("{from: 0.05, to: 0.5, log: true}", "{from: 0.3, to: 0.5}")
    with pytest.raises(UsageError, match="does not contain the papers' value 0.2"):
        read(tmp_path, text).bind(classes=10)
    read(tmp_path, text, **{"search.first_try": "none"}).bind(classes=10)


CONDITIONAL = """
dataset: digits-lt
methods: [bcl]
explore:
  bcl.classifier_scale: {among: [20, 30]}
  bcl.classifier: [linear, cosine]
"""


def test_knob_is_drawn_only_if_it_has_an_effect(tmp_path):
    space = read(tmp_path, CONDITIONAL).bind(classes=10)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(20)]
    assert {s["bcl.classifier"] for s in drawn} == {"linear", "cosine"}
    assert all(("bcl.classifier_scale" in s) == (s["bcl.classifier"] == "cosine") for s in drawn)
    with pytest.raises(UsageError, match=r"space.yaml:5: `bcl.classifier_scale` has no effect with classifier=linear"):
        read(tmp_path, CONDITIONAL, classifier="linear").bind(classes=10)


def test_grid_has_every_valid_point_once(tmp_path):
    space = read(tmp_path, CONDITIONAL).bind(classes=10)
    points = [tuple(point.values()) for point in space.grid_points()]
    assert points == [("linear",), ("cosine", 20.0), ("cosine", 30.0)]
    text = GOOD.partition("  rescom.temperature")[0] + "  rescom.queue_size: [1, 4]\n  rescom.hard_positives: [1, 4]\n"
    points = read(tmp_path, text, **{"search.first_try": "none"}).bind(classes=10).grid_points()
    assert [(p["rescom.queue_size"], p["rescom.hard_positives"]) for p in points] == [(1, 1), (4, 1), (4, 4)]
    with pytest.raises(UsageError, match=r"space.yaml:5: `rescom.temperature` has the range 0.05 … 0.5 \(log\), but"):
        read(tmp_path).bind(classes=10).grid_points()


def test_auto_draws_the_declared_values(tmp_path):
    text = GOOD.replace("rescom.temperature: {from: 0.05, to: 0.5, log: true}", "rescom.effective_number_beta: auto")
    (beta,) = [d for d in read(tmp_path, text).dimensions if d.name == "effective_number_beta"]
    assert beta.among is not None and 0.999999 in beta.among


def test_a_range_on_the_command_line_replaces_or_adds_one(tmp_path):
    overrides = {"explore.temperature": {"from": "1e-1", "to": 0.3}, "explore.rescom.projection_width": "auto"}
    space = read(tmp_path, **overrides)
    found = {d.name: d.describe() for d in space.dimensions}
    assert found["temperature"] == "0.1 … 0.3 (log)" and found["projection_width"] == "32 … 256 (log)"
    with pytest.raises(UsageError, match=r"^explore.temprature=…: `temprature` is not a setting. Did you mean"):
        read(tmp_path, **{"explore.temprature": "auto"})
    with pytest.raises(UsageError, match=r"^explore.temperature=…: `from < to` must hold, but got from=0.3, to=0.1"):
        read(tmp_path, **{"explore.temperature": {"from": 0.3, "to": 0.1}})
