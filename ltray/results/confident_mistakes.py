"""The wrong predictions of which a model is most confident."""

import torch

from ltray.results.predictions import Predictions


def confident_mistakes(predictions: Predictions, *, count: int, of_one_class: int) -> list[int]:
    """Return the rows of the wrong predictions with the highest confidence, the highest first.

    Args:
        predictions: Of a model.
        count: Largest number of rows.
        of_one_class: Largest number of rows of one true class, so that one class does not fill the list.
    """
    confidence, predicted = torch.softmax(predictions.logits, dim=1).max(dim=1)
    labels, order = predictions.labels, confidence.argsort(descending=True, stable=True)
    found: list[int] = []
    known: dict[int, int] = {}
    for position in order[predicted[order] != labels[order]].tolist():
        label = int(labels[position])
        if known.get(label, 0) < of_one_class and len(found) < count:
            known[label] = known.get(label, 0) + 1
            found.append(position)
    return found
