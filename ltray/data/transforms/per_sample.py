"""Apply a different random operation to each sample, for AutoAugment and RandAugment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Drawn:
    """The random choices of each sample.

    Attributes:
        names: Index of the operation in its table (m,), int64.
        magnitudes: Strength of the operation, in [0, 1] (m,), float64.
        sides: Uniform in [0, 1) (m,), float32. It gives two independent choices with probability 1/2:
            `signs` and `second_choice`.
    """

    names: Tensor
    magnitudes: Tensor
    sides: Tensor

    @property
    def signs(self) -> Tensor:
        """The direction of the operation, -1 or 1 (m,), float64."""
        return torch.where(self.sides < 0.5, -1.0, 1.0).to(torch.float64)

    @property
    def second_choice(self) -> Tensor:
        """A second choice, true with probability 1/2 and independent of `signs` (m,), bool."""
        return (2.0 * self.sides) % 1.0 < 0.5

    def __getitem__(self, rows: Tensor | slice) -> "Drawn":
        """Return the choices of these samples."""
        return Drawn(self.names[rows], self.magnitudes[rows], self.sides[rows])


Render = Callable[[Tensor, Drawn], Tensor]
"""(integer levels (m, 3, H, W), which the function may overwrite; their random choices) -> integer levels."""


def apply_drawn(levels: Tensor, drawn: Drawn, chosen: Tensor, table: Mapping[str, Render]) -> Tensor:
    """Return the levels after one operation per sample.

    The samples whose operations share a function are processed in one call.

    Args:
        levels: Integer levels 0..255 (n, 3, H, W).
        drawn: The random choices of the samples, on the CPU.
        chosen: Which samples are changed (n,), bool on the CPU.
        table: The function of each operation.
    """
    functions = list(dict.fromkeys(table.values()))
    function_of_name = torch.tensor([functions.index(function) for function in table.values()])
    groups = torch.where(chosen, function_of_name[drawn.names], len(functions))
    order = groups.argsort(stable=True)
    ends = torch.bincount(groups, minlength=len(functions)).cumsum(0).tolist()
    # One gather makes the samples of each function adjacent; slices of the result need no further copies.
    grouped, drawn = levels.index_select(0, order.to(levels.device)), drawn[order]
    for function, start, end in zip(functions, [0, *ends], ends, strict=False):
        if start < end:
            some = grouped[start:end]
            some.copy_(function(some, drawn[start:end]))
    return grouped.index_select(0, order.argsort().to(levels.device))
