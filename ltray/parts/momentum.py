"""The key encoder of MoCo, PaCo and DSCL: a moving average of the trained encoder."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from ltray.distributed import gather, rank, world_size
from ltray.knobs import Knobs, knob


@dataclass(frozen=True)
class MomentumKnobs(Knobs):
    """The key encoder's hyperparameters; methods inherit them in addition to their recipe."""

    key_momentum: float = knob(
        0.999,
        "m",
        "weight of the old parameters when a step updates the key encoder",
        low=0.0,
        high=1.0,
        search=(0.9, 0.99, 0.999, 0.9999),
        tried=(0.999,),
    )
    key_batch_norm: str = knob(
        "synchronised",
        "",
        "BatchNorm of the key encoder with several workers: over the images of all workers, or local to each worker "
        "with images shuffled between the workers (as in the official codes); no difference with one worker",
        choices=("synchronised", "shuffled"),
    )


class MomentumCopy(nn.Module):
    """An exponential moving average of the parameters of a chain of modules.

    Parameters are averaged, buffers are not: BatchNorm's running statistics come from the copy's
    own forward passes, which are in training mode as in the papers' code. It receives no gradient.

    Args:
        sources: The modules to average, applied in this order; copied in their current state.
        momentum: m of θ_k ← m·θ_k + (1−m)·θ_q, in [0, 1].
        shuffled: Whether BatchNorm stays local to a worker and the images are redistributed to
            the workers before each pass (MoCo, He et al. 2020, sec. 3.3), so that an image
            and its key do not share statistics. With one worker nothing changes.

    Attributes:
        updates: Number of updates so far, int64, shape (); determines the next shuffle.
    """

    never_trained = True  # read by the engine: training mode, frozen parameters
    updates: Tensor

    def __init__(self, sources: Sequence[nn.Module], *, momentum: float, shuffled: bool = False) -> None:
        super().__init__()
        self.momentum = momentum
        self.shuffled = shuffled
        self.local_batch_norm = shuffled  # read by `ltray.parts.batch_norm.synchronise`
        self.copy = nn.Sequential(*(copy.deepcopy(source) for source in sources)).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self, sources: Sequence[nn.Module]) -> None:
        """Update every parameter: θ_k ← m·θ_k + (1−m)·θ_q, with θ_q the current parameters of the sources."""
        current = chain.from_iterable(source.parameters() for source in sources)
        pairs = list(zip(self.copy.parameters(), current, strict=True))
        torch._foreach_lerp_([averaged for averaged, _ in pairs], [new for _, new in pairs], 1.0 - self.momentum)
        self.updates += 1

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Map this worker's images (b, ...) to the output of the chain (b, d), without gradient."""
        if self.shuffled and self.training and world_size() > 1:
            return self._encode_shuffled(images)
        encoded: Tensor = self.copy(images)
        return encoded

    def _encode_shuffled(self, images: Tensor) -> Tensor:
        count, mine = len(images), slice(rank() * len(images), (rank() + 1) * len(images))
        # The permutation is the same on every worker and after a resume.
        generator = torch.Generator().manual_seed(int(self.updates))
        order = torch.randperm(count * world_size(), generator=generator).to(images.device)
        encoded = gather(self.copy(gather(images)[order[mine]]))
        return encoded[order.argsort()][mine]
