"""ResCom compared with the authors' code: loss, mining, queue and three training steps."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.long_tail import LongTail
from ltray.methods.rescom.losses import EPSILON, class_balanced_contrast, mined_similarities
from ltray.methods.rescom.method import ResCom, ResComKnobs
from ltray.parts.losses import adjusted_cross_entropy, effective_number_weights, log_prior
from ltray.parts.queues import ClassQueue
from ltray.stage import Batch

LOSS = dict(rtol=1e-9, atol=1e-11)
GRADIENT = dict(rtol=1e-7, atol=1e-10)


def close(actual: Tensor, expected: np.ndarray, **tolerance: float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, **tolerance)


def variants(data: Mapping[str, np.ndarray], case: str) -> list[str]:
    return sorted({name.split("/")[1] for name in data if name.startswith(f"{case}/") and name.endswith("/params")})


@pytest.mark.parametrize("case", ["tiny", "medium"])
def test_loss_and_gradients_equal_the_official_code(golden, case: str) -> None:
    data = golden("rescom_loss")
    found = variants(data, case)
    assert len(found) >= 2
    for name in found:
        beta, temperature, weight = data[f"{case}/{name}/params"]
        tail = LongTail(tuple(int(count) for count in data[f"{case}/counts"]))
        class_weights = effective_number_weights(tail, float(beta))
        close(class_weights, data[f"{case}/{name}/class_weight"], **LOSS)
        similarities = torch.tensor(data[f"{case}/sim_con"], requires_grad=True)
        scores = torch.tensor(data[f"{case}/logits_cls"], requires_grad=True)
        labels = torch.tensor(data[f"{case}/labels"])
        contrastive = class_balanced_contrast(
            similarities,
            torch.tensor(data[f"{case}/labels_con"]) == 1,
            class_weights[labels],
            temperature=float(temperature),
        )
        classification = adjusted_cross_entropy(scores, labels, log_prior(tail, epsilon=EPSILON))
        close(contrastive, data[f"{case}/{name}/loss_con"], **LOSS)
        close(classification, data[f"{case}/{name}/loss_cls"], **LOSS)
        (classification + weight * contrastive).backward()
        close(similarities.grad, data[f"{case}/{name}/grad_sim_con"], **GRADIENT)
        close(scores.grad, data[f"{case}/{name}/grad_logits_cls"], **GRADIENT)


def test_a_float32_loss_equals_the_official_codes_float32(golden) -> None:
    data = golden("rescom_loss")
    beta, temperature, weight = data["tiny/" + variants(data, "tiny")[0] + "/params"]
    tail = LongTail(tuple(int(count) for count in data["tiny/counts"]))
    labels = torch.tensor(data["tiny/labels"])
    contrastive = class_balanced_contrast(
        torch.tensor(data["tiny/sim_con"]).float(),
        torch.tensor(data["tiny/labels_con"]) == 1,
        effective_number_weights(tail, float(beta))[labels],
        temperature=float(temperature),
    )
    classification = adjusted_cross_entropy(
        torch.tensor(data["tiny/logits_cls"]).float(), labels, log_prior(tail, epsilon=EPSILON)
    )
    assert contrastive.dtype == torch.float32
    expected = data["tiny/" + variants(data, "tiny")[0] + "/loss_f32"]
    close(classification + weight * contrastive, expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("case", ["tiny", "medium", "absent_classes", "single_sample_class"])
def test_mining_equals_the_official_code(golden, new_context, case: str) -> None:
    data = golden("rescom_mining")
    found = variants(data, case)
    assert found
    for name in found:
        at = f"{case}/{name}"
        size, positives, negatives, beta, temperature, weight = data[f"{at}/params"]
        x = torch.tensor(data[f"{case}/x"], requires_grad=True)
        half = x.shape[0] // 2
        knobs = ResComKnobs(
            queue_size=int(size),
            hard_positives=int(positives),
            hard_negatives=int(negatives),
            effective_number_beta=float(beta),
            temperature=float(temperature),
            contrastive_weight=float(weight),
            projection_width=x.shape[1],
        )
        stage = ResCom(knobs, new_context(data[f"{case}/counts"].tolist(), width=x.shape[1])).double()
        stage.projector = torch.nn.Identity()
        stage.queue.keys.copy_(torch.tensor(data[f"{case}/queue"]).T)
        classifier = stage.network.classifier
        classifier.load_state_dict(
            {"weight": torch.tensor(data[f"{case}/lin_w"]), "bias": torch.tensor(data[f"{case}/lin_b"])}
        )
        labels = torch.tensor(data[f"{case}/labels"])[:half]
        terms = stage(Batch({"first": x[:half], "second": x[half:]}, labels, torch.arange(half)))
        close(terms["classification"], data[f"{at}/loss_cls"], **LOSS)
        close(terms["contrastive"], weight * data[f"{at}/loss_con"], **LOSS)
        sum(terms.values()).backward()
        close(x.grad, data[f"{at}/grad_x"], **GRADIENT)
        close(classifier.weight.grad, data[f"{at}/grad_lin_w"], **GRADIENT)
        close(classifier.bias.grad, data[f"{at}/grad_lin_b"], **GRADIENT)
        if f"{at}/queue_after" in data:
            close(stage.queue.keys.T, data[f"{at}/queue_after"], **LOSS)
            assert stage.queue.pointers.tolist() == data[f"{at}/ptr_after"].tolist()


def test_the_mined_columns_and_their_order_equal_the_official_code(golden) -> None:
    data = golden("rescom_mining")
    for name in variants(data, "tiny"):
        size, positives, negatives = (int(value) for value in data[f"tiny/{name}/params"][:3])
        unit = torch.nn.functional.normalize(torch.tensor(data["tiny/x"]), dim=1)
        queue = ClassQueue([size] * len(data["tiny/counts"]), unit.shape[1])
        mined, is_positive = mined_similarities(
            unit,
            torch.tensor(data["tiny/queue"]).T,
            queue.slots_of(torch.tensor(data["tiny/labels"])),
            positives=positives,
            negatives=negatives,
        )
        columns = data[f"tiny/{name}/sim_con"].shape[1] - (unit.shape[0] - 1)
        assert columns == positives + negatives
        close(mined, data[f"tiny/{name}/sim_con"][:, -columns:], **LOSS)
        assert is_positive.numpy().astype(float).tolist() == data[f"tiny/{name}/labels_con"][:, -columns:].tolist()


def test_three_training_steps_equal_the_official_code(golden, new_context) -> None:
    data = golden("rescom_steps")
    config = {name.split("/")[1]: data[name] for name in data if name.startswith("config/")}
    width = data["step0/inputs"].shape[1]
    knobs = ResComKnobs(
        queue_size=int(config["Q"]),
        hard_positives=int(config["Qp"]),
        hard_negatives=int(config["Qn"]),
        effective_number_beta=float(config["beta"]),
        temperature=float(config["tau"]),
        contrastive_weight=float(config["con_weight"]),
        learning_rate=float(config["lr"]),
        momentum=float(config["momentum"]),
        weight_decay=float(config["weight_decay"]),
        projection_width=data["init/queue_list"].shape[0],
    )
    stage = ResCom(knobs, new_context(config["counts"].tolist(), width=width)).double()
    stage.load_state_dict(official_state(data, "init"))
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    for step in range(3):
        x = torch.tensor(data[f"step{step}/inputs"])
        half = x.shape[0] // 2
        labels = torch.tensor(data[f"step{step}/labels"])[:half]
        batch = Batch({"first": x[:half], "second": x[half:]}, labels, torch.arange(half))
        terms = train_step(stage, batch, optimizer, rate=knobs.learning_rate, precision=knobs.precision)
        close(terms["classification"], data[f"step{step}/loss_cls"], **LOSS)
        close(terms["contrastive"], knobs.contrastive_weight * data[f"step{step}/loss_con"], **LOSS)
        for name, parameter in stage.named_parameters():
            close(parameter.grad, data[f"step{step}/grad/{official_name(name)}"], **GRADIENT)
        close(stage.queue.keys.T, data[f"step{step}/queue"], **LOSS)
        assert stage.queue.pointers.tolist() == data[f"step{step}/ptr"].tolist()
    for name, expected in official_state(data, "final").items():
        close(stage.state_dict()[name], expected.numpy(), **GRADIENT)
    stage.eval()
    close(stage.logits(torch.tensor(data["eval/inputs"])), data["eval/logits"], **GRADIENT)


def official_name(name: str) -> str:
    return name.replace("network.classifier", "linear").replace("projector", "mlp")


def official_state(data: Mapping[str, np.ndarray], moment: str) -> dict[str, Tensor]:
    """Return the official state with ltray's names; its queue has the layout (d, K·Q)."""
    state = {}
    for name, value in data.items():
        part, _, rest = name.partition("/")
        if part != moment or rest in ("queue_label", "ids"):
            continue
        ours = rest.replace("linear", "network.classifier").replace("mlp", "projector")
        ours = ours.replace("queue_list", "queue.keys").replace("queue_ptr", "queue.pointers")
        state[ours] = torch.tensor(value.T if rest == "queue_list" else value)
    return state
