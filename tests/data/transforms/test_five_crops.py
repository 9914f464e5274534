"""The five crops of test-time ensembling against the authors' code; the same from every pool of images."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from ltray.data.definition import DatasetDefinition
from ltray.data.ffcv_pool import StreamedPool
from ltray.data.image_file import fitted
from ltray.data.loaders import EvaluationImages
from ltray.data.pools import MemoryPool
from ltray.data.transforms.five_crops import five_boxes, five_crops, resized_sides
from ltray.engine.evaluation import classify
from ltray.methods.lift.method import LIFTKnobs
from ltray.network import Network
from ltray.parts.heads import new_classifier
from ltray.parts.resnet32 import ResNet32
from ltray.parts.timm_backbones import TimmBackbone
from ltray.results.crop_margin import crop_margin
from ltray.stage import Stage

CPU = torch.device("cpu")


def test_sides_and_boxes_equal_the_authors(golden) -> None:
    z = golden("lift_tte")
    cases = {tuple(key.split("/")[1:3]) for key in z if key.startswith("geometry/")}
    assert len(cases) > 8
    for model, shape in cases:
        size = int(z[f"geometry/{model}/{shape}/five"][0, 2])
        margin = 21 if "p14" in model else 24
        sides = resized_sides(*map(int, shape.split("x")), size + margin)
        assert sides == tuple(z[f"geometry/{model}/{shape}/resized"].tolist()), (model, shape)
        np.testing.assert_array_equal(five_boxes(*sides, size), z[f"geometry/{model}/{shape}/five"], f"{model} {shape}")


def test_pixels_equal_pil_within_one_level(golden) -> None:
    z = golden("lift_tte")
    image = torch.from_numpy(z["pixels/image"]).permute(2, 0, 1)
    crops = five_crops(image, int(z["pixels/resolution"]), int(z["pixels/expand"])).permute(0, 2, 3, 1)
    np.testing.assert_allclose(crops.int(), z["pixels/bilinear/crops"].astype(int), atol=1)


@given(width=st.integers(1, 300), height=st.integers(1, 300), size=st.integers(1, 64), margin=st.integers(0, 48))
def test_crops_are_inside_the_image_and_reach_its_corners(width: int, height: int, size: int, margin: int) -> None:
    sides = resized_sides(width, height, size + margin)
    assert min(sides) == size + margin
    boxes = np.array(five_boxes(*sides, size))
    assert (boxes[:, 2:] - boxes[:, :2] == size).all() and (boxes >= 0).all() and (boxes[:, 2:] <= sides).all()
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0] and tuple(boxes[:, 2:].max(axis=0)) == sides


class Given(Stage):
    """A stage whose scores are the first pixel of the images."""

    def __init__(self, scores: Any = None) -> None:
        super().__init__(LIFTKnobs())
        self.network = Network(ResNet32(), new_classifier("linear", width=64, classes=3))
        self.scores = scores

    def logits(self, images: Tensor) -> Tensor:
        """Return the given scores, or the first pixel of each image."""
        return images[:, :, 0, 0] if self.scores is None else self.scores.flatten(0, 1)


def test_the_prediction_is_the_mean_of_the_logits(golden) -> None:
    z = golden("lift_tte")
    crops = torch.from_numpy(z["logits/crops"])
    views, labels = torch.zeros(*crops.shape[:2], 3, 4, 4), torch.zeros(len(crops), dtype=torch.int64)
    logits, _ = classify(Given(crops), [(views, labels)])
    np.testing.assert_allclose(logits, z["logits/mean"], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(logits.argmax(1), z["logits/prediction"])


class Stored:
    """Images in the form in which they are stored."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.heights = np.full(len(images), images.shape[1])
        self.widths = np.full(len(images), images.shape[2])

    def decode(self, index: int) -> np.ndarray:
        """Return an image."""
        return self.images[index]


@pytest.mark.parametrize("kind", ["memory", "streamed"])
def test_every_pool_gives_the_crops_of_a_single_image(kind: str) -> None:
    """And the file of an image, as `predict` reads it, is cropped as the data set's images."""
    pixels = np.random.default_rng(0).integers(0, 256, (70, 40, 40, 3), dtype=np.uint8)
    definition = DatasetDefinition(name="small", source="digits", image_size=40)
    if kind == "memory":
        pool: Any = MemoryPool(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    else:
        pool = StreamedPool(Stored(pixels), np.arange(70), view=40, device=CPU)
    labels = torch.arange(70) % 7
    found = list(EvaluationImages(pool, labels, definition).five_crops(6))
    assert [crops.shape[0] for crops, _ in found] == [64, 6]
    crops = torch.cat([crops for crops, _ in found])
    assert torch.equal(torch.cat([part for _, part in found]), labels)
    for index in (0, 69):
        assert torch.equal(crops[index], fitted(pixels[index], definition, margin=6))
    logits, _ = classify(Given(), found)
    torch.testing.assert_close(logits, crops[:, :, :, 0, 0].mean(1))


def transformer(patch: int) -> TimmBackbone:
    body = VisionTransformer(img_size=4 * patch, patch_size=patch, embed_dim=8, depth=1, num_heads=1, num_classes=0)
    body.pretrained_cfg = {"fixed_input_size": True, "architecture": "small"}
    return TimmBackbone(body)


def test_the_margin_is_a_patch_and_a_half_or_its_share_of_the_image() -> None:
    assert [crop_margin(transformer(patch), 224) for patch in (16, 14, 32)] == [24, 21, 48]
    assert [crop_margin(ResNet32(), size) for size in (224, 128, 32, 4)] == [24, 14, 3, 1]
