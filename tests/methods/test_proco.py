"""ProCo compared with the authors' code and exact arithmetic: Bessel functions, estimators, loss, training steps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ltray.distributed import rank, world_size
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.methods.proco.bessel import exact, log_bessel, recurrence
from ltray.methods.proco.estimator import ClassEstimator
from ltray.methods.proco.losses import class_contrast
from ltray.methods.proco.method import METHOD, ProCoKnobs
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.stage import Batch
from tests.paths import GOLDEN

WIDTHS = ("p16", "p32", "p64", "p128", "p256", "p1024")
ESTIMATED = ("absent_and_single", "identical_rows", "p128", "tiny")
CASES = (
    "absent_classes", "cifar10", "cifar100", "first_epoch", "imagenet_dim", "p64", "single_sample_class", "tiny",
)  # fmt: skip
KINDS = {"official": "recurrence", "exact": "exact"}


@pytest.mark.parametrize("case", WIDTHS)
def test_bessel_functions_are_exact(golden, case):
    z = golden("vmf_bessel")
    kappa, nu = torch.from_numpy(z[f"{case}/kappa"]), float(z[f"{case}/nu"])
    for kind, function in (("exact", exact), ("official", recurrence)):
        value, ratio = function(kappa**2, nu)
        expected = torch.from_numpy(z[f"{case}/{kind}_log_ive_nu"]) + kappa - nu * kappa.log()
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=4e-11)
        np.testing.assert_allclose(ratio * kappa, z[f"{case}/{kind}_ratio"].clip(max=1.0), rtol=1e-9)
    before = torch.from_numpy(z[f"{case}/k0"])
    difference = exact(kappa**2, nu)[0] - exact(before**2, nu)[0]
    np.testing.assert_allclose(difference, z[f"{case}/exact_log_ratio"], rtol=1e-9, atol=1e-10)


@given(kappa=st.floats(0.0, 300.0))
def test_low_orders_are_computed_from_high_ones(kappa):
    q = torch.tensor([kappa**2], dtype=torch.float64)
    zeroth = torch.special.i0e(torch.tensor([kappa], dtype=torch.float64)).log() + kappa
    torch.testing.assert_close(exact(q, 0.0)[0], zeroth, rtol=1e-12, atol=1e-11)
    if kappa > 1e-3:  # I_{1/2}(κ) = sqrt(2/(πκ))·sinh κ
        half = kappa + np.log((1 - np.exp(-2 * kappa)) / 2) + 0.5 * np.log(2 / np.pi) - np.log(kappa)
        assert exact(q, 0.5)[0].item() == pytest.approx(half, abs=1e-10)


@pytest.mark.parametrize("kind", ["exact", "recurrence"])
def test_gradient_is_numerically_correct_and_finite_at_zero(kind):
    q = torch.tensor([0.0, 0.5, 40.0, 900.0], dtype=torch.float64, requires_grad=True)
    log_bessel(q, 15.0, kind=kind).sum().backward()
    step = 1e-4
    with torch.no_grad():
        slope = (log_bessel(q + step, 15.0, kind=kind) - log_bessel(q, 15.0, kind=kind)) / step
    torch.testing.assert_close(q.grad, slope, rtol=1e-5, atol=1e-9)
    assert q.grad[0] == pytest.approx(1 / 64)


def estimator_of(mean, amount):
    estimator = ClassEstimator(*mean.shape)
    estimator.mean.copy_(torch.from_numpy(mean))
    estimator.amount.copy_(torch.from_numpy(amount))
    return estimator


def log_normaliser(estimator, kind):
    return log_bessel(estimator.concentration() ** 2, estimator.mean.shape[1] / 2 - 1, kind=kind)


@pytest.mark.parametrize("case", ESTIMATED)
def test_estimator_equals_the_authors_code(golden, case):
    z = golden("vmf_estimator")
    estimator = estimator_of(z[f"{case}/init/Ave"], z[f"{case}/init/Amount"])
    np.testing.assert_allclose(estimator.concentration(), z[f"{case}/init/kappa"], rtol=1e-9)
    steps = sorted({key.split("/")[1] for key in z if key.startswith(f"{case}/step")})
    assert steps
    for step in steps:
        features, labels = (torch.from_numpy(z[f"{case}/{step}/{name}"]) for name in ("features", "labels"))
        estimator.update(features, labels)
        np.testing.assert_allclose(estimator.mean, z[f"{case}/{step}/Ave"], rtol=1e-9, atol=1e-14)
        np.testing.assert_array_equal(estimator.amount, z[f"{case}/{step}/Amount"])
        np.testing.assert_allclose(estimator.concentration(), z[f"{case}/{step}/kappa"], rtol=1e-9)
        for name, kind in (("logc", "recurrence"), ("logc_exact", "exact")):
            np.testing.assert_allclose(log_normaliser(estimator, kind), z[f"{case}/{step}/{name}"], rtol=1e-8)


def test_new_estimator_has_random_directions_of_length_nine_tenths():
    first, second = ClassEstimator(7, 32), ClassEstimator(7, 32)
    first.reset(5)
    second.reset(6)
    assert not torch.allclose(first.mean, second.mean)
    torch.testing.assert_close(first.mean.norm(dim=1), torch.full((7,), 0.9, dtype=torch.float64))
    torch.testing.assert_close(first.concentration(), torch.full((7,), 32 * 90 / 19, dtype=torch.float64))
    second.reset(5)
    assert torch.equal(first.mean, second.mean)


def check_state(estimator, z, key, prefix):
    np.testing.assert_allclose(estimator.mean, z[f"{key}/{prefix}_Ave"], rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(estimator.amount, z[f"{key}/{prefix}_Amount"])


def test_estimators_are_swapped_at_the_start_of_every_epoch(golden, new_context):
    z = golden("vmf_estimator")
    classes, width = z["epochs/init/Ave"].shape
    (stage,) = METHOD.stages(ProCoKnobs(projection_width=width), new_context([5] * classes))
    stage.fresh.mean.copy_(torch.from_numpy(z["epochs/init/Ave"]))
    steps = sorted({key.split("/")[1] for key in z if key.startswith("epochs/step")}, key=lambda name: int(name[4:]))
    for step in steps:
        epoch, key = int(z[f"epochs/{step}/epoch"]), f"epochs/{step}"
        if int(stage.opened) != epoch:
            stage.begin_epoch(epoch)
            stage.fresh.mean.copy_(torch.from_numpy(z[f"epochs/epoch{epoch}/reset_Ave"]))
        stage.begin_epoch(epoch)  # a run that resumes within an epoch
        for estimator in (stage.estimate, stage.fresh):
            estimator.update(torch.from_numpy(z[f"{key}/features"]), torch.from_numpy(z[f"{key}/labels"]))
        check_state(stage.estimate, z, key, "old")
        check_state(stage.fresh, z, key, "new")
        np.testing.assert_allclose(stage.estimate.concentration(), z[f"{key}/old_kappa"], rtol=1e-9)
        np.testing.assert_allclose(log_normaliser(stage.estimate, "recurrence"), z[f"{key}/old_logc"], rtol=1e-8)


def updated(z, case, features, labels):
    """The estimator of the loss after the update with this batch."""
    estimator = estimator_of(z[f"{case}/pre_Ave"], z[f"{case}/pre_Amount"])
    estimator.update(features.detach(), labels)
    np.testing.assert_allclose(estimator.mean, z[f"{case}/post_Ave"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(estimator.concentration(), z[f"{case}/kappa"], rtol=1e-9)
    return estimator


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", [*CASES, "through_normalize"])
def test_logits_loss_and_gradient_equal_the_authors_code(golden, case, kind):
    z = golden("proco_loss")
    raw = "raw_features" if case == "through_normalize" else "features"
    given_rows = torch.from_numpy(z[f"{case}/{raw}"]).requires_grad_()
    labels = torch.from_numpy(z[f"{case}/labels"])
    rows = F.normalize(given_rows, dim=1) if raw == "raw_features" else given_rows
    estimator = updated(z, case, rows, labels)
    logits = class_contrast(rows, estimator, temperature=float(z[f"{case}/tau"]), bessel=KINDS[kind])
    loss = adjusted_cross_entropy(logits, labels, log_prior(LongTail(tuple(z[f"{case}/counts"].tolist()))))
    loss.backward()
    np.testing.assert_allclose(logits.detach(), z[f"{case}/{kind}_logits"], rtol=1e-8, atol=1e-9)
    assert loss.item() == pytest.approx(float(z[f"{case}/{kind}_loss"]), rel=1e-8)
    np.testing.assert_allclose(given_rows.grad, z[f"{case}/{kind}_grad_{raw}"], rtol=1e-6, atol=1e-10)


def loss_of_rank() -> tuple[float, np.ndarray]:
    """The loss of this worker's rows, after the rows of both have updated the state."""
    from ltray.distributed import gather

    z = dict(np.load(GOLDEN / "foundation" / "golden_proco_loss.npz"))
    features = torch.from_numpy(z[f"ddp2/rank{rank()}/features"]).requires_grad_()
    labels = torch.from_numpy(z[f"ddp2/rank{rank()}/labels"])
    assert world_size() == 2
    estimator = estimator_of(z["ddp2/pre_Ave"], z["ddp2/pre_Amount"])
    estimator.update(gather(features), gather(labels))
    np.testing.assert_allclose(estimator.mean, z["ddp2/post_Ave"], rtol=1e-9, atol=1e-14)
    logits = class_contrast(features, estimator, temperature=float(z["ddp2/tau"]), bessel="recurrence")
    loss = adjusted_cross_entropy(logits, labels, log_prior(LongTail(tuple(z["ddp2/counts"].tolist()))))
    loss.backward()
    np.testing.assert_allclose(logits.detach(), z[f"ddp2/rank{rank()}/official_logits"], rtol=1e-8, atol=1e-9)
    return loss.item(), features.grad.numpy()


def test_two_workers_equal_the_authors_code(golden, two_workers):
    z = golden("proco_loss")
    for number, (loss, gradient) in enumerate(two_workers.run(loss_of_rank)):
        assert loss == pytest.approx(float(z[f"ddp2/rank{number}/official_loss"]), rel=1e-8)
        np.testing.assert_allclose(gradient, z[f"ddp2/rank{number}/official_grad_features"], rtol=1e-6, atol=1e-10)


def load_model(stage, z, key):
    """Load the authors' parameters into the stage; their cosine classifier's weight is stored as (d, K)."""
    head = {name.rpartition("head.")[2]: value for name, value in z.items() if name.startswith(f"{key}/head.")}
    stage.head.load_state_dict({name: torch.from_numpy(value) for name, value in head.items()})
    weight = torch.from_numpy(z[f"{key}/fc.weight"])
    classifier = stage.network.classifier
    with torch.no_grad():
        classifier.weight.copy_(weight if hasattr(classifier, "bias") else weight.T)
        if hasattr(classifier, "bias"):
            classifier.bias.copy_(torch.from_numpy(z[f"{key}/fc.bias"]))


@pytest.mark.parametrize("case", ["linear", "cosine", "linear_exact", "cosine_exact"])
def test_training_steps_equal_the_authors_code(golden, new_context, case):
    z = golden("proco_steps")
    config = {name.rpartition("/")[2]: z[name] for name in z if name.startswith(f"{case}/config/")}
    knobs = ProCoKnobs(
        classifier=case.partition("_")[0],
        bessel="exact" if case.endswith("exact") else "recurrence",
        hidden_width=int(config["hidden"]),
        projection_width=int(config["p"]),
        temperature=float(config["tau"]),
        contrastive_weight=float(config["alpha"]),
    )
    (stage,) = METHOD.stages(knobs, new_context(config["counts"].tolist(), width=int(config["d"])))
    stage.double()
    load_model(stage, z, f"{case}/init")
    stage.fresh.mean.copy_(torch.from_numpy(z[f"{case}/init/estimator_Ave"]))
    optimizer = torch.optim.SGD(
        stage.parameters(),
        lr=float(config["lr"]),
        momentum=float(config["momentum"]),
        weight_decay=float(config["weight_decay"]),
    )
    steps = len({key.split("/")[1] for key in z if key.startswith(f"{case}/step")})
    assert steps > int(config["steps_per_epoch"])
    for step in range(steps):
        epoch, begins = divmod(step, int(config["steps_per_epoch"]))
        key = f"{case}/step{step}"
        if not begins:
            stage.begin_epoch(epoch)
            stage.fresh.mean.copy_(torch.from_numpy(z[f"{case}/epoch{epoch}/reset_Ave"]))
        labels, views = torch.from_numpy(z[f"{key}/labels"]), torch.from_numpy(z[f"{key}/inputs"]).chunk(3)
        optimizer.zero_grad()
        names = ("classify", "first", "second")
        losses = stage(Batch(dict(zip(names, views, strict=True)), labels, torch.arange(len(labels))))
        sum(losses.values()).backward()
        assert losses["classification"].item() == pytest.approx(float(z[f"{key}/ce"]), rel=1e-7)
        assert losses["contrastive"].item() == pytest.approx(
            knobs.contrastive_weight * float(z[f"{key}/scl"]), rel=1e-7
        )
        check_state(stage.estimate, z, key, "old")
        np.testing.assert_allclose(stage.estimate.concentration(), z[f"{key}/old_kappa"], rtol=1e-7)
        for name, parameter in stage.head.named_parameters():
            np.testing.assert_allclose(parameter.grad, z[f"{key}/grad/head.{name}"], rtol=1e-6, atol=1e-9)
        optimizer.step()
    for name, value in stage.head.state_dict().items():
        np.testing.assert_allclose(value, z[f"{case}/final/head.{name}"], rtol=1e-7, atol=1e-10)
    stage.eval()
    scores = stage.logits(torch.from_numpy(z[f"{case}/eval/inputs"]))
    np.testing.assert_allclose(scores.detach(), z[f"{case}/eval/logits"], rtol=1e-7, atol=1e-9)


def test_recurrence_needs_an_even_width(new_context):
    with pytest.raises(UsageError, match="must be even with `bessel` recurrence, but got 33"):
        METHOD.stages(ProCoKnobs(projection_width=33, bessel="recurrence"), new_context([5, 2]))


def test_no_gradient_reaches_the_estimators(new_context):
    (stage,) = METHOD.stages(ProCoKnobs(projection_width=8, hidden_width=6), new_context([5, 2]))
    assert {name for name, _ in stage.named_buffers()} >= {"estimate.mean", "estimate.amount", "fresh.mean", "seed"}
    assert {"estimate.mean", "fresh.amount", "opened"} <= stage.state_dict().keys()
    assert not any(buffer.requires_grad for buffer in stage.buffers())
