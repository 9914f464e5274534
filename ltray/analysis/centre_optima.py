"""The probabilities of class centre and positive samples at the optimum of PaCo's loss.

Source: PaCo (arXiv:2107.12028), Remark 3 and supplement: with K positives, α/(1+αK) for each and 1/(1+αK) for the
centre, so that a rare class differs less from a frequent one than under supervised contrast, where it is 1/K.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import entr


@dataclass(frozen=True)
class CentreOptimum:
    """The optimum of −[β log p_c + α Σ_j log p_j] / (β + αK) over a softmax of centres and samples.

    Attributes:
        centre: Probability of the centre of the anchor's class, β/(β+αK).
        sample: Probability of each positive sample, α/(β+αK); 0 for α = 0.
        loss: The loss there, the entropy of these K + 1 probabilities.
    """

    centre: Tensor
    sample: Tensor
    loss: Tensor

    @classmethod
    def of(cls, positives: Tensor, *, alpha: float, beta: float = 1.0) -> "CentreOptimum":
        """Return the optimum.

        Args:
            positives: Number of positive samples K of each anchor or class, 0 or more; not necessarily whole.
            alpha: α >= 0.
            beta: β > 0.
        """
        count = positives.to(torch.float64)
        centre, sample = beta / (beta + alpha * count), alpha / (beta + alpha * count)
        return cls(centre, sample, entr(centre) + count * entr(sample))


@dataclass(frozen=True)
class LossParts:
    """PaCo's loss, without the division by its weights, as a sum of three terms.

    L = L_centres + α·K·L_samples + L_extra: a softmax over the centres, supervised contrast over the samples, and
    L_extra = −β log P − αK log(1 − P) for the part P of the probability that all centres have. L_extra is smallest at
    P = β/(β+αK).

    Attributes:
        centres: β times the cross-entropy over the centres alone (A,).
        samples: α·K times the supervised contrast over the samples alone (A,).
        extra: L_extra (A,).
        share: P, the probability of all centres (A,).
    """

    centres: Tensor
    samples: Tensor
    extra: Tensor
    share: Tensor

    @classmethod
    def of(
        cls,
        centre_scores: Tensor,
        samples: Tensor,
        labels: Tensor,
        positive: Tensor,
        *,
        alpha: float,
        beta: float = 1.0,
    ) -> "LossParts":
        """Return the terms.

        Args:
            centre_scores: Scores of the centres (A, C).
            samples: Similarities over τ to the samples (A, M), −inf where a column is no sample of the anchor; with
                log γ added if the loss has a factor γ.
            labels: Class of each anchor (A,).
            positive: Which samples are of the anchor's class, bool (A, M).
            alpha: α.
            beta: β.
        """
        of_centres, of_samples = centre_scores.logsumexp(dim=1), samples.logsumexp(dim=1)
        log_z = torch.logaddexp(of_centres, of_samples)
        own = centre_scores.gather(1, labels[:, None]).squeeze(1)
        count = positive.sum(dim=1)
        attracted = samples.masked_fill(~positive, 0.0).sum(dim=1)
        return cls(
            centres=beta * (of_centres - own),
            samples=alpha * (count * of_samples - attracted),
            extra=beta * (log_z - of_centres) + alpha * count * (log_z - of_samples),
            share=(of_centres - log_z).exp(),
        )
