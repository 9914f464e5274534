"""Pictures of the report: the images of the saved predictions, or a sentence."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltray.data.sources.registry import open_source
from ltray.example_views import OriginalImages
from ltray.experiment import Experiment
from ltray.report.best_model import BestModel
from ltray.report.pictures import LARGEST, picture
from ltray.report.sections.examples import MISTAKES, OF_ONE_CLASS, correct, examples, mistakes
from ltray.report.sections.training_views import training_views
from ltray.results.ledger import looks
from ltray.results.run_record import RunRecord


@pytest.fixture
def model(search: Path) -> BestModel:
    found = BestModel.of(RunRecord.read(search))
    assert found is not None
    return found


def pixels(source: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def test_pictures_are_the_validation_images_of_the_predictions(model: BestModel, search: Path) -> None:
    before = looks(search)
    section = examples(model)
    definition = Experiment.from_record(model.evaluation["settings"]).dataset
    originals = OriginalImages.of(definition, open_source(definition))
    split = originals.splits.validation
    assert split is not None
    for position, shown in zip(mistakes(model), section.values["wrong"], strict=True):
        original = originals.pools[split.pool].read(int(split.indices[position]))
        assert np.array_equal(pixels(shown.source), original)
        true, guess = int(split.labels[position]), int(model.predictions.logits[position].argmax())
        assert (
            true != guess and f"of {model.class_names[true]}, predicted as {model.class_names[guess]} with" in shown.alt
        )
        assert shown.alt.startswith("validation image")
    assert section.values["right"] and looks(search) == before


def test_mistakes_are_the_most_confident_of_several_classes(model: BestModel) -> None:
    found, labels = mistakes(model), model.predictions.labels
    confidence, predicted = torch.softmax(model.predictions.logits, dim=1).max(dim=1)
    assert 0 < len(found) <= MISTAKES and (predicted[found] != labels[found]).all()
    assert confidence[found].tolist() == sorted(confidence[found].tolist(), reverse=True)
    assert torch.bincount(labels[found]).max() <= OF_ONE_CLASS
    wrong = (predicted != labels).nonzero().flatten()
    assert found[0] == int(wrong[confidence[wrong].argmax()])
    right = correct(model)
    assert (predicted[right] == labels[right]).all() and len(set(labels[right].tolist())) == len(right)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dataset.largest_class": 7}, "have changed since the run"),
        ({"dataset.source": "folder", "dataset.folder": "/absent"}, "not on this machine any more"),
        ({"dataset.image_size": "x"}, "The images are not shown"),
    ],
)
def test_missing_or_other_images_give_a_sentence(model: BestModel, change: dict[str, object], sentence: str) -> None:
    evaluation = dict(model.evaluation) | {"settings": model.evaluation["settings"] | change}
    other = replace(model, evaluation=evaluation)
    section = examples(other)
    assert sentence in section.values["reason"] and section.values["reason"] in section.html().replace("&#39;", "'")
    assert "<img" not in section.html() and training_views(other) is None


def test_other_labels_give_a_sentence(model: BestModel) -> None:
    labels = model.predictions.labels.roll(1)
    other = replace(model, predictions=replace(model.predictions, labels=labels))
    assert "have changed since the run" in examples(other).values["reason"]


def test_views_show_the_original_and_two_draws(model: BestModel) -> None:
    section = training_views(model)
    assert section is not None
    rows, headings = section.values["rows"], section.values["headings"]
    assert headings[0] == "original" and len(headings) % 2 == 1
    assert all(len(row["pictures"]) == len(headings) for row in rows)
    assert [row["images"] for row in rows] == sorted((row["images"] for row in rows), reverse=True)


def test_large_pictures_are_reduced() -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1600, 3), dtype=np.uint8))
    shown = picture(large, "noise")
    assert shown.source.startswith("data:image/jpeg") and not shown.pixels and len(shown.source) < 60_000
    assert max(pixels(shown.source).shape) == LARGEST
