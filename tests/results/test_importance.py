"""Knob importance and range edges on data with known truth."""

import io
import math
import random
from dataclasses import replace

import pandas as pd
import pytest
import yaml
from rich.console import Console

from ltray.methods.find import find_method
from ltray.results.importance import Importance, importances
from ltray.results.importance_table import print_importance, render_importance
from ltray.results.range_edges import edges
from ltray.space.dimension import Dimension
from ltray.space.search_space import SearchSpace

METHOD = find_method("rescom")


def dimension(name, content):
    return Dimension.read(METHOD, name, content, where="")


SPACE = [
    dimension("temperature", {"from": 0.05, "to": 0.5, "log": True}),
    dimension("contrastive_weight", {"from": 0.1, "to": 2.0, "log": True}),
    dimension("queue_size", {"from": 2, "to": 32}),
    dimension("projection_width", {"among": [32, 64, 128]}),
]


def searched(trials, *, stopped=0.0, seed=0):
    """Return trials: `all` depends on the temperature, `few` on λ, `many` on no knob; the rest is noise."""
    chance = random.Random(seed)
    rows = []
    for number in range(trials):
        row = {
            "trial": number,
            "rescom.temperature": 0.05 * 10 ** chance.random(),
            "rescom.contrastive_weight": 0.1 * 20 ** chance.random(),
            "rescom.queue_size": chance.randint(2, 32),
            "rescom.projection_width": chance.choice([32, 64, 128]),
        }
        row["val/acc_all"] = 0.8 - 0.2 * math.log(row["rescom.temperature"] / 0.15) ** 2 + chance.gauss(0, 0.01)
        row["val/acc_few"] = 0.5 - 0.2 * math.log(row["rescom.contrastive_weight"] / 0.6) ** 2 + chance.gauss(0, 0.01)
        row["val/acc_many"] = chance.random()
        rows.append(row)
    table = pd.DataFrame(rows)
    cut = table["val/acc_all"].quantile(stopped)
    table["state"] = ["stopped early" if stopped and value < cut else "complete" for value in table["val/acc_all"]]
    table.loc[table["state"] != "complete", "val/acc_all"] += 0.3  # values at a rung are not final values
    return table


@pytest.mark.parametrize("stopped", [0.0, 0.6])
def test_important_knob_is_found_for_each_group(stopped):
    found = {one.group: one for one in importances(searched(60, stopped=stopped), SPACE, selection="val", rule="none")}
    assert list(found) == ["all", "many", "few"]
    assert next(iter(found["all"].shares)) == "rescom.temperature"
    assert found["all"].significant >= {"rescom.temperature"}
    assert sum(found["all"].shares.values()) == pytest.approx(1.0)
    if not stopped:
        assert next(iter(found["few"].shares)) == "rescom.contrastive_weight"
        assert next(iter(found["few"].variance)) == "rescom.contrastive_weight"
        assert found["all"].variance["rescom.temperature"] > 0.8
    else:
        assert found["all"].variance is None  # fANOVA needs final values


@pytest.mark.slow
def test_knob_without_effect_is_rarely_significant():
    called = [
        len(importances(searched(29, seed=s), SPACE, selection="val", rule="none")[1].significant) for s in range(8)
    ]
    assert sum(called) <= 6  # of 32; 1.6 are expected


def test_few_trials_have_no_importance():
    assert "too few trials for hyperparameter importance: 9 trials" in importances(
        searched(9), SPACE, selection="val", rule="none"
    )
    few_complete = searched(40, stopped=0.95)
    assert "40 trials, 2 of them complete" in importances(few_complete, SPACE, selection="val", rule="none")


def test_failed_trials_and_missing_knobs_are_ignored():
    table = searched(60)
    table.loc[table.index % 10 == 0, "state"] = "failed"
    table.loc[table["state"] == "failed", ["val/acc_all", "val/acc_many", "val/acc_few"]] = float("nan")
    conditional = table.index % 2 == 1
    table.loc[conditional, "rescom.queue_size"] = float("nan")
    found = importances(table, SPACE, selection="val", rule="none")
    assert next(iter(found[0].shares)) == "rescom.temperature"
    assert "rescom.queue_size" in found[0].shares and found[0].variance is None


def test_group_with_equal_trials_is_excluded():
    table = searched(32)
    table["val/acc_many"] = 1.0
    found = importances(table, SPACE, selection="val", rule="none")
    assert [one.group for one in found] == ["all", "few"] and found[0].variance
    table["val/acc_all"] = table["val/acc_few"] = 0.5
    assert "all trials have the same" in importances(table, SPACE, selection="val", rule="none")


def best_at(name, values, others):
    rows = [{"state": "complete", f"rescom.{name}": v, "val/acc_all": 1.0 - 0.01 * i} for i, v in enumerate(values)]
    return pd.DataFrame(rows + [{"state": "complete", f"rescom.{name}": others, "val/acc_all": 0.1}] * 5)


@pytest.mark.parametrize(
    ("name", "content", "best", "middle", "end", "suggestion"),
    [
        (
            "temperature",
            {"from": 0.05, "to": 0.5, "log": True},
            [0.052, 0.05, 0.06],
            0.2,
            "lower",
            "from: 0.016, to: 0.5",
        ),
        (
            "temperature",
            {"from": 0.05, "to": 0.5, "log": True},
            [0.49, 0.48, 0.45],
            0.2,
            "upper",
            "from: 0.05, to: 1, log: true",
        ),
        (
            "contrastive_weight",
            {"from": 0.5, "to": 1.0, "log": False},
            [0.99, 1.0, 0.4],
            0.7,
            "upper",
            "from: 0.5, to: 1.2",
        ),
        ("queue_size", {"from": 2, "to": 32, "log": False}, [32, 31, 30], 9, "upper", "from: 2, to: 47"),
        ("projection_width", {"among": [32, 64, 128]}, [128, 128, 32], 64, "upper", "among: [32, 64, 128, 256]"),
    ],
)
def test_best_value_at_the_range_edge_suggests_a_wider_range(name, content, best, middle, end, suggestion):
    (found,) = edges(best_at(name, best, middle), [dimension(name, content)], metric="val/acc_all")
    assert (found.key, found.end, found.best) == (f"rescom.{name}", end, best[0])
    assert suggestion in found.suggestion
    dimension(name, yaml.safe_load(found.suggestion))  # the suggestion is a valid range


@pytest.mark.parametrize(
    ("name", "content", "best"),
    [
        ("temperature", {"from": 0.05, "to": 1.0, "log": True}, [0.99, 1.0, 0.98]),  # the bound of the knob
        ("queue_size", {"from": 1, "to": 32}, [1, 1, 1]),
        ("temperature", {"from": 0.05, "to": 0.5, "log": True}, [0.051, 0.2, 0.2]),  # by chance
        ("temperature", {"from": 0.05, "to": 0.5, "log": True}, [0.2, 0.05, 0.05]),
        ("temperature", {"from": 0.05, "to": 0.5, "log": True}, [0.051, 0.051]),  # too few
    ],
)
def test_no_warning_at_the_knobs_bound_or_by_chance(name, content, best):
    table = best_at(name, best, 0.2 if name == "temperature" else 16)
    table = table.head(len(best)) if len(best) < 3 else table
    assert edges(table, [dimension(name, content)], metric="val/acc_all") == []


@pytest.mark.parametrize(
    ("significant", "expected", "absent"),
    [(True, "PED-ANOVA", "significant after"), (False, "significant after 29", "PED")],
)
def test_importance_or_its_insignificance_is_printed(tmp_path, significant, expected, absent):
    path = tmp_path / "space.yaml"
    path.write_text(
        "dataset: digits-lt\nmethods: [rescom]\nexplore:\n  rescom.temperature: {from: 0.05, to: 0.5, log: true}\n"
        "  rescom.projection_width: {among: [32, 64, 128]}\n"
    )
    space = SearchSpace.read(path).bind(10)
    table = searched(29).drop(columns=["val/acc_few", "val/acc_many"])
    if not significant:
        table["val/acc_all"] = [(7 * number % 29) / 29 for number in range(29)]
    console = Console(file=io.StringIO(), width=150)
    print_importance(table, space, tmp_path, console)
    printed = console.file.getvalue()
    assert expected in printed and absent not in printed
    kept = pd.read_csv(tmp_path / "importance.csv")
    assert kept["knob"].tolist().count("rescom.temperature") == 1 and kept["share"].sum() == pytest.approx(1.0)


def test_population_has_no_importance(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "dataset: digits-lt\nmethods: [rescom]\nsearch: {sampler: random}\nstop: {rule: pbt}\n"
        "explore:\n  rescom.temperature: {from: 0.05, to: 0.5, log: true}\n"
    )
    space, table = SearchSpace.read(path).bind(10), searched(29)
    table["rescom.temperature"] = table["val/acc_all"].max() - table["val/acc_all"] + 0.05  # best at the lower end
    assert edges(table, space.dimensions, metric="val/acc_all")
    console = Console(file=io.StringIO(), width=500)
    print_importance(table, space, tmp_path, console)
    printed = console.file.getvalue()
    assert (
        printed.startswith("hyperparameter importance cannot be computed for a population") and printed.count("\n") == 1
    )
    assert not (tmp_path / "importance.csv").exists()


DECADES = dimension("learning_rate", {"from": 1.0e-5, "to": 1.0, "log": True})
POWERS = dimension("queue_size", {"from": 1, "to": 1024, "log": True})


@pytest.mark.parametrize(("knob", "best"), [(DECADES, 1.0e-3), (POWERS, 8)])
def test_importance_of_a_log_scale_equals_that_of_the_logarithm(knob, best):
    """The best values are in less than 1 % of the range on a linear scale."""
    chance, noise = random.Random(0), dimension("momentum", {"from": 0.0, "to": 0.9})
    low, high = math.log(knob.low), math.log(knob.high)
    rows = []
    for _ in range(40):
        drawn = math.exp(chance.uniform(low, high))
        value = round(drawn) if knob.integer else drawn
        accuracy = 0.8 - 0.1 * abs(math.log(value / best)) + chance.gauss(0, 0.005)
        rows.append(
            {"state": "complete", knob.key: value, noise.key: chance.uniform(0.0, 0.9), "val/acc_all": accuracy}
        )
    table = pd.DataFrame(rows)
    (found,) = importances(table, [knob, noise], selection="val", rule="none")
    logs = table.assign(**{knob.key: table[knob.key].map(math.log)})
    linear = replace(knob, low=low, high=high, integer=False, log=False)
    assert [found] == importances(logs, [linear, noise], selection="val", rule="none")
    assert knob.key in found.significant and found.shares[knob.key] > 0.8
    (other,) = importances(table, [replace(knob, log=False), noise], selection="val", rule="none")
    assert other.shares != found.shares and other.variance != found.variance


def test_importance_is_shown_in_percent_or_as_a_dot_if_not_significant():
    shares, variance = {"rescom.temperature": 0.912, "rescom.queue_size": 0.088}, {"rescom.temperature": 0.75}
    found = [
        Importance("all", shares, frozenset({"rescom.temperature"}), variance),
        Importance("few", shares, frozenset(), None),
    ]
    shown = render_importance(found, {"rescom.temperature": "τ"})
    assert [str(column.header) for column in shown.columns] == ["knob", "all", "few", "variance of all"]
    cells = [list(column.cells) for column in shown.columns]
    assert cells[0] == ["rescom.temperature (τ)", "rescom.queue_size"]
    assert cells[1:] == [["91", "·"], ["·", "·"], ["75", "0"]]
