"""Small lists and Parquet files with given labels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.sources.registry import open_source

IDS = {"cat": 0, "dog": 1, "emu": 90_210}
PETS = ("cat", "dog", "dog", "emu")
Images = Sequence[str]
"""The class of each image."""


def coco(root: Path, split: str, images: Images, ids: Mapping[str, Any], listed: Images) -> str:
    """Write a JSON list whose categories are `listed`; returns its name."""
    content = {
        "images": [{"id": f"i{n}", "file_name": f"{split}/{n}.png"} for n in range(len(images))],
        "annotations": [{"image_id": f"i{n}", "category_id": ids[name]} for n, name in enumerate(images)],
        "categories": [{"id": ids[name], "name": name} for name in listed],
    }
    return text(root, f"{split}.json", json.dumps(content), split, len(images))


def lines(root: Path, split: str, labels: Sequence[object]) -> str:
    return text(
        root, f"{split}.txt", "".join(f"{split}/{n}.png {k}\n" for n, k in enumerate(labels)), split, len(labels)
    )


def text(root: Path, name: str, content: str, split: str, images: int) -> str:
    (root / split).mkdir(exist_ok=True)
    for number in range(images):
        (root / split / f"{number}.png").touch()
    (root / name).write_text(content)
    return name


def parquet(root: Path, split: str, labels: object, names: object = None, **more: object) -> str:
    """Write Parquet; `names` are stored as a ClassLabel of Hugging Face."""
    column = labels if isinstance(labels, pa.Array) else pa.array(labels)
    table = pa.table({"image": [b"x"] * len(column), "label": column, **more})
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    pq.write_table(table, root / f"{split}.parquet")
    return f"{split}.parquet"


def opened(root: Path, train: str, test: str = "", **fields: Any) -> Source:
    source = "parquet" if train.endswith("parquet") else "lists"
    definition = {"name": "t", "source": source, "folder": str(root), "train_list": train, "test_list": test}
    return open_source(DatasetDefinition(**(definition | fields)))


def classes(source: Source, pool: str) -> list[str]:
    """Return the name of each image's class."""
    return [source.class_names[label] for label in source.pools[pool]().labels]
