"""Every metric by which models are compared, once: its key, its formula, its range and where it comes from.

`COUNTED` holds how each is computed; a name that is not a key of `METRICS` is not a metric anywhere.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ltray.class_counts import ClassCounts
from ltray.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        title: What tables and curves call it.
        formula: In plain text; r_k is the recall of class k, the share of its images that are classified right.
        source: Where it was defined, or who uses it so.
        low: Smallest possible value.
        high: Largest possible value.
        group: The group of classes that it is about; empty: all.
    """

    title: str
    formula: str
    source: str
    low: float = 0.0
    high: float = 1.0
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class CountedMetric(Metric):
    """A metric that follows from counts of images by class.

    Attributes:
        value: Computes it.
        error: Computes the standard error that the finite number of images leaves.
    """

    value: Callable[[ClassCounts], float]
    error: Callable[[ClassCounts], float]


def _of_group(group: str, counts: str) -> CountedMetric:
    return CountedMetric(
        f"accuracy {group}",
        f"mean of r_k over the classes with {counts} images in the whole training list",
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
"""What follows from counts of images by class: known after every epoch, and what a search can maximise."""

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
"""What follows from every image's logits: known where a model is evaluated as a whole."""

METRICS: Mapping[str, Metric] = {**COUNTED, **MEASURED}
"""Every metric by its key, as it stands behind `val/` and `test/` in results."""

SECONDS = "seconds"
OBJECTIVES = (*COUNTED, SECONDS)
"""What a search can optimise; seconds of training are minimised, everything else is maximised."""

CHECKPOINT_SCORE = "checkpoint_score"
"""By which the best checkpoint of a run is kept: the run's objective, plus the index of the stage, so that the last
stage's epochs win over those before it."""

PLANNED_EPOCHS = "planned_epochs"
"""How often the whole run reports: who reads `total_epochs` below it knows that the run was stopped."""

BALANCED, UNBALANCED = "acc_all", "balanced_accuracy"


def default_objective(images: Collection[int]) -> str:
    """Return the objective for images that select: accuracy, or balanced accuracy where classes differ in number.

    Accuracy over unbalanced images rewards a model that gives up its rare classes. Over balanced images the two
    are the same number.

    Args:
        images: How many of them each class has; classes without any do not count.
    """
    return BALANCED if len({count for count in images if count}) <= 1 else UNBALANCED


def check_objective(objective: str, *, key: str = "objective") -> None:
    """Check the name of a metric that models are compared by.

    Args:
        objective: What was given.
        key: The setting that holds it.

    Raises:
        UsageError: It is not a key of `COUNTED`; with the nearest one.
    """
    if objective not in COUNTED:
        listed = f"`{key}` must be one of {', '.join(COUNTED)}, but got {objective!r}."
        raise UsageError(listed + did_you_mean(str(objective), COUNTED))


def check_groups(objective: str, groups: Collection[str]) -> None:
    """Check that the data has the classes which an objective is about.

    Args:
        objective: One of `OBJECTIVES`.
        groups: Those of many, medium and few that have classes.

    Raises:
        UsageError: It has not.
    """
    group = COUNTED[objective].group if objective in COUNTED else ""
    if group and group not in groups:
        raise UsageError(
            f"The objective `{objective}` does not exist: no class of this data is {group}-shot. Existing groups: "
            f"{', '.join(groups)}."
        )


def counted(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return those of reported metrics that are of `COUNTED`, by key.

    Args:
        metrics: Such as {"val/acc_all": 0.5, "val/acc_all_best": 0.6, "loss/total": 1.2}.
        prefix: "val" or "test".
    """
    return {key: float(metrics[f"{prefix}/{key}"]) for key in COUNTED if f"{prefix}/{key}" in metrics}


def shown_keys(objective: str = BALANCED) -> tuple[str, ...]:
    """Return the metrics that tables show: accuracy over all and by group, and the objective where it is another one.

    Args:
        objective: What models are compared by.
    """
    groups = tuple(key for key in COUNTED if key.startswith("acc_"))
    return groups if objective in groups or objective == SECONDS else (*groups, objective)


def shown_accuracies(metrics: Mapping[str, float], prefix: str, objective: str = BALANCED) -> dict[str, float]:
    """Return what a line or a table shows: accuracy over all and by group, and the objective where it is another one.

    Args:
        metrics: As they were reported.
        prefix: "val" or "test".
        objective: What models are compared by.
    """
    found = counted(metrics, prefix)
    return {heading(key): found[key] for key in shown_keys(objective) if key in found}


def standard_error_key(metric: str) -> str:
    """Return under which name the standard error of a metric such as "val/acc_all" is reported."""
    return f"{metric}_se"


def title(key: str) -> str:
    """Return what a table calls a metric or an objective."""
    return "training time" if key == SECONDS else METRICS[key].title


def heading(key: str) -> str:
    """Return a column's heading: a group's name for its accuracy, else the title."""
    return METRICS[key].title.removeprefix("accuracy ")


def as_markdown() -> str:
    """Return the table of all metrics for the docs."""
    lines = ["| key | name | formula | range | source |", "| --- | --- | --- | --- | --- |"]
    for key, one in METRICS.items():
        formula = one.formula.replace("|", "\\|")
        lines.append(f"| `{key}` | {one.title} | {formula} | {one.low:g} to {one.high:g} | {one.source} |")
    return "\n".join(lines)
