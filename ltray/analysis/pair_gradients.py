"""The gradient of a contrastive loss by pair: easy positives and easy negatives have almost none.

Source: ResCom (arXiv:2203.11506), Section 3.4, which mines the hardest pairs for this reason; Khosla et al. 2020
derive the same for SupCon.
"""

import torch
from torch import Tensor


def pair_gradient_norms(probabilities: Tensor, targets: Tensor, cosines: Tensor, *, temperature: float) -> Tensor:
    """Return the norm of each pair's part of the gradient with respect to an anchor before it is made a unit vector.

    For ℓ = −Σ_j t_j log p_j with Σ_j t_j = 1, key j adds (p_j − t_j)/τ · (k_j − s_j·a) to the gradient at the anchor
    a. Its norm is |p_j − t_j|·√(1 − s_j²)/τ, which is also that of the gradient at the key.

    Args:
        probabilities: p, the softmax over all keys (A, M).
        targets: t, the share of each key in the target (A, M).
        cosines: Similarities s of unit anchors and keys (A, M); −inf where a column is no key of the anchor.
        temperature: τ.
    """
    across = (1.0 - cosines.clamp(-1.0, 1.0).square()).sqrt()
    norms = (probabilities - targets).abs() * across / temperature
    return norms.masked_fill(cosines.isneginf(), 0.0)


def mean_by_rank(norms: Tensor, cosines: Tensor, chosen: Tensor, *, hardest_first: str, ranks: int) -> Tensor:
    """Return the mean norm of the pairs at each rank of difficulty (r,), r <= `ranks`.

    Args:
        norms: Norms of all pairs (A, M).
        cosines: Their similarities (A, M).
        chosen: Which pairs are ranked, bool (A, M): the positives, or the negatives.
        hardest_first: "least_similar" for positives, "most_similar" for negatives.
        ranks: Largest number of ranks.

    Returns:
        For each rank the mean over the anchors that have so many pairs; empty if no anchor has one.
    """
    sign = {"least_similar": 1.0, "most_similar": -1.0}[hardest_first]
    order = (sign * cosines).masked_fill(~chosen, torch.inf).argsort(dim=1)[:, :ranks]
    there = chosen.gather(1, order)
    sums = norms.gather(1, order).masked_fill(~there, 0.0).sum(dim=0)
    anchors = there.sum(dim=0)
    return sums[anchors > 0] / anchors[anchors > 0]


def share_of_hardest(by_rank: Tensor, kept: int) -> float:
    """Return the part of the sum of the norms that the first `kept` ranks have, from 0 to 1; NaN without pairs."""
    return float(by_rank[:kept].sum() / by_rank.sum())
