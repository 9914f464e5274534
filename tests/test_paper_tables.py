"""The papers' ablation tables as searches over given rows: every row of every table, and what they state."""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from ltray.long_tail import LongTail
from ltray.space.search_space import SearchSpace

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("LTRAY_SHARED", ROOT.parent / "shared"))
PAPER = ROOT / "search_spaces" / "paper"
FILES = sorted(PAPER.glob("*.yaml"))
CLASSES = {"cifar100-lt": 100, "imagenet-lt": 1000, "places-lt": 365}
ROWS = {
    "bcl-table1": 3,
    "bcl-table2": 5,
    "bcl-tableS1": 3,
    "bcl-tableS2": 3,
    "dlsa-table2": 6,
    "dscl-table2": 16,
    "dscl-table3": 4,
    "dscl-table4": 9,
    "paco-table14": 8,
    "rescom-figure3": 3,
    "rescom-table4": 8,
    "rescom-table5": 7,
    "rescom-table6": 6,
}
"""Rows of each table, over all its files: `rescom-table4.yaml`, `rescom-table4-crt.yaml` and so on."""


def table_of(file: Path) -> str:
    return "-".join(file.stem.split("-")[:2])


def read(file: Path) -> SearchSpace:
    space = SearchSpace.read(file)
    name = space.rows[0].experiment.dataset.name
    return space.bind(next(count for start, count in CLASSES.items() if name.startswith(start)))


def settings(stem: str) -> list[dict[str, Any]]:
    return [row.experiment.settings() for row in read(PAPER / f"{stem}.yaml").rows]


def published() -> dict[str, list[dict[str, Any]]]:
    """The published rows by our name of the table."""
    folder = SHARED / "facts"
    if not folder.is_dir():
        pytest.skip(f"no published tables in {folder}; set LTRAY_SHARED")
    contrastive = json.loads((folder / "published-rescom-paco-bcl.json").read_text())["rows"]
    decoupled = json.loads((folder / "published-dscl-dlsa.json").read_text())["results"]
    found = defaultdict(list)
    for row in contrastive + decoupled:
        paper = row["paper"].split("+")[0].split()[0].lower()
        found[f"{paper}-table{row['table'].removeprefix('Table ')}"].append(row)
    return found


def test_every_table_has_all_its_rows() -> None:
    counted: defaultdict[str, int] = defaultdict(int)
    for file in FILES:
        assert file.read_text().startswith(f"# python -m ltray.tune search_spaces/paper/{file.name}\n"), file
        counted[table_of(file)] += len(read(file).rows)
    assert len(FILES) == 21
    assert counted == ROWS


def test_the_papers_have_as_many_rows() -> None:
    tables = published()
    assert {name: len(tables[name]) for name in ROWS if "table" in name} == {
        name: count for name, count in ROWS.items() if "table" in name
    }


def test_rescoms_queues_are_the_published_ones() -> None:
    stated = [row["extra"] for row in published()["rescom-table5"]]
    names = ("queue_size", "hard_positives", "hard_negatives")
    ours = [tuple(row[f"rescom.{name}"] for name in names) for row in settings("rescom-table5")]
    assert ours == [(row["Q"], row["Qp"], row["Qn"]) for row in stated]


def test_rescoms_modules_are_the_published_ones() -> None:
    stated = [row["extra"] for row in published()["rescom-table6"]][1:]
    for row, published_row in zip(settings("rescom-table6"), stated, strict=True):
        modules = [
            name
            for name, on in (
                ("CBL", row["rescom.effective_number_beta"] > 0),
                ("CBQ", row["rescom.queue_kind"] == "balanced"),
                ("SPM", row["rescom.hard_mining"]),
            )
            if on
        ]
        assert modules == published_row["contrastive_modules"]
        assert row["rescom.siamese_balanced_softmax"] == (published_row["classifier_module"] == "SiamBS")


def test_bcls_components_are_the_published_ones() -> None:
    stated = [row["extra"] for row in published()["bcl-table2"]]
    for row, published_row in zip(settings("bcl-table2"), stated, strict=True):
        contrast = row["bcl.contrastive_weight"] > 0
        assert contrast == published_row["supcon"]
        assert (contrast and row["bcl.complement"]) == published_row["class_complement"]
        assert (contrast and row["bcl.averaging"] == "L1") == published_row["class_averaging"]
        assert (row["bcl.epochs"], row["bcl.milestones"]) == (400, [360, 380])


def test_dscls_patches_and_pacos_weights_are_the_published_ones() -> None:
    ours = [[row["dscl.patch_scale_low"], row["dscl.patch_scale_high"]] for row in settings("dscl-table4")]
    assert ours == [row["scale_range"] for row in published()["dscl-table4"]]
    weights = [row["multi_task.contrastive_weight"] for row in settings("paco-table14")]
    assert weights == [row["extra"]["loss_weight"] for row in published()["paco-table14"][:-1]]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_row_builds_its_stages(file: Path) -> None:
    space = read(file)
    for row in space.rows:
        tail = LongTail(tuple(1280 - 1275 * k // (space.classes - 1) for k in range(space.classes)))
        assert row.experiment.planned_epochs(tail) >= 30
