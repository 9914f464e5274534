"""The rows of a search that tries given settings instead of drawing them: an ablation, a table of a paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.following import TrainingSize

NAME = "name"
SHARED = frozenset({"dataset", "methods", "start", "objective", "dataset.name", "dataset.protocol", "protocol"})
"""Settings that the trials of one table have in common."""


@dataclass(frozen=True)
class Row:
    """One explicit setting.

    Attributes:
        name: Its name in tables, or "".
        explicit: The flat settings that the row sets.
        experiment: The experiment that they and the fixed settings define.
        where: "file:line: " for messages.
        followed: The settings that follow the data.
    """

    name: str
    explicit: Mapping[str, Any]
    experiment: Experiment
    where: str
    followed: Mapping[str, Any] = field(default_factory=dict)

    def following(self, size: TrainingSize) -> Self:
        """Return the row in which the settings that the user has not set follow the data."""
        now = self.experiment.following(size)
        before, after = self.experiment.settings(), now.settings()
        return replace(self, experiment=now, followed={k: v for k, v in after.items() if v != before[k]})

    def determined(self, values: Mapping[str, str]) -> Self:
        """Return the row with these values for the knobs that are `auto`; see `Experiment.determined`."""
        return replace(self, experiment=self.experiment.determined(values))

    def resolved(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return this row's value of every key, including keys that are not in the row."""
        settings = self.experiment.settings()
        return {key: settings[key] for key in keys}

    def check(self, classes: int) -> None:
        """Check the bounds that depend on the number of classes.

        Raises:
            UsageError: A knob is above the limit for this number.
        """
        try:
            self.experiment.check_classes(classes)
        except UsageError as error:
            raise UsageError(f"{self.where}{error}") from error


def explicit_keys(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the settings in any of the rows, in order of appearance."""
    return tuple(dict.fromkeys(key for row in rows for key in row.explicit))


def check_distinct(rows: Sequence[Row]) -> None:
    """Check that no two rows have the same settings or the same name.

    Raises:
        UsageError: Two rows have.
    """
    keys = explicit_keys(rows)
    for index, row in enumerate(rows):
        for other in rows[:index]:
            if row.name and row.name == other.name:
                raise UsageError(f"{row.where}two rows have the name `{row.name}`; give each row a different name.")
            if row.resolved(keys) == other.resolved(keys):
                raise UsageError(f"{row.where}this row has the same settings as the row in {other.where.rstrip(': ')}.")
