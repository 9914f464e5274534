"""Predictions with pictures: the most confident mistakes, and correct predictions."""

import torch

from ltray.report.best_model import BestModel
from ltray.report.pictures import Picture, picture
from ltray.report.run_images import NoImages, RunImages
from ltray.report.section import Section
from ltray.results.confident_mistakes import confident_mistakes

MISTAKES, CORRECT = 12, 6
OF_ONE_CLASS = 2  # pictures of one true class among the mistakes


def examples(model: BestModel) -> Section:
    """Return pictures of the images of the saved logits, or the reason why there are none.

    These are the images on which the run selected, so showing them is no further look at the test images.
    """
    images = RunImages(model)
    try:
        wrong = [_picture(model, images, position) for position in mistakes(model)]
        right = [_picture(model, images, position) for position in correct(model)]
    except NoImages as error:
        return _section(model, [], [], str(error))
    return _section(model, wrong, right, "")


def _section(model: BestModel, wrong: list[Picture], right: list[Picture], reason: str) -> Section:
    values = {"wrong": wrong, "right": right, "reason": reason, "images": model.images}
    return Section("examples", "Mistakes and correct predictions", values)


def mistakes(model: BestModel) -> list[int]:
    """Return the wrong predictions with the highest confidence, at most `OF_ONE_CLASS` of one true class."""
    return confident_mistakes(model.predictions, count=MISTAKES, of_one_class=OF_ONE_CLASS)


def correct(model: BestModel) -> list[int]:
    """Return one correct prediction of the middle confidence for some classes, from the most frequent to the rarest."""
    confidence, predicted = _confidence(model)
    labels = model.predictions.labels
    right = predicted == labels
    known = [label for label in model.by_frequency if bool((right & (labels == label)).any())]
    places = torch.linspace(0, len(known) - 1, min(CORRECT, len(known))).round().int().tolist()
    found = []
    for label in [known[place] for place in places]:
        own = (right & (labels == label)).nonzero().flatten()
        found.append(int(own[confidence[own].argsort(stable=True)[len(own) // 2]]))
    return found


def _confidence(model: BestModel) -> tuple[torch.Tensor, torch.Tensor]:
    found = torch.softmax(model.predictions.logits, dim=1).max(dim=1)
    return found.values, found.indices


def _picture(model: BestModel, images: RunImages, position: int) -> Picture:
    confidence, predicted = _confidence(model)
    true = str(model.class_names[int(model.predictions.labels[position])])
    guess = str(model.class_names[int(predicted[position])])
    share = f"{100 * float(confidence[position]):.0f} %"
    kind = model.images.removesuffix("s")
    alt = f"{kind} of {true}, predicted as {guess} with a confidence of {share}"
    note = f"{share} {guess}" if guess != true else f"{share}"
    return picture(images.selected(position), alt, title=true, note=note)
