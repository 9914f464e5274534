"""Running class means: a classifier for stages that do not train one (contrastive pre-training)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import gather

MEMORY = 0.9  # share of the old mean that is kept in a step with images of the class


class ClassMeans(nn.Module):
    """The mean unit embedding of each class over recent steps, used to compare epochs.

    Args:
        width: Width d of an embedding.
        classes: Number of classes K.

    Attributes:
        means: Means (K, d); 0 for a class that has not occurred yet.
        met: Whether a class has occurred (K,), bool.
    """

    means: Tensor
    met: Tensor

    def __init__(self, width: int, *, classes: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, width))
        self.register_buffer("met", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Update the means with the embeddings (b, d) and labels (b,) of this worker and of all others."""
        rows = F.normalize(gather(embeddings).to(self.means.dtype), dim=1)
        labels = gather(labels)
        # A row's class mean within the batch; rows of a class write the same value.
        same = (labels[:, None] == labels[None, :]).to(rows.dtype)
        with torch.autocast(rows.device.type, enabled=False):
            fresh = (same @ rows) / same.sum(dim=1, keepdim=True)
        mixed = MEMORY * self.means[labels] + (1.0 - MEMORY) * fresh
        self.means[labels] = torch.where(self.met[labels][:, None], mixed, fresh)
        self.met[labels] = True

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings (B, d) to cosines with the class means (B, K); 0 for a class that has not occurred."""
        return F.normalize(embeddings.to(self.means.dtype), dim=1) @ F.normalize(self.means, dim=1).T
