"""DSCL and PBSD compared with the authors' code: both losses, region pooling, two training steps."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.long_tail import LongTail
from ltray.methods.dscl.knobs import DSCLKnobs
from ltray.methods.dscl.losses import (
    AnchorSums,
    decoupled_loss,
    region_features,
    self_distillation_loss,
    sums_with_batch,
)
from ltray.methods.dscl.method import DecoupledContrast
from ltray.network import Backbone, Network
from ltray.parts.contrast import ContrastBatch
from ltray.stage import Batch, BuildContext

CLOSE = dict(rtol=0.0, atol=1e-8)
SINGLE = dict(rtol=1e-4, atol=1e-5)
LOSSES = [
    "tiny",
    "tiny_tau1",
    "alpha_half",
    "alpha_0p1",
    "all_alone",
    "same_class",
    "scl_like",
    "k100",
    "k100_bigqueue",
]


def close(actual: Tensor, expected: np.ndarray, **tolerance: float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, **tolerance)


def sums_of(data: Mapping[str, np.ndarray], case: str, queries: Tensor) -> AnchorSums:
    keys, queue = (torch.tensor(data[f"{case}/{name}"]).to(queries.dtype) for name in ("k", "queue"))
    labels, queue_labels = (torch.tensor(data[f"{case}/{name}"]) for name in ("y", "yq"))
    contrast = ContrastBatch(
        anchors=queries,
        labels=labels,
        keys=torch.cat([queries, keys, queue]),
        key_labels=torch.cat([labels, labels, queue_labels]),
        own=torch.arange(len(labels)),
    )
    classes = int(contrast.key_labels.max()) + 1
    return sums_with_batch(contrast, keys, temperature=float(data[f"{case}/tau"]), classes=classes)


@pytest.mark.parametrize("case", LOSSES)
def test_decoupled_loss_equals_the_official_code(golden, case: str) -> None:
    data = golden("dscl_loss")
    queries = torch.tensor(data[f"{case}/q"], requires_grad=True)
    sums, alpha = sums_of(data, case, queries), float(data[f"{case}/alpha"])
    assert sums.count.tolist() == data[f"{case}/num_pos"].tolist()
    loss = decoupled_loss(sums, alpha)
    close(loss, data[f"{case}/loss"], **CLOSE)
    close(loss, data[f"{case}/loss_exact"], **CLOSE)
    loss.backward()
    close(queries.grad, data[f"{case}/grad_q"], **CLOSE)
    single = decoupled_loss(sums_of(data, case, queries.detach().float()), alpha)
    assert single.dtype == torch.float32
    close(single, data[f"{case}/loss_f32"], **SINGLE)


@pytest.mark.parametrize("case", LOSSES)
def test_formula_of_the_paper_is_selected_by_its_option(golden, case: str) -> None:
    data = golden("dscl_loss")
    sums = sums_of(data, case, torch.tensor(data[f"{case}/q"]))
    loss = decoupled_loss(sums, float(data[f"{case}/alpha"]), alone="alpha")
    close(loss, data[f"{case}/per_anchor_paper_literal"].mean(), **CLOSE)


def test_golden_files_have_the_listed_cases(golden) -> None:
    assert {name.split("/")[0] for name in golden("dscl_loss") if "/" in name} == set(LOSSES)
    assert {name.split("/")[0] for name in golden("dscl_pbsd") if "/" in name} == {"tiny", "tau1", "L5", "L5_big"}


@pytest.mark.parametrize("case", ["tiny", "tau1", "L5", "L5_big"])
def test_self_distillation_equals_the_official_code(golden, case: str) -> None:
    data = golden("dscl_pbsd")
    teacher, student = (torch.tensor(data[f"{case}/{name}"]).transpose(0, 1) for name in ("c", "s"))
    keys, memory = (torch.tensor(data[f"{case}/{name}"]) for name in ("k", "queue"))
    teacher.requires_grad_(True)
    student.requires_grad_(True)
    temperature = float(data[f"{case}/tau"])
    loss = self_distillation_loss(teacher, student, keys, memory=memory, temperature=temperature)
    close(loss, data[f"{case}/loss"], **CLOSE)
    loss.backward()
    close(student.grad.transpose(0, 1), data[f"{case}/grad_s"], **CLOSE)
    assert teacher.grad is None
    single = self_distillation_loss(
        teacher.detach().float(),
        student.detach().float(),
        keys.float(),
        memory=memory.float(),
        temperature=temperature,
    )
    close(single, data[f"{case}/loss_f32"], **SINGLE)


@pytest.mark.parametrize("case", ["r7", "r4"])
def test_region_pooling_equals_the_official_code(golden, case: str) -> None:
    data = golden("dscl_roi")
    boxes = torch.tensor(data[f"{case}/boxes"])[:, None]
    pooled = region_features(torch.tensor(data[f"{case}/feat"]), boxes, stride=32)
    close(pooled[:, 0], data[f"{case}/patch"], **CLOSE)


class Coarse(Backbone):
    """The golden file's encoder: average of 16 x 16 pixels, a convolution of stride 2, BatchNorm, ReLU."""

    width, stride = 8, 32

    def __init__(self) -> None:
        super().__init__()
        self.layer4 = nn.Sequential(nn.AvgPool2d(16), nn.Conv2d(3, 8, 2, 2), nn.BatchNorm2d(8), nn.ReLU())

    def feature_map(self, images: Tensor) -> Tensor:
        """Map (B, 3, 96, 96) to (B, 8, 3, 3)."""
        return self.layer4(images)


def test_two_training_steps_equal_the_official_code(golden) -> None:
    data = golden("dscl_moco")
    knobs = DSCLKnobs(
        alpha=1.0 / (1.0 + float(data["beta"])),
        temperature=float(data["tau"]),
        queue_size=int(data["K"]),
        projection_width=int(data["dim"]),
        key_momentum=float(data["m"]),
        distillation_weight=float(data["pbsd_weight"]),
        patches=int(data["L"]),
        learning_rate=float(data["lr"]),
        momentum=float(data["momentum"]),
        weight_decay=float(data["wd"]),
    )
    context = BuildContext(LongTail((9, 4, 2, 1, 1)), lambda kind: Network(Coarse(), nn.Linear(8, 5)), image_size=96)
    stage = DecoupledContrast(knobs, context).double()
    state = stage.state_dict()
    state.update(translated(data, "init/"))
    stage.load_state_dict(state)
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    for step in ("step1", "step2"):
        views = {"query": pixels(data[f"{step}/im_q16"]), "key": pixels(data[f"{step}/im_k16"])}
        views["patches"] = pixels(data[f"{step}/small16"]).transpose(0, 1)
        boxes, labels = torch.tensor(data[f"{step}/boxes"]).transpose(0, 1), torch.tensor(data[f"{step}/y"])
        batch = Batch(views, labels, torch.arange(len(labels)), boxes)
        terms = train_step(stage, batch, optimizer, rate=knobs.learning_rate, precision=knobs.precision)
        close(terms["contrastive"], data[f"{step}/loss_dscl"], **CLOSE)
        close(terms["distillation"], data[f"{step}/loss_pbsd"] * float(data["pbsd_weight"]), **CLOSE)
        gradients = {name: p.grad for name, p in stage.named_parameters() if p.grad is not None}
        for name, expected in translated(data, f"{step}/grad.", encoder="encoder_q.").items():
            close(gradients.pop(name), expected.numpy(), **CLOSE)
        assert not gradients
        for name, expected in translated(data, f"{step}/after.").items():
            close(stage.state_dict()[name].double(), expected.numpy(), **CLOSE)


def pixels(coarse: np.ndarray) -> Tensor:
    """Repeat every value 16 x 16 times."""
    images = torch.tensor(coarse)
    return images.repeat_interleave(16, dim=-2).repeat_interleave(16, dim=-1)


def translated(data: Mapping[str, np.ndarray], prefix: str, *, encoder: str = "") -> dict[str, Tensor]:
    """Return the official state with ltray's names; its queue is (d, K)."""
    names = {
        "encoder_q.layer4": "network.backbone.layer4",
        "encoder_q.fc": "projector",
        "encoder_k.layer4": "key_encoder.copy.0.layer4",
        "encoder_k.fc": "key_encoder.copy.1",
    }
    state = {}
    for key in [key for key in data if key.startswith(prefix)]:
        name, value = encoder + key.removeprefix(prefix), torch.tensor(data[key])
        for theirs, own in names.items():
            name = name.replace(theirs, own) if name.startswith(theirs) else name
        if name == "queue":
            state["queue.keys"] = value.T
        elif name in ("main_label_queue", "queue_ptr"):
            state["queue.labels" if name == "main_label_queue" else "queue.pointer"] = value[0]
        else:
            state[name] = value
    return state
