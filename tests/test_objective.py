"""The default objective depends on the selection images."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from rich.console import Console

from ltray.errors import UsageError
from ltray.metrics import COUNTED, METRICS, OBJECTIVES, as_markdown, check_objective, default_objective, shown_keys
from ltray.results.printed_trials import render
from ltray.results.tables import precision_of_best
from ltray.tune import main as tune
from tests.paths import ROOT


@pytest.mark.parametrize(
    ("images", "objective"),
    [
        ((20, 20, 20), "acc_all"),
        ((10, 1), "balanced_accuracy"),
        ((0, 5, 5), "acc_all"),
        ((5, 5, 4), "balanced_accuracy"),
    ],
)
def test_unbalanced_images_select_balanced_accuracy(images: tuple[int, ...], objective: str) -> None:
    assert default_objective(images) == objective


def test_unknown_objective_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"got 'balanced'.*Did you mean `balanced_accuracy`"):
        check_objective("balanced")


def test_table_shows_another_objective_after_the_groups() -> None:
    assert shown_keys("acc_few") == shown_keys() == ("acc_all", "acc_many", "acc_medium", "acc_few")
    assert shown_keys("macro_f1") == (*shown_keys(), "macro_f1")


def test_docs_define_every_metric() -> None:
    assert as_markdown() in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert set(COUNTED) <= set(METRICS) and set(OBJECTIVES) - set(COUNTED) == {"seconds"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search over photographs whose validation folder has ten cats and one dog."""
    random = np.random.default_rng(0)
    for split, counts in {"train": (12, 4), "val": (10, 1), "test": (2, 2)}.items():
        for name, count in zip(("cat", "dog"), counts, strict=True):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photos" / split / name / f"{number}.png")
    definition = {"name": "photos", "source": "folder", "folder": str(tmp_path / "photos"), "image_size": 32}
    (tmp_path / "photos.yaml").write_text(yaml.safe_dump(definition))
    space = {"dataset": "photos.yaml", "methods": ["cross_entropy"], "fix": {"epochs": 2, "batch_size": 8}}
    space |= {
        "explore": {"learning_rate": {"from": 0.01, "to": 0.1}},
        "stop": {"rule": "none"},
        "search": {"trials": 2},
    }
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    return tmp_path


def test_search_on_unbalanced_validation_images_prints_its_objective(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(["space.yaml", "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "not balanced (1 to 10 per class): models are compared by balanced accuracy, in which every class has equal "
        "weight" in printed
    )
    for setting in ("search.objectives=[acc_all]", "dataset.protocol=paper"):
        assert tune(["space.yaml", "--dry-run", setting]) == 0
        assert "balanced accuracy" not in capsys.readouterr().out


def test_table_prints_the_standard_error_of_the_best_value() -> None:
    row = {"trial": 0, "name": "", "state": "complete", "reason": "", "paper": False, "epochs": 4}
    row |= {"val/acc_all": 0.7, "val/balanced_accuracy": 0.4, "val/balanced_accuracy_se": 0.081, "val/images": 33}
    table = pd.DataFrame([row, row | {"trial": 1, "val/balanced_accuracy_se": 0.02}])
    console = Console(file=io.StringIO(), width=120)
    console.print(render(table, {}, selection="val", most=5, objective="balanced_accuracy"))
    printed = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert (
        "standard error of the best trial's value: ± 8.1 points (33 images); a smaller difference is not significant"
        in printed
    )
    assert " balanced accuracy " in printed and " 40.0 " in printed
    assert precision_of_best(table, "val/acc_all") == ""  # a search of an older version has no such column
