"""BCL against the authors' code: losses, logit compensation and three training steps."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.long_tail import LongTail
from ltray.methods.bcl.losses import contrast
from ltray.methods.bcl.method import BCL, BCLKnobs
from ltray.parts.contrast import ContrastBatch
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.stage import Batch

LOSS = dict(rtol=1e-9, atol=1e-11)
GRADIENT = dict(rtol=1e-7, atol=1e-10)
CASES = [
    "absent_classes",
    "batch_of_one",
    "medium",
    "one_class_only",
    "simplex_optimum",
    "single_sample_class",
    "tiny",
]


def close(actual: Tensor, expected: np.ndarray, **tolerance: float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, **tolerance)


def batch_of(features: Tensor, labels: np.ndarray) -> ContrastBatch:
    return ContrastBatch.gathered([features[:, 0], features[:, 1]], torch.tensor(labels))


@pytest.mark.parametrize("case", CASES)
def test_balanced_contrast_equals_the_official_code(golden, case: str) -> None:
    data = golden("bcl_balscl")
    found = [name.rpartition("/")[0] for name in data if name.startswith(f"{case}/") and name.endswith("/loss")]
    assert found
    for at in found:
        features = torch.tensor(data[f"{case}/features"], requires_grad=True)
        prototypes = torch.tensor(data[f"{case}/centers"], requires_grad=True)
        batch, temperature = batch_of(features, data[f"{case}/labels"]), float(data[f"{at}/tau"])
        loss = contrast(batch, prototypes, temperature=temperature, averaging="L1")
        close(loss, data[f"{at}/loss"], **LOSS)
        loss.backward()
        close(features.grad, data[f"{at}/grad_features"], **GRADIENT)
        close(prototypes.grad, data[f"{at}/grad_centers"], **GRADIENT)
        single = contrast(
            batch_of(features.detach().float(), data[f"{case}/labels"]),
            prototypes.detach().float(),
            temperature=temperature,
            averaging="L1",
        )
        assert single.dtype == torch.float32
        close(single, data[f"{at}/loss_f32"], rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("case", ["medium", "single", "tiny"])
@pytest.mark.parametrize(
    ("name", "averaging", "complement"),
    [
        ("scl", "none", False),
        ("avg_only_L1", "L1", False),
        ("avg_inside_L2", "L2", False),
        ("proto_L3", "L3", True),
        ("complement_only", "none", True),
    ],
)
def test_ablations_equal_the_papers_equations(golden, case: str, name: str, averaging: str, complement: bool) -> None:
    data = golden("bcl_ablation_unofficial")
    features = torch.tensor(data[f"{case}/features"], requires_grad=True)
    prototypes = torch.tensor(data[f"{case}/centers"]) if complement else None
    loss = contrast(
        batch_of(features, data[f"{case}/labels"]),
        prototypes,
        temperature=float(data[f"{case}/tau"]),
        averaging=averaging,
    )
    close(loss, data[f"{case}/{name}"], **LOSS)
    loss.backward()
    if case != "medium":  # which comes without gradients
        close(features.grad, data[f"{case}/grad_{name}"], **GRADIENT)


@pytest.mark.parametrize("case", ["k10", "medium", "tiny"])
def test_logit_compensation_equals_the_official_code(golden, case: str) -> None:
    data = golden("bcl_logitadjust")
    found = [name.rpartition("/")[0] for name in data if name.startswith(f"{case}/") and name.endswith("/loss")]
    assert found
    for at in found:
        scores = torch.tensor(data[f"{case}/logits"], requires_grad=True)
        tail = LongTail(tuple(int(count) for count in data[f"{case}/counts"]))
        weight = torch.tensor(data[f"{case}/weight"]) if at.endswith("weighted") else None
        adjustment = float(data[f"{at}/tau"]) * log_prior(tail)
        labels = torch.tensor(data[f"{case}/labels"])
        loss = adjusted_cross_entropy(scores, labels, adjustment, weight=weight)
        close(loss, data[f"{at}/loss"], **LOSS)
        loss.backward()
        close(scores.grad, data[f"{at}/grad_logits"], **GRADIENT)


def test_three_training_steps_equal_the_official_code(golden, new_context) -> None:
    data = golden("bcl_step")
    config = {
        name.split("/")[1]: float(data[name]) for name in data if name.startswith("config/") and data[name].ndim == 0
    }
    out, hidden = data["init/head.3.weight"].shape
    knobs = BCLKnobs(
        classification_weight=config["alpha"],
        contrastive_weight=config["beta"],
        temperature=config["tau"],
        hidden_width=hidden,
        projection_width=out,
        classifier="cosine",
        learning_rate=config["lr"],
        momentum=config["momentum"],
        weight_decay=config["weight_decay"],
    )
    stage = BCL(knobs, new_context(data["config/counts"].tolist(), width=data["step0/inputs"].shape[1])).double()
    stage.load_state_dict(official_state(data, "init"))
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    for step in range(3):
        labels = torch.tensor(data[f"step{step}/labels"])
        inputs = torch.tensor(data[f"step{step}/inputs"], requires_grad=True)
        classify, first, second = inputs.chunk(3)
        batch = Batch({"classify": classify, "first": first, "second": second}, labels, torch.arange(len(labels)))
        terms = train_step(stage, batch, optimizer, rate=knobs.learning_rate, precision=knobs.precision)
        close(terms["classification"], config["alpha"] * data[f"step{step}/ce"], **LOSS)
        close(terms["contrastive"], config["beta"] * data[f"step{step}/scl"], **LOSS)
        close(inputs.grad, data[f"step{step}/grad_inputs"], **GRADIENT)
        gradients = {name: parameter.grad for name, parameter in stage.named_parameters()}
        for name, expected in official_state(data, f"step{step}", folder="grad/").items():
            close(gradients.pop(name), expected.numpy(), **GRADIENT)
        assert not gradients
    for name, expected in official_state(data, "final").items():
        close(stage.state_dict()[name], expected.numpy(), **GRADIENT)
    stage.eval()
    inputs = torch.tensor(data["eval/inputs"])
    close(stage.logits(inputs), data["eval/logits"], **GRADIENT)
    close(F.normalize(stage.head(inputs), dim=1), data["eval/feat_mlp"], **GRADIENT)
    close(stage.prototypes(stage.network.classifier.weight), data["eval/centers"], **GRADIENT)


def official_state(data: Mapping[str, np.ndarray], moment: str, *, folder: str = "") -> dict[str, Tensor]:
    """The official state under our names; the classifier's weight is (d, K) there."""
    prefix = f"{moment}/{folder}"
    state = {}
    for name, value in data.items():
        if name.startswith(prefix) and name.count("/") == prefix.count("/"):
            ours = name.removeprefix(prefix).replace("head_fc.", "prototypes.mlp.")
            ours = ours.replace("fc.weight", "network.classifier.weight")
            state[ours] = torch.tensor(value.T if name.endswith("fc.weight") else value)
    return state
