"""A frozen backbone is evaluated once for all epochs and trials, with the numbers of images seen in every epoch."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ltray.data.dataset import ImageData
from ltray.data.feature_cache import FeatureCache
from ltray.data.transforms import policies
from ltray.engine.features import evaluates_features
from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.methods import METHODS
from ltray.pretraining import features_line
from ltray.testing import contract
from ltray.testing.overfit import TinyBackbone

ONE_VIEW = ("cross_entropy", "balanced_softmax", "logit_adjustment", "focal", "ldam", "class_balanced", "lift")


class Counting(TinyBackbone):
    """A backbone that counts the images it sees."""

    seen = 0

    def feature_map(self, images: Tensor) -> Tensor:
        """Count."""
        Counting.seen += len(images)
        return super().feature_map(images)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of weights of the backbone."""
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(Counting().state_dict(), file)
    return str(file)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    """Count from 0."""
    Counting.seen = 0


def run_of(weights: str, method: str = "cross_entropy", part: str = "head", **knobs: Any) -> Experiment:
    """A run of two epochs."""
    own = {"epochs": 2, "batch_size": 16, "warmup_epochs": 0} | knobs
    settings = {f"{method}.{name}": value for name, value in own.items()} | {"methods": [method]}
    network = {"backbone": f"{__name__}:Counting", "weights": weights, "train": part}
    return contract.small_experiment(settings | network)


def trained(experiment: Experiment, folder: Path) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Train with the features kept in a folder."""
    session, data = MemorySession(), cached(experiment, folder)
    train(experiment.stages(data.tail), data, session, experiment.run(contract.CPU, data))
    saved = session.resume()
    assert saved is not None
    clocks = ("train/seconds", "train/images_per_second")
    return [{k: v for k, v in r.items() if k not in clocks} for r in session.reports], dict(saved.stages)


def cached(experiment: Experiment, folder: Path) -> ImageData:
    """The digits from memory, with features kept in a folder."""
    data = contract.open_small(experiment)
    opened = replace(data._opened, features=FeatureCache(folder))
    return ImageData(experiment.dataset, opened, contract.CPU)


@pytest.fixture
def plain_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images without augmentation in training."""

    def plain(name: str, **settings: Any) -> Any:
        return Plain(**{key: settings[key] for key in ("image_size", "mean", "std")})

    monkeypatch.setattr(policies, "policy", plain)


class Plain:
    """An augmentation policy that does nothing."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self.cut = None

    def geometric(self, images: Tensor, keys: Tensor) -> Tensor:
        """Leave the images as they are."""
        return images

    def photometric(self, images: Tensor, keys: Tensor) -> Tensor:
        """Normalise, as for evaluation."""
        return policies.evaluation(images, **self._settings)


@pytest.mark.parametrize("method", ONE_VIEW)
def test_numbers_are_those_of_images_in_every_epoch(
    method: str, weights: str, tmp_path: Path, plain_images: None
) -> None:
    once, always = (trained(run_of(weights, method, feature_passes=n), tmp_path) for n in (1, 0))
    for one, other in zip(once[0], always[0], strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    torch.testing.assert_close(once[1], always[1], rtol=1e-4, atol=1e-5)


def test_a_second_trial_sees_no_image(weights: str, tmp_path: Path) -> None:
    first, _ = trained(run_of(weights, feature_passes=3, epochs=4), tmp_path)
    data = cached(run_of(weights), tmp_path)
    every = len(data.without_augmentation().labels)
    padded = -(-every // min(512, every)) * min(512, every)
    assert Counting.seen == 3 * padded + sum(data.selection_counts)
    assert len(list(tmp_path.glob("*.npy"))) == 4
    before = Counting.seen
    again, _ = trained(run_of(weights, feature_passes=3, epochs=4), tmp_path)
    assert again == first
    trained(run_of(weights, "focal", feature_passes=2, learning_rate=0.3), tmp_path)
    assert Counting.seen == before


def test_epochs_use_the_passes_in_turn(weights: str, tmp_path: Path) -> None:
    experiment = run_of(weights, feature_passes=2)
    data = cached(experiment, tmp_path)
    stage = experiment.stages(data.tail)[0]
    loader = data.training(stage, None, seed=0)

    def seen(epoch: int) -> dict[int, Tensor]:
        """The features of each image in an epoch."""
        batches = list(loader.epoch(epoch))
        indices = torch.cat([batch.indices for batch in batches]).tolist()
        return dict(zip(indices, torch.cat([batch["image"] for batch in batches]), strict=True))

    epochs = [seen(epoch) for epoch in range(4)]
    for first, second, same in ((0, 1, False), (2, 3, False), (0, 2, True), (1, 3, True)):
        both = epochs[first].keys() & epochs[second].keys()
        assert all(torch.equal(epochs[first][i], epochs[second][i]) for i in both) == same


@pytest.mark.parametrize(
    "other", [{"augmentation": "strong"}, {"feature_passes": 3}, {"weights": True}, {"size": True}]
)
def test_features_of_other_passes_weights_or_views_are_other_files(
    other: dict[str, Any], weights: str, tmp_path: Path
) -> None:
    def files(**knobs: Any) -> set[Path]:
        own = weights
        if knobs.pop("weights", False):
            own = str(tmp_path / "other.pt")
            torch.manual_seed(6)
            torch.save(Counting().state_dict(), own)
        experiment = run_of(own, **{"feature_passes": 2} | {k: v for k, v in knobs.items() if k != "size"})
        if "size" in knobs:
            experiment = Experiment.from_settings(experiment.settings() | {"dataset.image_size": 16}, complete=True)
        data = cached(experiment, tmp_path)
        return set(data.feature_files(experiment.stages(data.tail)[0]))

    usual, found = files(), files(**other)
    assert len(usual) == 2 and (found > usual if other == {"feature_passes": 3} else not found & usual)
    assert files(epochs=3, learning_rate=0.5) == usual


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"part": "all"}, "the backbone is trained.* set train=head"),
        ({"part": "norms"}, "the backbone is trained"),
        ({"mixup": 0.5}, "mixup blends images"),
        ({"cutmix": 0.5}, "cutmix blends images"),
        ({"augmentation": "strong"}, "`cross_entropy.augmentation` has no effect with feature_passes=1"),
    ],
)
def test_what_needs_images_is_refused(settings: dict[str, Any], reason: str, weights: str) -> None:
    experiment = run_of(weights, **{"feature_passes": 1} | settings)
    with pytest.raises(UsageError, match=reason):
        experiment.stages(contract.open_small(experiment).tail)


def test_crops_that_change_from_epoch_to_epoch_are_refused(weights: str) -> None:
    experiment = run_of(weights, "lift", feature_passes=2, augmentation="minimalist")
    with pytest.raises(UsageError, match=r"`lift.feature_passes` must be 0, .* crops change from epoch to epoch"):
        experiment.stages(contract.open_small(experiment).tail)


@pytest.mark.parametrize("method", ["bcl", "mixup", "ride", "paco", "proco", "tau_norm"])
def test_methods_that_need_images_refuse_it(method: str) -> None:
    with pytest.raises(UsageError, match="`feature_passes` has no effect here"):
        METHODS[method].knobs.resolve("default", {"feature_passes": 1})


@pytest.mark.parametrize("knobs", [{"feature_passes": 1}, {"feature_passes": 2}])
def test_it_is_exact_under_resume(knobs: dict[str, int], weights: str) -> None:
    assert contract.check_resume(run_of(weights, epochs=3, **knobs)) == 2


def test_two_workers_end_like_one(weights: str, two_workers: Any) -> None:
    contract.check_workers(run_of(weights, feature_passes=2), two_workers)


def test_the_probe_takes_augmented_passes_too(weights: str, tmp_path: Path) -> None:
    one, two = (trained(run_of(weights, "linear_probe", feature_passes=n), tmp_path)[0] for n in (1, 2))
    assert one != two and len(list(tmp_path.glob("*.npy"))) == 4
    stage = run_of(weights, "linear_probe").stages(cached(run_of(weights), tmp_path).tail)[0]
    assert evaluates_features(stage) and stage.feature_passes == 1


def test_a_command_says_where_the_features_are(weights: str, tmp_path: Path) -> None:
    experiment = run_of(weights, feature_passes=2)
    line = features_line(experiment, cached(experiment, tmp_path))
    assert line.startswith(f"features: of 2 augmented passes, computed once and cached in {tmp_path}")
    trained(experiment, tmp_path)
    line = features_line(experiment, cached(experiment, tmp_path))
    assert "read from" in line and line.endswith(".npy and 1 more")
    assert features_line(run_of(weights), cached(experiment, tmp_path)) == ""
    assert "not cached" in features_line(experiment, contract.open_small(experiment))


def test_of_two_processes_one_computes(tmp_path: Path) -> None:
    caches, order = [FeatureCache(tmp_path), FeatureCache(tmp_path)], []

    def compute(cache: FeatureCache, pause: float) -> None:
        time.sleep(pause)
        with cache.computing("key"):
            if cache.load("key") is None:
                order.append("computed")
                time.sleep(0.3)
                cache.keep("key", torch.ones(2, 3))
            else:
                order.append("read")

    threads = [threading.Thread(target=compute, args=(cache, 0.1 * i)) for i, cache in enumerate(caches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["computed", "read"]


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with FeatureCache(tmp_path / "file" / "below").computing("key"):
        pass
