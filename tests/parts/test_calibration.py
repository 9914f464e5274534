"""Calibration and corruption errors compared with MiSLAS's code and the published definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.parts.calibration import reliability
from ltray.parts.corruption_error import ALEXNET, mean_corruption_error, normalised_corruption_error


@pytest.mark.parametrize("case", ["tiny", "k100", "k10_15"])
def test_reliability_equals_the_authors_code(golden, case):
    z = golden("calibration")
    found = reliability(
        torch.from_numpy(z[f"{case}/conf"]),
        torch.from_numpy(z[f"{case}/pred"] == z[f"{case}/y"]),
        bins=int(z[f"{case}/num_bins"]),
    )
    assert found.expected_error == pytest.approx(float(z[f"{case}/ece"]), abs=1e-8)
    assert found.largest_error == pytest.approx(float(z[f"{case}/max_ce"]), abs=1e-8)
    np.testing.assert_allclose(found.accuracy, z[f"{case}/bin_acc"], atol=1e-8)
    np.testing.assert_allclose(found.confidence, z[f"{case}/bin_conf"], atol=1e-8)
    np.testing.assert_array_equal(found.count, z[f"{case}/bin_count"])


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_calibration_error_equals_a_loop_over_bins(images, bins):
    confidence = torch.tensor([c for c, _ in images], dtype=torch.float64)
    correct = torch.tensor([right for _, right in images])
    found, edges, expected = reliability(confidence, correct, bins=bins), np.linspace(0.0, 1.0, bins + 1), 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = [(c, right) for c, right in images if low < c <= high]
        if inside:
            gap = abs(sum(right for _, right in inside) - sum(c for c, _ in inside))
            expected += gap / len(images)
    assert found.expected_error == pytest.approx(expected, abs=1e-9)
    assert found.expected_error <= found.largest_error + 1e-12


def test_confident_and_right_is_calibrated():
    found = reliability(torch.ones(8), torch.ones(8, dtype=torch.bool))
    assert found.expected_error == found.largest_error == 0.0


def test_corruption_errors_equal_the_published_definitions(golden):
    z = golden("calibration")
    np.testing.assert_array_equal(list(ALEXNET.values()), z["mce/alexnet"])
    errors = torch.from_numpy(z["mce/err"])
    assert 100 * mean_corruption_error(errors) == pytest.approx(float(z["mce/unnormalised"]), abs=1e-8)
    assert 100 * normalised_corruption_error(errors) == pytest.approx(float(z["mce/normalised"]), abs=1e-8)
