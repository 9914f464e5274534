"""Counter-based random numbers: a hash of (seed, stream, sample position) and a counter.

There is no state between calls. The random numbers of a sample depend neither on its batch nor
on the worker that processes it, and an epoch can be resumed at any step.
"""

import torch
from torch import Tensor

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio: the step of splitmix64's counter
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # the multipliers of its finaliser


def keys(seed: int, *stream: int, positions: Tensor) -> Tensor:
    """Return one 64-bit key per sample, the same on every device.

    Args:
        seed: The run's seed.
        stream: Further values that distinguish draws: stage, epoch, view. The order matters.
        positions: Position of each sample in the training set (n,), int64.

    Returns:
        Keys (n,), int64, on the device of `positions`.
    """
    state = _mix((seed + _GOLDEN) & _MASK)  # `_mix` returns 0 for 0, so that a constant is added first
    for number in stream:
        state = _mix((_mix(state) + number + _GOLDEN) & _MASK)
    return _mix_tensor(positions * _signed(_GOLDEN) + _signed(state))


def child_keys(parents: Tensor, count: int) -> Tensor:
    """Return `count` new keys for each key (n * count,), int64; the keys of one sample are adjacent.

    Args:
        parents: Keys (n,), int64.
        count: New keys per key, for example one for each patch of an image.
    """
    return _hash(parents, count, salt=-2).reshape(-1)


def uniform(keys: Tensor, count: int, *, salt: int = 0) -> Tensor:
    """Return uniform random numbers.

    Args:
        keys: Keys (n,), int64.
        count: Numbers per key.
        salt: Different salts give independent numbers.

    Returns:
        float32 (n, count) in [0, 1), multiples of 2^-24.
    """
    # float32 represents 24 bits exactly, so that rounding never gives 1.0.
    return ((_hash(keys, count, salt=salt) >> 40) & 0xFFFFFF).to(torch.float32).mul_(2.0**-24)


def _hash(keys: Tensor, count: int, *, salt: int) -> Tensor:
    start = _mix((salt + 1) * _GOLDEN & _MASK)
    steps = torch.tensor([_signed((start + i * _GOLDEN) & _MASK) for i in range(count)], device=keys.device)
    return _mix_tensor(keys[:, None] + steps)


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * _FIRST) & _MASK
    z = ((z ^ (z >> 27)) * _SECOND) & _MASK
    return z ^ (z >> 31)


def _mix_tensor(z: Tensor) -> Tensor:
    """Apply `_mix` to an int64 tensor; its products wrap around like those of unsigned integers."""
    z = (z ^ _shift(z, 30)) * _signed(_FIRST)
    z = (z ^ _shift(z, 27)) * _signed(_SECOND)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    # Shifts of int64 copy the sign bit; the mask removes these copies, as an unsigned shift would.
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(z: int) -> int:
    return z - (1 << 64) if z >= 1 << 63 else z
