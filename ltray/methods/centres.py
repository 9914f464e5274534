"""The knobs and the loss with class centres, for PaCo, GPaCo and their multi-task baseline."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ltray.following import HALF_THE_IMAGES
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.parts.contrast import ContrastBatch, ContrastPairs
from ltray.parts.key_queue import STARTS
from ltray.parts.pairs import EPSILON, log_sum_exp_of, positive_similarity
from ltray.recipe import DIGITS, Recipe
from ltray.stage import ScorePrior

LARGE: dict[str, Value] = dict(
    temperature=0.2, queue_size=8192, projection_width=128, learning_rate=0.02, schedule="cosine"
)
# At CIFAR's τ = 0.05 a class centre competes with samples of weight e^20 in the softmax. The digits have too few steps
# to separate it from the other centres. 0.2 is the large sets' τ.
QUEUE_DIGITS: dict[str, Value] = dict(DIGITS, temperature=0.2, queue_size=128)


@dataclass(frozen=True)
class QueueKnobs(Recipe):
    """Recipe, temperature, queue and embedding.

    Sources: the scripts of the official code. It has no CIFAR-10-LT script; CIFAR-100-LT's
    values are used. Its CIFAR code runs epoch 10 at 1.1·lr; here the warm-up ends before.
    """

    epochs: int = Recipe.redeclared("epochs", 400)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 10)
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (321, 361))
    learning_rate: float = Recipe.redeclared("learning_rate", 0.05, search=(0.01, 0.2))

    temperature: float = knob(
        0.05,
        "τ",
        "temperature of the samples' similarities",
        low=1e-3,
        high=10.0,
        log=True,
        search=(0.03, 0.3),
        tried=(0.05, 0.07, 0.2),
        dynamic=True,
    )
    queue_size: int = knob(
        1024,
        "K_q",
        "number of keys in the queue",
        low=0,
        high=2**20,
        log=True,
        search=(128, 16_384),
        tried=(1024, 8192),
        follows=HALF_THE_IMAGES,
    )
    queue_start: str = knob(
        "random_columns",
        "",
        "initial content of the queue: random vectors as in the official code (normalised along the wrong axis), "
        "random unit vectors, or nothing",
        choices=tuple(STARTS),
    )
    projection_width: int = knob(
        32, "dim", "width of the embedding", low=1, high=4096, log=True, search=(32, 256), tried=(32, 64, 128)
    )


@dataclass(frozen=True)
class CentreKnobs(QueueKnobs):
    """The weights of class centres and samples; the authors state β = γ = 1 for all their runs."""

    alpha: float = knob(
        0.01,
        "α",
        "weight of a positive sample; the centre of the anchor's class has the weight β",
        low=0.0,
        high=10.0,
        log=True,
        search=(0.005, 0.5),
        tried=(0.01, 0.02, 0.045, 0.05),
        dynamic=True,
    )
    beta: float = knob(
        1.0, "β", "weight of the centre of the anchor's class", low=1e-6, high=100.0, tried=(1.0,), dynamic=True
    )
    gamma: float = knob(
        1.0, "γ", "factor of the samples' part of the denominator", low=0.0, high=100.0, tried=(1.0,), dynamic=True
    )
    centre_temperature: float = knob(
        1.0, "supt", "temperature of the similarities to the centres", low=1e-3, high=100.0, tried=(1.0,)
    )
    prior: bool = knob(
        True, "", "add log π to the similarities to the centres (official code); off: eq. 13 of the paper"
    )
    divided: bool = knob(
        True, "", "divide by the sum of the weights β + α·|P| (official code); off: the sum of eq. 14 of the supplement"
    )


def centre_contrast(
    knobs: CentreKnobs, contrast: ContrastBatch, scores: Tensor, *, log_prior: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Return PaCo's loss with a method's knobs.

    Args:
        knobs: Weights and temperatures.
        contrast: Anchors (A, d) and samples.
        scores: The classifier's scores of the anchors (A, K).
        log_prior: log π (K,).
        smoothing: Share of β spread evenly over the other centres.
    """
    return parametric_contrast(
        contrast,
        _centre_scores(knobs, scores.to(contrast.anchors.dtype), log_prior),
        alpha=knobs.alpha,
        beta=knobs.beta,
        gamma=knobs.gamma,
        temperature=knobs.temperature,
        smoothing=smoothing,
        divided=knobs.divided,
    )


def centre_pairs(
    knobs: CentreKnobs, contrast: ContrastBatch, scores: Tensor, *, log_prior: Tensor, own_view: Tensor
) -> ContrastPairs:
    """Return the pairs of PaCo's loss, whose targets are α/(β + α·|P|) for each positive.

    Args: see `centre_contrast`; `own_view` as in `ContrastPairs`.
    """
    found = ContrastPairs.supervised(contrast, temperature=knobs.temperature, own_view=own_view)
    count = found.positives.sum(dim=1, keepdim=True)
    return replace(
        found,
        targets=knobs.alpha * found.positives / (knobs.beta + knobs.alpha * count),
        centres=_centre_scores(knobs, scores.to(contrast.anchors.dtype), log_prior),
        log_weights=math.log(knobs.gamma) if knobs.gamma > 0.0 else -math.inf,
    )


def _centre_scores(knobs: CentreKnobs, scores: Tensor, log_prior: Tensor) -> Tensor:
    """Return the scores of the centres in the softmax (A, K)."""
    return (scores + log_prior.to(scores.dtype) if knobs.prior else scores) / knobs.centre_temperature


def centre_prior(knobs: CentreKnobs, log_prior: Tensor, tail: LongTail) -> ScorePrior | None:
    """Return the class prior of the classifier's scores; None: it is not known.

    The scores are those of the centres among all samples of the loss, so that this holds approximately; a temperature
    of the centres other than 1 also scales the scores.

    Args:
        knobs: Weights and temperatures.
        log_prior: log π (K,), of the loss.
        tail: Class counts of the training set.
    """
    if knobs.centre_temperature != 1.0:
        return None
    return ScorePrior(tail.prior().log() - log_prior if knobs.prior else tail.prior().log())


def parametric_contrast(
    contrast: ContrastBatch,
    centres: Tensor,
    *,
    alpha: float,
    temperature: float,
    beta: float = 1.0,
    gamma: float = 1.0,
    smoothing: float = 0.0,
    divided: bool = True,
) -> Tensor:
    """PaCo's loss: a softmax over class centres and samples, its targets weighted β and α.

    With a_c the centres' scores and s_j the similarities of the samples j other than the
    anchor, Z = Σ_c e^a_c + γ Σ_j e^s_j, and the loss of an anchor of class y is
    −[β log(e^a_y / Z) + α Σ_{j of y} log(e^s_j / Z)] / (β + α·|P|).

    Source: Cui et al., ICCV 2021, eq. 13 and `PaCoLoss` of the official code, which divides
    by the weights and adds log π to the centres. GPaCo (TPAMI 2023) smooths the own centre.

    Args:
        contrast: Anchors (A, d) and samples.
        centres: Scores of the class centres (A, K), with log π and temperature applied.
        alpha: α.
        temperature: τ of the samples.
        beta: β.
        gamma: γ, 0 for a denominator of centres only.
        smoothing: Share of β spread evenly over the other centres.
        divided: Whether to divide by the weights.

    Returns:
        The mean over the anchors, a scalar.
    """
    rest, peak = log_sum_exp_of(contrast, temperature=temperature)
    samples, count = positive_similarity(contrast, temperature=temperature, classes=centres.shape[1])
    floor = torch.maximum(peak, centres.detach().amax(dim=1)) + math.log(EPSILON)
    log_gamma = math.log(gamma) if gamma > 0.0 else -math.inf
    log_z = torch.stack([centres.logsumexp(dim=1), rest + log_gamma, floor]).logsumexp(dim=0)
    centre = centres.gather(1, contrast.labels[:, None]).squeeze(1)
    if smoothing > 0.0:
        others = (centres.sum(dim=1) - centre) / (centres.shape[1] - 1)
        centre = (1.0 - smoothing) * centre + smoothing * others
    weights = beta + alpha * count
    losses = weights * log_z - beta * centre - alpha * samples
    return (losses / weights if divided else losses).mean()
