"""The map of pairs and γ: in batches of the run's sampler, in Siamese batches, and with the run's queue."""

import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult
from ltray.analysis.measured.subject import AnalysedModel
from ltray.analysis.pair_frequencies import batch_pairs, counted_pairs, pair_imbalance, queue_pairs, siamese_pairs
from ltray.data.plan import Plan
from ltray.figures.style import COLUMN, TWO_COLUMNS, name_classes, new_figure
from ltray.parts.counts import class_counts
from ltray.parts.key_queue import KeyQueue
from ltray.parts.queues import ClassQueue

SOURCE = "ResCom, Fig. 1, Prop. 1"
DRAWS, CELLS = 4_000_000, 20_000_000  # largest number of drawn images, and of counts of classes in batches


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Count the pairs in batches of the run's own sampler and with the labels of its queue."""
    if subject.image_stage is None:
        return NotApplicable("No stage trains on images, so that there are no batches of images.")
    index, stage = subject.image_stage
    plan = subject.plan(index, stage)
    counts = class_counts(plan.labels, subject.tail.classes)
    natural, members = stage.sampling == "natural", members_of_batches(plan, subject.tail.classes)
    maps = {"batch": counted_pairs(members, views=1), "Siamese batch": counted_pairs(members, views=2)}
    theory = {"batch": batch_pairs(counts, plan.batch), "Siamese batch": siamese_pairs(counts, plan.batch)}
    expected = {name: pair_imbalance(pairs) if natural else None for name, pairs in theory.items()}
    kind = ""
    if (found := queue_keys(subject)) is not None:
        kind, keys, steady = found
        maps[kind] = queue_pairs(counts, plan.batch, keys)
        expected[kind] = pair_imbalance(queue_pairs(counts, plan.batch, steady)) if natural else None
    rows = [
        Quantity(f"γ of positive pairs, {name}", pair_imbalance(maps[name]), expected[name], SOURCE) for name in maps
    ]
    rows.append(Quantity("imbalance factor of the images", float(counts.max() / counts.min()), None, ""))
    order = subject.order
    shares = {name: (pairs / pairs.sum())[order][:, order] for name, pairs in maps.items()}
    data = {
        "classes": subject.ordered_names,
        "batch_size": plan.batch,
        "steps": len(members),
        "sampling": stage.sampling,
        "shares": {name: share.tolist() for name, share in shares.items()},
    }
    return TheoryResult("Pairs of classes in the contrastive loss", rows, data, lambda: _draw(shares, rows, subject))


def members_of_batches(plan: Plan, classes: int) -> Tensor:
    """Return the images of each class in many batches of a plan (steps, K)."""
    found: list[Tensor] = []
    epochs = max(1, min(DRAWS // (plan.steps * plan.batch), CELLS // (plan.steps * classes), 500))
    labels = torch.zeros(int(plan.positions.max()) + 1, dtype=torch.int64)
    labels[plan.positions] = plan.labels
    for epoch in range(epochs):
        drawn = labels[plan.order(epoch)[: plan.steps * plan.batch, 0]].view(plan.steps, plan.batch)
        found.append(torch.zeros(plan.steps, classes).scatter_add_(1, drawn, torch.ones(drawn.shape)))
    return torch.cat(found)


def queue_keys(subject: AnalysedModel) -> tuple[str, Tensor, Tensor] | None:
    """Return the kind of the run's queue, the keys of each class in it, and their number in the long run (K,)."""
    for stage in reversed(subject.trained.stages):
        queue = getattr(stage, "queue", None)
        if isinstance(queue, ClassQueue):
            return "queue with slots of classes", queue.slots.cpu(), queue.slots.cpu()
        if isinstance(queue, KeyQueue) and queue.size:
            labels = queue.stored()[1].cpu()
            expected = subject.tail.prior() * len(labels)
            return "first-in first-out queue", class_counts(labels, subject.tail.classes), expected
    return None


def _draw(shares: dict[str, Tensor], rows: list[Quantity], subject: AnalysedModel) -> Figure:
    wide = len(shares) > 2
    figure = new_figure(width=TWO_COLUMNS if wide else COLUMN, height=2.5 if wide else 2.1)
    axes = figure.subplots(1, len(shares), squeeze=False)[0]
    every = torch.cat([share.flatten() for share in shares.values()])
    norm = LogNorm(vmin=float(every[every > 0].min()), vmax=float(every.max()))
    for axis, (name, share), row in zip(axes, shares.items(), rows, strict=False):
        image = axis.imshow(share.numpy(), norm=norm, interpolation="nearest", cmap="cividis")
        axis.set_facecolor("#dddddd")  # pairs that do not occur
        axis.set_title(f"{name}\nγ = {row.value:,.4g}")
        axis.spines[["top", "right"]].set_visible(True)
        name_classes(axis, subject.ordered_names)
        name_classes(axis, subject.ordered_names, which="y")
        axis.set(xlabel=f"key: {axis.get_xlabel()}", ylabel=f"anchor: {axis.get_ylabel()}")
        if axis is not axes[0]:
            axis.set(yticks=[], ylabel="")
    figure.colorbar(image, ax=list(axes), label="share of all pairs", shrink=0.8)
    return figure
