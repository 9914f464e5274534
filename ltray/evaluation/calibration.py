"""Calibration: the reliability diagram, ECE and MCE, of all images and by group."""

from collections.abc import Mapping
from typing import Any

from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.figures import ACCENT, INK, LIGHT, SOFT, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, GROUPS, paper_style
from ltray.parts.calibration import Reliability, reliability


def calibration(subject: Subject) -> Found:
    """Return confidence and accuracy in 15 bins, and their weighted and largest difference."""
    import torch

    correct = subject.predicted == subject.predictions.labels
    bins = reliability(subject.confidence, correct)
    groups = {}
    for name, labels in subject.tail.groups().items():
        own = torch.isin(subject.predictions.labels, torch.tensor(labels))
        if bool(own.any()):
            groups[name] = _summary(subject, own, reliability(subject.confidence[own], correct[own]))
    everything = torch.ones_like(correct)
    values = _summary(subject, everything, bins) | {
        "groups": groups,
        "bins": [
            {"above": place / len(bins.count), "images": count, "accuracy": accuracy, "confidence": confidence}
            for place, (count, accuracy, confidence) in enumerate(
                zip(bins.count.tolist(), bins.accuracy.tolist(), bins.confidence.tolist(), strict=True)
            )
        ],
    }
    return Found(values, figures={"calibration": lambda: _diagram(subject, bins)})


def _line(values: Mapping[str, Any]) -> str:
    return (
        f"ECE {100 * values['ece']:.1f} %, mean confidence {100 * values['confidence']:.1f} %, accuracy "
        f"{100 * values['accuracy']:.1f} %"
    )


CALIBRATION = Analysis("calibration", "whether a confidence of 80 % means 80 % correct", calibration, _line)


def _summary(subject: Subject, own: Any, bins: Reliability) -> dict[str, Any]:
    return {
        "ece": bins.expected_error,
        "mce": bins.largest_error,
        "accuracy": float((subject.predicted == subject.predictions.labels)[own].double().mean()),
        "confidence": float(subject.confidence[own].mean()),
        "images": int(own.sum()),
    }


def _diagram(subject: Subject, bins: Reliability) -> Any:
    """Draw accuracy over confidence, and below it the share of the images in each bin."""
    width = 1 / len(bins.count)
    places = [width * (number + 0.5) for number in range(len(bins.count))]
    with paper_style():
        figure = new_figure(COLUMN, 3.5)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        filled = bins.count > 0
        for place, some, accuracy, confidence in zip(places, filled, bins.accuracy, bins.confidence, strict=True):
            if some:
                upper.bar(place, float(accuracy), width * 0.92, color=GROUPS["many"])
                low, high = sorted((float(accuracy), float(confidence)))
                upper.bar(
                    place, high - low, width * 0.92, bottom=low, color="none", edgecolor=ACCENT, hatch="////", lw=0.5
                )
        upper.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=0.8)
        upper.text(0.03, 0.95, f"ECE {100 * bins.expected_error:.1f} %", va="top", fontsize=7.5)
        upper.text(0.03, 0.86, "hatched: difference from\nthe mean confidence", va="top", fontsize=6, color=SOFT)
        upper.set_ylabel("accuracy")
        upper.set_ylim(0, 1)
        shares = (bins.count.double() / bins.count.sum()).tolist()
        lower.bar(places, shares, width * 0.92, color=SOFT)
        lower.set_ylabel("images, share")
        lower.set_xlabel(f"confidence on {subject.shown_images}")
        lower.set_xlim(0, 1)
        for axes in (upper, lower):
            axes.grid(axis="y", color=LIGHT, linewidth=0.5)
            axes.set_axisbelow(True)
        return figure
