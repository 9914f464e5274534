"""The key encoder is a moving average, has its own statistics, and is never trained."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ltray.distributed import rank, world_size
from ltray.parts.batch_norm import synchronise
from ltray.parts.momentum import MomentumCopy

Setup = tuple[nn.Sequential, nn.Linear]


def new_chain() -> Setup:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU()), nn.Linear(6, 3)


def test_copy_starts_equal_and_is_updated_by_the_momentum() -> None:
    chain = new_chain()
    follower = MomentumCopy(chain, momentum=0.9)
    start = [parameter.clone() for module in chain for parameter in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(follower.parameters(), start, strict=True))
    with torch.no_grad():
        for module in chain:
            for parameter in module.parameters():
                parameter.add_(1.0)
    follower.follow(chain)
    for ours, before in zip(follower.parameters(), start, strict=True):
        torch.testing.assert_close(ours.data, 0.9 * before + 0.1 * (before + 1.0))
    assert follower.updates == 1


@pytest.mark.parametrize(("momentum", "moves"), [(1.0, False), (0.0, True)])
def test_extreme_momenta_keep_or_copy_the_weights(momentum: float, moves: bool) -> None:
    chain = new_chain()
    follower = MomentumCopy(chain, momentum=momentum)
    with torch.no_grad():
        chain[1].weight.mul_(2.0)
    follower.follow(chain)
    assert torch.equal(list(follower.parameters())[-2], chain[1].weight) is moves


def test_copy_has_its_own_statistics() -> None:
    chain = new_chain()
    follower = MomentumCopy(chain, momentum=0.5)
    chain[0](torch.randn(8, 4) + 5.0)
    norm = follower.copy[0][1]
    before = norm.running_mean.clone()
    follower.follow(chain)
    assert torch.equal(norm.running_mean, before)
    follower(torch.randn(8, 4))
    assert not torch.equal(norm.running_mean, before)


def test_no_gradient_reaches_the_copy_or_its_output() -> None:
    follower = MomentumCopy(new_chain(), momentum=0.5)
    images = torch.randn(8, 4, requires_grad=True)
    assert not follower(images).requires_grad
    assert not any(parameter.requires_grad for parameter in follower.parameters())
    assert follower.never_trained


def test_sources_of_another_shape_are_refused() -> None:
    chain = new_chain()
    with pytest.raises(ValueError):
        MomentumCopy(chain, momentum=0.5).follow(chain[:1])


IMAGES = torch.randn(12, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def encode_own_share(shuffled: bool, steps: int) -> dict[str, Any]:
    """Update and encode this worker's rows `steps` times; return its keys and the input of its BatchNorm."""
    chain = new_chain()
    stage = nn.ModuleDict({"encoder": MomentumCopy(chain, momentum=0.9, shuffled=shuffled)}).double()
    synchronise(stage)
    follower = stage["encoder"]
    share = len(IMAGES) // world_size()
    mine = IMAGES[rank() * share : (rank() + 1) * share]
    seen: list[Tensor] = []
    follower.copy[0][0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    for _ in range(steps):
        keys = follower(mine)
        follower.follow([module.double() for module in chain])
    return {"keys": keys, "seen": seen, "norm": type(follower.copy[0][1]).__name__}


def test_synchronised_keys_do_not_depend_on_the_number_of_workers(two_workers) -> None:
    alone = encode_own_share(False, 1)["keys"]
    together = torch.cat([result["keys"] for result in two_workers.run(encode_own_share, False, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_shuffled_keys_are_normalised_over_mixed_rows_and_returned_in_order(two_workers) -> None:
    results = two_workers.run(encode_own_share, True, 3)
    assert {result["norm"] for result in results} == {"BatchNorm1d"}
    dealt = [torch.cat([result["seen"][step] for result in results]) for step in range(3)]
    for rows in dealt:  # every image once, over both workers
        assert {tuple(row) for row in rows.tolist()} == {tuple(row) for row in IMAGES.tolist()}
    assert not torch.equal(dealt[0], dealt[1])  # different in every step
    assert {tuple(row) for row in results[0]["seen"][0].tolist()} != {tuple(row) for row in IMAGES[:6].tolist()}
    # Each key equals the encoder's output of its image with the rows of its normalisation.
    encoder = copy.deepcopy(nn.Sequential(*new_chain())).double().train()
    expected = {}
    for result in results:
        rows = result["seen"][2]
        expected |= {tuple(row): key for row, key in zip(rows.tolist(), encoder(rows), strict=True)}
    keys = torch.cat([result["keys"] for result in results])
    torch.testing.assert_close(keys, torch.stack([expected[tuple(row)] for row in IMAGES.tolist()]).detach())


def test_shuffling_has_no_effect_with_one_worker() -> None:
    torch.testing.assert_close(encode_own_share(True, 1)["keys"], encode_own_share(False, 1)["keys"])
