"""Many, medium and few are counted on the complete training list, as in the papers, and equal in all outputs."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.console import new_console
from ltray.data.dataset import ImageData, open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.draft_definition import training_line
from ltray.data.splits import cut
from ltray.evaluation.findings import Findings, as_json
from ltray.evaluation.printed import class_table
from ltray.long_tail import LongTail
from ltray.report.best_model import BestModel
from ltray.report.sections.classes import classes
from ltray.results.predictions import Predictions
from ltray.run_folder import RunFolder

COUNTS = {"ant": 130, "bee": 104, "cat": 24, "dog": 21, "emu": 6}
TRAIN, LISTED = (117, 91, 11, 9, 2), (127, 101, 21, 18, 4)  # three test images per class, then ten for validation
GROUP_SIZES = "many 2, medium 1, few 2 classes, counted on the complete training list of 271 images"
GROUPS = {"ant": "many", "bee": "many", "cat": "medium", "dog": "few", "emu": "few"}


@pytest.fixture
def data(tmp_path: Path) -> ImageData:
    """A list file; cutting the validation set moves classes below a threshold."""
    lines = [f"{name}/{number}.png {label}" for label, (name, n) in enumerate(COUNTS.items()) for number in range(n)]
    (tmp_path / "ant").mkdir()
    (tmp_path / "ant/0.png").touch()
    (tmp_path / "train.txt").write_text("\n".join(lines))
    definition = DatasetDefinition(
        name="t",
        source="lists",
        folder=str(tmp_path),
        train_list="train.txt",
        test_per_class=3,
        validation_per_class=10,
    )
    return open_data(definition, device=torch.device("cpu"), source="memory")


def test_all_outputs_put_a_class_into_the_same_group(data: ImageData, tmp_path: Path) -> None:
    tail = data.tail
    assert (tail.counts, tail.listed) == (TRAIN, LISTED)
    assert "271 training images" not in data.describe() and GROUP_SIZES in data.describe()
    labels = np.repeat(range(5), list(COUNTS.values()))
    sidecars = {"train": SimpleNamespace(class_names=data.class_names, labels=labels)}
    heading = training_line(data.definition, sidecars)  # type: ignore[arg-type]
    assert heading == (
        f"230 training images of 5 classes, 117 to 2 per class ({GROUP_SIZES}); 41 validation and 14 test images are "
        "taken from the folder."
    )
    RunFolder(tmp_path).best.path.mkdir()
    RunFolder(tmp_path).best.scores_file.write_bytes(Predictions("val", torch.eye(5), torch.arange(5), tail).as_bytes())
    saved = Predictions.load(RunFolder(tmp_path).best.scores_file)
    assert saved.tail == tail
    assert {"val/acc_many", "val/acc_medium", "val/acc_few"} <= saved.metrics().keys()

    run = SimpleNamespace(context={"class_names": list(data.class_names)}, position=SimpleNamespace(total_epochs=1))
    experiment = SimpleNamespace(dataset=data.definition)
    trained = SimpleNamespace(checkpoint=run, experiment=experiment, chosen=dict)
    findings = Findings(tmp_path, trained, saved, 0, None)  # type: ignore[arg-type]
    assert {row["class"]: row["group"] for row in as_json(findings)["classes"]} == GROUPS
    console = new_console()
    with console.capture() as printed:
        console.print(class_table(findings))
    assert re.search(r"bee\s+│ many\s+│\s+91 ", printed.get()) and f"groups: {GROUP_SIZES}" in " ".join(
        printed.get().split()
    )

    evaluation = {"correct": [1] * 5, "seen": [1] * 5, "metrics": {}, "epoch": 1}
    model = BestModel.of(SimpleNamespace(evaluation=evaluation, folder=tmp_path))  # type: ignore[arg-type]
    assert model is not None
    page = classes(model).html()
    assert f"Groups: {GROUP_SIZES}." in page


def test_group_accuracy_is_over_the_classes_of_the_complete_list(data: ImageData) -> None:
    right = torch.eye(5)
    right[1] = right[0]  # all images of bee are predicted as ant
    found = Predictions("val", right, torch.arange(5), data.tail).metrics()
    assert found["val/acc_many"] == 0.5 and found["val/acc_medium"] == found["val/acc_few"] == 1.0


@given(
    counts=st.lists(st.integers(8, 260), min_size=2, max_size=8),
    wanted=st.integers(1, 60),
    tests=st.integers(1, 30),
    kind=st.sampled_from(["natural", "exp"]),
)
def test_groups_are_equal_in_both_protocols(counts: list[int], wanted: int, tests: int, kind: str) -> None:
    if kind == "exp":
        counts = [max(counts) + wanted + tests] * len(counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    fields = {"name": "t", "source": "digits", "imbalance_kind": kind, "test_per_class": tests}
    honest = DatasetDefinition(**fields, validation_per_class=wanted)  # type: ignore[arg-type]
    paper = DatasetDefinition(**fields, protocol="paper")  # type: ignore[arg-type]
    one, other = (cut(definition, {"train": labels}, len(counts)).tail for definition in (honest, paper))
    assert one.groups() == other.groups() and one.listed == other.counts == other.listed
    assert sum(one.counts) <= sum(one.listed)


def test_group_sizes_name_the_complete_list_only_with_validation_images() -> None:
    assert LongTail((120, 5), (120, 5)).in_groups() == LongTail((120, 5)).in_groups() == "many 1, few 1 classes"
    assert LongTail((99, 5), (101, 6)).group_of() == ["many", "few"]


def test_complete_list_of_a_capped_set_is_the_capped_list() -> None:
    definition = DatasetDefinition(
        name="t", source="digits", imbalance_kind="natural", largest_class=50, test_per_class=1, protocol="paper"
    )
    tail = cut(definition, {"train": np.repeat([0, 1], [130, 30])}, 2).tail
    assert tail.listed == tail.counts == (50, 29)
