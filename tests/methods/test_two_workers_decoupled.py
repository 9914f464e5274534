"""Three SGD steps on two workers equal three on one: baselines, second stages, flows, experts."""

import pytest
import torch
from torch import Tensor, nn

from ltray.distributed import data_parallel, rank, total, world_size
from ltray.engine.train_step import set_training_mode
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Backbone, Network
from ltray.parts.batch_norm import synchronise
from ltray.parts.heads import new_classifier
from ltray.parts.resnet32 import ResNet32
from ltray.stage import Batch, BuildContext

TAIL = LongTail((20, 9, 4, 2))
ROWS = 12
RUNS = {
    "focal, weighted": ("focal", 0, {"gamma": 2.0, "beta": 0.99}),
    "class-balanced softmax": ("class_balanced", 0, {}),
    "class-balanced focal": ("class_balanced", 0, {"loss": "focal"}),
    "LDAM with deferred weights": ("ldam", 0, {"reweight_epoch": 0}),
    "mixup": ("mixup", 0, {"alpha": 0.5}),
    "cRT, BatchNorm shifting": ("crt", 0, {"features": "shifting"}),
    "LWS on cached features": ("lws", 0, {"features": "cached"}),
    "LAS": ("las", 0, {}),
    "LOS, BatchNorm shifting": ("los", 0, {"features": "shifting"}),
    "LOS on cached features": ("los", 0, {"features": "cached"}),
    "a linear probe of shifting features": ("linear_probe", 0, {"features": "shifting"}),
    "a Flow Filter": ("dlsa", 0, {"clusters": 5, "batch_size": ROWS}),
    "a cluster-aided classifier": ("dlsa", 1, {"clusters": 5, "smoothing": 0.1}),
    "RIDE with class weights": ("ride", 0, {"experts": 2, "reweight_epoch": 0, "routing_top": 2}),
    "RIDE's routing": ("ride", 1, {"experts": 2, "routing_top": 2}),
    "RIDE with a teacher": ("ride_distilled", 0, {"experts": 2, "routing_top": 2}),
}


class Small(Backbone):
    """A convolution, BatchNorm, ReLU."""

    width, stride = 6, 2

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3, 2, 1)
        self.norm = nn.BatchNorm2d(6)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map (B, 3, 8, 8) to (B, 6, 4, 4)."""
        return torch.relu(self.norm(self.convolution(images)))


def three_steps(name: str, index: int, values: dict) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Train a stage like the engine; return the mean losses of each step and the final state."""
    torch.manual_seed(0)

    def network(kind: str) -> Network:
        backbone = ResNet32() if name.startswith("ride") else Small()
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=TAIL.classes))

    method = METHODS[name]
    context = BuildContext(TAIL, network, network("linear") if method.needs_network else None, 8)
    stage = method.stages(method.knobs.resolve("digits_lt", values), context)[index].double()
    synchronise(stage)
    set_training_mode(stage)
    stage.begin_epoch(0)
    model = data_parallel(stage)
    optimizer = torch.optim.SGD(stage.parameter_groups(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    share = ROWS // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    shape = (ROWS, 3, 8, 8) if stage.source == "images" else (ROWS, Small.width)
    losses = []
    for step in range(3):
        views = {view.name: torch.randn(shape, generator=generator).double()[mine] for view in stage.views}
        labels = torch.tensor([0, 0, 0, 1, 0, 2, 0, 1, 0, 3, 1, 0])[torch.randperm(ROWS, generator=generator)]
        torch.manual_seed(100 * step + rank())  # like the engine: another seed on every worker
        optimizer.zero_grad()
        terms = model(Batch(views, labels[mine], torch.arange(ROWS)[mine]))
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        losses.append({term: total(value) / world_size() for term, value in terms.items()})
    return losses, {key: value.detach() for key, value in stage.state_dict().items()}


@pytest.mark.parametrize(("name", "index", "values"), RUNS.values(), ids=RUNS)
def test_two_workers_equal_one(two_workers, name: str, index: int, values: dict) -> None:
    losses, state = three_steps(name, index, values)
    for other_losses, other_state in two_workers.run(three_steps, name, index, values):
        torch.testing.assert_close(other_losses, losses, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(other_state, state, rtol=1e-8, atol=1e-10)
