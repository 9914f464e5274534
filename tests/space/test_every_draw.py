"""Every draw of every space is a valid experiment, whether a bounding knob is explored, fixed or default."""

import optuna
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.space.catalog import known
from ltray.space.search_space import SearchSpace
from ltray.strategies.samplers import SAMPLERS
from ltray.study.study import ask, begin
from tests.test_following import PROFILES as EVERY_PROFILE
from tests.test_following import tails

DRAWS = 12
TRAINED = [name for name, method in METHODS.items() if method.knobs.specs()["epochs"].high]
PROFILES = ["digits_lt", "cifar100_lt", "inat18"]
TAILS = [
    LongTail(counts) for counts in [(10, 10), (100, 20, 3, 1), (1,) * 1000, (700, 200, 50, 20, 5), (10, *[1] * 9999)]
]


def check_draws(space: SearchSpace, tail: LongTail, draws: int = DRAWS) -> None:
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    for number in range(draws):
        try:
            trial, found = ask(study, space)
        except LookupError:  # the grid is exhausted
            return
        experiment = Experiment.from_settings(found)
        experiment.check_classes(tail.classes)
        assert experiment.dataset in {one.dataset for one in space.experiments()}  # fixed by the search
        if space.followed or not space.rows:
            # The settings contain all values that follow the data, so a second adaptation changes nothing.
            assert experiment.following(TrainingSize.of(tail)) == experiment
        study.tell(trial, [0.1 * (number % 7)] * len(space.search.objectives))


SHIPPED = sorted(name for name in known() if "/" not in name)


def check_shipped(name: str, tail: LongTail, profile: str) -> None:
    path = known()[name]
    start = {"start": "runs/earlier"} if "--from" in path.read_text() else {}
    space = SearchSpace.read(path, start | {"dataset.profile": profile}).bind(tail.classes, tail)
    check_draws(space, tail, draws=len(space.first_trials()) + 3)


@pytest.mark.parametrize("name", ["rescom", "which-method", "quickstart"])
def test_shipped_space_is_valid_on_two_classes(name):
    check_shipped(name, TAILS[0], "imagenet_lt")


@settings(max_examples=25, deadline=None)
@given(tail=tails(), profile=st.sampled_from(EVERY_PROFILE))
def test_quickstart_is_valid_on_any_data(tail, profile):
    check_shipped("quickstart", tail, profile)


def test_quickstart_keeps_its_ranges_on_the_digits():
    space = SearchSpace.read(known()["quickstart"]).bind(10, LongTail((110, 78, 56, 40, 28, 20, 14, 10, 7, 5)))
    assert [d.describe() for d in space.dimensions if d.auto] == ["4 … 32 (log)", "1 … 8", "8 … 256 (log)"]


def test_range_follows_the_data_only_with_follow(tmp_path):
    tail = LongTail((9, 9, 9))
    text = "explore: {{rescom.hard_negatives: {{from: 50, to: 100{}}}}}\nfix: {{rescom.queue_size: 10}}\n"
    follows = read(tmp_path, text.format(", follow: true")).bind(3, tail)
    assert [d.describe() for d in follows.dimensions] == ["20 … 100 (log)"]
    check_draws(follows, tail)
    with pytest.raises(UsageError, match="starts at 50, but other knobs of the space allow at most 20"):
        read(tmp_path, text.format(", follow: false")).bind(3)
    with pytest.raises(UsageError, match="space.yaml:3: .*`follow` must be true or false, but got 'maybe'"):
        read(tmp_path, text.format(", follow: maybe"))


@pytest.mark.slow
@pytest.mark.parametrize("tail", TAILS, ids=lambda tail: str(tail.classes))
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_space_is_valid_on_any_data(name, tail):
    for profile in ("cifar100_lt", "imagenet_lt"):
        check_shipped(name, tail, profile)


def read(tmp_path, text: str, **given) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text(f"dataset: digits-lt\nmethods: [rescom]\n{text}")
    return SearchSpace.read(path, given)


def test_default_below_an_explored_bound_follows_each_draw(tmp_path):
    space = read(tmp_path, "explore: {rescom.queue_size: {from: 1, to: 32}}\nfix: {rescom.hard_positives: 1}\n").bind(4)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(12):
        found = space.suggest(study.ask())
        knobs = Experiment.from_settings(found).knobs[0]
        assert knobs.hard_negatives == min(64, 3 * knobs.queue_size)


def test_fixed_knob_that_conflicts_with_an_explored_one_is_refused(tmp_path):
    text = "explore:\n  rescom.queue_size: {from: 2, to: 32}\nfix: {rescom.hard_negatives: 50}\n"
    with pytest.raises(UsageError, match=r"space.yaml:4: `rescom.queue_size` starts at 2, where at most 18 is legal"):
        read(tmp_path, text).bind(10)


def test_fixed_knob_is_omitted_from_draws_without_effect(tmp_path):
    text = "explore: {rescom.hard_mining: auto}\nfix: {rescom.hard_negatives: 8}\n"
    space = read(tmp_path, text).bind(10)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(12)]
    assert {s["rescom.hard_mining"] for s in drawn} == {True, False}
    assert all(("rescom.hard_negatives" in s) == s["rescom.hard_mining"] for s in drawn)
    for found in drawn:
        Experiment.from_settings(found).check_classes(10)


@st.composite
def content(draw, knob_name, spec, kind):
    """Draw a user's entry for a knob: auto, a range or values, each valid for the knob by itself."""
    usual = spec.search or spec.choices or ((False, True) if kind is bool else None)
    if usual is None or (spec.search and draw(st.booleans())):
        return "auto" if usual else None
    if kind in (int, float) and len(usual) == 2 and draw(st.booleans()):
        low, high = usual
        narrower = draw(st.sampled_from([1.0, 0.5, 0.1]))
        ends = {"from": kind(low), "to": kind(max(high * narrower, low + 1 if kind is int else low * 1.5))}
        return ends if ends["from"] < ends["to"] else "auto"
    return list(draw(st.lists(st.sampled_from(usual), min_size=1, max_size=4, unique=True)))


@st.composite
def spaces(draw):
    """Draw a space of one method: some knobs explored, some fixed, the others default."""
    name = draw(st.sampled_from(TRAINED))
    knobs = METHODS[name].knobs
    bounds = [n for n, s in knobs.specs().items() if s.at_most or n in ("queue_size", "head_smoothing", "experts")]
    named = st.sampled_from(sorted(knobs.specs()))
    chosen = set(draw(st.lists(named, min_size=1, max_size=4))) | set(
        draw(st.lists(st.sampled_from(bounds), max_size=3))
    )
    explore, fix = {}, {}
    for knob in sorted(chosen):
        spec, kind = knobs.specs()[knob], knobs.types()[knob]
        written = draw(content(knob, spec, kind))
        if written is None or spec.changes_length or knob.endswith("epochs"):
            continue
        if draw(st.integers(0, 3)) and isinstance(written, list | dict | str):
            explore[f"{name}.{knob}"] = written
        elif isinstance(written, list):
            fix[f"{name}.{knob}"] = written[0]
    sampler = draw(st.sampled_from([s for s in SAMPLERS if s != "gp"]))
    return {"dataset": "digits-lt", "methods": [name], "explore": explore, "fix": fix} | {
        "search": {"sampler": sampler, "trials": 5000, "first_try": draw(st.sampled_from(["paper", "none"]))},
        "stop": {"rule": "none"},
    }


def check_accepted(folder, written: dict, tail: LongTail, profile: str) -> None:
    assume(written["explore"])
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(written))
    start = {"start": "runs/earlier"} if METHODS[written["methods"][0]].needs_network else {}
    try:
        space = SearchSpace.read(path, start | {"dataset.profile": profile}).bind(tail.classes, tail)
    except UsageError as error:
        assert "space.yaml" in str(error) or "first_try" in str(error) or "search." in str(error), error
        assume(False)
    check_draws(space, tail, draws=6)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(written=spaces(), tail=st.sampled_from(TAILS[:4]), profile=st.sampled_from(PROFILES))
def test_every_draw_of_an_accepted_space_is_valid(tmp_path_factory, written, tail, profile):
    check_accepted(tmp_path_factory.mktemp("space"), written, tail, profile)
