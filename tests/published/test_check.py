"""The papers' figures as data, and their comparison with results."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltray.data.definition import find
from ltray.experiment import Experiment
from ltray.methods import METHODS
from ltray.parts.backbones import check_backbone
from ltray.published import published, spreads
from ltray.published.check import ABOVE, BELOW, MEANING, NOT, WITHIN, Comparison, agreement, compare
from ltray.published.departures import other_row
from ltray.published.spreads import FAMILIES, Measured, Spread, listed_spread
from ltray.published.table import claim_rows, claim_table, meanings
from ltray.results.intervals import Interval, mean_interval, run_interval

# Data sets of papers without a definition in ltray.
ELSEWHERE = {"imagenet", "cifar100", "imagenet-lt-corrupted"}


def settings(**given: Any) -> dict[str, Any]:
    base = {"dataset": "cifar100-lt", "methods": ["bcl"], "dataset.protocol": "paper"}
    return Experiment.from_settings(base | {k.replace("__", "."): v for k, v in given.items()}).settings()


def of_table_3(found: list[Comparison]) -> Comparison:
    return next(one for one in found if one.claim.where == "BCL, table 3")


def test_published_rows_are_complete_and_plausible():
    rows = published()
    assert len(rows) == 420
    assert Counter(row.source for row in rows)["ResCom"] == 131
    for row in rows:
        assert bool(row.methods) != bool(row.lacks), row.where  # rows without a method in ltray list the missing parts
        assert set(row.methods) <= METHODS.keys() and row.chosen_on in ("test", "validation", None)
        if row.network is not None:
            check_backbone(row.network)
        assert row.dataset in ELSEWHERE or find(row.dataset).is_file()
        figures = [row.all, row.many, row.medium, row.few, row.mcc, row.nmi, row.ece]
        assert any(v is not None for v in figures) and all(0 < v < 100 for v in figures if v is not None)


def test_known_figures_are_at_their_positions_in_the_papers():
    found = {(r.where, r.dataset, r.imbalance_factor, r.epochs, r.method): (r.all, r.few) for r in published()}
    assert found["BCL, table 3", "cifar100-lt", 100, 200, "BCL"] == (51.93, None)
    assert found["BCL, table 4", "cifar100-lt", 100, 400, "BCL"] == (53.9, 35.5)
    assert found["ResCom, table 8", "cifar100-lt", 100, 400, "ResCom"] == (53.8, None)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.51, 0.53, WITHIN), (0.49, 0.51, WITHIN), (0.47, 0.49, BELOW), (0.55, 0.57, ABOVE)],
)
def test_comparable_result_is_judged_by_a_prediction_interval(low: float, high: float, verdict: str):
    one = of_table_3(compare(settings(), Interval((low + high) / 2, low, high, 5)))
    assert (one.verdict, one.reasons) == (verdict, ())
    assert one.difference == pytest.approx(50 * (low + high) - 51.93)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset__protocol": "honest"}, "ours on validation images (protocol: honest)"),
        ({"bcl__epochs": 20}, "their epochs: 200, ours: 20"),
        ({"backbone": "resnet50"}, "their network: ResNet-32, ours: resnet50"),
        ({"dataset__largest_class": 40}, "different data: their largest_class: 0, ours: 40"),
    ],
)
def test_incomparable_result_has_a_reason(given: dict[str, Any], message: str):
    one = of_table_3(compare(settings(**given), Interval(0.52, 0.51, 0.53, 5)))
    assert one.verdict == NOT and one.reasons == (next(r for r in one.reasons if message in r),)
    assert ("BCL, table 3", "51.93", "+0.1") == claim_rows({"x": [one]})[0][1:4] and message in one.text


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.52, WITHIN), (0.45, BELOW), (0.60, ABOVE)])
def test_one_run_is_judged_by_a_listed_spread(accuracy: float, verdict: str):
    one = of_table_3(compare(settings(), mean_interval([accuracy])))
    assert (one.verdict, one.reasons) == (verdict, ())
    limit = "; a difference of up to 3.2 points is not significant" if verdict == WITHIN else ""
    start = f"{verdict}{limit}; judged from one run: seeds are assumed to differ by about 1.1 points, "
    assert one.text.startswith(start)


def test_prediction_interval_includes_the_noise_of_the_published_run():
    found = agreement(mean_interval([0.50, 0.51, 0.53]), Spread(9.9, 4, "unused"))
    # s = 0.015275, t(0.975, 2) = 4.302653, √(1 + 1/3)
    assert found.interval.half == pytest.approx(4.302653 * 0.0152753 * math.sqrt(4 / 3), rel=1e-5)
    assert found.basis == ""
    single = agreement(mean_interval([0.5]), Spread(0.6, 4, "measured"))
    assert single.interval.half == pytest.approx(2.776445 * 0.006 * math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("runs", [1, 2, 5, 50])
@pytest.mark.parametrize("heavy", [False, True])
def test_exact_reproduction_is_rarely_judged_above_or_below(runs: int, heavy: bool):
    draws = np.random.default_rng(runs)
    values = draws.standard_t(3, (1500, runs + 1)) / 3**0.5 if heavy else draws.standard_normal((1500, runs + 1))
    wrong = 0
    for own in values / 100:
        interval = agreement(mean_interval(list(own[1:])), Spread(1.0, 16, "")).interval
        wrong += not interval.low <= own[0] <= interval.high
    assert wrong / 1500 <= (0.085 if heavy else 0.065)  # two standard errors; t of 3 degrees has very heavy tails


@pytest.mark.parametrize("runs", [1, 3])
def test_prediction_interval_with_data_seeds_is_that_of_a_single_run(runs: int):
    draws = np.random.default_rng(runs)
    wrong = 0
    for _ in range(1500):
        rounds = draws.standard_normal((5, 1)) + draws.standard_normal((5, runs))
        claim = draws.standard_normal() * 2**0.5
        interval = agreement(run_interval(rounds.tolist()), Spread(1.0, 16, "")).interval
        wrong += not interval.low <= claim <= interval.high
    assert 0.01 <= wrong / 1500 <= 0.065


def test_every_published_method_and_data_set_has_a_spread():
    assert {name for names in FAMILIES.values() for name in names} == METHODS.keys()
    for row in published():
        if row.methods and row.dataset not in ELSEWHERE:
            found = listed_spread(row.dataset, row.methods, 0.5)
            assert 0.1 < found.points < 10 and found.freedom >= 2 and found.source
    assert "measured for contrastive methods on digits-lt" in listed_spread("digits-lt", ("bcl",), 0.5).source


@pytest.mark.parametrize("ratio", [9.0, 1.0])
def test_spreads_of_short_runs_are_pooled_by_their_ratio(ratio: float, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = [one for one in spreads.MEASURED if not one.short]
    short = Measured("cifar10-lt", "classifier losses", 30.0, ratio, 4, "2 epochs")
    monkeypatch.setattr(spreads, "MEASURED", (short, *complete))
    found = listed_spread("cifar10-lt", ("focal",), 0.5)
    assert found.points == pytest.approx(0.5 * math.sqrt((4 * ratio**2 + 14 * 1.96**2) / 18)) and found.freedom == 18
    message = "estimated for classifier losses from runs on cifar10-lt (2 epochs) and digits-lt, for 10,000 test images"
    assert found.source == message


def test_ratio_below_chance_is_raised_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreads, "MEASURED", (Measured("digits-lt", "second stages", 7.0, 0.5, 2),))
    assert listed_spread("cifar10-lt", ("crt",), 0.5).points == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"width": 256, "parameters": 7_400_000}, "their ResNet-32 has 256 features and 7.40 M parameters, ours 64 f"),
        ({"parameters": 16 * 463_504}, "their ResNet-32 has 7.42 M parameters, ours"),
        ({"width": 128}, "their ResNet-32 has 128 features, ours 64 features and 0.46 M parameters"),
        (
            {"subset": "the first images of each class"},
            "their training images differ: the first images of each class",
        ),
        ({"variant": "with RandAugment"}, "a variant that is not in ltray: with RandAugment"),
        ({"epochs": None}, "the source does not state its epochs, ours: 200"),
        ({"chosen_on": None}, "the source does not state the images on which its epoch was chosen"),
    ],
)
def test_published_row_of_another_network_or_subset_is_not_compared(row: dict[str, Any], message: str):
    claim = of_table_3(compare(settings(), mean_interval([0.5]))).claim
    assert other_row(claim, settings(), subsets=1) == []
    assert other_row(replace(claim, parameters=464_000), settings(), subsets=1) == []  # rounded as in papers
    (reason,) = other_row(replace(claim, **row), settings(), subsets=1)
    assert reason.startswith(message)


def test_setting_that_rows_vary_prevents_a_comparison():
    found = compare(settings(bcl__averaging="L2", bcl__temperature=0.2), mean_interval([0.49, 0.5, 0.51]))
    (met,) = [one for one in found if one.verdict != NOT]
    assert (met.claim.where, met.claim.all) == ("BCL, table 1", 50.2)
    assert met.text == (
        "within noise; with bcl.temperature=0.2 instead of 0.1; a difference of up to 5.0 points is not significant"
    )
    assert of_table_3(found).reasons == ("their bcl.averaging: L1, ours: L2",)
    many = {"bcl__temperature": 0.2, "bcl__learning_rate": 0.1, "bcl__batch_size": 128, "bcl__weight_decay": 1e-4}
    words = of_table_3(compare(settings(**many), mean_interval([0.51, 0.52, 0.53]))).text
    assert words.startswith("within noise; with 4 knobs not at the paper's values; a difference of up to 5.0 points")


def test_another_data_seed_is_accepted_if_several_are_averaged():
    one = settings(dataset__data_seed=3)
    reasons = of_table_3(compare(one, mean_interval([0.5, 0.51]))).reasons
    assert reasons == ("different training images: data_seed=3, the official draw is 0",)
    assert of_table_3(compare(one, mean_interval([0.5, 0.51]), subsets=2)).reasons == ()


def test_pretrained_weights_prevent_a_comparison():
    given = {"dataset": "imagenet-lt", "backbone": "resnet50", "weights": "imagenet", "bcl__epochs": 90}
    found = compare(settings(**given, dataset__protocol="honest"), mean_interval([0.6, 0.61]))
    (one,) = [one for one in found if one.claim.where == "BCL, table 5"]
    assert one.reasons == ("their weights: random, ours: imagenet",)


def test_only_claims_with_the_same_imbalance_and_methods_are_compared():
    accuracy = Interval(0.6, 0.59, 0.61, 3)
    fifty = compare(settings(dataset__imbalance_factor=50), accuracy)
    assert {one.claim.imbalance_factor for one in fifty} == {50} and {one.claim.methods for one in fifty} == {("bcl",)}
    assert compare(settings(dataset="digits-lt"), accuracy) == []
    assert compare(settings(dataset__imbalance_factor=37), accuracy) == []
    comparable = [one.verdict == NOT for one in compare(settings(), accuracy)]
    assert comparable == sorted(comparable)  # comparable claims are first


@pytest.mark.parametrize("dataset", ["cifar10-lt", "cifar100-lt"])
def test_only_claims_on_the_same_data_set_are_compared(dataset: str):
    found = compare(settings(dataset=dataset, methods=["rescom"]), Interval(0.6, 0.59, 0.61, 3))
    assert {one.claim.dataset for one in found} == {dataset}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "folder"),
        ("image_size", 64),
        ("imbalance_kind", "step"),
        ("largest_class", 40),
        ("test_per_class", 50),
    ],
)
def test_every_field_that_changes_the_images_prevents_a_comparison(field: str, value: Any):
    here = settings()
    claim = of_table_3(compare(here, mean_interval([0.5]))).claim
    before, other = here[f"dataset.{field}"], here | {f"dataset.{field}": value}
    assert other_row(claim, other, subsets=1) == [f"different data: their {field}: {before}, ours: {value}"]


def of_lists(**given: Any) -> dict[str, Any]:
    return settings(dataset="imagenet-lt", backbone="resnet50", bcl__epochs=90, dataset__protocol="honest", **given)


def reasons_of_table_5(here: dict[str, Any]) -> tuple[str, ...]:
    (one,) = [one for one in compare(here, mean_interval([0.57])) if one.claim.where == "BCL, table 5"]
    return one.reasons


@pytest.mark.parametrize("field", ["train_list", "test_list"])
def test_another_list_prevents_a_comparison_and_another_folder_does_not(field: str, tmp_path: Path):
    official = Path(of_lists()[f"dataset.{field}"]).name
    mine = reasons_of_table_5(of_lists(**{f"dataset.{field}": "mine.txt"}))
    assert mine == (*reasons_of_table_5(of_lists()), f"different data: their {field}: {official}, ours: mine.txt")
    (tmp_path / official).write_text("train/a.png 0\n")
    moved = of_lists(dataset__folder=str(tmp_path))
    assert Path(moved[f"dataset.{field}"]) == tmp_path / official
    assert reasons_of_table_5(moved) == reasons_of_table_5(of_lists())


def test_data_seed_of_a_natural_data_set_is_ignored():
    assert reasons_of_table_5(of_lists() | {"dataset.data_seed": 3}) == reasons_of_table_5(of_lists())


def test_terminal_explains_each_shown_kind_of_verdict() -> None:
    judged, other = (
        of_table_3(compare(settings(), mean_interval([0.52, 0.53]))),
        compare(settings(), mean_interval([0])),
    )
    shown = {"x": [judged, next(one for one in other if one.verdict == NOT)]}
    assert meanings(shown) == [f"{WITHIN}: {MEANING[WITHIN]}", f"{NOT}: {MEANING[NOT]}"]
    assert str(claim_table(shown).caption).splitlines() == meanings(shown)
