"""The terms of the page, each explained once."""

from ltray.long_tail import FEW_BELOW, MANY_ABOVE
from ltray.metrics import METRICS
from ltray.report.section import Section

TERMS = {
    "many, medium, few": f"groups of classes with more than {MANY_ABOVE}, {FEW_BELOW} to {MANY_ABOVE} and fewer than "
    f"{FEW_BELOW} images in the complete training list",
    "validation images": "images that are not trained on; epochs, trials and settings are chosen on them",
    "test images": "images on which nothing is chosen; each look at them is counted",
    "papers' setting": "the values that the method's publication uses for this data, or defaults derived from them",
    "trial": "one training with one setting",
    "finalist": "one of the best settings, trained again on new seeds",
    "seed": "the number from which the initial weights, the order and the augmentation of a training follow",
    "95 % interval": "a range that contains the true value in 95 of 100 cases",
    "standard error": "the typical difference between a measured and the true value",
    "significant": "larger than chance would explain, with at most 5 % error",
    "Pareto front": "the trials that no other trial exceeds in one objective without being worse in another",
    "early stopping": "ending trials that are worse than others at the same epoch",
    "confidence": "the largest of the probabilities that a model gives to the classes of an image",
    "imbalance factor": "training images of the most frequent class / of the rarest class",
}
"""Terms that are not metrics."""


def glossary() -> Section:
    """Return the terms and the formulas of the metrics."""
    metrics = {one.title: one.formula for one in METRICS.values()}
    recall = {"r_k": "recall of class k, the fraction of its images that are classified correctly"}
    return Section("glossary", "Glossary", {"terms": sorted((TERMS | metrics | recall).items(), key=_order)})


def _order(term: tuple[str, str]) -> str:
    return term[0].lower()
