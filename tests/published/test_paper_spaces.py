"""The papers' ablation tables as searches over given rows: complete rows with the published settings."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from ltray.long_tail import LongTail
from ltray.published import Claim, published
from ltray.published.check import compare
from ltray.results.intervals import mean_interval
from ltray.space.search_space import SearchSpace
from tests.paths import ROOT

PAPER = ROOT / "search_spaces" / "paper"
FILES = sorted(PAPER.glob("*.yaml"))
CLASSES = {"cifar10-lt": 10, "cifar100-lt": 100, "imagenet-lt": 1000, "places-lt": 365, "inat2018": 8142}
ROWS = {
    "bcl-table1": 3,
    "bcl-table2": 5,
    "bcl-tableS1": 3,
    "bcl-tableS2": 3,
    "dlsa-table2": 6,
    "dscl-table2": 16,
    "dscl-table3": 4,
    "dscl-table4": 9,
    "lift-leaderboard": 10,
    "paco-table14": 8,
    "proco-readme": 11,
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


def explicit(table: str) -> list[Any]:
    """Return the settings that vary between the published rows of a table, with ltray's names."""
    rows: list[Any] = json.loads((ROOT / "tests" / "golden" / "published_settings.json").read_text())[table]
    return rows


def test_every_table_has_all_its_rows() -> None:
    counted: defaultdict[str, int] = defaultdict(int)
    for file in FILES:
        assert file.read_text().startswith(f"# python -m ltray.tune search_spaces/paper/{file.name}\n"), file
        counted[table_of(file)] += len(read(file).rows)
    assert len(FILES) == 28
    assert counted == ROWS


def test_tables_have_the_row_counts_of_the_papers() -> None:
    printed = Counter(
        f"{claim.source.split('+')[0].split()[0].lower()}-table{claim.table.removeprefix('Table ')}"
        for claim in published()
    )
    assert {name: printed[name] for name in ROWS if "table" in name} == {
        name: count for name, count in ROWS.items() if "table" in name
    }
    assert printed["proco-repository-tableREADME"] == ROWS["proco-readme"]
    leaderboard = [claim for claim in published() if claim.table == "leaderboard"]
    assert len([claim for claim in leaderboard if claim.network]) == ROWS["lift-leaderboard"]
    assert {claim.backbone for claim in leaderboard if not claim.network} == {"not stated"}


def test_queue_rows_of_rescom_are_the_published_ones() -> None:
    names = ("queue_size", "hard_positives", "hard_negatives")
    ours = [{name: row[f"rescom.{name}"] for name in names} for row in settings("rescom-table5")]
    assert ours == explicit("rescom-table5")


def test_module_rows_of_rescom_are_the_published_ones() -> None:
    for row, published_row in zip(settings("rescom-table6"), explicit("rescom-table6"), strict=True):
        modules = [
            name
            for name, on in (
                ("CBL", row["rescom.effective_number_beta"] > 0),
                ("CBQ", row["rescom.queue_kind"] == "balanced"),
                ("SPM", row["rescom.hard_mining"]),
            )
            if on
        ]
        assert modules == published_row["contrast"]
        assert row["rescom.siamese_balanced_softmax"] == (published_row["classifier"] == "SiamBS")


def test_component_rows_of_bcl_are_the_published_ones() -> None:
    for row, published_row in zip(settings("bcl-table2"), explicit("bcl-table2"), strict=True):
        contrast = row["bcl.contrastive_weight"] > 0
        assert contrast == published_row["contrast"]
        assert (contrast and row["bcl.complement"]) == published_row["complement"]
        assert (contrast and row["bcl.averaging"] == "L1") == published_row["averaging"]
        assert (row["bcl.epochs"], row["bcl.milestones"]) == (400, [360, 380])


def test_patch_rows_of_dscl_and_weight_rows_of_paco_are_the_published_ones() -> None:
    ours = [[row["dscl.patch_scale_low"], row["dscl.patch_scale_high"]] for row in settings("dscl-table4")]
    assert ours == explicit("dscl-table4")
    weights = [row["multi_task.contrastive_weight"] for row in settings("paco-table14")]
    assert weights == explicit("paco-table14")


UNKNOWN = "the source does not state the images on which its epoch was chosen"
TITLES = {name: name.lower() for name in ("ResCom", "BCL", "PaCo", "DSCL", "DLSA", "ProCo", "LIFT")}


def title_of(claim: Claim) -> str:
    source = next(ours for paper, ours in TITLES.items() if claim.source.startswith(paper))
    named = claim.table in ("README", "leaderboard")
    return f"{source}-{claim.table.lower()}" if named else f"{source}-table{claim.table.removeprefix('Table ')}"


@pytest.mark.parametrize("file", [f for f in FILES if f.stem != "rescom-figure3"], ids=lambda file: file.stem)
def test_every_row_matches_only_its_own_published_figure(file: Path) -> None:
    met = []
    for row in read(file).rows:
        found = compare(row.experiment.settings(), mean_interval([0.5, 0.51, 0.52]))
        own = [one for one in found if set(one.reasons) <= {UNKNOWN} and title_of(one.claim) == table_of(file)]
        assert len(own) == 1 and own[0].recipe == (), [one.text for one in found]
        met.append(own[0].claim)
    assert len(set(map(id, met))) == len(met)  # no two rows have the same figure
    test = any(claim.chosen_on == "test" for claim in met)
    assert all((claim.chosen_on == "test") == test for claim in met)
    assert {row.experiment.dataset.protocol for row in read(file).rows} == {"paper" if test else "honest"}
    assert ("(protocol: paper)" in file.read_text()) == test


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_row_builds_its_stages(file: Path) -> None:
    space = read(file)
    for row in space.rows:
        tail = LongTail(tuple(1280 - 1275 * k // (space.classes - 1) for k in range(space.classes)))
        assert row.experiment.planned_epochs(tail) >= (10 if file.stem.startswith("lift") else 30)
