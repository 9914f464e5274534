"""ltray's side of the data benchmarks; it does not import the other pipelines."""

from collections.abc import Iterator

import torch

from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.recipe import Recipe
from ltray.stage import Stage, View

BATCH = 64


class Views(Stage):
    """A stage that only declares its views."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(Recipe(batch_size=BATCH))
        self.views = [View(f"view {number}", name) for number, name in enumerate(names)]


def ours(definition: DatasetDefinition, names: tuple[str, ...]) -> Iterator[object]:
    """Open the data set and yield an epoch's batches."""
    data = open_data(definition, device=torch.device("cpu"))
    yield from data.training(Views(names), None, seed=0).epoch(0)
