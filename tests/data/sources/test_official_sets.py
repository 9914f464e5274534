"""The shipped data-set files with lists in the official formats, and the resulting official figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltray.convert import main
from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.sources.lists import reference_counts
from ltray.data.sources.registry import open_source
from ltray.data.splits import Splits, cut
from ltray.long_tail import LongTail
from tests.conftest import Golden

CPU = torch.device("cpu")


def groups(splits: Splits, classes: int) -> list[int]:
    """Return the classes with many, medium and few training images."""
    counts = np.bincount(splits.train.labels, minlength=classes)
    of = LongTail(tuple(counts.tolist())).groups()
    return [len(of.get(name, ())) for name in ("many", "medium", "few")]


def lines(prefix: str, counts: list[int]) -> str:
    """Return the lines of a list as ImageNet-LT has it."""
    return "".join(
        f"{prefix}/n{label:08}/n{label:08}_{number}.JPEG {label}\n"
        for label, count in enumerate(counts)
        for number in range(count)
    )


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory, golden: Golden) -> Path:
    """Lists with the length and class counts of ImageNet-LT; only images that the code checks exist."""
    root = tmp_path_factory.mktemp("imagenet")
    counts = golden("datasets")["imagenet_lt"].tolist()
    listed = {"train": ("train", counts), "val": ("train", [20] * 1000), "test": ("val", [50] * 1000)}
    for name, (prefix, each) in listed.items():
        text = lines(prefix, each)
        (root / f"ImageNet_LT_{name}.txt").write_text(text)
        first = root / text.partition(" ")[0]
        first.parent.mkdir(parents=True, exist_ok=True)
        first.touch()
    return root


def test_imagenet_lt_has_its_published_size_and_uses_the_official_validation_list(imagenet: Path) -> None:
    definition = DatasetDefinition.read("imagenet-lt", {"folder": str(imagenet)})
    source = open_source(definition)
    splits = cut(definition, {name: read().labels for name, read in source.pools.items()}, len(source.class_names))
    assert splits.validation is not None and splits.validation.pool == "validation"
    sizes = [len(part.indices) for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [115_846, 20_000, 50_000]
    assert groups(splits, 1000) == [385, 479, 136]
    assert source.class_names[7] == "n00000007"


@pytest.mark.parametrize(
    ("variant", "total", "most", "least", "shots"),
    [
        ("a", 115_852, 857, 10, [422, 510, 68]),
        ("b", 115_801, 343, 37, [567, 433, 0]),
        ("c", 115_000, 115, 115, [1000, 0, 0]),
    ],
)
def test_variants_of_imagenet_lt_have_their_published_counts(
    imagenet: Path, variant: str, total: int, most: int, least: int, shots: list[int]
) -> None:
    definition = DatasetDefinition.read(f"imagenet-lt-{variant}", {"folder": str(imagenet)})
    complete = np.repeat(np.arange(1000), 1300)  # the largest class size of ILSVRC 2012
    reference = reference_counts(definition, [f"n{label:08}" for label in range(1000)])
    splits = cut(definition, {"train": complete, "test": np.repeat(np.arange(1000), 50)}, 1000, reference)
    counts = np.bincount(splits.train.labels)
    assert [counts.sum(), counts.max(), counts.min()] == [total, most, least]
    assert groups(splits, 1000) == shots
    assert splits.validation is not None and splits.validation.pool == "train"
    assert not set(splits.validation.indices.tolist()) & set(splits.train.indices.tolist())


def random_image(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((120 + number % 40, 110), Image.Resampling.BICUBIC).save(path, "jpeg")


COUNTS = {"train": (9, 6, 4), "val": (2, 2, 2), "test": (2, 2, 2)}
NAMES = ("airfield", "alley", "bakery")
Listed = dict[str, list[tuple[str, int]]]


def placeholders(root: Path, places: dict[str, str]) -> Listed:
    """Write images at the paths of the official lists; {c} is a class, {n} a number."""
    listed: Listed = {}
    for split, place in places.items():
        listed[split] = []
        for label, count in enumerate(COUNTS[split]):
            for number in range(count):
                name = place.format(c=NAMES[label], n=f"{split}{number:05}", label=label)
                random_image(root / name, len(listed[split]) + 50 * len(split))
                listed[split].append((name, label))
    return listed


def imagenet_lt(root: Path) -> Listed:
    """Validation images are below train/, test images below val/."""
    return as_lines(
        root, "ImageNet_LT", {"train": "train/{c}/{n}.JPEG", "val": "train/{c}/{n}.JPEG", "test": "val/{c}/{n}.JPEG"}
    )


def places_lt(root: Path) -> Listed:
    """The style of Kang et al."""
    return as_lines(
        root, "Places_LT", {"train": "train/{c}/{n}.jpg", "val": "train/{c}/{n}.jpg", "test": "val/{c}/{n}.jpg"}
    )


def places_lt_256(root: Path) -> Listed:
    """The style of PaCo and MiSLAS: test images without a class folder."""
    styles = {
        "train": "data_256/a/{c}/{n}.jpg",
        "val": "data_256/a/{c}/{n}.jpg",
        "test": "val_256/Places365_val_{label}{n}.jpg",
    }
    return as_lines(root, "Places_LT", styles)


def as_lines(root: Path, title: str, places: dict[str, str]) -> Listed:
    listed = placeholders(root, places)
    for split, several in listed.items():
        (root / f"{title}_{split}.txt").write_text("".join(f"{name} {label}\n" for name, label in several))
    return listed


def inat2018(root: Path) -> Listed:
    """The competition's JSON; papers use its validation set as test set."""
    listed = placeholders(root, {split: "train_val2018/Plantae/{label}/{n}.jpg" for split in ("train", "val")})
    for split, several in listed.items():
        content = {
            "info": {"year": 2018},
            "licenses": [{"id": 1, "name": "CC"}],
            "images": [
                {"id": 9 + number, "file_name": name, "license": 1, "rights_holder": "x", "width": 120, "height": 110}
                for number, (name, _) in enumerate(several)
            ],
            "annotations": [
                {"id": number, "image_id": 9 + number, "category_id": label}
                for number, (_, label) in enumerate(several)
            ],
            "categories": [{"id": n, "name": str(n), "supercategory": "Plantae"} for n in range(3)],
        }
        (root / f"{split}2018.json").write_text(json.dumps(content))
    return {"train": listed["train"], "test": listed["val"]}


@pytest.mark.slow
@pytest.mark.ffcv
@pytest.mark.parametrize(
    ("name", "layout"),
    [("imagenet-lt", imagenet_lt), ("places-lt", places_lt), ("places-lt", places_lt_256), ("inat2018", inat2018)],
)
def test_shipped_definition_converts_official_lists(
    name: str, layout: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "betons"))
    listed = layout(tmp_path)  # type: ignore[operator]
    assert main([name, f"folder={tmp_path}", "--verify"]) == 0
    assert "verified" in capsys.readouterr().out
    data = open_data(DatasetDefinition.read(name, {"folder": str(tmp_path)}), device=CPU)
    assert data.tail.counts == ((9, 6, 4) if "val" in listed else (8, 5, 3))
    labels = {split: torch.cat([part for _, part in images]).tolist() for split, images in
              {"val": data.selection(), "test": data.test()}.items()}  # fmt: skip
    assert labels["test"] == [label for _, label in listed["test"]]
    assert labels["val"] == ([label for _, label in listed["val"]] if "val" in listed else [0, 1, 2])
    images, _ = next(iter(data.test()))
    assert images.shape == (6, 3, 224, 224)
