"""A package of another author, written into a test's folder: objects that are used by their dotted path."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

METHOD = '''
from dataclasses import dataclass

import torch.nn.functional as F

from ltray.knobs import knob
from ltray.recipe import Recipe
from ltray.stage import Method, Stage, View


@dataclass(frozen=True)
class SmoothKnobs(Recipe):
    """Cross-entropy with smoothed labels."""

    alpha: float = knob(0.1, "α", "share of the label that all classes get", low=0.0, high=0.9, search=(0.0, 0.3))


class Smooth(Stage):
    def __init__(self, knobs, context):
        super().__init__(knobs)
        self.views = (View("image"),)
        self.alpha = knobs.alpha
        self.network = context.new_network("linear")

    def forward(self, batch):
        loss = F.cross_entropy(self.network(batch["image"]), batch.labels, label_smoothing=self.alpha)
        return {"classification": loss}


METHOD = Method("smooth", "no paper", SmoothKnobs, lambda knobs, context: [Smooth(knobs, context)])
'''

SOURCE = """
from functools import partial

import numpy as np

from ltray.data.originals import ArrayOriginals, Source


def _squares(seed, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.random.default_rng(seed).integers(0, 80, (len(labels), 8, 8, 3)) + 80 * labels[:, None, None, None]
    return ArrayOriginals(pixels.astype(np.uint8), labels, "squares")


def open_squares(definition):
    pools = {"train": partial(_squares, 0, (12, 6, 3)), "test": partial(_squares, 1, (4, 4, 4))}
    return Source(("dark", "grey", "light"), "squares of noise", pools)


def open_nothing(definition):
    return None


def open_elsewhere(definition):
    raise FileNotFoundError("no squares here")
"""

NETS = """
from torch import nn

from ltray.network import Backbone


class Tiny(Backbone):
    width, stride = 8, 4

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 4, stride=4)

    def feature_map(self, images):
        return self.convolution(images).relu()


class Unfinished(Backbone):
    pass


def tiny():
    return Tiny()


NUMBER = 7
"""

POLICIES = """
from ltray.data.transforms.geometry import PaddedCrop
from ltray.data.transforms.policies import PolicyTemplate
from ltray.data.transforms.pixels import LARGEST


class Invert:
    def __call__(self, levels, keys, *, salt):
        return LARGEST - levels


INVERTED = PolicyTemplate(lambda size, flip: PaddedCrop(size, padding=0, flip=False), (Invert(),))
PLAIN = PolicyTemplate(lambda size, flip: PaddedCrop(size, padding=0, flip=False), ())
BY_SIZE = (INVERTED, PLAIN)
THREE = (INVERTED, PLAIN, PLAIN)
"""


def unload(package: str) -> None:
    """Remove a package from the imported modules, so that the next import reads its files again."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def written(folder: Path, package: str, **modules: str) -> None:
    """Write a package with these modules."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("")
    for name, source in modules.items():
        (folder / package / f"{name}.py").write_text(source)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of an importable package with the module `smooth`."""
    written(tmp_path, "otherpackage", smooth=METHOD, squares=SOURCE, nets=NETS, policies=POLICIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "otherpackage"
    unload("otherpackage")
