"""The balance of clusters at constructed assignments."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.analysis.cluster_balance import ClusterBalance
from ltray.methods.dlsa.losses import balance_loss

TAIL = torch.tensor([False, True, True])


def test_equal_and_pure_clusters() -> None:
    balance = ClusterBalance.of(torch.tensor([[4, 0, 0], [0, 4, 0], [0, 0, 4]]), TAIL)
    assert balance.loss == pytest.approx(0.0) and balance.effective == pytest.approx(3.0)
    assert (balance.empty, balance.purity, balance.tail_purity) == (0, 1.0, 1.0)


def test_one_cluster_with_everything() -> None:
    balance = ClusterBalance.of(torch.tensor([[6, 3, 3], [0, 0, 0]]), TAIL)
    assert balance.loss == pytest.approx(math.log(2)) and balance.effective == pytest.approx(1.0)
    assert (balance.empty, balance.purity, balance.tail_purity) == (1, 0.5, 0.5)


def test_tail_of_several_classes() -> None:
    assert ClusterBalance.of(torch.tensor([[1, 2, 2]]), TAIL).tail_purity == 0.8


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 3), min_size=2, max_size=8).filter(lambda rows: any(map(any, rows))))
def test_loss_is_that_of_dlsa(rows: list[tuple[int, int, int]]) -> None:
    members = torch.tensor(rows)
    balance = ClusterBalance.of(members, TAIL)
    shares = members.sum(dim=1).double() / members.sum()
    assert balance.loss == pytest.approx(float(balance_loss(shares + 1e-12)), abs=1e-6)
    assert 1.0 - 1e-9 <= balance.effective <= len(rows) + 1e-9
