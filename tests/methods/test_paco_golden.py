"""PaCo, GPaCo and the multi-task baseline compared with the authors' code: losses and training steps."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode, train_step
from ltray.long_tail import LongTail
from ltray.methods.centres import parametric_contrast
from ltray.methods.gpaco import GPaCoKnobs, GPaCoStage
from ltray.methods.multi_task import MultiTaskKnobs, MultiTaskStage
from ltray.methods.paco import PaCoKnobs, PaCoStage
from ltray.network import Backbone, Network
from ltray.parts.contrast import ContrastBatch
from ltray.parts.losses import log_prior
from ltray.stage import Batch, BuildContext

LOSS = dict(rtol=1e-9, atol=1e-11)
GRADIENT = dict(rtol=1e-7, atol=1e-10)
SINGLE = dict(rtol=2e-6, atol=1e-5)
CASES = {"tiny": 16, "no_queue": 3, "absent_classes": 2, "single_sample_class": 2, "medium": 5}
"""Variants of PaCo's and GPaCo's loss in each case of the file."""


def close(actual: Tensor, expected: np.ndarray, **tolerance: float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, **tolerance)


def official_batch(data: Mapping[str, np.ndarray], case: str, *, views: int, features: Tensor) -> ContrastBatch:
    """Return the rows in the order of the official code: queries, keys, queue; the first views are anchors."""
    labels = torch.tensor(data[f"{case}/labels"])
    anchors = views * (len(labels) - int(data[f"{case}/queue_len"])) // 2
    return ContrastBatch(features[:anchors], labels[:anchors], features, labels, torch.arange(anchors))


def prior_of(data: Mapping[str, np.ndarray], case: str) -> Tensor:
    return log_prior(LongTail(tuple(data[f"{case}/counts"].tolist())), epsilon=1e-9)


def variants(data: Mapping[str, np.ndarray], case: str, prefixes: tuple[str, ...]) -> list[str]:
    names = [name.split("/")[1] for name in data if name.startswith(f"{case}/") and name.endswith("/loss")]
    return [name for name in names if name.startswith(prefixes)]


@pytest.mark.parametrize("case", CASES)
def test_loss_equals_the_official_code(golden, case: str) -> None:
    data = golden("paco_loss")
    found = variants(data, case, ("paco", "gpaco"))
    assert len(found) == CASES[case]
    for variant in found:
        alpha, beta, gamma, temperature, centre_temperature, base, smoothing = data[f"{case}/{variant}/params"]
        views = 2 if variant.startswith("gpaco") else 1
        prior = 0.0 if variant.startswith(("paco_full", "gpaco_noprior")) else prior_of(data, case)

        def loss_of(
            features: Tensor,
            scores: Tensor,
            views: int = views,
            prior: float | Tensor = prior,
            supt: float = centre_temperature,
            knobs: Mapping[str, float] = dict(
                alpha=alpha, beta=beta, gamma=gamma, temperature=temperature, smoothing=smoothing
            ),
        ) -> Tensor:
            centres = ((scores + prior) / supt).to(features.dtype)
            return parametric_contrast(official_batch(data, case, views=views, features=features), centres, **knobs)

        features = torch.tensor(data[f"{case}/features"], requires_grad=True)
        scores = torch.tensor(data[f"{case}/sup_logits{'2' if views == 2 else ''}"], requires_grad=True)
        # The official base temperature, equal to τ in every script, is only a factor.
        loss = loss_of(features, scores) * (1.0 if base < 0 else temperature / base)
        close(loss, data[f"{case}/{variant}/loss"], **LOSS)
        loss.backward()
        close(features.grad, data[f"{case}/{variant}/grad_features"], **GRADIENT)
        close(scores.grad, data[f"{case}/{variant}/grad_sup_logits"], **GRADIENT)
        single = loss_of(features.detach().float(), scores.detach().float())
        assert single.dtype == torch.float32
        close(single * (1.0 if base < 0 else temperature / base), data[f"{case}/{variant}/loss_f32"], **SINGLE)


@pytest.mark.parametrize(
    ("variant", "classification"),
    [
        ("multitask_w005", "balanced_softmax"),
        ("multitask_w05", "balanced_softmax"),
        ("multitask_w1", "balanced_softmax"),
        ("multitaskb_w05", "cross_entropy"),
    ],
)
def test_multi_task_loss_equals_the_official_code(golden, variant: str, classification: str) -> None:
    data = golden("paco_loss")
    weight, _, _, temperature, _, _, _ = data[f"tiny/{variant}/params"]
    counts = data["tiny/counts"].tolist()
    knobs = MultiTaskKnobs(
        contrastive_weight=weight,
        temperature=temperature,
        effective_number_beta=0.0,  # the released weights are all 1
        classification=classification,
    )
    stage = MultiTaskStage(knobs, setting_of(counts))
    features = torch.tensor(data["tiny/features"], requires_grad=True)
    scores = torch.tensor(data["tiny/sup_logits2"], requires_grad=True)
    loss = sum(stage.terms(official_batch(data, "tiny", views=2, features=features), scores).values())
    close(loss, data[f"tiny/{variant}/loss"], **LOSS)
    loss.backward()
    close(features.grad, data[f"tiny/{variant}/grad_features"], **GRADIENT)
    close(scores.grad, data[f"tiny/{variant}/grad_sup_logits"], **GRADIENT)


class Stem(Backbone):
    """The golden file's encoder before its head: a linear map and ReLU on (B, 6)."""

    width, stride = 8, 1

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 8, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 6) to (B, 8)."""
        return torch.relu(self.stem(images))


def setting_of(counts: list[int]) -> BuildContext:
    return BuildContext(LongTail(tuple(counts)), lambda kind: Network(Stem(), nn.Linear(8, len(counts))))


@pytest.mark.parametrize("kind", ["paco", "gpaco"])
def test_four_training_steps_equal_the_official_code(golden, kind: str) -> None:
    data = golden("paco_steps")
    config = {name.split("/")[2]: data[name] for name in data if name.startswith(f"{kind}/config/")}
    values = dict(
        alpha=float(config["alpha"]),
        temperature=float(config["tau"]),
        queue_size=int(config["queue_len"]),
        projection_width=5,
        learning_rate=float(config["lr"]),
        momentum=float(config["sgd_momentum"]),
        weight_decay=float(config["weight_decay"]),
    )
    context = setting_of(config["counts"].tolist())
    if kind == "paco":
        stage = PaCoStage(PaCoKnobs(key_momentum=float(config["ema_m"]), **values), context).double()
    else:
        stage = GPaCoStage(GPaCoKnobs(**values), context).double()
    stage.load_state_dict(ours(data, f"{kind}/init/", stage))
    set_training_mode(stage)
    optimizer, recipe = new_optimizer(stage), stage.recipe
    for step in range(4):
        at = f"{kind}/step{step}/"
        labels = torch.tensor(data[f"{at}labels"])
        views = {"query": torch.tensor(data[f"{at}x_q"]), "key": torch.tensor(data[f"{at}x_k"])}
        batch = Batch(views, labels, torch.arange(len(labels)))
        terms = train_step(stage, batch, optimizer, rate=recipe.learning_rate, precision=recipe.precision)
        close(terms[kind], data[f"{at}loss"], **LOSS)
        gradients = {name: p.grad for name, p in stage.named_parameters() if p.requires_grad}
        for name, expected in translated(data, f"{at}grad/").items():
            close(gradients.pop(name), expected, **GRADIENT)
        assert not gradients
        assert stage.queue.pointer == int(data[f"{at}queue_ptr"][0])
        assert np.array_equal(stage.queue.labels.numpy(), data[f"{at}queue_l"])
        close(stage.queue.keys, data[f"{at}queue"], **GRADIENT)
    final = stage.state_dict()
    for name, expected in translated(data, f"{kind}/final/").items():
        if "linear_k" not in name:  # a copy of the classifier that the official code never uses
            close(final[name], expected, **GRADIENT)


def translated(data: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the official state with ltray's names."""
    names = {
        "encoder_q.stem": "network.backbone.stem",
        "encoder_q.fc": "projector",
        "encoder_k.stem": "key_encoder.copy.0.stem",
        "encoder_k.fc": "key_encoder.copy.1",
        "linear.": "network.classifier.",
        "queue_l": "queue.labels",
        "queue_ptr": "queue.pointer",
    }
    state = {}
    for name, value in data.items():
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            for theirs, own in names.items():
                name = name.replace(theirs, own) if name.startswith(theirs) else name
            state["queue.keys" if name == "queue" else name] = value[0] if name == "queue.pointer" else value
    return state


def ours(data: Mapping[str, np.ndarray], prefix: str, stage: nn.Module) -> dict[str, Tensor]:
    """Return the part of the stage's state that the official state has."""
    official = {name: torch.tensor(value) for name, value in translated(data, prefix).items()}
    own = stage.state_dict()
    missing = {name for name in own if name not in official}
    assert missing <= {"key_encoder.updates", "queue.filled"}
    return {name: official.get(name, value) for name, value in own.items()}
