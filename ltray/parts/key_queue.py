"""The first-in first-out memory of keys of MoCo, PaCo and DSCL."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import gather

STARTS = {"random_columns": 0, "random": 1, "empty": None}
"""The axis along which the initial noise has length 1, by `start`: 1 for keys, 0 for columns, None for no noise."""


class KeyQueue(nn.Module):
    """Stores the latest keys of all workers with their labels; its complete state is in buffers.

    Positions count modulo the size, so that batch and queue may have any sizes: writing continues
    at the start of the queue, and of a batch larger than the queue the last keys are stored.

    Args:
        size: Number of keys M, 0 or more.
        width: Width d of a key.
        classes: Number of classes K.
        start: The initial content. "random": unit keys with random labels, which are used until
            they are overwritten, as in DSCL's official code; "random_columns": as in PaCo's
            official code, where the columns instead of the rows have length 1; "empty": no keys.

    Attributes:
        keys: Keys (M, d).
        labels: Their classes (M,).
        pointer: Position that is written next, int64, shape ().
        filled: Number of positions, from the first, that contain keys of images, int64, shape (); the others contain
            the initial noise, or nothing.

    Raises:
        ValueError: `start` is not a key of `STARTS`.
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
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def fill(self) -> Tensor:
        """Return the number of positions with keys of images, and of all positions, (2,) float32."""
        return torch.stack([self.filled.float(), torch.full_like(self.filled, self.size).float()])

    def contents(self) -> tuple[Tensor, Tensor]:
        """Return copies of the keys (m, d) and their labels (m,), m <= M.

        The backward pass reads them after the next `push`, which is why they are copies.
        """
        keys, labels = self.stored()
        return keys.clone(), labels.clone()

    def stored(self) -> tuple[Tensor, Tensor]:
        """Return the keys (m, d) and their labels (m,) themselves, for callers that copy them at once (`extended`)."""
        if self.always_full:
            return self.keys, self.labels
        filled = int(self.filled)
        return self.keys[:filled], self.labels[:filled]

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest keys by the keys of all workers, in rank order.

        Args:
            keys: This worker's keys (b, d); the number must be the same on every worker.
            labels: Their classes (b,).
        """
        if self.size == 0:
            return
        keys, labels = gather(keys), gather(labels)
        arrived = labels.shape[0]
        stored = min(arrived, self.size)
        order = torch.arange(arrived - stored, arrived, device=labels.device)
        where = (self.pointer + order) % self.size
        self.keys[where] = keys[-stored:].to(self.keys.dtype)
        self.labels[where] = labels[-stored:]
        self.pointer.copy_((self.pointer + arrived) % self.size)
        self.filled.add_(arrived).clamp_(max=self.size)
