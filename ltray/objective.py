"""The metric by which epochs and trials are compared, if the user does not set one."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ltray.data.dataset import ImageData
from ltray.experiment import OBJECTIVE, Experiment
from ltray.metrics import BALANCED, default_objective, title


def print_objective(experiment: Experiment, data: ImageData, console: Console) -> str:
    """Return the default objective of a new run or search, and print the reason if it is not accuracy.

    With the `paper` protocol it is accuracy, as in the papers.

    Args:
        experiment: The experiment; its protocol determines the selection images.
        data: Its data set.
        console: The console.
    """
    counts = [count for count in data.selection_counts if count]
    objective = BALANCED if experiment.dataset.protocol == "paper" else default_objective(counts)
    if objective == BALANCED:
        return objective
    console.print(
        f"The validation images are not balanced ({min(counts):,} to {max(counts):,} per class): models are compared "
        f"by {title(objective)}, in which every class has equal weight ({OBJECTIVE}={objective}).",
        soft_wrap=True,
    )
    return objective


def recorded_objective(config: Mapping[str, Any]) -> str:
    """Return the objective of an existing run or search, from its `config.yaml`."""
    return str(config["settings"].get(OBJECTIVE, BALANCED))
