"""Cached features: computed once for all processes, and again if their inputs differ."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltray.data.dataset import ImageData, Opened
from ltray.data.definition import DatasetDefinition
from ltray.data.feature_cache import FeatureCache
from ltray.data.pools import MemoryPool
from ltray.data.splits import Split
from ltray.distributed import rank
from ltray.testing.worker_pool import WorkerPool

LABELS = {"train": np.arange(21) % 3, "test": np.arange(9) % 3}


def open_data(folder: Path, *, fingerprint: str = "f", size: int = 8) -> ImageData:
    """Open random images with a feature cache in a folder."""

    def images(split: Split) -> MemoryPool:
        count = len(split.indices)
        generator = torch.Generator().manual_seed(count)
        return MemoryPool(torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator))

    definition = DatasetDefinition(name="t", source="digits", image_size=size, protocol="paper")
    opened = Opened(("a", "b", "c"), LABELS, lambda: fingerprint, images, "memory", FeatureCache(folder))
    return ImageData(definition, opened, torch.device("cpu"))


def network(seed: int = 0, *, stride: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_cached_features_are_not_computed_again(tmp_path: Path) -> None:
    first, second = open_data(tmp_path), open_data(tmp_path)
    expected = (
        first.without_augmentation().features(network()),
        first.without_augmentation().selection_features(network())[0],
    )
    got = (
        second.without_augmentation().features(network()),
        second.without_augmentation().selection_features(network())[0],
    )
    for one, other in zip(expected, got, strict=True):
        assert torch.equal(one, other)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    assert not list(tmp_path.glob("*.partial"))


def test_second_process_uses_the_cached_features(tmp_path: Path) -> None:
    open_data(tmp_path).without_augmentation().features(network())
    (file,) = tmp_path.glob("*.npy")
    FeatureCache(tmp_path).keep(file.stem, torch.full_like(torch.from_numpy(np.load(file)), 7.0))
    assert (open_data(tmp_path).without_augmentation().features(network()) == 7.0).all()


@pytest.mark.parametrize("other", ["weights", "strides", "data", "size"])
def test_features_are_computed_again_if_inputs_differ(tmp_path: Path, other: str) -> None:
    open_data(tmp_path).without_augmentation().features(network())
    data = open_data(tmp_path, fingerprint="g" if other == "data" else "f", size=12 if other == "size" else 8)
    network_to_use = network(1 if other == "weights" else 0, stride=3 if other == "strides" else 2)
    features = data.without_augmentation().features(network_to_use)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    expected = (
        open_data(tmp_path / "none", size=data.definition.image_size).without_augmentation().features(network_to_use)
    )
    assert torch.equal(features, expected)


def test_damaged_feature_file_is_computed_again_with_a_warning(tmp_path: Path) -> None:
    expected = open_data(tmp_path).without_augmentation().features(network())
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="computed again"):
        assert torch.equal(open_data(tmp_path).without_augmentation().features(network()), expected)
    assert torch.equal(open_data(tmp_path).without_augmentation().features(network()), expected)


@pytest.mark.parametrize("place", [20, 200, -1])
def test_flipped_bit_in_a_feature_file_is_computed_again_with_a_warning(tmp_path: Path, place: int) -> None:
    expected = open_data(tmp_path).without_augmentation().features(network())
    (file,) = tmp_path.glob("*.npy")
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="computed again"):
        assert torch.equal(open_data(tmp_path).without_augmentation().features(network()), expected)


def test_features_in_a_renamed_file_are_not_used(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.keep("a", torch.zeros(3, 2))
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    with pytest.warns(UserWarning, match="its digest does not match"):
        assert cache.load("b") is None


def test_unwritable_cache_folder_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not cached"):
        open_data(tmp_path / "file" / "below").without_augmentation().features(network())


def test_least_recently_used_features_are_removed_first(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, limit=3 * 4096)
    rows = torch.zeros(900, 1)  # 3,600 bytes and a header
    for name in "abc":
        cache.keep(name, rows)
    for age, name in enumerate("bca"):
        os.utime(tmp_path / f"{name}.npy", (1e9 + age, 1e9 + age))
    assert cache.load("b") is not None  # used just now
    cache.keep("d", rows)
    assert sorted(path.stem for path in tmp_path.glob("*.npy")) == ["a", "b", "d"]


def features_of_both(folder: str) -> tuple[Tensor, Tensor]:
    """Compute the features, then read them with new objects; called by each worker of the pool."""
    first = open_data(Path(folder)).without_augmentation().features(network())
    # The other worker has no such folder: only rank 0 reads the disk.
    again = open_data(Path(folder) if rank() == 0 else Path("/nowhere")).without_augmentation().features(network())
    return first, again


def test_workers_get_the_same_features(tmp_path: Path, two_workers: WorkerPool) -> None:
    expected = open_data(tmp_path / "alone").without_augmentation().features(network())
    for first, again in two_workers.run(features_of_both, str(tmp_path / "shared")):
        torch.testing.assert_close(first, expected)
        assert torch.equal(again, first)
    assert len(list((tmp_path / "shared").glob("*.npy"))) == 1
