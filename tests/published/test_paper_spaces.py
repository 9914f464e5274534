"""The papers' tables: every published row once and in order, with the published settings."""

import json
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ltray.long_tail import LongTail
from ltray.paper_tables.table_file import PaperTable
from ltray.published import Claim, published
from ltray.published.check import compare
from ltray.published.row_names import source_of
from ltray.results.intervals import mean_interval
from tests.paths import ROOT

PAPER = ROOT / "search_spaces" / "paper"
FILES = sorted(PAPER.glob("*.yaml"))
FIGURES = {"rescom-figure3": 3, "rescom-figure4-centre": 12, "rescom-figure4-left": 6}
"""Rows of the figures, whose values the papers do not print."""
WITHOUT_FILE = {
    "bcl-readme",
    "classifier-balancing-readme",
    "lift-issue-10",
    "mislas-readme",
    "paco-readme",
    "proco-log",
    "rescom-readme",
}
CLASSES = {"cifar10-lt": 10, "cifar100-lt": 100, "imagenet-lt": 1000, "places-lt": 365, "inat2018": 8142}


@cache
def read(file: Path) -> PaperTable:
    return PaperTable.read(file)


def settings(stem: str) -> list[dict[str, Any]]:
    return [row.settings() for row in read(PAPER / f"{stem}.yaml").trained]


def explicit(table: str) -> list[Any]:
    """Return the settings that vary between the published rows of a table, with ltray's names."""
    rows: list[Any] = json.loads((ROOT / "tests" / "golden" / "published_settings.json").read_text())[table]
    return rows


def test_every_published_row_of_a_table_is_in_its_file_once_and_in_order() -> None:
    printed: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in published():
        printed[source_of(claim)].append(claim)
    assert printed.keys() - WITHOUT_FILE == {file.stem for file in FILES} - FIGURES.keys()
    assert len(FILES) == 36
    for file in FILES:
        assert file.read_text().startswith(f"# python -m ltray.tune search_spaces/paper/{file.name}\n"), file
        table = read(file)
        assert table.name == file.stem and len({row.name for row in table.rows}) == len(table.rows)
        if file.stem in FIGURES:
            assert len(table.trained) == FIGURES[file.stem]
            continue
        assert [row.label for row in table.rows] == [claim.method for claim in printed[file.stem]]
        for row, claim in zip(table.rows, printed[file.stem], strict=True):
            assert row.claim is not None and replace(row.claim, dataset=claim.dataset) == claim
            assert (row.experiment is None) == bool(row.lacks)
            assert row.experiment is None or claim.methods == tuple(m.name for m in row.experiment.methods)


def test_rows_of_methods_that_ltray_lacks_stand_with_the_figure_alone() -> None:
    rows = read(PAPER / "rescom-table7.yaml").rows
    assert len(rows) == 29 and sum(row.experiment is not None for row in rows) == 9
    assert [row.lacks for row in rows if row.label == "BBN"] == ["not in ltray: BBN"] * 3
    assert all(row.claim is not None and row.claim.all is not None for row in rows)


def test_queue_rows_of_rescom_are_the_published_ones() -> None:
    names = ("queue_size", "hard_positives", "hard_negatives")
    ours = [{name: row[f"rescom.{name}"] for name in names} for row in settings("rescom-table5")]
    assert ours == explicit("rescom-table5")


def test_module_rows_of_rescom_are_the_published_ones() -> None:
    rows = [row for row in settings("rescom-table6") if row["methods"] == ["rescom"]]
    assert len(settings("rescom-table6")) == len(rows) + 1  # that of MoCo
    for row, published_row in zip(rows, explicit("rescom-table6"), strict=True):
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
    weights = [row.get("multi_task.contrastive_weight") for row in settings("paco-table14")][:-1]
    assert weights == explicit("paco-table14")


UNKNOWN = "the source does not state the images on which its epoch was chosen"
NOT_STATED = "the source does not state its epochs"


@pytest.mark.parametrize("file", [f for f in FILES if f.stem not in FIGURES], ids=lambda file: file.stem)
def test_every_row_matches_only_its_own_published_figure(file: Path) -> None:
    for row in read(file).trained:
        assert row.claim is not None and row.experiment is not None
        found = compare(row.settings(), mean_interval([0.5, 0.51, 0.52]))
        known = [one for one in found if not any(is_a_difference(reason) for reason in one.reasons)]
        own = [one for one in known if source_of(one.claim) == file.stem and one.claim.dataset == row.dataset]
        if file.stem != "rescom-table3":  # its figures are published for other images
            assert any(one.claim == row.claim for one in own), [one.text for one in found]
        assert all(one.recipe == () for one in own if one.claim == row.claim)
        chosen_on_test = row.claim.chosen_on == "test"
        assert row.experiment.dataset.protocol == ("paper" if chosen_on_test else "honest")
        assert not chosen_on_test or "(protocol: paper)" in file.read_text()


def is_a_difference(reason: str) -> bool:
    return reason != UNKNOWN and not reason.startswith(NOT_STATED)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_row_builds_its_stages(file: Path) -> None:
    for row in read(file).trained:
        assert row.experiment is not None
        classes = next(count for start, count in CLASSES.items() if row.dataset.startswith(start))
        row.experiment.check_classes(classes)
        tail = LongTail(tuple(1280 - 1275 * k // (classes - 1) for k in range(classes)))
        assert row.experiment.planned_epochs(tail) >= (10 if file.stem.startswith("lift") else 30)
