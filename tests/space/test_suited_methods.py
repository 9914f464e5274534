"""`methods: {among: […], only: suited}`: which methods are left out of a choice, and why."""

import pytest
import torch

from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.space.search_space import SearchSpace

TAILED, EVEN = LongTail((200, 40, 9)), LongTail((50, 50, 40))
PRETRAINED = {"backbone": "timm/test_efficientnet", "weights": "r160_in1k", "dataset.image_size": 32}
TEXT = """
dataset: digits-lt
methods:
  among: [nearest_class_mean, linear_probe, [linear_probe, post_hoc_adjustment], cross_entropy, balanced_softmax, bcl]
  only: suited
explore: {learning_rate: auto, bcl.temperature: auto}
"""


@pytest.fixture
def file(tmp_path):
    """Write the search space."""
    path = tmp_path / "space.yaml"
    path.write_text(TEXT)
    return path


def kept(file, tail, **overrides):
    """Return the methods that are kept, as text, and the lines about the others."""
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    bound = SearchSpace.read(file, {"stop.rule": "none"} | given).bind(tail.classes, tail)
    return ["+".join(a.methods) for a in bound.alternatives], bound.followed


def test_without_pretrained_weights_methods_on_fixed_features_are_left_out(file):
    names, lines = kept(file, TAILED)
    assert names == ["cross_entropy", "balanced_softmax", "bcl"]
    left = [line for line in lines if "left out" in line]
    assert len(left) == 3 and all("needs pretrained weights" in line for line in left)


def test_with_pretrained_weights_on_small_images_nothing_is_left_out(file):
    names, lines = kept(file, TAILED, **PRETRAINED)
    assert len(names) == 6 and not [line for line in lines if "left out" in line]


@pytest.mark.parametrize(("gpus", "count"), [(0.0, 3), (1.0, 6)])
def test_without_a_gpu_large_images_leave_the_fixed_features(file, gpus, count):
    settings = PRETRAINED | {"trial__gpus_per_worker": gpus, "dataset__image_size": 128}
    names, lines = kept(file, TAILED, **settings)
    assert len(names) == count
    assert [line for line in lines if "3 views of 128 pixels" in line] == (
        [] if gpus else ["bcl left out: 3 views of 128 pixels for each image, without a GPU"]
    )


def test_the_gpu_of_this_machine_counts_unless_stated_or_a_cluster_is_joined(file, monkeypatch):
    trial = SearchSpace.read(file, {"stop.rule": "none"}).trial
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for available in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert trial.has_gpu() is available
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert trial.has_gpu()


def test_balanced_classes_leave_out_methods_that_differ_by_the_counts_alone(file):
    names, _ = kept(file, EVEN, **PRETRAINED)
    assert names == ["nearest_class_mean", "linear_probe", "cross_entropy", "bcl"]


def test_the_network_of_a_trial_is_that_of_its_methods(file):
    bound = SearchSpace.read(file, {"stop.rule": "none"} | PRETRAINED).bind(3, TAILED)
    assert bound.network_of({"methods": "linear_probe, post_hoc_adjustment"}).train == "head"
    assert bound.network_of({"methods": "bcl"}).train == "all"


def test_a_common_knob_is_that_of_the_first_methods_that_train(file):
    space = SearchSpace.read(file, {"stop.rule": "none"})
    explored = {d.key for d in space.dimensions}
    assert "linear_probe.learning_rate" in explored and "nearest_class_mean.learning_rate" not in explored


def test_a_choice_without_suited_methods_is_refused_with_the_reasons(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "dataset: digits-lt\nmethods: {among: [nearest_class_mean, linear_probe], only: suited}\n"
        "explore: {learning_rate: auto}\nstop: {rule: none}\n"
    )
    with pytest.raises(UsageError, match="No method of `methods` is suited .* linear_probe left out: .* Remove"):
        SearchSpace.read(path).bind(3, TAILED)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("{among: [bcl, paco], only: best}", "`only` in a choice of methods can only be `suited`, not 'best'"),
        ("{among: [bcl, paco], just: suited}", "a choice of methods is"),
        ("{only: suited}", "a choice of methods is"),
    ],
)
def test_another_choice_is_refused_with_its_line(tmp_path, methods, message):
    path = tmp_path / "space.yaml"
    path.write_text(f"dataset: digits-lt\nmethods: {methods}\nexplore: {{learning_rate: auto}}\n")
    with pytest.raises(UsageError, match=rf"space.yaml:2: .*{message}"):
        SearchSpace.read(path)
