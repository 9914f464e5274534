"""The papers' published figures, a row each, as data.

`contrastive.json` holds the tables of ResCom, PaCo and BCL, `decoupled.json` those of DSCL,
DLSA and the baselines' repositories: figures and what they were measured on, nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Claim:
    """One published figure.

    Attributes:
        source: The paper or repository that prints it.
        table: Where in it.
        dataset: The data set, by ltray's name.
        imbalance_factor: Largest over smallest class.
        backbone: As printed.
        network: ltray's name of the backbone, or None where it has none.
        epochs: Of the (first) training; None where the source does not say.
        method: As printed.
        methods: The same in ltray's methods; empty where ltray has none.
        settings: Knobs that the row fixes, by full name.
        variant: What sets the row apart from the method's plain setting, in words.
        chosen_on: Images on which the reported epoch was chosen: "test", "validation", or
            None where that is not known.
        all: Top-1 accuracy in percent, over images, or None.
        many: Over classes with more than 100 training images, or None.
        medium: With 20 to 100, or None.
        few: With fewer than 20, or None.
        mcc: Matthews correlation of 100, or None.
        nmi: Normalised mutual information of 100, or None.
        ece: Expected calibration error of 100, or None.
        note: What else matters for reading it.
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

    @property
    def where(self) -> str:
        """Paper and table."""
        return f"{self.source}, {f'table {self.table}' if self.table[0].isdigit() else self.table}"


@cache
def published() -> tuple[Claim, ...]:
    """Return every published figure."""
    found: list[Claim] = []
    for file in sorted(Path(__file__).parent.glob("*.json")):
        rows = json.loads(file.read_text(encoding="utf-8"))
        found += [Claim(**(row | {"methods": tuple(row["methods"])})) for row in rows]
    return tuple(found)
