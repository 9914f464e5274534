"""The smallest valid data sets, and a run of a method on them in this process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ltray.data.dataset import open_data
from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.methods import METHODS

CPU = torch.device("cpu")
SIDE = 8


def write(folder: Path, counts: Sequence[int]) -> Path:
    """Write a folder of noise images: `counts` images per class in train/, one per class in test/."""
    random = np.random.default_rng(0)
    for label, count in enumerate(counts):
        for split, many in (("train", count), ("test", 1)):
            class_folder = folder / split / f"class{label:05d}"
            class_folder.mkdir(parents=True)
            for number in range(many):
                pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(class_folder / f"{number}.png")
    return folder


def sequence(method: str) -> list[str]:
    """Return a method, preceded by the one that it continues from."""
    return ["cross_entropy", method] if METHODS[method].needs_network else [method]


def settings(folder: Path, methods: Sequence[str], profile: str, **given: Any) -> dict[str, Any]:
    """Return the settings of a run on such a folder."""
    fields = dict(name="corner", source="folder", folder=str(folder), image_size=SIDE, profile=profile)
    return {
        "dataset.protocol": "paper",
        "dataset": "corner",
        "methods": list(methods),
        **{f"dataset.{name}": value for name, value in fields.items()},
        **{f"{method}.epochs": 1 for method in methods if METHODS[method].knobs.specs()["epochs"].high},
        **given,
    }


def trained(settings: Mapping[str, Any], *, workers: int = 1) -> list[Mapping[str, float]]:
    """Train with defaults that follow the data; return the metrics of every epoch."""
    experiment = Experiment.from_settings(settings)
    data = open_data(experiment.dataset, device=CPU, source="memory")
    experiment = experiment.following(TrainingSize.of(data.tail, workers=workers))
    experiment.check_classes(data.tail.classes)
    session = MemorySession()
    train(experiment.stages(data.tail), data, session, experiment.run(CPU, data))
    return session.reports
