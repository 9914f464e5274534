"""The budget of a search, and the durable record of what the search has used."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ltray.errors import UsageError, did_you_mean
from ltray.files import reading
from ltray.run_folder import RunFolder
from ltray.seal import read_sealed, write_sealed

UNITS = {"h": "hours", "min": "minutes", "gpuh": "GPU hours", "cpuh": "CPU hours", "trials": "trials"}


@dataclass
class Spent:
    """The total that all commands of one search have used.

    Attributes:
        seconds: Wall-clock time in seconds.
        cpu_seconds: Seconds times the CPU cores of running trials.
        gpu_seconds: Seconds times the GPUs of running trials.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record in a run folder; zero if there is none.

        Raises:
            UsageError: The record is damaged.
        """
        path = RunFolder(folder).spent_file
        if not path.exists():
            return cls()
        remedy = "restore it from a copy, or delete it to restart the count"
        content = read_sealed(path, remedy=remedy)
        with reading(path, "is not a record of the budget that a search has used", remedy=remedy):
            return cls(**{name: float(value) for name, value in content.items()})

    def add(self, seconds: float, *, cpus: float, gpus: float) -> None:
        """Add a period of time during which running trials had these numbers of CPU cores and GPUs."""
        self.seconds += seconds
        self.cpu_seconds += seconds * cpus
        self.gpu_seconds += seconds * gpus

    def write(self, folder: Path) -> None:
        """Write the record."""
        write_sealed(RunFolder(folder).spent_file, asdict(self))


@dataclass(frozen=True)
class Budget:
    """The limit of a search over all its commands, including commands that were killed.

    Attributes:
        amount: The amount, > 0.
        unit: A key of `UNITS`.
    """

    amount: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2h`, `90min`, `8gpuh`, `8cpuh` or `40trials`.

        Raises:
            UsageError: The unit is unknown, or the amount is not positive.
        """
        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]+)", text.strip().lower())
        if match is None:
            raise UsageError(f"--budget: must look like 2h, 90min, 8gpuh, 8cpuh or 40trials, but got {text!r}.")
        amount, unit = float(match[1]), match[2]
        if unit not in UNITS:
            raise UsageError(f"--budget: `{unit}` is not a unit.{did_you_mean(unit, UNITS)}")
        if not amount > 0 or (unit == "trials" and not amount.is_integer()):
            wanted = "a whole number of trials above 0" if unit == "trials" else "above 0"
            raise UsageError(f"--budget: must be {wanted}, but got {text!r}.")
        return cls(amount, unit)

    def __str__(self) -> str:
        return f"{self.amount:g} {UNITS[self.unit]}"

    @property
    def spent_message(self) -> str:
        """Message when the budget is used up."""
        return f"the budget of {self} is used up"

    @property
    def trials(self) -> int | None:
        """The number of trials that may start, or None if the budget is a time."""
        return int(self.amount) if self.unit == "trials" else None

    def is_spent(self, spent: Spent) -> bool:
        """Return whether the time is used up; the study counts the trials."""
        used = {
            "h": spent.seconds / 3600,
            "min": spent.seconds / 60,
            "cpuh": spent.cpu_seconds / 3600,
            "gpuh": spent.gpu_seconds / 3600,
        }
        return used.get(self.unit, 0.0) >= self.amount
