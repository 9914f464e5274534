"""BatchNorm over two workers equals BatchNorm in one process."""

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from ltray.distributed import rank, world_size
from ltray.errors import UsageError
from ltray.parts.batch_norm import WorkersBatchNorm, synchronise

SHAPES = {"rows": (6, 3), "maps": (4, 3, 2, 5)}


def small_network(shape: tuple[int, ...]) -> nn.Sequential:
    torch.manual_seed(0)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    network = nn.Sequential(kind(3), nn.ReLU(), kind(3)).double()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return network


def passes(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return two training passes with gradients and an evaluation pass, on this worker's half of the rows."""
    share = images.shape[0] // world_size()
    mine = images[rank() * share : (rank() + 1) * share].clone().requires_grad_()
    weights = torch.arange(images.numel(), dtype=torch.float64).sin().view_as(images)[rank() * share :][:share]
    network.train()
    network(mine.detach() * 3 + 1)
    output = network(mine)
    (weights * output.square()).sum().backward()
    return (
        {"output": output.detach(), "gradient": mine.grad, "evaluated": network.eval()(mine).detach()}
        | {f"grad {name}": parameter.grad for name, parameter in network.named_parameters()}
        | {f"state {name}": value for name, value in network.state_dict().items()}
    )


def passes_of_a_worker(shape: tuple[int, ...]) -> dict[str, Tensor]:
    network = small_network(shape)
    synchronise(network)
    assert isinstance(network[0], WorkersBatchNorm)
    return passes(network, images_of(shape))


def images_of(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 100 + 1e4


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_two_workers_equal_one_process(two_workers, shape: tuple[int, ...]) -> None:
    expected = passes(small_network(shape), images_of(shape))
    first, second = two_workers.run(passes_of_a_worker, shape)
    assert set(first) == set(expected)
    for name, value in expected.items():
        if name.startswith("grad "):
            actual = first[name] + second[name]
        elif name.startswith("state "):
            torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
            actual = first[name]
        else:
            actual = torch.cat([first[name], second[name]])
        torch.testing.assert_close(actual, value, rtol=1e-9, atol=1e-9)


class Shared(nn.Module):
    """A layer with two names, a layer that is local to its worker, and a nested layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = self.again = nn.BatchNorm1d(2)
        self.local = nn.BatchNorm1d(2)
        self.local.local_batch_norm = True
        self.keeper = nn.Sequential(nn.BatchNorm1d(2))
        self.keeper.local_batch_norm = True
        self.deep = nn.Sequential(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)))


def replaced() -> dict[str, bool]:
    module = Shared()
    before = dict(module.named_parameters(remove_duplicate=False))
    synchronise(module)
    after = dict(module.named_parameters(remove_duplicate=False))
    return {
        "norm": isinstance(module.norm, WorkersBatchNorm),
        "stays shared": module.norm is module.again,
        "local": isinstance(module.local, WorkersBatchNorm),
        "below local": isinstance(module.keeper[0], WorkersBatchNorm),
        "deep": isinstance(module.deep[0][0], WorkersBatchNorm),
        "same parameters": list(before) == list(after) and all(before[name] is after[name] for name in before),
    }


def test_synchronise_replaces_shared_layers_once_and_leaves_local_ones(two_workers) -> None:
    expected = {"norm": True, "stays shared": True, "deep": True, "same parameters": True}
    assert two_workers.run(replaced) == [expected | {"local": False, "below local": False}] * 2


def test_synchronise_changes_nothing_in_one_process() -> None:
    module = Shared()
    layers = list(module.modules())
    synchronise(module)
    assert list(module.modules()) == layers


def one_row_in_all() -> str:
    layer = WorkersBatchNorm(2)
    rows = torch.ones(1 - rank(), 2)
    try:
        layer(rows)
    except ValueError as error:
        return str(error)
    return "no error"


def test_single_row_over_all_workers_is_refused(two_workers) -> None:
    for message in two_workers.run(one_row_in_all):
        assert "more than 1 value per channel" in message


def half_precision() -> tuple[torch.dtype, float]:
    torch.manual_seed(0)
    rows = (torch.randn(64, 2) * 0.1 + 100).bfloat16()
    layer = WorkersBatchNorm(2)
    output = layer(rows)
    return output.dtype, float(layer.running_var.mean())


def test_bfloat16_rows_get_float32_statistics(two_workers) -> None:
    wide = nn.BatchNorm1d(2)
    torch.manual_seed(0)
    rows = (torch.randn(64, 2) * 0.1 + 100).bfloat16().float()
    wide(torch.cat([rows, rows]))
    for dtype, variance in two_workers.run(half_precision):
        assert dtype == torch.bfloat16
        assert variance == pytest.approx(float(wide.running_var.mean()), rel=1e-5)


def passes_of_timms_layers(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the passes of layers that apply an activation after the normalisation."""
    torch.manual_seed(0)
    network = nn.Sequential(BatchNormAct2d(3, inplace=False), BatchNormAct2d(3, apply_act=False)).double()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    names = list(network.state_dict())
    synchronise(network)
    assert list(network.state_dict()) == names
    assert isinstance(network[0], WorkersBatchNorm) == (world_size() > 1)
    return passes(network, images_of(shape))


def test_layers_of_timm_keep_their_activation_on_two_workers(two_workers) -> None:
    expected = passes_of_timms_layers(SHAPES["maps"])
    first, second = two_workers.run(passes_of_timms_layers, SHAPES["maps"])
    for name in ("output", "gradient", "evaluated"):
        torch.testing.assert_close(torch.cat([first[name], second[name]]), expected[name], rtol=1e-6, atol=1e-6)
    for name in (name for name in expected if name.startswith("state ")):
        torch.testing.assert_close(first[name], expected[name], rtol=1e-6, atol=1e-6)


class Renormalised(nn.BatchNorm2d):
    """A layer with behaviour that a replacement would lose."""


def refused() -> str:
    try:
        synchronise(nn.Sequential(Renormalised(3)))
    except UsageError as error:
        return str(error)
    return ""


def test_unknown_batch_norm_layer_is_refused_on_several_workers(two_workers) -> None:
    assert refused() == ""
    assert all("`Renormalised` is a kind of BatchNorm" in message for message in two_workers.run(refused))
