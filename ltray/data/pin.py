"""The digests of the data sets that a command opened, with which its workers on all nodes compare their data."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError
from ltray.hardware import way_of_bfloat16

SHOWN = 12  # characters of a digest


@dataclass(frozen=True)
class Pin:
    """The digests of one data set in one process.

    Attributes:
        originals: Digest of the originals' names, labels and contents and of the splits; see `ImageData.digest`.
        stored: Digest of the converted images of all pools; "" if none were converted.
        node: Host name of the process's machine.
        bfloat16: How its processor computes bfloat16; see `way_of_bfloat16`.
    """

    originals: str
    stored: str
    node: str = field(default_factory=socket.gethostname)
    bfloat16: str = field(default_factory=lambda: way_of_bfloat16(torch.device("cpu")))

    def check(self, own: "Pin", *, name: str, place: str) -> None:
        """Compare a worker's data with those of the command.

        Args:
            own: The worker's.
            name: The data set's name.
            place: The place from which the worker reads it, as text.

        Raises:
            UsageError: They differ.
        """
        if own.originals != self.originals:
            what, here, there = "originals", own.originals, self.originals
        elif own.stored != self.stored:
            what, here, there = "converted images", own.stored, self.stored
        else:
            return
        raise UsageError(
            f"{name}: the {what} of node {own.node} in {place} differ from those of node {self.node}, where the "
            f"command runs: their digest is {_shown(here)} instead of {_shown(there)}. Replace {place} on {own.node} "
            f"with a copy of that folder on {self.node}, or set LTRAY_DATA to a folder that all nodes share."
        )


@dataclass(frozen=True)
class Pins:
    """The data sets that a command opened.

    Attributes:
        by_definition: A pin for each.
    """

    by_definition: Mapping[DatasetDefinition, Pin]

    def of(self, definition: DatasetDefinition) -> Pin:
        """Return the pin of a data set.

        Raises:
            KeyError: The command has not opened it.
        """
        return self.by_definition[definition]


def _shown(digest: str) -> str:
    return f"{digest[:SHOWN]}…" if digest else "missing"
