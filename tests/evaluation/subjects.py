"""Models for tests of analyses: random predictions for any number of classes, without training."""

from pathlib import Path
from types import SimpleNamespace

import torch

from ltray.data.beton.progress import ProgressBars
from ltray.evaluation.subject import Compared, Subject
from ltray.long_tail import LongTail
from ltray.results.predictions import Predictions

LONG = ("Norwegian elkhound", "chambered nautilus", "bird", "cat", "great white shark and others")


def predictions(classes: int, *, each: int = 20, seed: int = 0, strength: float = 3.0) -> Predictions:
    """Scores that are right more often for frequent classes."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(each)
    logits = torch.randn(len(labels), classes, generator=random)
    boost = strength * torch.linspace(1, 0.3, classes)[labels] * torch.rand(len(labels), generator=random)
    logits[torch.arange(len(labels)), labels] += boost
    counts = torch.logspace(2.7, 0.7, classes).long().clamp_min(1)
    return Predictions("val", logits, labels, LongTail(tuple(counts.tolist())))


def subject(classes: int, folder: Path = Path("unused"), *, compared: bool = False) -> Subject:
    """A subject without a network; `trained` has only what figures read."""
    names = [f"{LONG[label % len(LONG)]} {label}" for label in range(classes)]
    trained = SimpleNamespace(
        checkpoint=SimpleNamespace(context={"class_names": names}),
        experiment=SimpleNamespace(methods=[SimpleNamespace(name="rescom")], dataset=SimpleNamespace(image_size=32)),
        device=torch.device("cpu"),
        stage=SimpleNamespace(network=torch.nn.Linear(3, 2)),
        chosen=dict,
    )
    other = Compared("balanced_softmax", predictions(classes, seed=1), "f" * 64) if compared else None
    return Subject(trained, predictions(classes), folder, ProgressBars(shown=False), other)
