"""A search with finalists from a user's view: killed during the finalists, resumed, reported."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.on_ray import commands

pytestmark = [pytest.mark.ray, pytest.mark.ffcv, pytest.mark.slow]

SPACE = """
dataset: digits-lt
methods: [cross_entropy]
explore: {cross_entropy.weight_decay: {from: 1.0e-5, to: 1.0e-2, log: true}}
fix:
  cross_entropy.epochs: 4
  cross_entropy.schedule: cosine
  dataset.largest_class: 40
  dataset.imbalance_factor: 8
search: {trials: 2}
stop: {rule: none}
finalists: {best: 1, seeds: 3}
"""
CLOCK = ("train/seconds", "train/images_per_second")


def evaluations(folder: Path) -> dict[str, str]:
    return {p.parents[1].name: p.read_text() for p in sorted(folder.glob("finalists/*/best/evaluation.json"))}


def test_killed_and_continued_finalists_equal_uninterrupted_ones(tmp_path):
    (tmp_path / "small.yaml").write_text(SPACE)
    arguments = [str(tmp_path / "small.yaml"), "--output", str(tmp_path / "run")]
    commands.run_until(
        "tune", *arguments, data=tmp_path, reached=lambda text: ", seed 1, data seed 0:" in text, alone=False
    )
    folder = tmp_path / "run"
    before = evaluations(folder)
    assert 1 <= len(before) < 6 and not (folder / "finalists.parquet").exists()
    printed = commands.run("tune", *arguments, "--resume", data=tmp_path)
    assert "trial 0 starts" not in printed
    after = evaluations(folder)
    assert len(after) == 6 and {name: after[name] for name in before} == before
    for name in after:
        key, seed, _ = name.split("-")
        assert (f"finalist {key}, {seed.replace('seed', 'seed ')}," in printed) == (name not in before)
    table = pd.read_parquet(folder / "finalists.parquet")
    assert list(table["runs"]) == [3, 3] and table["winner"].tolist() == [True, False] and table["paper"].sum() == 1
    assert sorted(pd.read_parquet(folder / "finalist_runs.parquet")["seed"]) == [1, 1, 2, 2, 3, 3]
    kept = json.loads((folder / "best" / "evaluation.json").read_text())
    assert kept["run"].startswith(f"finalists/{table['trial'][0]}-")
    assert "<section><h2>Finalists</h2>" in (folder / "report.html").read_text()
    # A complete new run gives the same figures, so the interrupted run resumed from its checkpoint.
    cut = sorted(after.keys() - before.keys())[0]
    uninterrupted = tmp_path / "again"
    settings = json.loads(after[cut])["settings"]
    given = [f"{k}={json.dumps(v)}" for k, v in settings.items() if k in ("seed", "cross_entropy.weight_decay")]
    fixed = ["epochs=4", "schedule=cosine", "dataset.largest_class=40", "dataset.imbalance_factor=8"]
    chosen = ["--methods", "cross_entropy", "--dataset", "digits-lt", "--output", str(uninterrupted)]
    commands.run("train", *chosen, *fixed, *given, data=tmp_path)
    alone = json.loads((uninterrupted / "best" / "evaluation.json").read_text())
    assert alone["metrics"] == json.loads(after[cut])["metrics"]
    # The same command does not evaluate test images again: all results exist.
    stamp = (folder / "best" / "evaluation.json").read_text()
    again = commands.run("tune", *arguments, data=tmp_path)
    assert "finalists:" in again and ", seed 1, data seed" not in again
    assert (folder / "best" / "evaluation.json").read_text() == stamp and evaluations(folder) == after
