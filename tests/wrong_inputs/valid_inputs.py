"""Valid inputs, of which each wrong one changes a part: images, lists, Parquet files, a run, weights."""

import io
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.engine.loop import train
from ltray.provenance import environment
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.folder_session import FolderSession
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.testing import contract

CLASSES, EACH, SIDE = ("cat", "dog"), 12, 40
PARQUET = "name: mine\nsource: parquet\nfolder: .\ntrain_list: train.parquet\ntest_per_class: 2\nprotocol: paper\n"
LISTS = "name: mine\nsource: lists\nfolder: {inputs}/pets\ntrain_list: train.txt\ntest_per_class: 2\nprotocol: paper\n"
FOLDER = "name: mine\nsource: folder\nfolder: {inputs}/pets\ntest_per_class: 2\nprotocol: paper\n"
SPACE = "dataset: digits-lt\nmethods: [ldam]\nexplore:\n  ldam.margin: [0.3, 0.5]\nsearch: {trials: 2}\n"


def image_bytes(number: int, form: str = "png") -> bytes:
    """Return the bytes of an image file."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()


def write_valid_inputs(inputs: Path) -> None:
    """Write the valid inputs into a folder."""
    for label, name in enumerate(CLASSES):
        (inputs / "pets" / name).mkdir(parents=True)
        for number in range(EACH):
            (inputs / "pets" / name / f"{number}.png").write_bytes(image_bytes(EACH * label + number))
    rows = [(image_bytes(number), number % 2) for number in range(2 * EACH)]
    table = pa.table(
        {"image": [{"bytes": content, "path": None} for content, _ in rows], "label": [k for _, k in rows]}
    )
    pq.write_table(table, inputs / "train.parquet")
    lines = [f"{name}/{number}.png {label}\n" for label, name in enumerate(CLASSES) for number in range(EACH)]
    (inputs / "pets" / "all.txt").write_text("".join(lines))
    (inputs / "large.yaml").write_text(f"image_size: 96\n{FOLDER}".replace("{inputs}", str(inputs)))
    _run(inputs / "run")
    open_data(DatasetDefinition.read("digits-lt"), device=contract.CPU)  # converts the digits once for all cases


def _run(folder: Path) -> None:
    """Write a finished run of one epoch on a few digits, like `ltray.train`."""
    experiment = contract.small_experiment({"methods": ["cross_entropy"], "cross_entropy.epochs": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ltray.experiment.open_data", partial(open_data, source="memory"))
        data = experiment.open_data(contract.CPU)
        config = {"settings": experiment.settings(), "workers": {}}
        RunFolder(folder).claim(config, environment(data_digest=data.digest, protocol="honest"), may_differ=())
        session = FolderSession(folder)
        train(experiment.stages(data.tail), data, session, experiment.run(contract.CPU, data))
        keep_evaluated(folder, checkpoint_of(folder), contract.CPU)
    for checkpoint in folder.glob("checkpoint_*"):
        shutil.rmtree(checkpoint)


def weights(**tensors: torch.Tensor) -> bytes:
    """Return the bytes of a file of weights."""
    content = io.BytesIO()
    torch.save(tensors, content)
    return content.getvalue()
