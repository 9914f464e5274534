"""The papers' figures as data, and what a result may say to them."""

from collections import Counter
from typing import Any

import pytest

from ltray.claims import published
from ltray.claims.check import ABOVE, BELOW, NOT, WITHIN, Comparison, compare
from ltray.claims.table import claim_rows
from ltray.data.definition import find
from ltray.experiment import Experiment
from ltray.methods import METHODS
from ltray.outcome.intervals import Interval
from ltray.parts.backbones import BACKBONES

# What papers train on that ltray has no definition of.
ELSEWHERE = {"imagenet", "cifar100", "imagenet-lt-corrupted"}


def settings(**given: Any) -> dict[str, Any]:
    base = {"dataset": "cifar100-lt", "methods": ["bcl"], "dataset.protocol": "paper"}
    return Experiment.from_settings(base | {k.replace("__", "."): v for k, v in given.items()}).settings()


def of_table_3(found: list[Comparison]) -> Comparison:
    return next(one for one in found if one.claim.where == "BCL, table 3")


def test_every_published_row_is_there_and_makes_sense():
    rows = published()
    assert len(rows) == 381
    assert Counter(row.source for row in rows)["ResCom"] == 131
    for row in rows:
        assert set(row.methods) <= METHODS.keys() and row.chosen_on in ("test", "validation", None)
        assert row.network is None or row.network in BACKBONES
        assert row.dataset in ELSEWHERE or find(row.dataset).is_file()
        figures = [row.all, row.many, row.medium, row.few, row.mcc, row.nmi, row.ece]
        assert any(v is not None for v in figures) and all(0 < v < 100 for v in figures if v is not None)


def test_known_figures_stand_where_the_papers_print_them():
    found = {(r.where, r.dataset, r.imbalance_factor, r.epochs, r.method): (r.all, r.few) for r in published()}
    assert found["BCL, table 3", "cifar100-lt", 100, 200, "BCL"] == (51.93, None)
    assert found["BCL, table 4", "cifar100-lt", 100, 400, "BCL"] == (53.9, 35.5)
    assert found["ResCom, table 8", "cifar100-lt", 100, 400, "ResCom"] == (53.8, None)


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.51, 0.53, WITHIN), (0.49, 0.51, BELOW), (0.53, 0.54, ABOVE)])
def test_a_comparable_result_is_judged_by_our_interval(low: float, high: float, verdict: str):
    one = of_table_3(compare(settings(), Interval((low + high) / 2, low, high, 5)))
    assert (one.verdict, one.reasons) == (verdict, ())
    assert one.difference == pytest.approx(50 * (low + high) - 51.93)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dataset__protocol": "honest"}, "ours was chosen on validation images (honest)"),
        ({"bcl__epochs": 20}, "200 epochs there, 20 here"),
        ({"backbone": "resnet50"}, "ResNet-32 there, resnet50 here"),
        ({"dataset__largest_class": 40}, "other data: largest_class=40 instead of 0"),
    ],
)
def test_what_cannot_be_compared_says_why(given: dict[str, Any], words: str):
    one = of_table_3(compare(settings(**given), Interval(0.52, 0.51, 0.53, 5)))
    assert one.verdict == NOT and one.reasons == (next(r for r in one.reasons if words in r),)
    assert ("BCL, table 3", "51.93", "+0.1") == claim_rows({"x": [one]})[0][1:4] and words in one.words


def test_one_run_says_nothing_about_noise():
    one = of_table_3(compare(settings(), Interval(0.52, -float("inf"), float("inf"), 1)))
    assert one.reasons == ("one run here: no interval",)


def test_only_the_same_imbalance_and_methods_are_looked_at():
    accuracy = Interval(0.6, 0.59, 0.61, 3)
    fifty = compare(settings(dataset__imbalance_factor=50), accuracy)
    assert {one.claim.imbalance_factor for one in fifty} == {50} and {one.claim.methods for one in fifty} == {("bcl",)}
    assert compare(settings(dataset="digits-lt"), accuracy) == []
    assert compare(settings(dataset__imbalance_factor=37), accuracy) == []
    comparable = [one.verdict == NOT for one in compare(settings(), accuracy)]
    assert comparable == sorted(comparable)  # what can be compared stands first
