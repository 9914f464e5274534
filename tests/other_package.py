"""A package of somebody else, written where a test wants it: what can be used by its dotted path."""

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


METHOD = Method("smooth", "nobody's paper", SmoothKnobs, lambda knobs, context: [Smooth(knobs, context)])
'''


def forget(package: str) -> None:
    """Let the next import read a package's files again."""
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
    """A package that Python finds, with the module `smooth`; its name."""
    written(tmp_path, "otherpackage", smooth=METHOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "otherpackage"
    forget("otherpackage")
