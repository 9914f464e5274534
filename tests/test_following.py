"""Defaults follow the data, but do not change on the papers' own data sets."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.following import STEPS, TrainingSize
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Network
from ltray.parts.heads import new_classifier
from ltray.parts.resnet32 import ResNet32
from ltray.recipe import Recipe
from ltray.stage import BuildContext
from tests import corners
from tests.paths import ROOT

PROFILES = ("default", "cifar10_lt", "cifar100_lt", "imagenet_lt", "places_lt", "inat18", "digits_lt")
# Classes, training images and the largest class, as the shipped definitions have them.
PAPERS = {
    "cifar10-lt": ("cifar10_lt", TrainingSize(10, 12_306, 4_900)),
    "cifar100-lt": ("cifar100_lt", TrainingSize(100, 10_820, 500)),
    "imagenet-lt": ("imagenet_lt", TrainingSize(1000, 115_846, 1280)),
    "imagenet-lt-a": ("imagenet_lt", TrainingSize(1000, 115_852, 857)),
    "imagenet-lt-b": ("imagenet_lt", TrainingSize(1000, 115_801, 343)),
    "imagenet-lt-c": ("imagenet_lt", TrainingSize(1000, 115_000, 115)),
    "places-lt": ("places_lt", TrainingSize(365, 62_500, 4980)),
    "inat2018": ("inat18", TrainingSize(8142, 429_371, 1000)),
    "digits-lt": ("digits_lt", TrainingSize(10, 363, 110)),
}


@pytest.mark.parametrize("name", PAPERS)
def test_papers_data_sets_keep_the_papers_values(name):
    profile, size = PAPERS[name]
    for method in METHODS.values():
        papers = method.knobs.resolve(profile, {})
        assert papers.following(size, ()) == papers, method.name
        assert {k: getattr(papers, k) for k in method.knobs.paper_setting(profile)} == method.knobs.paper_setting(
            profile
        )


def test_papers_data_sets_are_all_shipped_ones():
    shipped = {path.stem for path in (ROOT / "datasets").glob("*.yaml")}
    assert shipped == PAPERS.keys()


@st.composite
def tails(draw, most=10_000):
    """Class counts: 2 to `most` classes; equal, falling or with many ones; 20 to ten million images."""
    classes = draw(st.one_of(st.integers(2, 50), st.integers(2, most)))
    largest = draw(st.one_of(st.integers(10, 200), st.integers(10, 10_000_000 // classes)))
    factor = draw(st.sampled_from([1.0, 10.0, 1000.0, float(largest)]))
    return LongTail(tuple(max(int(largest * factor ** (-k / max(classes - 1, 1))), 1) for k in range(classes)))


@settings(max_examples=100, deadline=None)
@given(tails(), st.sampled_from(sorted(METHODS)), st.sampled_from(PROFILES), st.integers(1, 8), st.data())
def test_defaults_are_valid_and_sensible_for_any_data(tail, name, profile, workers, data):
    method = METHODS[name]
    epochs = data.draw(st.sampled_from([None, 1, 2, 10]))
    given = {} if epochs is None or method.knobs.specs()["epochs"].high == 0 else {"epochs": epochs}
    size = TrainingSize.of(tail, workers=workers)
    usual = method.knobs.resolve(profile, given)
    knobs = usual.following(size, given)
    knobs.check_classes(tail.classes)
    assert knobs.following(size, ()) == knobs.following(size, given)  # a rule does not change a value that satisfies it
    if epochs is not None and given:
        assert knobs.epochs == epochs
    for key, value in knobs.as_dict().items():
        if key.endswith("batch_size") and knobs.epochs:
            changed = value != getattr(usual, key)
            assert value <= max(tail.total // (STEPS // 2), 4, workers)
            assert not changed or value % workers == 0
    if knobs.epochs:
        assert knobs.epochs * tail.total <= 200_000_000 or knobs.epochs <= 10 or given
        assert knobs.warmup_epochs < max(knobs.epochs, 1) or knobs.epochs == 0
        assert knobs.schedule != "step" or all(m < knobs.epochs for m in knobs.milestones)
    if getattr(knobs, "reweight_epoch", 0) and knobs.epochs > 1:
        assert knobs.reweight_epoch < knobs.epochs
    if name in ("paco", "gpaco", "supcon", "moco", "multi_task"):
        assert knobs.queue_size <= max(tail.total // 2, 1)
    paper = method.knobs.resolve(profile, {})
    for line in knobs.described_changes(usual, size, paper):
        explicit = getattr(paper, line.split()[0])
        number = (
            ", ".join(map(str, explicit))
            if isinstance(explicit, tuple)
            else f"{explicit:g}"
            if isinstance(explicit, float)
            else str(explicit)
        )
        assert re.search(rf"\(the paper's {re.escape(number)}( of {paper.epochs} epochs)?; ", line), line


def build(method, knobs, tail):
    def network(kind):
        backbone = ResNet32()
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=tail.classes))

    return method.stages(knobs, BuildContext(tail, network, network("linear") if method.needs_network else None))


@settings(max_examples=12, deadline=None)
@given(tails(most=200), st.sampled_from(sorted(METHODS)), st.sampled_from(PROFILES))
def test_stages_can_be_built_for_any_data(tail, name, profile):
    method = METHODS[name]
    knobs = method.knobs.resolve(profile, {}).following(TrainingSize.of(tail), ())
    if getattr(knobs, "classifier", "") == "warm_linear" or knobs.epochs >= 0:
        assert build(method, knobs, tail)


def test_explicit_value_is_kept_and_an_invalid_one_is_refused_with_a_remedy():
    tail = LongTail((100, 20, 3, 1))
    run = {"dataset": "cifar100-lt", "methods": ["rescom"]}
    size = TrainingSize.of(tail)
    kept = Experiment.from_settings(run | {"rescom.batch_size": 128, "rescom.hard_negatives": 7}).following(size)
    assert (kept.knobs[0].batch_size, kept.knobs[0].hard_negatives) == (128, 7)
    explicit = Experiment.from_settings(run | {"rescom.hard_negatives": 400}).following(size)
    with pytest.raises(UsageError, match="`hard_negatives <= 30` must hold with 4 classes.*rescom.hard_negatives=30"):
        explicit.check_classes(tail.classes)
    # If a knob bounds another one, the default of the other one follows it.
    bound = Experiment.from_settings(run | {"rescom.queue_size": 2}).following(size)
    assert bound.knobs[0].hard_negatives == 6
    bound.check_classes(tail.classes)


def test_adapted_values_are_reported_and_recorded():
    tail = LongTail((100, 20, 3, 1))
    usual = Experiment.from_settings({"dataset": "cifar100-lt", "methods": ["rescom"]})
    suited = usual.following(TrainingSize.of(tail))
    assert suited.followed(usual, TrainingSize.of(tail)) == [
        "rescom.batch_size 8 (the paper's 128; 124 training images allow 8)",
        "rescom.hard_negatives 30 (the paper's 400; 4 classes allow 30)",
    ]
    # The settings of a run folder are complete: none of them follows other data later.
    again = Experiment.from_settings(suited.settings())
    assert again == suited and again.following(TrainingSize(2, 40, 20)) == suited


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (1, "(the paper's 160, 180 of 200 epochs; 1 epoch allows none)"),
        (170, "(the paper's 160, 180 of 200 epochs; 170 epochs allow 160)"),
    ],
)
def test_message_about_one_epoch_uses_the_singular(epochs, message):
    before = Recipe(epochs=epochs, warmup_epochs=0)
    size = TrainingSize(10)
    (line,) = before.following(size, {"epochs"}).described_changes(before, size, Recipe())
    assert message in line


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize(("dataset", "papers"), [("cifar100-lt", "160, 180 of 200"), ("digits-lt", "24, 27 of 30")])
def test_explicit_epochs_do_not_change_the_reported_paper_values(epochs, dataset, papers):
    run = {"dataset": dataset, "methods": ["cross_entropy"], "cross_entropy.epochs": epochs}
    usual = Experiment.from_settings(run)
    size = TrainingSize.of(LongTail((1000, 500)))
    (line,) = usual.following(size).followed(usual, size)
    assert line.startswith(f"cross_entropy.milestones none (the paper's {papers} epochs; ")


def test_bounded_default_stays_within_its_bound():
    assert METHODS["las"].knobs.resolve("cifar100_lt", {"head_smoothing": 0.05}).tail_smoothing == 0.05
    with pytest.raises(UsageError, match="tail_smoothing <= head_smoothing"):
        METHODS["las"].knobs.resolve("cifar100_lt", {"head_smoothing": 0.05, "tail_smoothing": 0.1})


def test_567_images_give_at_least_the_minimum_of_steps():
    size = TrainingSize.of(LongTail((300, 200, 67)))
    for method in METHODS.values():
        for profile in PROFILES:
            knobs = method.knobs.resolve(profile, {}).following(size, ())
            if knobs.epochs and method.name != "dlsa":
                assert 567 // knobs.batch_size >= STEPS


@pytest.mark.parametrize("counts", [(10, 10), (18, 1, 1)])
@pytest.mark.parametrize("method", ["rescom", "paco"])
def test_tiny_training_set_is_trained(tmp_path, counts, method):
    folder = corners.write(tmp_path / "data", counts)
    (report,) = corners.trained(corners.settings(folder, [method], "imagenet_lt"))
    assert math.isfinite(report["loss/total"])


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(10, 10), (18, 1, 1), (1,) * 300], ids=["two", "ones", "many"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_the_smallest_sets(tmp_path, counts, method):
    folder = corners.write(tmp_path / "data", counts)
    short = {"dlsa": {"dlsa.epochs": 2, "dlsa.classifier_epochs": 1}, "dscl": {"dscl.linear_epochs": 1}}
    for profile in ("cifar100_lt", "imagenet_lt"):
        run = corners.settings(folder, corners.sequence(method), profile, **short.get(method, {}))
        assert all(math.isfinite(value) for report in corners.trained(run) for value in report.values())
