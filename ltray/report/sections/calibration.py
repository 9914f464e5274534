"""Calibration: whether a confidence of 80 % means that 80 % of such predictions are correct."""

import torch

from ltray.metrics import MEASURED
from ltray.parts.calibration import Reliability, reliability
from ltray.report.best_model import BestModel
from ltray.report.plot import Plot, new_figure
from ltray.report.section import Section
from ltray.report.theme import colour

CLOSE = 0.02  # difference between mean confidence and accuracy that is not worth a warning


def calibration(model: BestModel) -> Section:
    """Return the reliability diagram and the ECE, from the saved logits."""
    logits = model.predictions.logits
    confidence, predicted = torch.softmax(logits, dim=1).max(dim=1)
    bins = reliability(confidence, predicted == model.predictions.labels)
    accuracy = float((predicted == model.predictions.labels).double().mean())
    mean = float(confidence.double().mean())
    values = {
        "error": f"{100 * bins.expected_error:.1f}",
        "formula": MEASURED["ece"].formula,
        "images": model.images,
        "confidence": f"{100 * mean:.1f}",
        "accuracy": f"{100 * accuracy:.1f}",
        "direction": _direction(mean - accuracy),
        "plot": _diagram(bins),
    }
    return Section("calibration", "Calibration", values)


def _direction(gap: float) -> str:
    """Return how the mean confidence compares with the accuracy; `gap` is their difference, a fraction of 1."""
    if abs(gap) < CLOSE:
        return "on average about right"
    return "too high (overconfident)" if gap > 0 else "too low (underconfident)"


def _diagram(bins: Reliability) -> Plot:
    """Draw accuracy over confidence; on the diagonal, both are equal."""
    filled = [place for place, count in enumerate(bins.count.tolist()) if count]
    width = 100 / len(bins.count)
    centres = [width * (place + 0.5) for place in filled]
    accuracy = [100 * float(bins.accuracy[place]) for place in filled]
    counts = [int(bins.count[place]) for place in filled]
    figure = new_figure("confidence, %", "accuracy, %", legend=True)
    figure.add_bar(
        x=centres,
        y=accuracy,
        width=width * 0.92,
        name="accuracy of the images in a bin",
        marker={"color": colour("blue")},
        customdata=counts,
        hovertemplate="confidence %{x:.0f} %: accuracy %{y:.1f} %, %{customdata} images<extra></extra>",
    )
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name="perfect calibration",
        line={"color": colour("orange"), "dash": "dash"},
        hoverinfo="skip",
    )
    figure.update_xaxes(range=[0, 100])
    figure.update_yaxes(range=[0, 102])
    parts = [
        f"{share:.0f} % of {count} images at {centre:.0f} %"
        for share, count, centre in zip(accuracy, counts, centres, strict=True)
    ]
    return Plot(figure, f"Accuracy by confidence: {'; '.join(parts)}.", height=320)
