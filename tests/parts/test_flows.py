"""The flow and its mixture compared with DLSA's code, autograd and their inverse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.methods.dlsa.flow_mixture import FlowMixture
from ltray.parts.flows import MADE, AutoregressiveFlow, FlowBatchNorm


def load_flow(flow, z, prefix):
    """Fill a flow with the official state; their masked layers are net_input, net.1, net.3 and so on."""
    for index, transform in enumerate(flow.transforms):
        if isinstance(transform, MADE):
            names = ["net_input", *[f"net.{2 * i + 1}" for i in range(len(transform.layers) - 1)]]
            for layer, name in zip(transform.layers, names, strict=True):
                layer.weight.data = torch.from_numpy(z[f"{prefix}net.{index}.{name}.weight"])
                layer.bias.data = torch.from_numpy(z[f"{prefix}net.{index}.{name}.bias"])
        else:
            for name in ("log_gamma", "beta", "running_mean", "running_var"):
                getattr(transform, name).data = torch.from_numpy(z[f"{prefix}net.{index}.{name}"])


def _flow(z, case):
    flow = AutoregressiveFlow(
        int(z[f"{case}/D"]),
        hidden=int(z[f"{case}/H"]),
        blocks=int(z[f"{case}/n_blocks"]),
        hidden_layers=int(z[f"{case}/n_hidden"]),
        batch_norm=bool(z[f"{case}/batch_norm"]),
    ).double()
    load_flow(flow, z, f"{case}/sd.")
    return flow, torch.from_numpy(z[f"{case}/x"])


CASES = ["tiny", "paper_shape", "deep", "no_bn"]


@pytest.mark.parametrize("case", CASES)
def test_evaluation_equals_the_authors_code(golden, case):
    z = golden("dlsa_flow")
    flow, x = _flow(z, case)
    u, log_derivatives = flow.eval()(x)
    np.testing.assert_allclose(u.detach(), z[f"{case}/u_eval"], atol=1e-8)
    np.testing.assert_allclose(log_derivatives.detach(), z[f"{case}/logdet_eval"], atol=1e-8)
    width = x.shape[1]
    standard = (-0.5 * u.square() - 0.5 * math.log(2 * math.pi) + log_derivatives).sum(dim=1)
    offset = 5.6e-8 * width  # the official π has six decimals
    np.testing.assert_allclose(standard.detach(), z[f"{case}/log_prob_std_normal"], atol=1e-8 + offset)
    jacobian = torch.autograd.functional.jacobian(lambda row: flow(row)[0], x[:1]).squeeze(0).squeeze(1)
    np.testing.assert_allclose(jacobian, z[f"{case}/jacobian0"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_training_equals_the_authors_code(golden, case):
    z = golden("dlsa_flow")
    flow, x = _flow(z, case)
    u, log_derivatives = flow.train()(x)
    np.testing.assert_allclose(u.detach(), z[f"{case}/u_train"], atol=1e-8)
    np.testing.assert_allclose(log_derivatives.detach(), z[f"{case}/logdet_train"], atol=1e-8)
    for index, transform in enumerate(flow.transforms):
        if isinstance(transform, FlowBatchNorm):
            for name in ("running_mean", "running_var"):
                np.testing.assert_allclose(getattr(transform, name), z[f"{case}/after.net.{index}.{name}"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_inverse_inverts_the_flow(golden, case):
    z = golden("dlsa_flow")
    flow, x = _flow(z, case)
    flow.eval()
    with torch.no_grad():
        np.testing.assert_allclose(flow.inverse(flow(x)[0]), x, atol=1e-8)


def test_inverse_is_correct_for_an_order_on_which_the_official_code_fails(golden):
    z = golden("dlsa_flow")
    degrees = torch.from_numpy(z["random_order/degrees"])
    torch.manual_seed(0)
    made, x = MADE(degrees, hidden=12).double(), torch.randn(9, len(degrees), dtype=torch.float64)
    with torch.no_grad():
        error = (made.inverse(made(x)[0]) - x).abs().max().item()
    assert error < 1e-12 < float(z["random_order/max_inverse_error"])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(0, 3))
def test_log_derivatives_sum_to_the_log_determinant_for_any_order(seed, width, hidden_layers):
    random = torch.Generator().manual_seed(seed)
    made = MADE(torch.randperm(width, generator=random), hidden=width + 2, hidden_layers=hidden_layers).double()
    x = torch.randn(1, width, generator=random, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda row: made(row)[0], x).squeeze(0).squeeze(1)
    sign, log_determinant = torch.linalg.slogdet(jacobian)
    assert sign > 0
    assert made(x)[1].sum().item() == pytest.approx(log_determinant.item(), abs=1e-9)
    order = made.degrees.argsort()
    assert torch.allclose(jacobian[order][:, order].triu(1), torch.zeros((), dtype=torch.float64))


def test_batch_norm_refuses_a_single_row():
    with pytest.raises(ValueError, match="at least 2 rows"):
        FlowBatchNorm(3)(torch.randn(1, 3))


MIXTURES = ["tiny", "k100", "sigma005"]


def _mixture(z, case):
    means = torch.from_numpy(z[f"{case}/sd.means"]).squeeze(0)
    flow = AutoregressiveFlow(means.shape[1])
    mixture = FlowMixture(flow, width=means.shape[1], clusters=len(means)).double()
    load_flow(flow, z, f"{case}/sd.nf.")
    mixture.means = means
    return mixture.eval(), torch.from_numpy(z[f"{case}/x"])


@pytest.mark.parametrize("case", MIXTURES)
def test_mixture_equals_the_authors_code(golden, case):
    z = golden("dlsa_flowgmm")
    mixture, x = _mixture(z, case)
    with torch.no_grad():
        density = mixture(x)
        u, log_derivatives = mixture.flow(x)
    offset = 5.6e-8 * x.shape[1]
    np.testing.assert_allclose(u, z[f"{case}/u"], atol=1e-8)
    np.testing.assert_allclose(density.log_joint, z[f"{case}/log_p_x"], atol=1e-8 + offset)
    np.testing.assert_allclose(density.log_likelihood, z[f"{case}/log_lh"], atol=1e-8 + offset)
    np.testing.assert_allclose(density.log_likelihood, z[f"{case}/log_lh_exact_pi"], atol=1e-8)
    latent = density.log_likelihood - log_derivatives.sum(dim=1)
    np.testing.assert_allclose(latent, z[f"{case}/log_lh_u"], atol=1e-8 + offset)
    np.testing.assert_allclose(density.posterior, z[f"{case}/posterior"], atol=1e-8)
    np.testing.assert_array_equal(density.cluster, z[f"{case}/cluster"])


@pytest.mark.parametrize("case", MIXTURES)
def test_subset_of_clusters_equals_the_authors_code(golden, case):
    z = golden("dlsa_flowgmm")
    mixture, x = _mixture(z, case)
    some = torch.from_numpy(z[f"{case}/mask"]).bool()
    with torch.no_grad():
        joint, (_, log_derivatives) = mixture(x).log_joint[:, some], mixture.flow(x)
    masked = joint.logsumexp(dim=1) - math.log(int(some.sum()))
    offset = 5.6e-8 * x.shape[1]
    np.testing.assert_allclose(masked, z[f"{case}/log_lh_masked"], atol=1e-8 + offset)
    np.testing.assert_allclose(masked - log_derivatives.sum(dim=1), z[f"{case}/log_lh_u_masked"], atol=1e-8 + offset)


def test_means_have_the_requested_distance():
    torch.manual_seed(0)
    means = FlowMixture(AutoregressiveFlow(512), width=512, clusters=60, distance=3.2).means
    squared = torch.cdist(means, means).square().sum() / (60 * 59)
    assert squared.sqrt().item() == pytest.approx(3.2, rel=0.03)


def test_posterior_is_accurate_in_float32_far_from_the_origin():
    torch.manual_seed(0)
    mixture = FlowMixture(AutoregressiveFlow(16), width=16, clusters=8).eval()
    mixture.flow.transforms[-1].beta.data.fill_(500.0)  # |u|² is about 4 million
    features = torch.randn(20, 16)
    exact = FlowMixture(AutoregressiveFlow(16), width=16, clusters=8).double().eval()
    exact.load_state_dict(mixture.state_dict())
    with torch.no_grad():
        close = mixture(features).scores
        wanted = exact(features.double()).scores
    spread = wanted.max(dim=1).values - wanted.min(dim=1).values
    assert ((close - wanted).abs().max(dim=1).values / spread.float()).max() < 1e-4
