"""Spread of runs with different seeds, for results of a single run, which have no spread of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

FAMILIES = {
    "classifier losses": (
        "cross_entropy",
        "balanced_softmax",
        "logit_adjustment",
        "focal",
        "class_balanced",
        "ldam",
        "mixup",
        "lift",
        "linear_probe",
        "nearest_class_mean",
    ),
    "contrastive methods": ("rescom", "bcl", "proco", "paco", "gpaco", "dscl", "supcon", "moco", "multi_task"),
    "several experts": ("ride", "ride_distilled"),
    "second stages": ("crt", "lws", "las", "los", "tau_norm", "post_hoc_adjustment", "temperature", "dlsa"),
}
"""Methods whose runs are assumed to have the same spread."""
TEST_IMAGES = {
    "cifar10-lt": 10_000,
    "cifar100-lt": 10_000,
    "digits-lt": 400,
    "imagenet-lt": 50_000,
    "imagenet-lt-a": 50_000,
    "imagenet-lt-b": 50_000,
    "imagenet-lt-c": 50_000,
    "inat2018": 24_426,
    "places-lt": 36_500,
}
"""Size of each data set's test set."""


@dataclass(frozen=True)
class Spread:
    """The spread of runs that differ in their seed alone.

    Attributes:
        points: Standard deviation of the test accuracy over all classes, in points.
        freedom: Degrees of freedom of that estimate.
        source: Its source, as text.
    """

    points: float
    freedom: int
    source: str


@dataclass(frozen=True)
class Measured:
    """The spread of runs of a family on a data set.

    Attributes:
        dataset: The data set.
        family: A key of `FAMILIES`.
        points: Spread as in `Spread`, pooled over the family's methods.
        ratio: The spread divided by the standard error from the test images alone, √(p(1 − p)/N).
        freedom: Degrees of freedom; methods that continue the same runs count once.
        short: Description of the reduction if the runs were shorter or smaller than usual for the data set;
            such a row is approximate, and its points are not used for runs of full length.
    """

    dataset: str
    family: str
    points: float
    ratio: float
    freedom: int
    short: str = ""

    @property
    def where(self) -> str:
        """The data set, with the reduction."""
        return f"{self.dataset} ({self.short})" if self.short else self.dataset


MEASURED = (  # the digits: docs/comparison.md, 3 seeds of each method, pooled over a family
    Measured("digits-lt", "classifier losses", 3.91, 1.96, 14),
    Measured("digits-lt", "contrastive methods", 4.74, 2.16, 16),
    Measured("digits-lt", "several experts", 1.25, 0.71, 2),
    Measured("digits-lt", "second stages", 6.98, 3.61, 2),
    # four seeds of cross entropy, all 10,000 test images; see docs/protocol.md
    Measured("cifar10-lt", "classifier losses", 1.26, 2.91, 3, "1,236 training images, 40 epochs"),
)


def family_of(methods: Sequence[str]) -> str:
    """Return the family of a sequence of methods: that of the last one, which determines the classifier."""
    return next(family for family, names in FAMILIES.items() if methods[-1] in names)


def listed_spread(dataset: str, methods: Sequence[str], accuracy: float) -> Spread:
    """Return the expected spread of a single run.

    If the data set was not measured with complete runs, the standard error from its test images is multiplied by the
    family's ratio, pooled over what was measured: the root mean square by degrees of freedom, at least 1.

    Args:
        dataset: A key of `TEST_IMAGES`.
        methods: In the order in which they continue from one another.
        accuracy: Accuracy of the run, as a share of 1.
    """
    family = family_of(methods)
    rows = [row for row in MEASURED if row.family == family]
    own = [row for row in rows if row.dataset == dataset and not row.short]
    if own:
        return Spread(own[0].points, own[0].freedom, f"measured for {family} on {dataset}")
    freedom = sum(row.freedom for row in rows)
    ratio = (sum(row.freedom * row.ratio**2 for row in rows) / freedom) ** 0.5
    chance = 100 * (accuracy * (1 - accuracy) / TEST_IMAGES[dataset]) ** 0.5
    measured = " and ".join(row.where for row in rows)
    description = f"estimated for {family} from runs on {measured}, for {TEST_IMAGES[dataset]:,} test images"
    return Spread(max(ratio, 1.0) * chance, freedom, description)
