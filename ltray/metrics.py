"""The metrics that compare models: key, formula, range and source of each.

`COUNTED` contains the functions that compute them. Only the keys of `METRICS` are names of metrics.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ltray.class_counts import ClassCounts
from ltray.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        title: Its name in tables and curves.
        formula: Its formula as text; r_k is the recall of class k, the fraction of its images that are classified
            correctly.
        source: The publication that defines it, or that uses it in this form.
        low: Smallest possible value.
        high: Largest possible value.
        group: The group of classes over which it is computed; empty: all classes.
    """

    title: str
    formula: str
    source: str
    low: float = 0.0
    high: float = 1.0
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class CountedMetric(Metric):
    """A metric that is computed from counts of images by class.

    Attributes:
        value: Computes the metric.
        error: Computes its standard error, which is due to the finite number of images.
    """

    value: Callable[[ClassCounts], float]
    error: Callable[[ClassCounts], float]


def _of_group(group: str, counts: str) -> CountedMetric:
    return CountedMetric(
        f"accuracy {group}",
        f"mean of r_k over the classes with {counts} images in the complete training list",
        "Liu et al., Large-Scale Long-Tailed Recognition, 2019",
        group=group,
        value=ClassCounts.mean_recall,
        error=ClassCounts.mean_recall_error,
    )


COUNTED: Mapping[str, CountedMetric] = {
    "acc_all": CountedMetric(
        "accuracy all",
        "correctly classified images / images",
        "top-1 accuracy, 'All' in the papers",
        value=ClassCounts.accuracy,
        error=ClassCounts.accuracy_error,
    ),
    "acc_many": _of_group("many", "more than 100"),
    "acc_medium": _of_group("medium", "20 to 100"),
    "acc_few": _of_group("few", "fewer than 20"),
    "balanced_accuracy": CountedMetric(
        "balanced accuracy",
        "mean of r_k over all evaluated classes (macro recall)",
        "Brodersen et al., The Balanced Accuracy and Its Posterior Distribution, 2010",
        value=ClassCounts.mean_recall,
        error=ClassCounts.mean_recall_error,
    ),
    "macro_f1": CountedMetric(
        "macro-F1",
        "mean over the evaluated classes of F1_k = 2 TP_k / (2 TP_k + FP_k + FN_k)",
        "Opitz and Burst, Macro F1 and Macro F1, 2019 (the mean of the classes' F1)",
        value=ClassCounts.mean_f1,
        error=ClassCounts.mean_f1_error,
    ),
    "worst_class": CountedMetric(
        "worst class",
        "min of r_k over the evaluated classes",
        "Sagawa et al., Distributionally Robust Neural Networks, 2020, with classes as groups",
        value=ClassCounts.lowest_recall,
        error=ClassCounts.lowest_recall_error,
    ),
    "geometric_mean": CountedMetric(
        "geometric mean",
        "(product of r_k)^(1/K) over the K evaluated classes; 0 if one class has 0",
        "Kubat and Matwin, Addressing the Curse of Imbalanced Training Sets, 1997",
        value=ClassCounts.geometric_mean,
        error=ClassCounts.geometric_mean_error,
    ),
}
"""The metrics that are computed from counts of images by class, after every epoch; a search can maximise them."""

MEASURED: Mapping[str, Metric] = {
    "mcc": Metric(
        "MCC",
        "multi-class Matthews correlation of labels and predictions",
        "Gorodkin, Comparing Two K-Category Assignments by a K-Category Correlation Coefficient, 2004",
        low=-1.0,
    ),
    "nmi": Metric(
        "NMI",
        "mutual information of labels and predictions / mean of their entropies",
        "Strehl and Ghosh, Cluster Ensembles, 2002, with the arithmetic mean, as DLSA reports it",
    ),
    "ece": Metric(
        "ECE",
        "Σ_b (n_b / N) |accuracy_b − confidence_b| over 15 bins of equal width; smaller is better",
        "Guo et al., On Calibration of Modern Neural Networks, 2017, eq. 3",
    ),
}
"""The metrics that need the logits of every image; they are computed when a model is evaluated at the end."""

METRICS: Mapping[str, Metric] = {**COUNTED, **MEASURED}
"""All metrics by key; results have the keys with the prefix `val/` or `test/`."""

SECONDS = "seconds"
OBJECTIVES = (*COUNTED, SECONDS)
"""The objectives of a search; the seconds of training are minimised, all other objectives are maximised."""

CHECKPOINT_SCORE = "checkpoint_score"
"""Key of the score of a checkpoint, the highest of which is kept: the run's objective plus the index of the stage, so
that every epoch of the last stage has a higher score than the stages before it."""

PLANNED_EPOCHS = "planned_epochs"
"""Key of the number of epochs of the complete run; a run with fewer `total_epochs` was stopped."""

BALANCED, UNBALANCED = "acc_all", "balanced_accuracy"


def default_objective(images: Collection[int]) -> str:
    """Return the objective for the selection images: accuracy, or balanced accuracy if the classes are unbalanced.

    On unbalanced images, a model that neglects rare classes has a high accuracy. On balanced images, both metrics
    are the same number.

    Args:
        images: Number of images of each class; classes without images have no effect.
    """
    return BALANCED if len({count for count in images if count}) <= 1 else UNBALANCED


def check_objective(objective: str, *, key: str = "objective") -> None:
    """Check the name of the metric that compares models.

    Args:
        objective: The value of the setting.
        key: The name of the setting.

    Raises:
        UsageError: It is not a key of `COUNTED`; the message contains the nearest key.
    """
    if objective not in COUNTED:
        listed = f"`{key}` must be one of {', '.join(COUNTED)}, but got {objective!r}."
        raise UsageError(listed + did_you_mean(str(objective), COUNTED))


def check_groups(objective: str, groups: Collection[str]) -> None:
    """Check that the data has classes in the group of an objective.

    Args:
        objective: One of `OBJECTIVES`.
        groups: The groups (many, medium, few) that have classes.

    Raises:
        UsageError: No class of the data is in the objective's group.
    """
    group = COUNTED[objective].group if objective in COUNTED else ""
    if group and group not in groups:
        raise UsageError(
            f"The objective `{objective}` does not exist: no class of this data is {group}-shot. Existing groups: "
            f"{', '.join(groups)}."
        )


def counted(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return the reported metrics that are in `COUNTED`, by key.

    Args:
        metrics: Reported metrics, for example {"val/acc_all": 0.5, "val/acc_all_best": 0.6, "loss/total": 1.2}.
        prefix: "val" or "test".
    """
    return {key: float(metrics[f"{prefix}/{key}"]) for key in COUNTED if f"{prefix}/{key}" in metrics}


def shown_keys(objective: str = BALANCED) -> tuple[str, ...]:
    """Return the keys of the metrics in tables: accuracy over all classes and by group, and any other objective.

    Args:
        objective: The metric that compares models.
    """
    groups = tuple(key for key in COUNTED if key.startswith("acc_"))
    return groups if objective in groups or objective == SECONDS else (*groups, objective)


def shown_accuracies(metrics: Mapping[str, float], prefix: str, objective: str = BALANCED) -> dict[str, float]:
    """Return the values of `shown_keys` by heading, for a line or a table.

    Args:
        metrics: The reported metrics.
        prefix: "val" or "test".
        objective: The metric that compares models.
    """
    found = counted(metrics, prefix)
    return {heading(key): found[key] for key in shown_keys(objective) if key in found}


def standard_error_key(metric: str) -> str:
    """Return the key under which the standard error of a metric such as "val/acc_all" is reported."""
    return f"{metric}_se"


def fold_key(metric: str, fold: int) -> str:
    """Return the key under which the value of a fold, from 0, is reported for a metric such as "val/acc_all"."""
    return f"{metric}_fold_{fold + 1}"


def title(key: str) -> str:
    """Return the name of a metric or an objective in tables."""
    return "training time" if key == SECONDS else METRICS[key].title


def heading(key: str) -> str:
    """Return a column's heading: the name of the group for an accuracy, else the metric's title."""
    return METRICS[key].title.removeprefix("accuracy ")


def as_markdown() -> str:
    """Return the table of all metrics for the docs."""
    lines = ["| key | name | formula | range | source |", "| --- | --- | --- | --- | --- |"]
    for key, one in METRICS.items():
        formula = one.formula.replace("|", "\\|")
        lines.append(f"| `{key}` | {one.title} | {formula} | {one.low:g} to {one.high:g} | {one.source} |")
    return "\n".join(lines)
