"""Loaders: equal for any number of workers, resumable at every step, every image evaluated exactly once."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltray.data import loaders, plan
from ltray.data.dataset import LOADERS, ImageData, Opened
from ltray.data.definition import DatasetDefinition
from ltray.data.pools import MemoryPool
from ltray.errors import UsageError
from ltray.recipe import Recipe
from ltray.stage import Batch, Patches, Stage, View

CPU = torch.device("cpu")
SIZE = 8
COUNTS = (40, 21, 9)
VIEWS = (View("query", "autoaugment_cutout"), View("key", "sim"))


class OneStage(Stage):
    """A stage that only declares its views and sampling."""

    def __init__(self, batch_size: int, views: Sequence[View] = VIEWS, sampling: str = "natural") -> None:
        super().__init__(Recipe(batch_size=batch_size))
        self.views = views
        self.sampling = sampling
        self.frozen = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 5))

    def feature_network(self) -> nn.Module:
        """Return a linear map of the pixels."""
        return self.frozen


def coloured(labels: np.ndarray, first: int) -> Tensor:
    """Return images that differ in every pixel: number `first` + i, uint8 (n, 3, 8, 8)."""
    random = np.random.default_rng(first)
    return torch.from_numpy(random.integers(0, 256, (len(labels), 3, SIZE, SIZE), dtype=np.uint8))


@pytest.fixture
def data() -> ImageData:
    definition = DatasetDefinition(name="t", source="digits", image_size=SIZE, protocol="paper")
    train = np.repeat(np.arange(3), COUNTS)
    pools = {"train": train, "test": np.arange(103) % 3}
    pixels = {name: coloured(labels, len(name)) for name, labels in pools.items()}
    opened = Opened(
        class_names=("a", "b", "c"),
        labels=pools,
        fingerprint=lambda: "f",
        images=lambda split: MemoryPool(pixels[split.pool][torch.from_numpy(split.indices)]),
        origin="memory",
    )
    return ImageData(definition, opened, CPU)


class Workers:
    """Simulates each worker of a group in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def set_rank(self, rank: int, world_size: int) -> None:
        """Set the rank and the world size that the loaders see."""
        for module in (loaders, plan):
            self.monkeypatch.setattr(module, "rank", lambda: rank)
            self.monkeypatch.setattr(module, "world_size", lambda: world_size)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    return Workers(monkeypatch)


def assert_equal(first: Batch, second: Batch) -> None:
    assert first.views.keys() == second.views.keys()
    for name in first.views:
        assert torch.equal(first[name], second[name])
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.indices, second.indices)


def joined(parts: Sequence[Batch]) -> Batch:
    views = {name: torch.cat([part[name] for part in parts]) for name in parts[0].views}
    return Batch(views, torch.cat([p.labels for p in parts]), torch.cat([p.indices for p in parts]))


@pytest.mark.parametrize(
    "sampling", ["natural", "class_balanced", "square_root", "progressive", "reversed", "class_aware", "pairs"]
)
@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_workers_together_get_the_batches_of_one_worker(
    data: ImageData, workers: Workers, world_size: int, sampling: str
) -> None:
    expected = list(data.training(OneStage(12, sampling=sampling), None, seed=3).epoch(2))
    assert len(expected) == sum(COUNTS) // 12
    parts = []
    for rank in range(world_size):
        workers.set_rank(rank, world_size)
        loader = data.training(OneStage(12, sampling=sampling), None, seed=3)
        assert loader.steps == len(expected)
        parts.append(list(loader.epoch(2)))
    for step, batch in enumerate(expected):
        assert_equal(joined([part[step] for part in parts]), batch)


@pytest.mark.parametrize("first", [1, 3, 5])
def test_epoch_resumes_at_any_step(data: ImageData, first: int) -> None:
    loader = data.training(OneStage(12), None, seed=3)
    complete = list(loader.epoch(1))
    rest = list(loader.epoch(1, first))
    assert len(rest) == len(complete) - first
    for left, right in zip(rest, complete[first:], strict=True):
        assert_equal(left, right)


def test_epochs_and_views_differ(data: ImageData) -> None:
    views = (View("first", "sim"), View("second", "sim"))
    loader = data.training(OneStage(12, views), None, seed=3)
    here, there = next(loader.epoch(0)), next(loader.epoch(1))
    assert not torch.equal(here["first"], here["second"])
    assert not torch.equal(here.indices, there.indices)


def test_labels_and_indices_belong_to_the_images(data: ImageData) -> None:
    stored = data.without_augmentation().labels
    loader = data.training(OneStage(12), None, seed=0)
    seen = [index for batch in loader.epoch(0) for index in batch.indices.tolist()]
    assert len(set(seen)) == len(seen) == 60
    for batch in loader.epoch(0):
        assert torch.equal(stored[batch.indices], batch.labels)


def test_only_selected_positions_are_trained_on(data: ImageData) -> None:
    selected = torch.tensor([3, 41, 42, 65, 68])
    loader = data.training(OneStage(64), selected, seed=0)
    assert loader.steps == 1
    (batch,) = loader.epoch(0)
    assert sorted(batch.indices.tolist()) == selected.tolist()


def test_patches_have_boxes_and_independent_random_numbers(data: ImageData, workers: Workers) -> None:
    views = (View("query", "sim"), Patches("patches", "sim", of="query", count=3, size=4, scale=(0.1, 0.6)))
    batch = next(data.training(OneStage(12, views), None, seed=0).epoch(0))
    assert batch["patches"].shape == (12, 3, 3, 4, 4)
    assert batch.boxes is not None and batch.boxes.shape == (12, 3, 4)
    assert (batch.boxes[..., 2:] > batch.boxes[..., :2]).all() and batch.boxes.max() <= SIZE
    workers.set_rank(1, 2)
    half = next(data.training(OneStage(12, views), None, seed=0).epoch(0))
    assert torch.equal(half["patches"], batch["patches"][6:])


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [1, 7, 512])
def test_evaluation_uses_every_image_once(
    data: ImageData, workers: Workers, monkeypatch: pytest.MonkeyPatch, world_size: int, batch: int
) -> None:
    monkeypatch.setattr(loaders, "EVALUATION_BATCH", batch)
    images, labels = [], []
    for rank in range(world_size):
        workers.set_rank(rank, world_size)
        for pixels, named in data.test():
            assert len(pixels) <= batch
            images.append(pixels)
            labels.append(named)
    workers.set_rank(0, 1)
    monkeypatch.setattr(loaders, "EVALUATION_BATCH", 1000)
    ((expected, expected_labels),) = list(data.test())
    assert torch.equal(torch.cat(images), expected)
    assert torch.equal(torch.cat(labels), expected_labels)


def test_evaluation_loader_can_be_stopped_early_and_used_again(data: ImageData) -> None:
    next(iter(data.test()))
    assert sum(len(labels) for _, labels in data.test()) == 103


def test_features_are_those_of_images_without_augmentation(data: ImageData) -> None:
    stage = OneStage(12, (View("features"),))
    stage.source = "features"
    features = data.without_augmentation().features(stage.frozen)
    assert features.shape == (70, 5)
    loader = data.training(stage, torch.arange(30), seed=0)
    seen = [index for batch in loader.epoch(0) for index in batch.indices.tolist()]
    assert set(seen) <= set(range(30)) and loader.steps == 2
    for batch in loader.epoch(0):
        assert torch.equal(batch["features"], features[batch.indices])


def test_features_change_with_the_network(data: ImageData) -> None:
    network = OneStage(12).frozen
    before = data.without_augmentation().features(network)
    assert data.without_augmentation().features(network) is before
    with torch.no_grad():
        network[1].bias += 1.0
    assert torch.allclose(data.without_augmentation().features(network), before + 1.0, atol=1e-6)


def test_selection_is_the_test_set_with_the_paper_protocol(data: ImageData) -> None:
    assert data.selection() is data.test()
    features, labels = data.without_augmentation().selection_features(OneStage(12).frozen)
    assert features.shape == (103, 5)
    assert torch.equal(labels, data.test().labels)


def test_batch_that_workers_cannot_share_is_refused_with_a_remedy(data: ImageData, workers: Workers) -> None:
    workers.set_rank(0, 4)
    with pytest.raises(UsageError, match="batch_size=10, workers=4; use 8"):
        data.training(OneStage(10), None, seed=0)


def test_batch_larger_than_the_set_is_reduced_to_a_shareable_size(data: ImageData, workers: Workers) -> None:
    workers.set_rank(2, 3)
    loader = data.training(OneStage(300), None, seed=0)
    assert loader.steps == 1
    assert len(next(loader.epoch(0)).labels) == 23


def test_description_and_digest_distinguish_data_sets(data: ImageData) -> None:
    assert "3 classes, 70 training images (40 to 9 per class; medium 2, few 1 classes)" in data.describe()
    other = ImageData(data.definition.replace(data_seed=1), data._opened, CPU)
    assert other.digest != data.digest


@pytest.mark.parametrize(
    ("source", "hint"), [("feature", "Did you mean `features`"), ("pixels", "Known: `features`, `images`")]
)
def test_stage_with_an_unknown_source_is_refused(data: ImageData, source: str, hint: str) -> None:
    stage = OneStage(4)
    stage.source = source
    with pytest.raises(UsageError, match=f"{source!r} is not an input of a stage .*OneStage.*{hint}"):
        data.training(stage, None, seed=0)


def test_every_source_of_a_stage_has_a_loader(data: ImageData) -> None:
    for source in LOADERS:
        stage = OneStage(4, VIEWS[:1])
        stage.source = source
        assert len(list(data.training(stage, None, seed=0).epoch(0))) == sum(COUNTS) // 4
