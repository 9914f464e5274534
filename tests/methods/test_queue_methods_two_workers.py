"""Methods with queues and key encoders: three steps on two workers equal three on one."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import data_parallel, rank, total, world_size
from ltray.engine.train_step import set_training_mode
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Backbone, Network
from ltray.parts.batch_norm import synchronise
from ltray.parts.heads import new_classifier
from ltray.stage import Batch, BuildContext, Stage

TAIL = LongTail((20, 9, 4, 2))
ROWS = 12
SMALL = {"queue_size": 17, "projection_width": 4}  # neither a multiple of the batch nor a divisor
TINY = {"queue_size": 5, "projection_width": 4}  # smaller than the batch
MOVING = {"key_momentum": 0.6}
DSCL = SMALL | MOVING | {"patches": 2}
RUNS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "paco": ("paco", 0, SMALL | MOVING),
    "paco with a small queue": ("paco", 0, TINY | MOVING | {"queue_start": "empty"}),
    "gpaco": ("gpaco", 0, SMALL | {"smoothing": 0.1}),
    "multi_task": ("multi_task", 0, SMALL),
    "supcon": ("supcon", 0, SMALL),
    "supcon without a queue": ("supcon", 0, SMALL | {"queue_size": 0, "siamese_balanced_softmax": True}),
    "moco": ("moco", 0, SMALL | MOVING),
    "dscl": ("dscl", 0, DSCL),
    "dscl of the paper": ("dscl", 0, DSCL | {"contrast_set": "queue", "alone": "alpha"}),
    "dscl with its ablations": ("dscl", 0, DSCL | {"queue_kind": "balanced", "effective_number_beta": 0.9}),
    "dscl's linear stage": ("dscl", 1, DSCL),
    "dscl's linear stage, fixed": ("dscl", 1, DSCL | {"linear_features": "fixed"}),
}


class Small(Backbone):
    """A convolution, BatchNorm, ReLU."""

    width, stride = 5, 2

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(5)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map (B, 3, 8, 8) to (B, 5, 4, 4)."""
        return F.relu(self.norm(self.convolution(images)))


def batch_of(stage: Stage, generator: torch.Generator) -> Batch:
    """Return this worker's rows of a random batch."""
    share = ROWS // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    views = {}
    for view in stage.views:
        shape = (ROWS, 2, 3, 4, 4) if view.name == "patches" else (ROWS, 3, 8, 8)
        views[view.name] = torch.randn(shape, generator=generator).double()[mine]
    corners = 4.0 * torch.rand(ROWS, 2, 2, generator=generator).double()
    labels = torch.tensor([0, 0, 0, 1, 0, 2, 0, 1, 0, 3, 1, 0])[torch.randperm(ROWS, generator=generator)]
    return Batch(views, labels[mine], torch.arange(ROWS)[mine], torch.cat([corners, corners + 3.0], dim=2)[mine])


def three_steps(name: str, index: int, values: dict[str, Any]) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Train like the engine; return the mean losses of each step and the final state."""
    torch.manual_seed(0)
    method = METHODS[name]
    context = BuildContext(TAIL, lambda kind: Network(Small(), new_classifier(kind, width=5, classes=4)), image_size=8)
    stage = method.stages(method.knobs.resolve("digits_lt", values), context)[index].double()
    synchronise(stage)
    set_training_mode(stage)
    model = data_parallel(stage)
    trained = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        terms = model(batch_of(stage, generator))
        torch.stack(list(terms.values())).sum().backward()
        assert all(parameter.grad is not None for parameter in trained)
        optimizer.step()
        losses.append({term: total(value) / world_size() for term, value in terms.items()})
    return losses, {key: value.detach() for key, value in stage.state_dict().items()}


@pytest.mark.parametrize(("name", "index", "values"), RUNS.values(), ids=RUNS)
def test_two_workers_equal_one(two_workers, name: str, index: int, values: dict[str, Any]) -> None:
    losses, state = three_steps(name, index, values)
    for other_losses, other_state in two_workers.run(three_steps, name, index, values):
        torch.testing.assert_close(other_losses, losses, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(other_state, state, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["paco", "moco", "dscl"])
def test_workers_with_shuffled_keys_differ_only_in_statistics(two_workers, name: str) -> None:
    values = SMALL | MOVING | {"key_batch_norm": "shuffled"}
    (_, first), (_, second) = two_workers.run(three_steps, name, 0, values)
    _, alone = three_steps(name, 0, values)
    local = {key for key in first if not torch.equal(first[key], second[key])}
    assert local == {f"key_encoder.copy.{key}" for key in ("0.norm.running_mean", "0.norm.running_var")} | (
        set() if name == "dscl" else {f"key_encoder.copy.1.1.{key}" for key in ("running_mean", "running_var")}
    )
    assert not torch.allclose(first["queue.keys"], alone["queue.keys"])
    assert torch.equal(first["queue.labels"], alone["queue.labels"])
