"""A result beside its claim: within noise, below, above, or not comparable and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltray.claims import Claim, published
from ltray.data.definition import DatasetDefinition, find
from ltray.errors import UsageError
from ltray.outcome.intervals import Interval

WITHIN, BELOW, ABOVE, NOT = "within noise", "below", "above", "not comparable"
# Fields of a data set that decide which images train and test; the factor is looked at on its own.
SAME_IMAGES = ("source", "image_size", "imbalance_kind", "largest_class", "test_per_class", "train_list", "test_list")


@dataclass(frozen=True)
class Comparison:
    """A claim and what a result says to it.

    Attributes:
        claim: The published figure.
        verdict: One of the four.
        reasons: Why it is not comparable; empty otherwise.
        difference: Our mean minus the claim, in points.
    """

    claim: Claim
    verdict: str
    reasons: tuple[str, ...]
    difference: float

    @property
    def words(self) -> str:
        """The verdict with its reasons."""
        return f"{self.verdict}: {'; '.join(self.reasons)}" if self.reasons else self.verdict


def compare(settings: Mapping[str, Any], accuracy: Interval) -> list[Comparison]:
    """Return every claim on the same methods, data set and imbalance factor.

    "Within noise" means that the claim lies in the interval of our runs; the papers print
    no interval of their own.

    Args:
        settings: Complete flat settings of the runs; seeds apart they are alike.
        accuracy: Test accuracy over all classes, a share of 1, over our runs.
    """
    factor = settings["dataset.imbalance_factor"]
    cut = settings["dataset.imbalance_kind"] in ("exp", "step", "pareto")
    found = []
    for claim in published():
        same = claim.dataset == settings["dataset"] and claim.methods == tuple(settings["methods"])
        if same and claim.all is not None and (not cut or claim.imbalance_factor == factor):
            found.append(_against(claim, settings, accuracy))
    return sorted(found, key=lambda one: (one.verdict == NOT, len(one.reasons), one.claim.where))


def _against(claim: Claim, settings: Mapping[str, Any], accuracy: Interval) -> Comparison:
    assert claim.all is not None
    share = claim.all / 100.0
    difference = 100.0 * accuracy.mean - claim.all
    reasons = tuple(_reasons(claim, settings, accuracy.count))
    if reasons:
        return Comparison(claim, NOT, reasons, difference)
    verdict = BELOW if accuracy.high < share else ABOVE if accuracy.low > share else WITHIN
    return Comparison(claim, verdict, (), difference)


def _reasons(claim: Claim, settings: Mapping[str, Any], runs: int) -> list[str]:
    """Return what differs between a claim and a run, in words."""
    reasons = []
    honest = settings["dataset.protocol"] == "honest"
    if claim.chosen_on == "test" and honest:
        reasons.append("theirs is the best epoch on the test set, ours was chosen on validation images (honest)")
    elif claim.chosen_on == "validation" and not honest:
        reasons.append("theirs was chosen on validation images, ours on the test set (paper)")
    elif claim.chosen_on is None:
        reasons.append("they do not say which images chose their epoch")
    epochs = settings[f"{settings['methods'][0]}.epochs"]
    if claim.epochs is None:
        reasons.append(f"they do not state their epochs; ours: {epochs}")
    elif claim.epochs != epochs:
        reasons.append(f"{claim.epochs} epochs there, {epochs} here")
    if claim.network != settings["backbone"]:
        reasons.append(f"{claim.backbone} there, {settings['backbone']} here")
    reasons += [f"{k}={v} there, {settings.get(k)} here" for k, v in claim.settings.items() if settings.get(k) != v]
    if claim.variant:
        reasons.append(f"a variant: {claim.variant}")
    reasons += _other_images(settings)
    if runs < 2:
        reasons.append("one run here: no interval")
    return reasons


def _other_images(settings: Mapping[str, Any]) -> list[str]:
    """Return where a data set differs from the shipped definition of its name."""
    try:
        shipped = DatasetDefinition.read(find(settings["dataset"])).as_dict()
    except UsageError:
        return ["the data set is not one that ltray ships"]
    return [
        f"other data: {name}={settings[f'dataset.{name}']} instead of {shipped[name]}"
        for name in SAME_IMAGES
        if settings[f"dataset.{name}"] != shipped[name]
    ]
