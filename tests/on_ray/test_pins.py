"""A worker whose node has different data ends the run without retry, also in new runs."""

import dataclasses
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ltray.data.beton import convert as conversion
from ltray.data.beton.completion import Completion
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.store import folder_of, sidecars
from ltray.data.pin import Pin, Pins
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.on_ray import waves
from ltray.on_ray.pins import pins_of
from ltray.on_ray.session import RaySession
from ltray.on_ray.tasks import Placement, WaveTask
from ltray.reporting import FAILURE, train_and_report
from ltray.study.short_runs import ShortRuns
from tests.data.folders_and_commands import fill

pytestmark = pytest.mark.ffcv

PETS = "name: pets\nsource: folder\nfolder: pets\nprotocol: paper\ntest_per_class: 1\n"
RUNS = ShortRuns((1, 2), "restart")
NODE = socket.gethostname()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with originals and a data-set file."""
    root = tmp_path_factory.mktemp("kept")
    fill(root / "pets", "cat", "dog")
    (root / "pets.yaml").write_text(PETS)
    experiment = Experiment.from_settings({"dataset": str(root / "pets.yaml"), "methods": ["cross_entropy"]})
    conversion.convert(experiment.dataset, progress=ProgressBars(shown=False), root=root / "first")
    return root


@pytest.fixture
def experiment(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """A run on the data of the first node, which this process is on."""
    monkeypatch.setenv("LTRAY_DATA", str(kept / "first"))
    return Experiment.from_settings({"dataset": str(kept / "pets.yaml"), "methods": ["cross_entropy"]})


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list with an item for every training that begins; no training is executed."""
    found: list[object] = []
    monkeypatch.setattr("ltray.experiment.train", lambda *arguments, **named: found.append(arguments))
    return found


Worker = Callable[..., str]


@pytest.fixture
def worker(experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Run as a worker on a node with another LTRAY_DATA; return the reported failure."""

    def work(pins: Pins, data: Path, runs: ShortRuns | None = None) -> str:
        monkeypatch.setenv("LTRAY_DATA", str(data))
        reported: list[dict[str, str]] = []
        api = SimpleNamespace(report=reported.append, get_checkpoint=lambda: None)
        session = RaySession(api, None, tmp_path, raises=False)  # type: ignore[arg-type]
        train_and_report(experiment.settings(), session, torch.device("cpu"), pins=pins, runs=runs)
        return "".join(report[FAILURE] for report in reported)

    return work


def changed(experiment: Experiment, data: Path, **fields: str) -> Path:
    """Copy the converted files to another folder and change the digests in their sidecars, as on another node."""
    shutil.copytree(os.environ["LTRAY_DATA"], data)
    folder = folder_of(experiment.dataset, data)
    for sidecar in sidecars(experiment.dataset, folder).values():
        dataclasses.replace(sidecar, **fields).write()  # type: ignore[arg-type]
    Completion.of(folder, ["train"]).write()
    return data


@pytest.mark.parametrize("runs", [None, RUNS])
def test_equal_data_in_another_folder_are_accepted(
    experiment: Experiment, worker: Worker, begun: list[object], tmp_path: Path, runs: ShortRuns | None
) -> None:
    assert worker(pins_of([experiment]), changed(experiment, tmp_path / "second"), runs) == ""
    assert len(begun) == (2 if runs else 1)


@pytest.mark.parametrize("runs", [None, RUNS])
@pytest.mark.parametrize(
    ("field", "what"), [("fingerprint", "the originals of node"), ("content", "the converted images of node")]
)
def test_different_data_of_a_node_end_the_run(
    experiment: Experiment, worker: Worker, begun: list[object], tmp_path: Path, field: str, what: str, runs: Any
) -> None:
    pins = pins_of([experiment])
    data = changed(experiment, tmp_path / "second", **{field: "0" * 64})
    message = worker(pins, data, runs)
    folder = folder_of(experiment.dataset, data)
    assert message.startswith(
        f"pets: {what} {NODE} in {folder} differ from those of node {NODE}, where the command runs"
    )
    assert "LTRAY_DATA" in message and begun == []


@pytest.mark.slow
def test_node_with_different_originals_ends_the_run(
    experiment: Experiment, worker: Worker, begun: list[object], tmp_path: Path
) -> None:
    """The same path has another image on that node; its data are not converted yet."""
    pins = pins_of([experiment])
    path = experiment.dataset.place / "cat/0.png"
    before = path.read_bytes()
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(path)
    try:
        message = worker(pins, tmp_path / "second")
    finally:
        path.write_bytes(before)
    assert "the originals of node" in message and begun == []


def test_finalist_checks_the_data_of_its_node(
    experiment: Experiment, begun: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placement = Placement(tmp_path, 1, {"CPU": 1}, 0, pins_of([experiment]))
    monkeypatch.setenv("LTRAY_DATA", str(changed(experiment, tmp_path / "second", fingerprint="0" * 64)))
    with pytest.raises(UsageError, match="the originals of node"):
        waves._in_this_process(WaveTask(experiment.settings(), tmp_path, placement, {}, "tensorboard"))
    assert begun == []


def test_message_names_both_nodes_the_folder_and_the_remedy() -> None:
    command, own = Pin("a" * 64, "b" * 64, node="head"), Pin("a" * 64, "", node="far")
    command.check(dataclasses.replace(command, node="far"), name="pets", place="/data/pets")
    with pytest.raises(UsageError) as raised:
        command.check(own, name="pets", place="/data/pets")
    assert str(raised.value) == (
        "pets: the converted images of node far in /data/pets differ from those of node head, where the command runs: "
        "their digest is missing instead of bbbbbbbbbbbb…. Replace /data/pets on far with a copy of that folder on "
        "head, or set LTRAY_DATA to a folder that all nodes share."
    )
    with pytest.raises(UsageError, match="the originals of node far"):
        command.check(dataclasses.replace(own, originals="c" * 64), name="pets", place="/data/pets")
    with pytest.raises(KeyError):  # missing pins are an error in the code and must not disable the check
        Pins({}).of(None)  # type: ignore[arg-type]
