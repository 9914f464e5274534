"""The folder of a search with a real model; trials and finalists are synthetic."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from ltray.engine.checkpoint import FILE_NAME
from ltray.results.finalist_table import run_table, summary
from ltray.results.finalists import Finalist
from ltray.run_folder import RunFolder

EXPLORED = {
    "cross_entropy.learning_rate": "0.01 … 1 (log)",
    "cross_entropy.weight_decay": "0.0001 … 0.001 (log)",
    "cross_entropy.schedule": "cosine, step",
}


def make_search(finished_run: Path, folder: Path) -> Path:
    """Write the folder of a search of 30 trials with two finalists, from a finished run on the digits."""
    folder.mkdir()
    evaluation = RunFolder(finished_run).best.evaluation()
    blocks = {"search": {"sampler": "tpe"}, "stop": {"rule": "asha"}, "trials": 30, "explore": EXPLORED}
    (folder / "config.yaml").write_text(yaml.safe_dump({"settings": evaluation["settings"]} | blocks))
    (folder / "env.json").write_text(json.dumps({"commit": "abc123", "versions": {"torch": "2.0"}}))
    draws = np.random.default_rng(0)
    rows, epochs = [], []
    for trial in range(30):
        length = 3 if trial % 2 else 9
        reason = "loss <b>is</b> NaN" if trial == 7 else ""
        state = "failed" if reason else "complete" if length == 9 else "stopped early"
        row = {"trial": trial, "name": "", "paper": trial == 0, "state": state, "reason": reason, "epochs": length}
        row |= {f"val/acc_{g}": draws.uniform(0.3, 0.7) for g in ("all", "many", "few")}
        rows.append(
            row | {"cross_entropy.learning_rate": 10 ** draws.uniform(-2, 0), "cross_entropy.schedule": "cosine"}
        )
        epochs += [
            {"trial": trial, "epoch": e, "val/acc_all": draws.uniform(0.1, 0.7), "loss/total": 2 / e}
            for e in range(1, length + 1)
        ]
    table = pd.DataFrame(rows).assign(**{"cross_entropy.weight_decay": 10 ** draws.uniform(-4, -3, size=len(rows))})
    table.to_parquet(folder / "results.parquet")
    pd.DataFrame(epochs).to_parquet(folder / "history.parquet")
    finalists = [Finalist("0003", {}, False), Finalist("0000", {}, True)]
    order = [[(seed, 0)] for seed in (1, 2, 3)]
    results = {one.key: {cells[0]: evaluation for cells in order} for one in finalists}
    summary(finalists, results, order, protocol="honest").to_parquet(folder / "finalists.parquet")
    run_table(finalists, results).to_parquet(folder / "finalist_runs.parquet")
    for one in finalists:
        shutil.copytree(finished_run / "best", one.folder(folder, (1, 0)) / "best")
    shutil.copytree(finished_run / "best", folder / "best")
    shares = [("all", 0.9, True), ("many", 0.5, False), ("few", 0.7, True)]
    knobs = [("cross_entropy.learning_rate", 1.0), ("cross_entropy.schedule", 0.1)]
    moved = [
        {"group": group, "knob": knob, "share": share * part, "beyond_chance": beyond, "variance": None}
        for group, share, beyond in shares
        for knob, part in knobs
    ]
    pd.DataFrame(moved).to_csv(folder / "importance.csv", index=False)
    return folder
    return folder


def rename_classes(model: Path, names: list[str]) -> None:
    """Change the class names in the checkpoint of a model."""
    path = model / FILE_NAME
    saved = torch.load(path, weights_only=True)
    saved["context"]["class_names"] = names
    torch.save(saved, path)


@pytest.fixture
def search(finished_run: Path, tmp_path: Path) -> Path:
    """A search whose name has brackets."""
    return make_search(finished_run, tmp_path / "a<b>search")
