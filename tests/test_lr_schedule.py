"""The learning rate against the official schedules."""

from dataclasses import dataclass

import numpy as np
import pytest

from ltray.errors import UsageError
from ltray.lr_schedule import SCHEDULES, learning_rate
from ltray.methods import METHODS
from ltray.recipe import Recipe

# name: (first epoch of the official count, schedule, milestones)
OFFICIAL = {
    "bcl_cifar200": (0, "step", (160, 180)),
    "bcl_cifar400": (0, "step", (360, 380)),
    "bcl_imagenet_lt": (0, "cosine", ()),
    "bcl_inat18": (0, "cosine", ()),
    "paco_cifar": (0, "step", (321, 361)),
    "paco_imagenet_lt": (0, "cosine", ()),
    "paco_places_lt": (0, "cosine", ()),
    "rescom_cifar": (1, "step", (320, 360)),
    "rescom_imagenet_lt": (1, "cosine_to_floor", ()),
    "rescom_inat18": (1, "cosine_to_floor", ()),
    "rescom_places_lt": (1, "cosine_to_floor", ()),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_learning_rate_equals_the_official_one(name, golden):
    vectors = golden("contrastive/schedules")
    first, schedule, milestones = OFFICIAL[name]
    peak, warmup, epochs = vectors[f"{name}/args"]
    recipe = Recipe(
        learning_rate=float(peak),
        warmup_epochs=int(warmup),
        epochs=int(epochs),
        schedule=schedule,
        milestones=milestones,
    )
    rates = np.array([learning_rate(recipe, epoch=int(e) - first) for e in vectors[f"{name}/epochs"]])
    expected = vectors[f"{name}/lr"].copy()
    if name == "paco_cifar":
        # The official script overshoots to 1.1 lr in its tenth epoch; ours stays at lr.
        assert expected[10] == pytest.approx(1.1 * peak)
        expected[10] = peak
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def test_dscl_changes_every_step(golden):
    vectors = golden("decoupled/schedules")
    recipe = Recipe(learning_rate=0.1, warmup_epochs=10, epochs=200, schedule="cosine_per_step")
    for epoch, rate in zip(vectors["dscl_pretrain/epoch"], vectors["dscl_pretrain/lr"], strict=True):
        integer, fraction = divmod(float(epoch), 1.0)
        got = learning_rate(recipe, epoch=int(integer), step=round(fraction * 10_000), steps=10_000)
        assert got == pytest.approx(float(rate), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("method", ["bcl", "rescom"])
def test_papers_setting_on_cifar_decays_at_the_papers_epochs(method):
    recipe = METHODS[method].knobs.resolve("cifar100_lt", {})
    decayed = [
        e for e in range(1, recipe.epochs) if learning_rate(recipe, epoch=e) < learning_rate(recipe, epoch=e - 1)
    ]
    assert decayed == {"bcl": [160, 180], "rescom": [320, 360]}[method]


def test_constant_schedule_stays_at_its_peak_after_the_warm_up():
    recipe = Recipe(schedule="constant", epochs=10, warmup_epochs=2, milestones=())
    assert [learning_rate(recipe, epoch=e) for e in range(4)] == [0.05, 0.1, 0.1, 0.1]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_warms_up_to_its_peak_and_never_exceeds_it(name):
    recipe = Recipe(schedule=name, epochs=10, warmup_epochs=3, milestones=(6, 8), learning_rate=0.3)
    steps = [(epoch, step) for epoch in range(10) for step in range(4)]
    rates = [learning_rate(recipe, epoch=epoch, step=step, steps=4) for epoch, step in steps]
    assert all(0.0 <= rate <= 0.3 for rate in rates) and max(rates) == pytest.approx(0.3)
    assert rates[:12] == sorted(rates[:12]) and rates[13:] == sorted(rates[13:], reverse=True)
    assert (rates[-1] < rates[14]) == (name != "constant")


@pytest.mark.parametrize(("name", "hint"), [("cosin", "Did you mean `cosine`"), ("warm", "Known: `constant`")])
def test_unknown_schedule_is_refused_by_recipe_and_learning_rate(name, hint):
    with pytest.raises(UsageError, match=f"`schedule` must be one of .*{hint}"):
        Recipe(schedule=name)

    @dataclass
    class Unchecked:
        schedule: str = name

    with pytest.raises(UsageError, match=f"{name!r} is not a learning-rate schedule.*{hint}"):
        learning_rate(Unchecked(), epoch=0)


@pytest.mark.parametrize("knobs", [method.knobs for method in METHODS.values()], ids=list(METHODS))
def test_every_method_accepts_every_schedule(knobs):
    assert knobs.specs()["schedule"].choices == tuple(SCHEDULES)
