"""The papers' published figures, a row each, as data.

`contrastive.json` contains the tables of ResCom, PaCo and BCL, `decoupled.json` those of DSCL,
DLSA and the baselines' repositories, `foundation.json` those of ProCo and LIFT: figures and what
they were measured on, nothing else. A row of a method in ltray contains its settings; any
other row lists what is not in ltray.

* `check`: comparison with a published figure.
* `departures`: differences from the published run.
* `of_run`: figures for a run folder.
* `row_names`: names of rows.
* `spreads`: spread of runs over seeds.
* `table`: tables of figures.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Claim:
    """One published figure.

    Attributes:
        source: The paper or repository in which it is printed.
        table: The table in the source.
        dataset: The data set, by ltray's name.
        imbalance_factor: Largest over smallest class.
        backbone: As printed.
        network: ltray's name of the backbone, or None if there is none.
        epochs: Of the (first) training; None if the source does not state them.
        method: As printed.
        methods: The methods of ltray; empty if one is not in ltray, see `lacks`.
        settings: Knobs in which rows of the method differ, by full name: another value is another row.
        variant: How the row differs from every setting of ltray, as text.
        chosen_on: Images on which the reported epoch was chosen: "test", "validation", or
            None if that is not known.
        all: Top-1 accuracy in percent, over images, or None.
        many: Over classes with more than 100 training images, or None.
        medium: With 20 to 100, or None.
        few: With fewer than 20, or None.
        mcc: Matthews correlation of 100, or None.
        nmi: Normalised mutual information of 100, or None.
        ece: Expected calibration error of 100, or None.
        note: Further information.
        recipe: Knobs that the row sets differently from the method's default, but equally in all rows.
        lacks: Parts of this row that are not in ltray; empty if ltray has its methods.
        width: Features of the network before its classifier, or None if the source does not state it;
            the usual network of the backbone's name is then assumed.
        parameters: Of the network without classifier, or None likewise.
        latency: Milliseconds of inference for a batch of 64 images on one GeForce RTX 2080 Ti, or None.
        mce: Mean corruption error over the corruptions of ImageNet-C, in percent, or None.
        nmce: The same, normalised, or None.
        subset: The training images, as text; empty for the official list, or the official draw
            (data seed 0) of a data set that is cut.
    """

    source: str
    table: str
    dataset: str
    imbalance_factor: float
    backbone: str
    network: str | None
    epochs: int | None
    method: str
    methods: tuple[str, ...]
    settings: Mapping[str, Any]
    variant: str
    chosen_on: str | None
    all: float | None
    many: float | None
    medium: float | None
    few: float | None
    mcc: float | None
    nmi: float | None
    ece: float | None
    note: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    lacks: str = ""
    width: int | None = None
    parameters: int | None = None
    subset: str = ""
    latency: float | None = None
    mce: float | None = None
    nmce: float | None = None

    @property
    def where(self) -> str:
        """Paper and table."""
        numbered = any(letter.isdigit() for letter in self.table) and " " not in self.table
        return f"{self.source}, {f'table {self.table}' if numbered else self.table}"


@cache
def published() -> tuple[Claim, ...]:
    """Return every published figure."""
    found: list[Claim] = []
    for file in sorted(Path(__file__).parent.glob("*.json")):
        rows = json.loads(file.read_text(encoding="utf-8"))
        found += [Claim(**(row | {"methods": tuple(row["methods"])})) for row in rows]
    return tuple(found)
