"""The losses of `losses.py` with the sizes of three data sets, in ltray's and the dense formulation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import dense_losses as dense
from ltray.methods.bcl.losses import contrast
from ltray.methods.bcl.method import BCLKnobs
from ltray.methods.centres import parametric_contrast
from ltray.methods.dscl.losses import decoupled_loss, sums_with_batch
from ltray.methods.paco import METHOD as PACO
from ltray.methods.rescom.losses import class_balanced_contrast, mined_similarities
from ltray.methods.rescom.method import ResComKnobs
from ltray.parts.contrast import ContrastBatch, similarity
from ltray.parts.losses import adjusted_cross_entropy
from ltray.parts.pairs import extended
from ltray.parts.queues import ClassQueue

CLASSES = {"cifar100_lt": 100, "imagenet_lt": 1000, "inat18": 8142}
Loss = Callable[[], Tensor]
Case = tuple[list[Tensor], Loss, Loss]
"""The tensors that receive a gradient; ltray's loss; the dense loss."""


def cross_entropy_case(profile: str) -> Case:
    """Balanced Softmax on given scores."""
    classes = CLASSES[profile]
    scores = torch.randn(256, classes, requires_grad=True)
    labels, prior = torch.randint(classes, (256,)), torch.rand(classes).log()
    return (
        [scores],
        lambda: adjusted_cross_entropy(scores, labels, prior),
        lambda: dense.adjusted_cross_entropy(scores, labels, prior),
    )


def bcl_case(profile: str) -> Case:
    """Balanced contrast of two views with K prototypes."""
    knobs, classes = BCLKnobs.defaults(profile), CLASSES[profile]
    first, second = units(knobs.batch_size, knobs.projection_width), units(knobs.batch_size, knobs.projection_width)
    prototypes, labels = units(classes, knobs.projection_width), torch.randint(classes, (knobs.batch_size,))

    def ours() -> Tensor:
        batch = ContrastBatch.gathered([first, second], labels)
        return contrast(batch, prototypes, temperature=knobs.temperature, averaging="L1")

    def theirs() -> Tensor:
        return dense.balanced_contrast(first, second, labels, prototypes=prototypes, temperature=knobs.temperature)

    return [first, second, prototypes], ours, theirs


def rescom_case(profile: str) -> Case:
    """Two views against each other and the mined keys of K·Q."""
    knobs, classes = ResComKnobs.defaults(profile), CLASSES[profile]
    first, second = units(knobs.batch_size, knobs.projection_width), units(knobs.batch_size, knobs.projection_width)
    labels, weights = torch.randint(classes, (knobs.batch_size,)), torch.rand(classes)
    queue = ClassQueue([knobs.queue_size] * classes, knobs.projection_width)
    counts = (knobs.hard_positives, knobs.hard_negatives)

    def ours() -> Tensor:
        batch = ContrastBatch.gathered([first, second], labels)
        slots = queue.slots_of(batch.labels)
        mined, found = mined_similarities(batch.anchors, queue.keys, slots, positives=counts[0], negatives=counts[1])
        pairs = similarity(batch.anchors, batch.keys).scatter(1, batch.own[:, None], -torch.inf)
        similarities, positives = torch.cat([pairs, mined], 1), torch.cat([batch.positives(), found], 1)
        return class_balanced_contrast(similarities, positives, weights[batch.labels], temperature=knobs.temperature)

    def theirs() -> Tensor:
        memory = (queue.keys, queue.labels)
        return dense.mined_contrast(
            first, second, labels, queue=memory, weights=weights, mined=counts, temperature=knobs.temperature
        )

    return [first, second], ours, theirs


def paco_case(profile: str) -> Case:
    """Queries against keys, a queue and K centres."""
    knobs, classes = PACO.knobs.defaults(profile), CLASSES[profile]
    query, key, labels, memory = momentum_batch(knobs.batch_size, knobs.projection_width, knobs.queue_size, classes)
    centres = torch.randn(knobs.batch_size, classes, requires_grad=True)
    numbers = dict(alpha=knobs.alpha, temperature=knobs.temperature)

    def ours() -> Tensor:
        batch = extended(ContrastBatch.gathered([query], labels), key, labels)
        return parametric_contrast(extended(batch, *memory), centres, **numbers)

    def theirs() -> Tensor:
        return dense.parametric_contrast(query, key, labels, queue=memory, centres=centres, **numbers)

    return [query, centres], ours, theirs


def dscl_case(profile: str) -> Case:
    """Queries against keys and a queue, which has 65,536 keys except on CIFAR."""
    classes, slots = CLASSES[profile], 4096 if profile == "cifar100_lt" else 65_536
    query, key, labels, memory = momentum_batch(256, 128, slots, classes)

    def ours() -> Tensor:
        batch = extended(ContrastBatch.gathered([query], labels), key, labels)
        sums = sums_with_batch(extended(batch, *memory), key, temperature=0.1, classes=classes)
        return decoupled_loss(sums, 1 / 9)

    def theirs() -> Tensor:
        return dense.decoupled_contrast(query, key, labels, queue=memory, alpha=1 / 9, temperature=0.1)

    return [query], ours, theirs


CASES = {
    "cross_entropy": cross_entropy_case,
    "bcl": bcl_case,
    "rescom": rescom_case,
    "paco": paco_case,
    "dscl": dscl_case,
}


def units(rows: int, width: int) -> Tensor:
    """Return rows of unit length that require a gradient."""
    return F.normalize(torch.randn(rows, width), dim=1).requires_grad_()


def momentum_batch(
    rows: int, width: int, slots: int, classes: int
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return queries, keys, labels, and a queue with its labels."""
    memory = (units(slots, width).detach(), torch.randint(classes, (slots,)))
    return units(rows, width), units(rows, width).detach(), torch.randint(classes, (rows,)), memory
