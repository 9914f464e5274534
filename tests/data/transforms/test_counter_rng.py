"""Random numbers are a function of seed, stream and position, and pass statistical tests."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.data.transforms.counter_rng import child_keys, keys, uniform

INT64 = st.integers(-(2**63), 2**63 - 1)


def unsigned_key(seed: int, stream: list[int], position: int) -> int:
    """Compute the same hash with unsigned Python integers."""
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(z: int) -> int:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = ((z ^ (z >> shift)) * factor) & mask
        return z ^ (z >> 31)

    state = mix((seed + golden) & mask)
    for number in stream:
        state = mix((mix(state) + number + golden) & mask)
    return mix((position * golden + state) & mask)


@given(seed=INT64, stream=st.lists(INT64, max_size=4), position=st.integers(0, 2**40))
def test_signed_tensors_hash_like_unsigned_integers(seed: int, stream: list[int], position: int) -> None:
    key = keys(seed, *stream, positions=torch.tensor([position]))
    assert int(key) % 2**64 == unsigned_key(seed, stream, position)


def test_mixing_function_is_splitmix64() -> None:
    # First outputs for the state 0, as published with the generator (Steele, Lea and Flood, 2014).
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    state_zero = -0x9E3779B97F4A7C15
    drawn = keys(state_zero, positions=torch.arange(1, 4))
    assert [int(key) % 2**64 for key in drawn] == published


@given(order=st.permutations(range(12)), cut=st.integers(1, 11))
def test_draws_of_a_sample_do_not_depend_on_the_batch(order: list[int], cut: int) -> None:
    positions = torch.arange(100, 112)
    complete = uniform(keys(3, 1, positions=positions), 5, salt=2)
    shuffled = positions[torch.tensor(order)]
    parts = torch.cat([uniform(keys(3, 1, positions=part), 5, salt=2) for part in (shuffled[:cut], shuffled[cut:])])
    assert torch.equal(parts, complete[torch.tensor(order)])


def test_draws_depend_on_seed_stream_and_order_of_the_stream() -> None:
    positions = torch.arange(1000)
    streams = [(0, ()), (1, ()), (0, (0,)), (0, (1,)), (0, (0, 0)), (0, (0, 1)), (0, (1, 0)), (1, (0, 0)), (-1, ())]
    drawn = torch.cat([keys(seed, *stream, positions=positions) for seed, stream in streams])
    assert len(drawn.unique()) == len(drawn)


def test_uniform_numbers_are_uniformly_distributed() -> None:
    numbers = uniform(keys(0, positions=torch.arange(20_000)), 10)
    assert numbers.dtype == torch.float32
    assert float(numbers.min()) >= 0.0 and float(numbers.max()) < 1.0
    counts = torch.histc(numbers, bins=100, min=0, max=1)
    chi_square = float(((counts - 2000) ** 2 / 2000).sum())
    assert 50 < chi_square < 160  # 99 degrees of freedom: 99 +- 14


@pytest.mark.parametrize("other", ["salt", "column", "position", "epoch", "child"])
def test_neighbouring_draws_are_independent(other: str) -> None:
    positions = torch.arange(100_000)
    base = keys(7, 0, positions=positions)
    first = uniform(base, 2)
    second = {
        "salt": lambda: uniform(base, 1, salt=1)[:, 0],
        "column": lambda: first[:, 1],
        "position": lambda: first[:, 0].roll(1),
        "epoch": lambda: uniform(keys(7, 1, positions=positions), 1)[:, 0],
        "child": lambda: uniform(child_keys(base, 1), 1)[:, 0],
    }[other]()
    # Products of independent uniform numbers, centred, have mean 0 and deviation 1/12 / sqrt(n).
    covariance = float(((first[:, 0] - 0.5) * (second - 0.5)).mean())
    assert abs(covariance) < 4 / 12 / 100_000**0.5
    joint = torch.histogramdd(torch.stack([first[:, 0], second], 1), bins=[8, 8], range=[0, 1, 0, 1]).hist
    assert float(((joint - 1562.5) ** 2 / 1562.5).sum()) < 63 + 5 * 11.2  # 63 degrees of freedom


def test_children_are_distinct_and_in_sample_order() -> None:
    parents = keys(0, positions=torch.arange(50))
    children = child_keys(parents, 6)
    assert len(children.unique()) == 300
    assert torch.equal(children[6:12], child_keys(parents[1:2], 6))
    assert not torch.isin(children, parents).any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_draws_the_same_numbers() -> None:
    positions = torch.arange(1000)
    here = uniform(keys(5, 2, 9, positions=positions), 7, salt=3)
    there = uniform(keys(5, 2, 9, positions=positions.cuda()), 7, salt=3)
    assert torch.equal(here, there.cpu())
