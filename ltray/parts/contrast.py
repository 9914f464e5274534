"""Anchors and keys of a contrastive batch, over all workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.distributed import gather, gather_with_gradient, rank
from ltray.parts.precision import full_precision


@full_precision
def unit(rows: Tensor) -> Tensor:
    """Scale rows (n, d) to unit length, in float32 at least."""
    return F.normalize(rows, dim=1)


@full_precision
def similarity(anchors: Tensor, keys: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return ⟨anchor, key⟩ / τ, (A, M), in float32 at least.

    Args:
        anchors: Unit rows (A, d).
        keys: Unit rows (M, d).
        temperature: τ.
    """
    return (anchors / temperature) @ keys.T


def hardest_similarities(values: Tensor, positives: Tensor, negatives: Tensor) -> dict[str, Tensor]:
    """Return the similarity of the anchors' least similar positives and most similar negatives.

    Args:
        values: Similarities (A, M); −inf where a column is no key of the anchor.
        positives: Which columns are positives of the anchor (A, M), bool.
        negatives: Which columns are negatives of the anchor (A, M), bool.

    Returns:
        "hardest_positive" and "hardest_negative": the sum over the anchors that have such a key, and the number of
        these anchors, (2,) float32.
    """
    least = values.masked_fill(~positives, torch.inf).amin(dim=1)
    most = values.masked_fill(~negatives, -torch.inf).amax(dim=1)
    return {
        name: torch.stack([each.nan_to_num(posinf=0.0, neginf=0.0).sum(), each.isfinite().sum()]).float()
        for name, each in (("hardest_positive", least), ("hardest_negative", most))
    }


@dataclass(frozen=True)
class ContrastBatch:
    """This worker's anchors, and the keys of all workers with which they are compared.

    With V views, b images on this worker and B on all of them:

    Attributes:
        anchors: Unit embeddings (V·b, d), view after view.
        labels: Class of each anchor (V·b,).
        keys: Unit embeddings (V·B, d), view after view, workers in rank order within a view.
        key_labels: Class of each key (V·B,).
        own: Index of each anchor among the keys (V·b,).
        live: Number of keys, from the first, that can receive a gradient; None for all.
    """

    anchors: Tensor
    labels: Tensor
    keys: Tensor
    key_labels: Tensor
    own: Tensor
    live: int | None = None

    @classmethod
    def gathered(cls, views: Sequence[Tensor], labels: Tensor) -> "ContrastBatch":
        """Make every row of every view an anchor and, with gradient, a key.

        A loss that is a mean over the anchors is then, averaged over the workers as
        DistributedDataParallel does, the loss of a single process on the complete batch.

        Args:
            views: This worker's unit embeddings (b, d), one tensor per view.
            labels: This worker's labels (b,).
        """
        rows, count = labels.shape[0], len(views)
        keys = [gather_with_gradient(view) for view in views]
        per_view = keys[0].shape[0]
        first = rank() * rows + torch.arange(rows, device=labels.device)
        return cls(
            anchors=torch.cat(list(views)),
            labels=labels.repeat(count),
            keys=torch.cat(keys),
            key_labels=gather(labels).repeat(count),
            own=torch.cat([view * per_view + first for view in range(count)]),
        )

    def hardest_similarities(self) -> dict[str, Tensor]:
        """Return `hardest_similarities` of the anchors to the other keys of their class, and to other classes' keys."""
        negatives = self.labels[:, None] != self.key_labels[None, :]
        return hardest_similarities(similarity(self.anchors, self.keys), self.positives(), negatives)

    def positives(self) -> Tensor:
        """Return whether a key has the anchor's class and is not the anchor, (V·b, V·B) bool."""
        same = self.labels[:, None] == self.key_labels[None, :]
        return same.scatter(1, self.own[:, None], False)


@dataclass(frozen=True)
class ContrastPairs:
    """All pairs that a contrastive loss −Σ_j t_j log p_j compares in a batch, for analyses; one process.

    Attributes:
        cosines: Similarities of unit anchors and keys (A, M); −inf where a column is no key of the anchor.
        labels: Class of each anchor (A,).
        positives: Which keys are of the anchor's class (A, M), bool.
        targets: t, the share of each key in the target (A, M); what is missing from 1 is that of the centres.
        temperature: τ.
        own_view: Column of the other view of the anchor's image (A,); None if it is not a key.
        log_weights: Added to the scores before the softmax, such as minus the logarithm of class counts (A, M).
        centres: Scores of class centres in the same softmax (A, K); None for none.
    """

    cosines: Tensor
    labels: Tensor
    positives: Tensor
    targets: Tensor
    temperature: float
    own_view: Tensor | None = None
    log_weights: Tensor | float = 0.0
    centres: Tensor | None = None

    @property
    def scores(self) -> Tensor:
        """Scores of the keys in the softmax (A, M)."""
        return self.cosines / self.temperature + self.log_weights

    @property
    def probabilities(self) -> Tensor:
        """Probabilities p of the keys (A, M); rows of sum 1, less the probability of the centres."""
        log_sum = self.scores.logsumexp(dim=1)
        if self.centres is not None:
            log_sum = torch.logaddexp(log_sum, self.centres.logsumexp(dim=1))
        return (self.scores - log_sum[:, None]).exp()

    @classmethod
    def supervised(cls, contrast: ContrastBatch, *, temperature: float, own_view: Tensor) -> "ContrastPairs":
        """Return the pairs of supervised contrast: equal targets for all positives.

        Args:
            contrast: Anchors and keys.
            temperature: τ.
            own_view: See above.
        """
        cosines = similarity(contrast.anchors, contrast.keys).scatter(1, contrast.own[:, None], -torch.inf)
        positives = contrast.positives()
        return cls(cosines, contrast.labels, positives, equal_targets(positives), temperature, own_view)


def equal_targets(positives: Tensor) -> Tensor:
    """Return 1/|P| for the positives of an anchor, 0 for its other keys (A, M)."""
    return positives / positives.sum(dim=1, keepdim=True).clamp(min=1)


def other_view(images: int, *, device: torch.device) -> Tensor:
    """Return the row of the other view of each row of two views of the same images, (2·images,)."""
    return torch.arange(2 * images, device=device).roll(images)
