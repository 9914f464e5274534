"""A published row with the settings with which it is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ltray.data.definition import DatasetDefinition, find
from ltray.data.imbalance import KINDS
from ltray.errors import UsageError, shown
from ltray.experiment import Experiment
from ltray.published import Claim
from ltray.published.row_names import find_row
from ltray.setting_names import complete_keys
from ltray.settings import plain
from ltray.study.seed_runs import seeds_from

FOLDER = Path("runs", "reproduced")
SEED = "seed"


@dataclass(frozen=True)
class PublishedRow:
    """A published row that can be trained.

    Attributes:
        name: Its name, see `ltray.published.row_names`.
        claim: The published figure.
        overrides: Settings that replace those of the row, by full name.
    """

    name: str
    claim: Claim
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> "PublishedRow":
        """Return the row of a name.

        Args:
            name: Its name.
            given: Settings that replace those of the row; a knob that only one of its methods has may be written
                without the method.

        Raises:
            UsageError: There is no such row, or a setting is not one of its run.
        """
        claim = find_row(name)
        for key, reason in FIXED.items():
            if key in given:
                raise UsageError(f"`{key}` is a part of the row, but got {shown(given[key])}: {reason}.")
        return cls(name, claim, complete_keys(given, claim.methods) if claim.methods else dict(given))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of `ltray train` in addition to the data set and the methods."""
        return row_settings(self.claim) | dict(self.overrides)

    @cached_property
    def experiment(self) -> Experiment:
        """The run of the first seed.

        Raises:
            UsageError: ltray cannot train the row, or a setting is wrong.
        """
        reference = {"dataset": self.claim.dataset, "methods": list(self.claim.methods)}
        return Experiment.from_settings(reference | self.settings)

    @property
    def folder(self) -> Path:
        """The run folder of the first seed, unless the user chooses another."""
        return FOLDER / self.name.replace("/", "-")

    def seeds(self, count: int) -> list[int]:
        """Return the seeds of `count` runs: the row's, or that of the settings, and the seeds after it."""
        return seeds_from(self.experiment.seed, count)


def folder_of_seed(folder: Path, seeds: Sequence[int], seed: int) -> Path:
    """Return the run folder of a seed: `folder` for the first, a folder next to it for another one.

    Args:
        folder: The run folder of the first seed.
        seeds: All seeds of the row, in order.
        seed: One of them.
    """
    return folder if seed == seeds[0] else folder.with_name(f"{folder.name}-seed{seed}")


FIXED = {
    "dataset": "use another row",
    "methods": "use another row, or `ltray train`",
    "start": "its first method trains a new network",
}
"""Settings that a row determines, and what to do instead."""


def row_settings(claim: Claim) -> dict[str, Any]:
    """Return the settings that distinguish the run of a figure from the methods' papers' setting for the data set.

    The protocol is `paper` where the source chose its epoch on the test images, and `honest` elsewhere, as in the
    search spaces of the papers' tables.
    """
    found: dict[str, Any] = {"dataset.protocol": "paper" if claim.chosen_on == "test" else "honest"}
    if KINDS[DatasetDefinition.read(find(claim.dataset)).imbalance_kind].by_factor:
        found["dataset.imbalance_factor"] = float(claim.imbalance_factor)
    if claim.network:
        found["backbone"] = claim.network
    if claim.epochs is not None:
        found[f"{claim.methods[0]}.epochs"] = claim.epochs
    return found | {name: plain(value) for name, value in {**claim.settings, **claim.recipe}.items()}
