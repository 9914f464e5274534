"""The settings that are `auto`: determined once by the hardware, before a run or a search begins."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from rich.console import Console

from ltray.experiment import Experiment
from ltray.hardware import automatic, name_of

AUTO_SETTINGS = "auto"  # the entry of config.yaml with the values


def print_determined(
    experiments: Collection[Experiment], *, gpu: bool, config: Mapping[str, Any] | None, console: Console
) -> dict[str, str]:
    """Return the values of the knobs that are `auto` in any of the experiments, and print them.

    Args:
        experiments: The run, or the settings of a search, which all get the same values.
        gpu: Whether they may train on a GPU; without one on this machine, its processor decides, and the workers
            check that their devices can do the same.
        config: The content of the folder's `config.yaml`, whose values are kept; None for a new run.
        console: The console.

    Raises:
        UsageError: The values of an earlier command are not possible here.
    """
    names = {name for experiment in experiments for name in experiment.undetermined()}
    if not names:
        return {}
    device = torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")
    found = automatic(names, device, known=(config or {}).get(AUTO_SETTINGS))
    for name, value in found.items():
        console.print(f"{name}={value} (auto, by {name_of(device)})", soft_wrap=True)
    return found
