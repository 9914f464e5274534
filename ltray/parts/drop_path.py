"""Stochastic depth: residual branches that are left out for some of the images of a batch in training."""

import torch
from torch import Tensor, nn

from ltray.distributed import own_rows, world_size
from ltray.network import Backbone

NAMES = ("drop_path", "drop_path1", "drop_path2", "stochastic_depth")
"""What timm, torchvision and networks of their kind call the module at the end of a residual branch."""


class DropPath(nn.Module):
    """Leaves a residual branch out for a share of the images and scales the others up, in training mode only.

    Source: Huang et al., Deep Networks with Stochastic Depth, ECCV 2016 (arXiv:1603.09382), in timm's form. Which
    images these are is drawn for the batch of all workers.

    Args:
        rate: Share of images in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Map (B, …) to the same shape."""
        if not self.training or self.rate == 0.0:
            return branch
        keep = 1.0 - self.rate
        kept = own_rows(torch.rand(len(branch) * world_size(), device=branch.device)) < keep
        return branch * (kept / keep).to(branch.dtype).view(-1, *[1] * (branch.dim() - 1))


def branches(backbone: Backbone) -> list[nn.Module]:
    """Return the modules of a backbone that have residual branches with stochastic depth, in its order."""
    return [module for module in backbone.modules() if any(hasattr(module, name) for name in NAMES)]


def set_drop_path(backbone: Backbone, rate: float) -> None:
    """Set the rates of a backbone: from 0 at the first block that has such branches to `rate` at the last.

    Args:
        backbone: Changed in place; it gets no parameters or buffers.
        rate: Share of images in [0, 1).
    """
    found = branches(backbone)
    for index, module in enumerate(found):
        own = rate * index / (len(found) - 1) if len(found) > 1 else rate
        for name in NAMES:
            if isinstance(there := getattr(module, name, None), DropPath):
                there.rate = own
            elif rate and hasattr(module, name):
                setattr(module, name, DropPath(own).train(module.training))
