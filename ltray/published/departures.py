"""Differences between a run and the run of a published figure."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

import torch

from ltray.data.definition import LISTS, DatasetDefinition, find
from ltray.data.imbalance import KINDS
from ltray.errors import UsageError
from ltray.methods import METHODS
from ltray.network_config import NETWORK_SETTINGS, RunNetwork
from ltray.parts.backbones import new_backbone
from ltray.published import Claim, published
from ltray.recorded_settings import recorded_settings

# Fields of a data set that determine the training and test images; the factor is compared separately.
SAME_IMAGES = ("source", "image_size", "imbalance_kind", "largest_class", "test_per_class", "train_list", "test_list")
ROUNDED = 0.05  # published numbers of parameters are rounded, and some count the classifier


def other_row(claim: Claim, settings: Mapping[str, Any], *, subsets: int) -> list[str]:
    """Return the differences between a run and the claim's row, as text; nothing if there are none.

    Args:
        claim: The published figure.
        settings: Complete flat settings of the run.
        subsets: Number of draws of the training images in the mean.
    """
    settings = recorded_settings(settings)
    reasons = [*_selection(claim, settings), *_epochs(claim, settings), *_network(claim, settings)]
    plain = _plain(claim, settings)
    for name in sorted(_distinguishing_knobs(claim.methods) | claim.settings.keys()):
        theirs = claim.settings.get(name, plain.get(name))
        if settings.get(name) != theirs:
            reasons.append(f"their {name}: {theirs}, ours: {settings.get(name)}")
    if claim.variant:
        reasons.append(f"a variant that is not in ltray: {claim.variant}")
    return [*reasons, *_images(claim, settings, subsets)]


def other_recipe(claim: Claim, settings: Mapping[str, Any]) -> list[str]:
    """Return the knobs in which a run of the claim's row differs from the paper's recipe, as text."""
    in_row = (
        _distinguishing_knobs(claim.methods) | claim.settings.keys() | {f"{name}.epochs" for name in claim.methods[:1]}
    )
    plain = _plain(claim, settings) | dict(claim.recipe)
    return [
        f"{name}={settings[name]} instead of {theirs}"
        for name, theirs in plain.items()
        if name not in in_row and name in settings and settings[name] != theirs
    ]


def _selection(claim: Claim, settings: Mapping[str, Any]) -> Iterator[str]:
    honest = settings["dataset.protocol"] == "honest"
    if claim.chosen_on == "test" and honest:
        yield "their epoch was chosen on the test set, ours on validation images (protocol: honest)"
    elif claim.chosen_on == "validation" and not honest:
        yield "their epoch was chosen on validation images, ours on the test set (protocol: paper)"
    elif claim.chosen_on is None:
        yield "the source does not state the images on which its epoch was chosen"


def _epochs(claim: Claim, settings: Mapping[str, Any]) -> Iterator[str]:
    epochs = settings[f"{settings['methods'][0]}.epochs"]
    if claim.epochs is None:
        yield f"the source does not state its epochs, ours: {epochs}"
    elif claim.epochs != epochs:
        yield f"their epochs: {claim.epochs}, ours: {epochs}"


def _network(claim: Claim, settings: Mapping[str, Any]) -> Iterator[str]:
    if claim.network != settings["backbone"]:
        yield f"their network: {claim.backbone}, ours: {settings['backbone']}"
        return
    width, parameters = _size(settings["backbone"])
    wider = claim.width is not None and claim.width != width
    larger = claim.parameters is not None and abs(claim.parameters / parameters - 1) > ROUNDED
    if wider or larger:
        theirs = [f"{claim.width} features"] if claim.width is not None else []
        theirs += [_millions(claim.parameters)] if claim.parameters is not None else []
        ours = f"{width} features and {_millions(parameters)}"
        yield f"their {claim.backbone} has {' and '.join(theirs)}, ours {ours}"
    usual = _usual_network(claim, settings)
    for name in NETWORK_SETTINGS[1:]:
        theirs = getattr(usual, name)
        if settings[name] != theirs:
            yield f"their {name}: {theirs}, ours: {settings[name]}"


def _images(claim: Claim, settings: Mapping[str, Any], subsets: int) -> Iterator[str]:
    """Yield differences in the images: the claim's subset, the draw, the definition of the data set."""
    if claim.subset:
        yield f"their training images differ: {claim.subset}"
    if settings["dataset.data_seed"] != 0 and subsets == 1 and KINDS[settings["dataset.imbalance_kind"]].made:
        yield f"different training images: data_seed={settings['dataset.data_seed']}, the official draw is 0"
    try:
        definition = DatasetDefinition.read(find(settings["dataset"]))
    except UsageError:
        yield "the data set is not one of those in ltray"
        return
    shipped = (
        _usual_network(claim, settings).suited(definition, ()).as_dict() if claim.network else definition.as_dict()
    )
    for name in SAME_IMAGES:
        ours, theirs = settings[f"dataset.{name}"], shipped[name]
        if name in LISTS:  # the path of an official list depends on the user; its file name identifies it
            ours, theirs = PurePath(ours).name, PurePath(str(theirs)).name
        if ours != theirs:
            yield f"different data: their {name}: {theirs}, ours: {ours}"


def _usual_network(claim: Claim, settings: Mapping[str, Any]) -> RunNetwork:
    definition = DatasetDefinition(
        **{k.removeprefix("dataset."): v for k, v in settings.items() if k.startswith("dataset.")}
    )
    return RunNetwork.resolve({"backbone": claim.network}, definition, [METHODS[name] for name in claim.methods])


def _plain(claim: Claim, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the methods' plain settings for the data set, with the claim's epochs, by full name."""
    found: dict[str, Any] = {}
    for place, name in enumerate(claim.methods):
        epochs = {"epochs": claim.epochs} if place == 0 and claim.epochs is not None else {}
        knobs = METHODS[name].knobs.resolve(settings["dataset.profile"], epochs)
        found |= {
            f"{name}.{key}": list(value) if isinstance(value, tuple) else value
            for key, value in knobs.as_dict().items()
        }
    return found


@cache
def _distinguishing_knobs(methods: tuple[str, ...]) -> frozenset[str]:
    """Return the knobs in which published rows of these methods differ."""
    return frozenset(name for claim in published() if claim.methods == methods for name in claim.settings)


@cache
def _size(backbone: str) -> tuple[int, int]:
    """Return the width of a backbone and its number of parameters, without allocating them."""
    with torch.device("meta"):
        body = new_backbone(backbone)
    return body.width, sum(parameter.numel() for parameter in body.parameters())


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M parameters"
