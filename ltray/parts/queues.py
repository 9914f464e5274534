"""A queue with a separate ring of slots for every class (ResCom, class-balanced queue)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import gather
from ltray.long_tail import LongTail
from ltray.parts.counts import class_counts


class ClassQueue(nn.Module):
    """Stores the latest keys of each class; its complete state is in buffers.

    Each class has consecutive slots; in a balanced queue, Q of them. The initial keys are random
    unit keys, which are used until they are overwritten, as in the official code: there is no
    validity mask.

    Args:
        slots: Slots of each class, all positive.
        width: Width d of a key.

    Attributes:
        keys: Unit keys (S, d), S the sum of `slots`, class after class.
        labels: Class of each slot (S,).
        pointers: Slot of each class that is written next, counted from the class's first slot (K,).
        filled: Slots of each class that contain keys of images (K,); the others contain the initial noise.
    """

    keys: Tensor
    labels: Tensor
    pointers: Tensor
    filled: Tensor
    slots: Tensor
    first: Tensor

    def __init__(self, slots: Sequence[int], width: int) -> None:
        super().__init__()
        sizes = torch.tensor(slots)
        self.register_buffer("keys", F.normalize(torch.randn(int(sizes.sum()), width), dim=1))
        self.register_buffer("pointers", torch.zeros_like(sizes))
        self.register_buffer("filled", torch.zeros_like(sizes))
        # Values that are computed from the arguments are not state and are not saved in checkpoints.
        self.register_buffer("slots", sizes, persistent=False)
        self.register_buffer("first", sizes.cumsum(0) - sizes, persistent=False)
        self.register_buffer("labels", torch.arange(len(slots)).repeat_interleave(sizes), persistent=False)
        self.largest = max(slots)

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest keys of each class by the keys of all workers, in rank order.

        If a class has more keys than slots, its last keys are stored, as if they were written one by one.

        Args:
            keys: This worker's unit keys (b, d); the number must be the same on every worker.
            labels: Their classes (b,).
        """
        keys, labels = gather(keys).to(self.keys.dtype), gather(labels)
        counts = class_counts(labels, self.slots.shape[0])
        where = self.first[labels] + (self.pointers[labels] + _turn_within_class(labels, counts)) % self.slots[labels]
        # The order of two writes to a slot is undefined on a GPU: each of them writes the last key of the slot.
        rows = torch.arange(len(labels), device=labels.device)
        last = torch.zeros_like(self.labels).scatter_reduce_(0, where, rows, "amax")
        self.keys[where] = keys[last[where]]
        self.pointers.copy_((self.pointers + counts) % self.slots)
        self.filled.copy_((self.filled + counts).minimum(self.slots))

    def fill(self) -> Tensor:
        """Return the number of slots with keys of images, and of all slots, (2,) float32."""
        return torch.stack([self.filled.sum().float(), self.slots.sum().float()])

    def contents(self) -> tuple[Tensor, Tensor]:
        """Return copies of the keys (S, d), because a backward pass reads them after a `push`, and the labels (S,)."""
        return self.keys.clone(), self.labels

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
        # Checkpoints of ltray before `filled`: most of them were written when the queue was full.
        state.setdefault(f"{prefix}filled", self.slots.clone())
        super()._load_from_state_dict(state, prefix, *arguments)

    def slots_of(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slots of the labels' classes.

        Args:
            labels: Class indices (B,).

        Returns:
            Slots (B, m), with m the number of slots of the largest class, and which of them are slots of the
            label's class (B, m), bool; the others repeat its last slot.
        """
        turn = torch.arange(self.largest, device=labels.device)
        sizes = self.slots[labels][:, None]
        return self.first[labels][:, None] + turn.minimum(sizes - 1), turn < sizes


def _turn_within_class(labels: Tensor, counts: Tensor) -> Tensor:
    """Return how many earlier labels equal each label, (B,)."""
    order = labels.argsort(stable=True)
    begin = counts.cumsum(0) - counts
    turn = torch.empty_like(labels)
    turn[order] = torch.arange(labels.shape[0], device=labels.device) - begin[labels[order]]
    return turn


def balanced_slots(tail: LongTail, queue_size: int) -> list[int]:
    """Give every class `queue_size` slots."""
    return [queue_size] * tail.classes


def original_slots(tail: LongTail, queue_size: int) -> list[int]:
    """Distribute K·Q slots in proportion to the class counts, at least one per class.

    This is the average content of a queue without classes (MoCo's); largest remainders first.
    """
    wanted = tail.prior() * tail.classes * queue_size
    slots = wanted.floor().clamp(min=1)
    while (missing := tail.classes * queue_size - int(slots.sum())) != 0:
        step = 1 if missing > 0 else -1
        due = ((wanted - slots) * step).masked_fill(slots + step < 1, -torch.inf)
        slots[due.argmax()] += step
    return [int(count) for count in slots]


def reversed_slots(tail: LongTail, queue_size: int) -> list[int]:
    """Distribute K·Q slots by the reversed class counts: the rarest class gets most."""
    by_count = sorted(range(tail.classes), key=lambda label: tail.counts[label])
    mirror = dict(zip(by_count, reversed(by_count), strict=True))
    slots = original_slots(tail, queue_size)
    return [slots[mirror[label]] for label in range(tail.classes)]


SLOTS = {"balanced": balanced_slots, "original": original_slots, "reversed": reversed_slots}
"""The number of slots of each class; the kinds of queue that ResCom's Section 4.3.2 compares."""
