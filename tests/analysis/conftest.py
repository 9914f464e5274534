"""Runs of a few epochs on a few digits, of the methods whose theory is measured."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from ltray.engine.loop import train
from ltray.results.folder_session import FolderSession
from ltray.testing import contract

SMALL = {
    "rescom": {"rescom.queue_size": 4, "rescom.hard_negatives": 16},
    "paco": {"paco.queue_size": 32},
    "bcl": {},
    "dscl": {"dscl.queue_size": 32, "dscl.distillation_weight": 0.0, "dscl.linear_epochs": 1},
    "cross_entropy+dlsa": {"dlsa.classifier_epochs": 1, "dlsa.clusters": 4},
}


@pytest.fixture(scope="session")
def run_of_method(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a run of `SMALL`, trained once."""

    @cache
    def trained(methods: str) -> Path:
        names = methods.split("+")
        settings = {"methods": names, **{f"{name}.epochs": 2 for name in names}, **SMALL[methods]}
        experiment = contract.small_experiment(settings)
        data = contract.open_small(experiment)
        folder = tmp_path_factory.mktemp("analysed") / "run"
        stages = experiment.stages(data.tail)
        train(stages, data, FolderSession(folder), experiment.run(contract.CPU, data))
        return folder

    return trained
