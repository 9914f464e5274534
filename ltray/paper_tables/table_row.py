"""One row of a paper's table: its name there, its published figure, and the run that measures it here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.paper_tables.own_settings import OverSettings, with_own
from ltray.published import Claim
from ltray.reproduction.availability import lacking_parts
from ltray.reproduction.row import row_settings
from ltray.setting_names import DATASET, METHOD_LIST

TRAINED_ON = {"imagenet-lt-corrupted": "imagenet-lt"}
"""The data set on which a network is trained, for figures that are measured on other images."""


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        name: Its name among the rows of the table, usable as a part of a file's name.
        label: Its name as printed.
        claim: Its published figure; None if the source prints none.
        experiment: The run of the first seed, before it is adapted to the data; None if the row is not trained.
        lacks: The parts that are not in ltray; "" if the row can be trained.
    """

    name: str
    label: str
    claim: Claim | None
    experiment: Experiment | None
    lacks: str = ""

    @classmethod
    def published(cls, name: str, claim: Claim, own: OverSettings) -> "TableRow":
        """Return the row of a published figure.

        Args:
            name: The name of the figure, see `ltray.published.row_names`.
            claim: The figure.
            own: Settings of the user.

        Raises:
            UsageError: A setting is wrong.
        """
        claim = replace(claim, dataset=TRAINED_ON.get(claim.dataset, claim.dataset))
        short = "-".join(name.split("/")[1:])
        if lacks := lacking_parts(claim):
            return cls(short, claim.method, claim, None, lacks)
        settings = {DATASET: claim.dataset, METHOD_LIST: list(claim.methods)} | row_settings(claim)
        return cls(short, claim.method, claim, _experiment(name, settings, own))

    @classmethod
    def written(cls, label: str, settings: Mapping[str, Any], own: OverSettings, where: str) -> "TableRow":
        """Return a row that a file defines, without a published figure.

        Args:
            label: Its name.
            settings: Its flat settings, by full name.
            own: Settings of the user.
            where: "file:line: " for messages.

        Raises:
            UsageError: A setting is wrong.
        """
        name = re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-")
        if not name:
            raise UsageError(f"{where}the name of a row must contain a letter or a digit, but is {label!r}.")
        return cls(name, label, None, _experiment(where.removesuffix(": "), settings, own))

    @property
    def dataset(self) -> str:
        """The data set: of the run, or of the figure if the row is not trained."""
        if self.experiment:
            return self.experiment.dataset.name
        assert self.claim is not None
        return self.claim.dataset

    def settings(self) -> dict[str, Any]:
        """Return the flat settings of the run; {} if the row is not trained."""
        return self.experiment.settings() if self.experiment else {}


def _experiment(place: str, settings: Mapping[str, Any], own: OverSettings) -> Experiment:
    methods = settings[METHOD_LIST]
    try:
        return Experiment.from_settings(with_own(settings, own.of(methods), methods))
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error
