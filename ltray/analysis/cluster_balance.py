"""How evenly the clusters of a Flow Filter are used, and how pure they are.

Source: DLSA (arXiv:2208.02567), whose L_bal is log K − H of the shares of the clusters, 0 for equal shares.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import entr


@dataclass(frozen=True)
class ClusterBalance:
    """The use of K clusters.

    Attributes:
        clusters: K.
        entropy: H of the shares of the clusters, from 0 to log K.
        empty: Clusters without an image.
        purity: Share of the images that are of the most frequent class of their cluster, from 0 to 1.
        tail_purity: Share of the images that are on the side, head or tail, of most images of their cluster.
    """

    clusters: int
    entropy: float
    empty: int
    purity: float
    tail_purity: float

    @property
    def loss(self) -> float:
        """L_bal = log K − H, 0 for equal shares, at most log K."""
        return math.log(self.clusters) - self.entropy

    @property
    def effective(self) -> float:
        """Exp H, the number of equally used clusters with the same entropy, from 1 to K."""
        return math.exp(self.entropy)

    @classmethod
    def of(cls, members: Tensor, tail: Tensor) -> "ClusterBalance":
        """Return the balance.

        Args:
            members: Images of each class in each cluster (clusters, classes), at least one.
            tail: Which classes are tail classes, bool (classes,).
        """
        sizes = members.sum(dim=1).to(torch.float64)
        sides = torch.stack([members[:, tail].sum(dim=1), members[:, ~tail].sum(dim=1)])
        return cls(
            clusters=len(members),
            entropy=float(entr(sizes / sizes.sum()).sum()),
            empty=int((sizes == 0).sum()),
            purity=float(members.amax(dim=1).sum() / sizes.sum()),
            tail_purity=float(sides.amax(dim=0).sum() / sizes.sum()),
        )
