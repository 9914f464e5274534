"""Three SGD steps on two workers equal three on one: losses, parameters, queues, statistics."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import data_parallel, own_rows, rank, total, world_size
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Backbone, Network
from ltray.parts.batch_norm import synchronise
from ltray.parts.heads import new_classifier
from ltray.stage import Batch, BuildContext

TAIL = LongTail((20, 9, 4, 2))
ROWS = 12
RESCOM = {"queue_size": 3, "hard_positives": 2, "hard_negatives": 5, "projection_width": 4}
BCL = {"hidden_width": 6, "projection_width": 4}
RUNS = {
    "cross_entropy": ("cross_entropy", {}),
    "balanced_softmax": ("balanced_softmax", {}),
    "logit_adjustment": ("logit_adjustment", {"adjustment": 1.5}),
    "lift": ("lift", {}),
    "lift with LADE": ("lift", {"loss": "lade", "classifier": "l2"}),
    "lift with class weights": ("lift", {"loss": "class_balanced"}),
    "rescom": ("rescom", RESCOM),
    "rescom of the paper": ("rescom", RESCOM | {"anchors": "first_view"}),
    "rescom without its modules": (
        "rescom",
        {
            "queue_size": 3,
            "projection_width": 4,
            "effective_number_beta": 0.0,
            "queue_kind": "original",
            "hard_mining": False,
            "siamese_balanced_softmax": False,
        },
    ),
    "bcl": ("bcl", BCL),
    "proco": ("proco", BCL),
    "proco with a cosine classifier and the recurrence": (
        "proco",
        BCL | {"classifier": "cosine", "bessel": "recurrence"},
    ),
    "bcl with a cosine classifier": ("bcl", BCL | {"classifier": "cosine"}),
    "bcl L2 without complement": ("bcl", BCL | {"averaging": "L2", "complement": False}),
    "bcl L3 with learned prototypes": ("bcl", BCL | {"averaging": "L3", "prototypes": "learnable"}),
    "bcl with moving averages": ("bcl", BCL | {"prototypes": "ema"}),
    "bcl with supervised contrast": ("bcl", BCL | {"averaging": "none", "complement": False}),
}


class Small(Backbone):
    """A convolution, BatchNorm, ReLU."""

    width, stride = 5, 2

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(5)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, 8, 8) to (B, 5, 4, 4)."""
        return F.relu(self.norm(self.convolution(images)))


def three_steps(name: str, values: dict) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Train like the engine; return the mean losses of each step and the final state."""
    torch.manual_seed(0)
    method = METHODS[name]
    context = BuildContext(TAIL, lambda kind: Network(Small(), new_classifier(kind, width=5, classes=4)), image_size=8)
    (stage,) = method.stages(method.knobs.resolve("digits_lt", values), context)
    stage.double().train()
    stage.begin_epoch(0)
    synchronise(stage)
    model = data_parallel(stage)
    optimizer = torch.optim.SGD(stage.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    share = ROWS // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    losses = []
    for _ in range(3):
        views = {view.name: torch.randn(ROWS, 3, 8, 8, generator=generator).double()[mine] for view in stage.views}
        labels = torch.tensor([0, 0, 0, 1, 0, 2, 0, 1, 0, 3, 1, 0])[torch.randperm(ROWS, generator=generator)]
        optimizer.zero_grad()
        terms = model(Batch(views, labels[mine], torch.arange(ROWS)[mine]))
        torch.stack(list(terms.values())).sum().backward()
        assert all(parameter.grad is not None for parameter in stage.parameters())
        optimizer.step()
        losses.append({term: total(value) / world_size() for term, value in terms.items()})
    return losses, {key: value.detach() for key, value in stage.state_dict().items()}


@pytest.mark.parametrize(("name", "values"), RUNS.values(), ids=RUNS)
def test_two_workers_equal_one(two_workers, name: str, values: dict) -> None:
    losses, state = three_steps(name, values)
    for other_losses, other_state in two_workers.run(three_steps, name, values):
        torch.testing.assert_close(other_losses, losses, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(other_state, state, rtol=1e-9, atol=1e-11)


class Counting(nn.Module):
    """A module with a separate buffer on every worker, and one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("count", torch.tensor(10.0 * (rank() + 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Count, and scale."""
        self.count += rank() + 1
        return self.weight * x


def buffers_and_gradient() -> tuple[float, float, float]:
    """Return the buffer before and after two steps, and the gradient of one step with the input rank + 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = Counting()
        model = data_parallel(module)
        before = module.count.item()
        for _ in range(2):
            module.weight.grad = None
            model(torch.tensor([rank() + 1.0])).sum().backward()
    assert module.weight.grad is not None
    return before, module.count.item(), module.weight.grad.item()


def test_buffers_start_from_rank_0_and_are_separate_per_worker(two_workers) -> None:
    assert two_workers.run(buffers_and_gradient) == [(10.0, 12.0, 1.5), (10.0, 14.0, 1.5)]


def test_one_worker_is_the_module_itself() -> None:
    module = Counting()
    assert data_parallel(module) is module


def _own_draws() -> tuple[Tensor, Tensor]:
    torch.manual_seed(rank())
    complete = torch.randn(6, 2)
    return complete, own_rows(complete)


def test_draws_for_the_complete_batch_do_not_depend_on_the_workers(two_workers):
    complete, alone = _own_draws()
    assert torch.equal(complete, alone)
    (_, first), (other, second) = two_workers.run(_own_draws)
    assert torch.equal(torch.cat([first, second]), complete) and not torch.equal(other, complete)
