"""Every method end to end with both commands, on a small part of the real CIFAR-10."""

import json
import math
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ltray.methods import METHODS
from tests.on_ray import commands

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.ffcv, pytest.mark.data]

# 100 to 1 images per class; the 10,000 test images would take longer than everything else.
DATA = {"dataset.largest_class": 100, "dataset.validation_per_class": 10, "dataset.test_per_class": 10}
TEACHERS = {"ride_distilled": "ride"}  # cross-entropy for the methods that continue from it


def one_epoch(name):
    """Return the settings of the data, and of one epoch of every stage of a method."""
    specs, values = METHODS[name].knobs.specs(), METHODS[name].knobs.resolve("cifar10_lt", {}).as_dict()
    counts = [k for k in specs if k == "epochs" or (k.endswith("_epochs") and not specs[k].in_epochs)]
    return DATA | {f"{name}.{knob}": 1 for knob in counts if values[knob] > 1}


@pytest.fixture(scope="module")
def data(cifar_folder, tmp_path_factory):
    """The folder of the converted files; LTRAY_DATA avoids a second conversion."""
    os.environ["LTRAY_SHARED_DATA"] = str(cifar_folder)
    return Path(os.environ.get("LTRAY_DATA") or tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Train a method with `ltray.train`, once; return its run folder."""
    root = tmp_path_factory.mktemp("runs")

    def train(name):
        folder = root / name
        if not folder.exists():
            arguments = [f"{key}={value}" for key, value in one_epoch(name).items()]
            start = ["--from", str(train(TEACHERS.get(name, "cross_entropy")))] if METHODS[name].needs_network else []
            arguments = ["--dataset", "cifar10-lt", "--methods", name, *start, *arguments, "--output", str(folder)]
            printed = commands.run("train", *arguments, data=data)
            assert "test: all" in printed, printed
        return folder

    return train


@pytest.mark.parametrize("name", METHODS)
def test_method_trains_and_is_tuned(name, trained, data, tmp_path):
    evaluation = json.loads((trained(name) / "best" / "evaluation.json").read_text())
    assert evaluation["protocol"] == "honest"
    assert sum(evaluation["seen"]) == 100
    assert all(math.isfinite(value) for value in evaluation["metrics"].values())

    space = {"dataset": "cifar10-lt", "methods": [name], "rows": [{"name": "once"}], "fix": one_epoch(name)}
    if METHODS[name].needs_network:
        space["fix"]["start"] = str(trained(TEACHERS.get(name, "cross_entropy")) / "best")
    file = tmp_path / "space.yaml"
    file.write_text(yaml.safe_dump(space))
    commands.run("tune", str(file), "--output", str(tmp_path / "search"), data=data)
    table = pd.read_csv(tmp_path / "search" / "results.csv")
    assert table["state"].tolist() == ["complete"]
    assert 0.0 <= table["val/acc_all"].item() <= 1.0
