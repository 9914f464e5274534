"""CIFAR from the Parquet files: real images, official counts, validation images from the training set."""

from pathlib import Path

import pytest
import torch

from ltray.data.dataset import ImageData, open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError

pytestmark = pytest.mark.data


def opened(cifar_folder: Path, **overrides: object) -> ImageData:
    definition = DatasetDefinition.read("cifar100-lt", {"folder": str(cifar_folder)} | overrides)
    return open_data(definition, device=torch.device("cpu"), source="memory")


def test_cifar100_lt_has_the_official_counts_and_names(cifar_folder: Path) -> None:
    data = opened(cifar_folder)
    assert data.class_names[:3] == ("apple", "aquarium_fish", "baby") and len(data.class_names) == 100
    assert data.tail.total == 10_820
    assert data.splits.validation is not None and len(data.splits.validation.indices) == 2_500
    assert {name: len(labels) for name, labels in data.tail.groups().items()} == {"many": 35, "medium": 35, "few": 30}
    assert opened(cifar_folder, protocol="paper").tail.total == 10_847


def test_normalised_test_images_have_mean_zero_and_deviation_one(cifar_folder: Path) -> None:
    images = torch.cat([images for images, _ in opened(cifar_folder).test()])
    assert images.shape == (10_000, 3, 32, 32)
    # The papers divide by the mean of the images' deviations, 0.20, not by the deviation of all pixels, 0.26.
    assert images.mean().abs() < 0.05 and 1.2 < images.std() < 1.35


def test_given_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must contain cifar10-train.parquet"):
        open_source(DatasetDefinition.read("cifar10-lt", {"folder": str(tmp_path)}))
