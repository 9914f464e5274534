"""Knob declarations, and everything that is derived from them."""

import ast
import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from ltray.errors import UsageError
from ltray.knobs import Above, Knobs, Value, knob
from ltray.methods import METHODS
from ltray.methods.find import find_method
from ltray.recipe import Recipe
from tests.paths import ROOT


@dataclass(frozen=True)
class Example(Knobs):
    temperature: float = knob(0.1, "τ", "", low=1e-3, high=1.0, log=True)
    queue_size: int = knob(8, "Q", "", low=1, high=256)
    hard_positives: int = knob(4, "Q_p", "", low=1, at_most="queue_size")
    hard_negatives: int = knob(4, "Q_n", "", low=1, at_most=lambda knobs, classes: (classes - 1) * knobs.queue_size)
    anchors: str = knob("both", "", "", choices=("both", "first"))
    milestones: tuple[int, ...] = knob((1, 2), "", "", low=0)
    mined: bool = knob(True, "", "")

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": {"temperature": 0.2},
        "cifar100_lt": {"queue_size": 16},
    }


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"temperature": 2.0}, r"`0.001 <= temperature <= 1` must hold, but got temperature=2.0"),
        ({"temperature": float("nan")}, r"temperature=nan"),
        ({"temperature": "hot"}, r"`temperature` must be a number, but got 'hot' \(text\)"),
        ({"queue_size": 2.5}, r"`queue_size` must be a whole number, but got 2.5"),
        ({"queue_size": True}, r"`queue_size` must be a whole number, but got True"),
        ({"mined": 1}, r"`mined` must be true or false, but got 1"),
        ({"hard_positives": 64}, r"`hard_positives <= queue_size` must hold, but got hard_positives=64, queue_size=8"),
        ({"anchors": "frist"}, r"must be one of \['both', 'first'\], but got 'frist'. Did you mean `first`\?"),
        ({"milestones": (1, -2)}, r"`0 <= milestones` must hold, but got milestones=\(1, -2\)"),
        ({"milestones": [1, 2.5]}, r"must be a list of integers, but contains 2.5"),
    ],
)
def test_invalid_value_is_refused_with_rule_and_value(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        Example(**values)


def test_values_are_converted_without_loss():
    knobs = Example(temperature=1, queue_size=16.0, milestones=[3, 4])
    assert (knobs.temperature, knobs.queue_size, knobs.milestones) == (1.0, 16, (3, 4))
    assert isinstance(knobs.temperature, float) and isinstance(knobs.queue_size, int)


def test_unknown_name_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="`temprature` is not a knob. Did you mean `temperature`"):
        Example().replace(temprature=0.1)


def test_bounds_that_depend_on_the_number_of_classes():
    Example(hard_negatives=72).check_classes(classes=10)
    with pytest.raises(UsageError, match="`hard_negatives <= 72` must hold with 10 classes, but got hard_negatives=73"):
        Example(hard_negatives=73).check_classes(classes=10)
    assert Example().upper_bound("hard_positives", classes=10) == 8


def test_defaults_are_the_papers_values_of_the_data_set():
    assert Example.defaults("cifar100_lt").queue_size == 16
    assert Example.defaults("cifar100_lt").temperature == 0.1
    assert Example.defaults("somebody's").temperature == 0.2


@dataclass(frozen=True)
class Long(Recipe):
    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": {"epochs": 400, "warmup_epochs": 10, "milestones": (320, 360)}
    }


def test_fewer_epochs_scale_the_schedule():
    recipe = Long.resolve("default", {"epochs": 40})
    assert (recipe.warmup_epochs, recipe.milestones) == (1, (32, 36))


def test_explicit_schedule_is_not_scaled():
    recipe = Long.resolve("default", {"epochs": 40, "milestones": [20]})
    assert (recipe.warmup_epochs, recipe.milestones) == (1, (20,))
    assert Long.resolve("default", {}).milestones == (320, 360)


def test_explicit_milestones_need_the_step_schedule():
    cosine = {"schedule": "cosine", "epochs": 40}
    with pytest.raises(UsageError, match="`milestones` has no effect with schedule=cosine.*set schedule=step"):
        Long.resolve("default", cosine | {"milestones": [20]})
    for epochs in (7, 23, 30, 41):  # values rounded twice may differ from values scaled once
        recipe = Long.resolve("default", cosine).shortened(epochs)
        assert Long.resolve("default", recipe.as_dict() | {"milestones": (3,)}, complete=True).epochs == epochs
        assert Long.resolve("default", recipe.as_dict(), complete=True) == recipe


def test_shortened_recipe_scales_explicit_milestones():
    recipe = Long.resolve("default", {"epochs": 40, "milestones": [20]}).shortened(10)
    assert (recipe.epochs, recipe.warmup_epochs, recipe.milestones) == (10, 0, (5,))


@dataclass(frozen=True)
class Conditional(Recipe):
    kind: str = knob("mined", "", "", choices=("mined", "plain", "mixed"))
    hard: int = knob(4, "", "", low=1, needs=("kind", ("mined", "mixed")))

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {"default": {"hard": 6}}


def test_changed_knob_without_effect_is_refused() -> None:
    with pytest.raises(UsageError, match="`hard` has no effect with kind=plain, but got 5.*kind=mined or kind=mixed"):
        Conditional.resolve("default", {"kind": "plain", "hard": 5})
    assert Conditional.resolve("default", {"kind": "mixed", "hard": 5}).hard == 5
    plain = Conditional.resolve("default", {"kind": "plain"})
    assert Conditional.resolve("default", plain.as_dict()) == plain


@dataclass(frozen=True)
class Chained(Knobs):
    rule: str = knob("halving", "", "", choices=("halving", "none"))
    fidelity: str = knob("epochs", "", "", choices=("epochs", "runs"), needs=("rule", ("halving",)))
    promotion: str = knob("restart", "", "", needs=("fidelity", ("runs",)))
    best: int = knob(0, "", "", low=0)
    seeds: int = knob(5, "", "", low=2, needs=("best", Above(0)))


@pytest.mark.parametrize(
    ("values", "name", "sentence"),
    [
        ({}, "promotion", "`x.promotion` has no effect with x.fidelity=epochs, but got 'restart'.*x.fidelity=runs"),
        ({"fidelity": "runs", "rule": "none"}, "promotion", "`x.promotion` has no effect with x.rule=none"),
        (
            {"seeds": 7},
            "seeds",
            "`x.seeds` has no effect with x.best=0, but got 7: remove it, or set x.best above 0",
        ),
    ],
)
def test_needs_are_met_only_if_the_other_setting_has_an_effect(values, name, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        Chained(**values).check_effects([name], prefix="x.")
    Chained(fidelity="runs", best=1).check_effects(Chained.specs())


def test_every_needed_knob_exists_and_allows_the_needed_values() -> None:
    needing = [(m.knobs, *s.needs) for m in METHODS.values() for s in m.knobs.specs().values() if s.needs]
    assert len(needing) > 20
    for knobs, other, values in needing:
        if isinstance(values, Above):  # a method without training declares that its recipe has no effect
            high = knobs.specs()[other].high
            assert high is None or high > values.limit or (other == "epochs" and high == 0), (knobs, other)
            continue
        for value in values:
            knobs.check_value(other, value)


def test_bound_applies_only_if_the_knob_has_an_effect():
    values = {"queue_size": 3, "hard_positives": 4}
    find_method("rescom").knobs.resolve("digits_lt", {"queue_size": 3, "hard_mining": False}).check_classes(4)
    with pytest.raises(UsageError, match="hard_positives <= queue_size"):
        find_method("rescom").knobs.resolve("digits_lt", values)
    with pytest.raises(UsageError, match="hard_negatives <= 9"):
        find_method("rescom").knobs.resolve("digits_lt", {"queue_size": 3}).check_classes(4)


def declarations(files: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the positions of each `name: type = knob(…)`, keyed by the declaration without its default."""
    found = defaultdict(list)
    for path, source in files.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
                call = node.value
                if isinstance(call.func, ast.Name) and call.func.id == "knob":
                    others = sorted(f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in call.keywords)
                    declared = [ast.unparse(node.target), *map(ast.unparse, call.args[1:]), *others]
                    found[", ".join(declared)].append(f"{path}:{node.lineno}")
    return found


def test_no_two_classes_declare_the_same_knob():
    files = {str(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / "ltray").rglob("*.py"))}
    found = declarations(files)
    assert len(found) > 150
    assert {declaration: places for declaration, places in found.items() if len(places) > 1} == {}


def test_repeated_declaration_is_detected_with_any_default():
    twice = {
        "a.py": "class A:\n    rate: float = knob(0.1, 'lr', 'peak', low=0.0, high=1.0)\n",
        "b.py": "class B:\n    rate: float = knob(0.5, 'lr', 'peak', high=1.0, low=0.0)\n",
        "c.py": "class C:\n    rate: float = knob(0.5, 'lr', 'peak', high=2.0, low=0.0)\n",
    }
    assert sorted(map(len, declarations(twice).values())) == [1, 2]


def test_redeclared_knob_is_the_base_class_knob_with_changes():
    @dataclass(frozen=True)
    class Longer(Recipe):
        epochs: int = Recipe.redeclared("epochs", 400)
        batch_size: int = Recipe.redeclared("batch_size", 64, low=2, help="pairs a step")

    assert (Longer().epochs, Longer().batch_size, Longer().learning_rate) == (400, 64, Recipe().learning_rate)
    assert Longer.specs()["epochs"] == Recipe.specs()["epochs"]
    changed = Longer.specs()["batch_size"]
    assert (changed.low, changed.help) == (2, "pairs a step")
    assert dataclasses.replace(changed, low=1, help=Recipe.specs()["batch_size"].help) == Recipe.specs()["batch_size"]
    assert list(Longer.specs()) == list(Recipe.specs())
    with pytest.raises(UsageError, match="`batch_size >= 2|2 <= batch_size"):
        Longer(batch_size=1)
