"""Apply to each sample the operation it drew: what AutoAugment and RandAugment share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Drawn:
    """What each of some samples drew.

    Attributes:
        names: Place of the operation's name in its table (m,), int64.
        magnitudes: How strong (m,), float64.
        sides: Uniform in [0, 1): its first half-and-half is the sign, its second one is free
            for the operation (m,), float32.
    """

    names: Tensor
    magnitudes: Tensor
    sides: Tensor

    @property
    def signs(self) -> Tensor:
        """-1 or 1: to which side (m,), float64."""
        return torch.where(self.sides < 0.5, -1.0, 1.0).to(torch.float64)

    @property
    def second_choice(self) -> Tensor:
        """A further fair coin (m,), bool."""
        return (2.0 * self.sides) % 1.0 < 0.5

    def __getitem__(self, rows: Tensor | slice) -> "Drawn":
        """Return what these samples drew."""
        return Drawn(self.names[rows], self.magnitudes[rows], self.sides[rows])


Render = Callable[[Tensor, Drawn], Tensor]
"""(whole levels (m, 3, H, W), which it may overwrite; what they drew) -> whole levels."""


def apply_drawn(levels: Tensor, drawn: Drawn, chosen: Tensor, table: Mapping[str, Render]) -> Tensor:
    """Return the levels after one operation each.

    Names that share a function are done in one call of it.

    Args:
        levels: (n, 3, H, W).
        drawn: What the samples drew, on the CPU.
        chosen: Which samples are changed at all (n,), bool on the CPU.
        table: The function of each name.
    """
    functions = list(dict.fromkeys(table.values()))
    place = torch.tensor([functions.index(function) for function in table.values()])
    groups = torch.where(chosen, place[drawn.names], len(functions))
    order = groups.argsort(stable=True)
    ends = torch.bincount(groups, minlength=len(functions)).cumsum(0).tolist()
    # One gather puts the samples of a function side by side; slices of it need no further copies.
    grouped, drawn = levels.index_select(0, order.to(levels.device)), drawn[order]
    for function, start, end in zip(functions, [0, *ends], ends, strict=False):
        if start < end:
            some = grouped[start:end]
            some.copy_(function(some, drawn[start:end]))
    return grouped.index_select(0, order.argsort().to(levels.device))
