"""The losses of a Flow Filter compared with DLSA's code and with loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.methods.dlsa.losses import (
    ClusterUse,
    balance_loss,
    class_weights,
    classifier_loss,
    likelihood_loss,
    purity_loss,
)

CASES = ["tiny", "places", "k100_eta09", "no_momentum", "hard_ce", "unfrozen"]


@pytest.mark.parametrize("case", CASES)
def test_consecutive_steps_equal_the_authors_code(golden, case):
    z = {name.partition("/")[2]: value for name, value in golden("dlsa_losses").items() if name.startswith(case + "/")}
    momentum = 0.0 if math.isnan(z["eta"]) else float(z["eta"])
    use = ClusterUse(z["logp_pos"].shape[2], momentum).double()
    for step in range(len(z["logp_pos"])):
        positive = torch.from_numpy(z["logp_pos"][step]).requires_grad_()
        negative = torch.from_numpy(z["logp_neg"][step]).requires_grad_()
        likelihood = likelihood_loss(torch.from_numpy(z["llh_pos"][step]), torch.from_numpy(z["weight"][step]))
        shares = use(positive.softmax(dim=1))
        pure = purity_loss(positive, negative, hard=bool(z["hard"]), fixed_target=bool(z["freeze_pos"]))
        terms = {
            "mle": float(z["lambda_mle"]) * likelihood,
            "bal": float(z["lambda_bal"]) * balance_loss(shares),
            "pure": float(z["lambda_pure"]) * pure,
        }
        complete = sum(terms.values())
        complete.backward()
        for name, value in (terms | {"total": complete}).items():
            assert value.item() == pytest.approx(float(z[f"loss_{name}"][step]), abs=1e-8)
        if "p_tilde_corrected" in z and momentum > 0:
            np.testing.assert_allclose(shares.detach(), z["p_tilde_corrected"][step], atol=1e-8)
        np.testing.assert_allclose(positive.grad, z["grad_logp_pos"][step], atol=1e-8)
        np.testing.assert_allclose(negative.grad, z["grad_logp_neg"][step], atol=1e-8)


@pytest.mark.parametrize("case", ["small", "k100", "half"])
@pytest.mark.parametrize("power", [1, 2])
def test_class_weights_equal_the_authors_code(golden, case, power):
    z = golden("dlsa_split")
    weights = class_weights(torch.from_numpy(z[f"{case}/class_count"]), float(power))
    np.testing.assert_allclose(weights, z[f"{case}/class_weight_q{power}"], atol=1e-8)


@given(st.integers(0, 2**31), st.floats(0.0, 0.95))
def test_corrected_cluster_use_is_the_weighted_mean_of_the_batches(seed, momentum):
    random = torch.Generator().manual_seed(seed)
    use = ClusterUse(4, momentum).double()
    means = []
    for _ in range(5):
        posterior = torch.randn(6, 4, generator=random, dtype=torch.float64).softmax(dim=1)
        shares = use(posterior)
        means.append(posterior.mean(dim=0) + 1e-7)
    weights = [momentum ** (4 - step) for step in range(5)]
    expected = sum(w * mean for w, mean in zip(weights, means, strict=True)) / sum(weights)
    assert torch.allclose(shares, expected, atol=1e-12)
    assert shares.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_balance_is_zero_for_uniform_clusters_and_maximal_for_one():
    assert balance_loss(torch.full((5,), 0.2)).item() == pytest.approx(0.0, abs=1e-6)
    assert balance_loss(torch.tensor([1.0 - 4e-7, 1e-7, 1e-7, 1e-7, 1e-7])).item() == pytest.approx(
        math.log(5), abs=1e-4
    )


def test_purity_equals_a_double_loop():
    torch.manual_seed(0)
    positive, negative = torch.randn(3, 4), torch.randn(3, 4)
    expected = 0.0
    for p, n in zip(positive.softmax(1).tolist(), negative.log_softmax(1).tolist(), strict=True):
        expected += sum(a * b for a, b in zip(p, n, strict=True)) / 3
    assert purity_loss(positive, negative).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("case", ["tiny", "k100"])
def test_balanced_softmax_equals_the_authors_code(golden, case):
    z = golden("dlsa_cac")
    scores = torch.from_numpy(z[f"{case}/z"]).requires_grad_()
    labels = torch.from_numpy(z[f"{case}/y"])
    adjustment = (torch.from_numpy(z[f"{case}/counts"]).double() + 1e-6).log()
    loss = classifier_loss(scores, labels, adjustment)
    loss.backward()
    assert loss.item() == pytest.approx(float(z[f"{case}/bsm_loss"]), abs=1e-8)
    np.testing.assert_allclose(scores.grad, z[f"{case}/bsm_grad"], atol=1e-8)
    smoothed = classifier_loss(scores, labels, adjustment, smoothing=0.1)
    assert smoothed.item() == pytest.approx(float(z[f"{case}/bsm_v2_smooth01"]), abs=1e-8)
