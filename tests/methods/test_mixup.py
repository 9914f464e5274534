"""Mixup compared with MiSLAS's code, and one mixture for all workers."""

import numpy as np
import pytest
import torch

from ltray.methods.mixup import METHOD, MixupKnobs, mixed_cross_entropy
from ltray.parts.blending import mix, share_of
from ltray.stage import Batch


@pytest.mark.parametrize("case", ["k5", "k100"])
def test_loss_equals_the_authors_code(golden, case):
    z = golden("two_stage")
    images, labels = torch.from_numpy(z[f"{case}/mix_X"]), torch.from_numpy(z[f"{case}/y"])
    order, share = torch.from_numpy(z[f"{case}/mix_perm"]), torch.from_numpy(z[f"{case}/mix_lam"])
    np.testing.assert_allclose(mix(images, images[order], share), z[f"{case}/mix_out"], atol=1e-8)
    scores = torch.from_numpy(z[f"{case}/x"] @ z[f"{case}/W"].T + z[f"{case}/b"])
    loss = mixed_cross_entropy(scores, labels, labels[order], share)
    assert loss.item() == pytest.approx(float(z[f"{case}/mix_ce"]), abs=1e-8)


def test_same_seed_gives_the_same_mixture(new_context):
    (stage,) = METHOD.stages(MixupKnobs(), new_context([8, 4]))
    batch = Batch({"image": torch.randn(6, 3, 8, 8)}, torch.tensor([0, 0, 0, 0, 1, 1]), torch.arange(6))
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(stage(batch)["classification"].item())
    assert losses[0] == losses[1] != losses[2]


def test_small_alpha_mixes_little():
    # Its smallest valid value; below it, torch's sampler underflows and returns 0.5.
    torch.manual_seed(0)
    shares = torch.stack([share_of(0.01) for _ in range(200)])
    assert ((shares < 0.01) | (shares > 0.99)).double().mean() > 0.9
