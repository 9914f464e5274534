"""The first-in first-out memory of keys of MoCo, PaCo and DSCL."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import gather

STARTS = {"random_columns": 0, "random": 1, "empty": None}
"""The axis along which the noise of a start has length 1: 1, of keys; 0, of columns; None: no noise."""


class KeyQueue(nn.Module):
    """Stores the latest keys of all workers with their labels; its complete state is in buffers.

    Positions count modulo the size, so that any batch fits any queue: an overflow wraps
    around, and a batch larger than the queue leaves its last keys.

    Args:
        size: Number of keys M, 0 or more.
        width: Width d of a key.
        classes: Number of classes K.
        start: Its content before the first keys. "random": unit keys with random labels,
            which take part until they are overwritten, as in DSCL's official code;
            "random_columns": PaCo's, where the columns instead of the rows have length 1;
            "empty": nothing.

    Attributes:
        keys: Keys (M, d).
        labels: Their classes (M,).
        pointer: Position that is written next, int64, shape ().
        filled: How many positions, from the first, hold keys, int64, shape ().

    Raises:
        ValueError: An unknown `start`.
    """

    keys: Tensor
    labels: Tensor
    pointer: Tensor
    filled: Tensor

    def __init__(self, size: int, width: int, *, classes: int, start: str = "random") -> None:
        super().__init__()
        if start not in STARTS:
            raise ValueError(f"`start` must be one of {tuple(STARTS)}, but got {start!r}.")
        self.size = size
        axis = STARTS[start]
        self.always_full = axis is not None
        keys = F.normalize(torch.randn(size, width), dim=axis or 0)
        self.register_buffer("keys", keys if self.always_full else torch.zeros_like(keys))
        self.register_buffer(
            "labels", torch.randint(classes, (size,)) if self.always_full else keys.new_zeros(size).long()
        )
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))
        self.register_buffer("filled", torch.tensor(size if self.always_full else 0))

    def contents(self) -> tuple[Tensor, Tensor]:
        """Return copies of the keys (m, d) and their labels (m,), m <= M.

        Copies, because the backward pass still reads them after the next `push`.
        """
        if self.always_full:
            return self.keys.clone(), self.labels.clone()
        filled = int(self.filled)
        return self.keys[:filled].clone(), self.labels[:filled].clone()

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Write the keys of all workers, rank 0's first, over the oldest.

        Args:
            keys: This worker's keys (b, d); the number must be the same on every worker.
            labels: Their classes (b,).
        """
        if self.size == 0:
            return
        keys, labels = gather(keys), gather(labels)
        arrived = labels.shape[0]
        kept = min(arrived, self.size)
        turn = torch.arange(arrived - kept, arrived, device=labels.device)
        where = (self.pointer + turn) % self.size
        self.keys[where] = keys[-kept:].to(self.keys.dtype)
        self.labels[where] = labels[-kept:]
        self.pointer.copy_((self.pointer + arrived) % self.size)
        self.filled.add_(arrived).clamp_(max=self.size)
