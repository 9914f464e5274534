"""The digests of the data of the runs that a command starts in other processes."""

from collections.abc import Iterable

import torch

from ltray.data.definition import DatasetDefinition
from ltray.data.pin import Pin, Pins
from ltray.experiment import Experiment


def pins_of(experiments: Iterable[Experiment]) -> Pins:
    """Open each data set of the experiments once, and return its digests.

    Raises:
        UsageError: A data set cannot be opened.
    """
    found: dict[DatasetDefinition, Pin] = {}
    for experiment in experiments:
        if experiment.dataset not in found:
            found[experiment.dataset] = experiment.opened(torch.device("cpu")).pin
    return Pins(found)
