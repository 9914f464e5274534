"""Two models on the same images: the difference of their accuracies and of their confusion matrices."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ltray.engine.evaluation import NORMAL_95
from ltray.errors import UsageError
from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.by_class import Value, class_figure
from ltray.evaluation.confusion import as_shares, largest, matrix, matrix_figure
from ltray.evaluation.subject import Subject
from ltray.metrics import COUNTED


def difference(subject: Subject) -> Found:
    """Return this model minus the other: metrics, each class with its paired interval, and the confusion matrix."""
    import pandas as pd

    other = subject.other
    if other is None:
        raise UsageError("`difference` compares two models: state the other one with --against.")
    labels, theirs = subject.predictions.labels, other.predictions.logits.argmax(dim=1)
    ours_right, theirs_right = subject.predicted == labels, theirs == labels
    each = [
        _paired(ours_right[labels == label], theirs_right[labels == label]) for label in range(subject.tail.classes)
    ]
    classes = subject.tail.classes
    counts = matrix(labels, subject.predicted, classes)
    shares = as_shares(counts) - as_shares(matrix(labels, theirs, classes))
    pairs = largest(shares, counts)
    names, groups = subject.class_names, subject.tail.group_of()
    rows = [
        {"class": name, "group": group, **dict(zip(("difference", "low", "high"), value or (None,) * 3, strict=True))}
        for name, group, value in zip(names, groups, each, strict=True)
    ]
    title = f"{subject.methods} − {other.name}"
    values = {
        "model": subject.methods,
        "other": other.name,
        "other_checkpoint_sha256": other.digest,
        "metrics": _metrics(subject, other.predictions),
        "all": dict(zip(("difference", "low", "high"), _paired(ours_right, theirs_right) or (), strict=True)),
        "only_this_correct": int((ours_right & ~theirs_right).sum()),
        "only_other_correct": int((~ours_right & theirs_right).sum()),
        "p_value": _sign_test(ours_right, theirs_right),
        "largest": [{"class": names[row], "predicted": names[column], "difference": v} for row, column, v in pairs],
    }
    label = f"difference of accuracy on {subject.shown_images}\n{title}"
    stem = file_stem(other.digest)
    return Found(
        values,
        {f"{stem}-classes": pd.DataFrame(rows)},
        {
            f"{stem}-classes": lambda: class_figure(subject, each, label, ends=None),
            f"{stem}-confusion": lambda: matrix_figure(subject, shares, pairs, title, signed=True),
        },
    )


def _line(values: Mapping[str, Any]) -> str:
    one = {key: 100 * value for key, value in values["all"].items()}
    return (
        f"accuracy {one['difference']:+.1f} points (95 % interval {one['low']:+.1f} to {one['high']:+.1f}) "
        f"compared with {values['other']}; McNemar's p = {values['p_value']:.2g}"
    )


DIFFERENCE = Analysis("difference", "two models on the same images", difference, _line, compares=True)


def file_stem(digest: str) -> str:
    """Return the name of the files of a comparison with the checkpoint of this digest."""
    return f"difference-{digest[:12]}"


def _metrics(subject: Subject, theirs: Any) -> dict[str, dict[str, float]]:
    ours, others, prefix = subject.predictions.metrics(), theirs.metrics(), subject.predictions.split
    known = [key for key in (*COUNTED, "mcc", "nmi", "ece") if f"{prefix}/{key}" in ours]
    pairs = {key: (ours[f"{prefix}/{key}"], others[f"{prefix}/{key}"]) for key in known}
    return {key: {"this": one, "other": two, "difference": one - two} for key, (one, two) in pairs.items()}


def _paired(ours: Tensor, theirs: Tensor) -> Value | None:
    """Return the difference of two shares of correct images with its 95 % interval; None without images.

    Source: Agresti and Min, Simple Improved Confidence Intervals for Comparing Matched Proportions, 2005: half an
    image is added to each of the four cells of the table of pairs.
    """
    count = len(ours)
    if not count:
        return None
    only_ours, only_theirs = int((ours & ~theirs).sum()) + 0.5, int((~ours & theirs).sum()) + 0.5
    total = count + 2
    middle = (only_ours - only_theirs) / total
    half = NORMAL_95 * math.sqrt(only_ours + only_theirs - (only_ours - only_theirs) ** 2 / total) / total
    value = float(ours.double().mean() - theirs.double().mean())
    return value, max(middle - half, -1.0), min(middle + half, 1.0)


def _sign_test(ours: Tensor, theirs: Tensor) -> float:
    """Return the p-value of McNemar's exact test: whether the models have the same accuracy on these images."""
    from scipy.stats import binomtest

    one, two = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    return float(binomtest(one, one + two).pvalue) if one + two else 1.0


def check_same_images(subject: Subject, other: Any, theirs: Any) -> None:
    """Check that two models were evaluated on the same images.

    Args:
        subject: This model.
        other: The other `TrainedModel`.
        theirs: Its predictions.

    Raises:
        UsageError: Class names, images or labels differ.
    """
    names = tuple(str(name) for name in other.checkpoint.context["class_names"])
    if names != tuple(subject.class_names):
        raise UsageError("`--against`: the two models have different classes, so that they cannot be compared.")
    if not torch.equal(subject.predictions.labels, theirs.labels) or not _same_split(subject, other, theirs):
        raise UsageError(
            f"`--against`: the {subject.shown_images} of the two models differ "
            f"({len(subject.predictions.labels):,} and {len(theirs.labels):,} images); compare models that were "
            "trained with the same data set, data seed and protocol, or use --test."
        )


def _same_split(subject: Subject, other: Any, theirs: Any) -> bool:
    splits = other.data.splits
    own, split = subject.split, splits.test if theirs.split == "test" else splits.selection
    return bool(own.pool == split.pool) and bool(own.indices.tolist() == split.indices.tolist())
