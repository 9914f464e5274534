"""Anchors and keys of a batch, on one worker and on two."""

import torch

from ltray.distributed import rank
from ltray.parts.contrast import ContrastBatch, similarity, unit


def views_and_labels() -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    views = [torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
    return views, torch.tensor([0, 1, 0, 2, 1, 0])


def test_keys_are_the_concatenated_views_and_contain_the_anchors() -> None:
    views, labels = views_and_labels()
    batch = ContrastBatch.gathered(views, labels)
    assert torch.equal(batch.keys, torch.cat(views))
    assert torch.equal(batch.keys[batch.own], batch.anchors)
    assert batch.key_labels.tolist() == labels.tolist() * 2


def test_positives_are_the_same_class_without_the_anchor() -> None:
    batch = ContrastBatch.gathered(*views_and_labels())
    for i, label in enumerate(batch.labels):
        expected = [j != i and bool(other == label) for j, other in enumerate(batch.key_labels)]
        assert batch.positives()[i].tolist() == expected


def loss_of(views: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Return an arbitrary mean over anchors."""
    batch = ContrastBatch.gathered([unit(view) for view in views], labels)
    scores = similarity(batch.anchors, batch.keys, temperature=0.3)
    return (scores.exp() * batch.positives()).sum(1).add(1).log().mean()


def share_of_a_worker() -> tuple[dict, torch.Tensor, torch.Tensor]:
    views, labels = views_and_labels()
    mine = slice(3 * rank(), 3 * rank() + 3)
    rows = torch.stack([view[mine] for view in views]).requires_grad_()
    batch = ContrastBatch.gathered(list(rows), labels[mine])
    loss = loss_of(list(rows), labels[mine])
    loss.backward()
    return vars(batch) | {"anchors": batch.anchors.detach(), "keys": batch.keys.detach()}, loss.detach(), rows.grad


def test_two_workers_have_the_keys_and_the_gradient_of_one_process(two_workers) -> None:
    views, labels = views_and_labels()
    complete = ContrastBatch.gathered(views, labels)
    rows = torch.stack(views).requires_grad_()
    loss = loss_of(list(rows), labels)
    loss.backward()
    shares = two_workers.run(share_of_a_worker)
    for batch, _, _ in shares:
        assert torch.equal(batch["keys"], complete.keys)
        assert torch.equal(batch["key_labels"], complete.key_labels)
        assert torch.equal(batch["keys"][batch["own"]], batch["anchors"])
    torch.testing.assert_close(sum(share[1] for share in shares) / 2, loss.detach(), rtol=1e-12, atol=1e-12)
    averaged = torch.cat([share[2] for share in shares], dim=1) / 2
    torch.testing.assert_close(averaged, rows.grad, rtol=1e-10, atol=1e-12)
