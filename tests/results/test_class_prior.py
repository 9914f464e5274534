"""Class priors: read, implied by each method's loss, estimated; scores adapted to them are Bayes' posteriors."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ltray import evaluate, predict
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.long_tail import LongTail
from ltray.methods.find import METHODS
from ltray.methods.temperature import best_temperature
from ltray.model_folder import ModelFolder
from ltray.parts.losses import adjusted_cross_entropy
from ltray.results import class_prior
from ltray.results.class_prior import Adaptation, estimated_prior, read_prior, score_prior
from ltray.results.classifier import Classifier
from ltray.results.predictions import Predictions
from ltray.stage import ScorePrior

CLASSES = ("cat", "dog", "owl")
TAIL = LongTail((80, 40, 8))
PI = TAIL.prior().log()
# P(x | k) of six kinds of images (rows) in eighths (columns: classes).
LIKELIHOOD = torch.tensor([[4, 1, 0], [2, 1, 1], [1, 3, 1], [1, 1, 1], [0, 1, 1], [0, 1, 4]], dtype=torch.float64) / 8
SMOOTH = (LIKELIHOOD + 0.02) / (LIKELIHOOD + 0.02).sum(dim=0)


def posterior(log_prior: Tensor, likelihood: Tensor = SMOOTH) -> Tensor:
    return torch.softmax(likelihood.log() + log_prior, dim=1)


shares = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3).map(
    lambda values: torch.tensor(values, dtype=torch.float64) / sum(values)
)


@given(before=shares, now=shares, tau=st.floats(0.0, 3.0), temperature=st.floats(0.2, 5.0))
def test_adapted_scores_are_the_posteriors_of_bayes(
    before: Tensor, now: Tensor, tau: float, temperature: float
) -> None:
    added = -tau * PI
    scores = temperature * posterior(before.log()).log() + 7.0 + added
    found = Adaptation(temperature, "", ScorePrior(before.log(), added)).scores(scores, now)
    assert torch.allclose(torch.softmax(found, dim=1), posterior(now.log()), atol=1e-9)


def test_a_class_with_the_share_0_is_never_predicted() -> None:
    found = Adaptation(1.0, "", ScorePrior(PI)).scores(posterior(PI).log(), torch.tensor([0.5, 0.5, 0.0]))
    assert not bool((found.argmax(dim=1) == 2).any()) and not bool(torch.softmax(found, dim=1).isnan().any())


def stages(*methods: str, **settings: Any) -> list:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    run = Experiment.from_settings({"dataset": "digits-lt", "methods": list(methods)} | given)

    return run.following(TrainingSize.of(TAIL)).stages(TAIL)


NATURAL, UNIFORM = PI, torch.zeros(3, dtype=torch.float64)
PRIORS: dict[str, Tensor | None] = {
    **dict.fromkeys(("cross_entropy", "mixup"), NATURAL),
    **dict.fromkeys(("balanced_softmax", "logit_adjustment", "bcl", "rescom", "proco", "supcon", "moco"), UNIFORM),
    **dict.fromkeys(("paco", "gpaco", "multi_task"), UNIFORM),
    **dict.fromkeys(("focal", "ldam", "ride"), None),
    "class_balanced": None,  # its default loss is one-versus-all, or weighted: see below
    "lift": UNIFORM,
    "dscl": UNIFORM,  # its last stage draws classes uniformly
}
PROBES = {"linear_probe": NATURAL, "nearest_class_mean": UNIFORM}
SECOND: dict[str, Tensor | None] = {
    **dict.fromkeys(("crt", "lws", "las"), UNIFORM),
    **dict.fromkeys(("temperature", "post_hoc_adjustment"), NATURAL),  # before τ is added
    **dict.fromkeys(("tau_norm", "los", "ride_distilled", "dlsa"), None),
}


def test_every_method_is_in_the_tables() -> None:
    assert set(METHODS) <= PRIORS.keys() | PROBES.keys() | SECOND.keys()


@pytest.mark.parametrize("name", sorted(set(PRIORS) & set(METHODS) - {"class_balanced"}))
def test_prior_of_each_method(name: str) -> None:
    check(score_prior(stages(name), TAIL), PRIORS[name])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("cross_entropy", NATURAL), ("lade", UNIFORM), ("inverse_frequency", UNIFORM), ("ldam", None), ("focal", None)],
)
def test_prior_of_the_losses_of_lift(loss: str, expected: Tensor | None) -> None:
    check(score_prior(stages("lift", lift__loss=loss, lift__classifier_start="random"), TAIL), expected)


@pytest.mark.parametrize("name", sorted(set(SECOND) & set(METHODS)))
def test_prior_after_a_second_stage(name: str) -> None:
    first = "ride" if name.startswith("ride") else "cross_entropy"
    check(score_prior(stages(first, name), TAIL), SECOND[name])


def check(found: ScorePrior | None, expected: Tensor | None) -> None:
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert torch.allclose(found.log_prior, torch.log_softmax(expected, dim=0), atol=1e-6)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("cross_entropy", {}),
        ("balanced_softmax", {}),
        ("logit_adjustment", {"logit_adjustment__adjustment": 0.5}),
        ("logit_adjustment", {"logit_adjustment__adjustment": 1.7}),
        ("class_balanced", {"class_balanced__loss": "softmax", "class_balanced__beta": 0.99}),
    ],
)
def test_the_training_loss_is_smallest_at_posteriors_under_the_prior(method: str, settings: dict[str, Any]) -> None:
    """On a population with exactly the training shares, scores that are such posteriors have the gradient 0."""
    (stage,) = stages(method, **settings)
    prior = score_prior([stage], TAIL)
    assert prior is not None
    scores = (SMOOTH.log() + prior.log_prior).requires_grad_()
    loss = torch.zeros((), dtype=torch.float64)
    for label in range(3):
        for kind in range(len(SMOOTH)):
            weight = stage.weight[label] if method == "class_balanced" else 1.0
            adjustment = getattr(stage, "adjustment", torch.zeros(3))
            own = adjusted_cross_entropy(scores[kind : kind + 1], torch.tensor([label]), adjustment)
            loss = loss + weight * TAIL.prior()[label] * SMOOTH[kind, label] * own
    loss.backward()
    assert scores.grad is not None and float(scores.grad.abs().max()) < 1e-7


def test_what_is_added_after_training_is_known() -> None:
    built = stages("cross_entropy", "post_hoc_adjustment", "temperature")
    built[1].tau.fill_(1.5)
    assert torch.allclose(torch.as_tensor(score_prior(built[:2], TAIL).added), -1.5 * PI)
    built[2].network.classifier.temperature.fill_(3.0)
    assert torch.allclose(torch.as_tensor(score_prior(built, TAIL).added), -0.5 * PI)


def counted(log_prior: Tensor, scale: int = 20_000) -> tuple[Tensor, Tensor]:
    """Return the kind and the label of images whose numbers are those expected under a prior."""
    numbers = (SMOOTH * log_prior.exp() * scale).round().long()
    kinds, labels = torch.meshgrid(torch.arange(len(SMOOTH)), torch.arange(3), indexing="ij")
    return kinds.flatten().repeat_interleave(numbers.flatten()), labels.flatten().repeat_interleave(numbers.flatten())


@pytest.mark.parametrize("tau", [0.0, 1.4])
def test_the_temperature_is_that_of_the_scores_under_their_own_prior(
    tau: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overconfident scores of the training prior, balanced validation images: T and posteriors are found exactly."""
    kinds, labels = counted(torch.log_softmax(UNIFORM, dim=0))
    logits = (2.5 * posterior(PI).log() - tau * PI).float()
    known = Predictions("val", logits[kinds], labels, TAIL)
    file = ModelFolder(tmp_path).scores_file
    file.write_bytes(known.as_bytes())
    monkeypatch.setattr("ltray.results.predictions.check_listed", lambda path: None)
    built = stages("cross_entropy", "post_hoc_adjustment")
    built[1].tau.fill_(tau)
    checkpoint = SimpleNamespace(context={"counts": list(TAIL.counts), "class_names": CLASSES})
    trained: Any = SimpleNamespace(stages=built, stage=built[-1], checkpoint=checkpoint)
    adaptation = Classifier(trained, tmp_path).adaptation
    assert adaptation.temperature == pytest.approx(2.5, rel=0.01) and adaptation.source == "validation images"
    now = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    found = torch.softmax(adaptation.scores(logits, now), dim=1)
    assert torch.allclose(found, posterior(now.log()), atol=0.01)


@settings(deadline=None, max_examples=25)
@given(shift=shares)
def test_the_temperature_of_shifted_scores_is_the_best_one(shift: Tensor) -> None:
    kinds, labels = counted(torch.log_softmax(UNIFORM, dim=0), 300)
    scores = 3.0 * posterior(PI).log()[kinds]
    found = best_temperature(scores, labels, lowest=0.01, highest=100.0, shift=shift.log())

    def loss(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(scores / temperature + shift.log(), labels))

    assume(0.011 < found < 99)
    assert loss(found) <= min(loss(found * 1.05), loss(found / 1.05)) + 1e-9


@settings(deadline=None, max_examples=10)
@given(now=shares, before=shares)
def test_estimated_shares_are_those_of_the_images(now: Tensor, before: Tensor) -> None:
    kinds, labels = counted(now.log())
    adaptation = Adaptation(1.5, "", ScorePrior(before.log()))
    found = estimated_prior(1.5 * posterior(before.log()).log()[kinds], adaptation)
    true = torch.bincount(labels, minlength=3) / len(labels)
    assert torch.allclose(found.shares, true.double(), atol=2e-3) and found.notes == ()
    assert f"{len(kinds):,} images in" in found.source


def test_an_estimate_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    adaptation = Adaptation(1.0, "", ScorePrior(torch.log_softmax(UNIFORM, dim=0)))
    scores = posterior(UNIFORM).log()
    (note,) = estimated_prior(scores, adaptation).notes
    assert note == "the class shares are uncertain: 6 images for 3 classes (fewer than 10 per class)"
    with pytest.raises(UsageError, match=r"at least 6 images \(2 for each of 3 classes\), but there are 5"):
        estimated_prior(scores[:5], adaptation)
    monkeypatch.setattr(class_prior, "MOST_ITERATIONS", 2)
    note, _ = estimated_prior(scores, adaptation).notes
    assert "did not converge in 2 iterations (last change 0." in note


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", '{"dog": 1, "cat": 3, "owl": 0}'),
        ("p.json", '{" dog": "1e0", "cat": 3.0, "owl": 0}'),
        ("p.csv", "class,share\ndog,1\nowl,0\ncat,3\n"),
        ("p.tsv", "Share\tClass\n0.25\tdog\n0\towl\n0.75\tcat\n"),
        ("p.jsonl", '{"class": "dog", "share": 2}\n{"class": "owl", "share": 0}\n{"class": "cat", "share": 6}\n'),
    ],
)
def test_files_of_shares(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_prior(tmp_path / name, CLASSES).shares.tolist() == [0.75, 0.25, 0.0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", "[1, 2, 3]", "must be a JSON object"),
        ("p.json", "no JSON", "p.json"),
        ("p.json", '{"cat": 1, "dog": 1}', "1 of 3 classes have no share: owl; write 0"),
        ("p.json", '{"cat": 1, "dgo": 1, "owl": 1}', "no class 'dgo'. Did you mean `dog`"),
        ("p.json", '{"cat": 1, "zebra": 1, "owl": 1}', "no class 'zebra'. Its classes: cat, dog, owl"),
        ("p.json", '{"cat": 1, "dog": -1, "owl": 1}', "share of `dog` is -1, but must be a number of at least 0"),
        ("p.json", '{"cat": 1, "dog": true, "owl": 1}', "share of `dog` is True"),
        ("p.json", '{"cat": 1, "dog": null, "owl": 1}', "share of `dog` is None"),
        ("p.json", '{"cat": 0, "dog": 0, "owl": 0}', "sum 0; at least one must be above 0"),
        ("p.csv", "class,share\ncat,1\ncat,2\ndog,1\nowl,1\n", "class `cat` has two shares"),
        ("p.csv", "class,share\ncat,nan\ndog,1\nowl,1\n", "share of `cat` is 'nan'"),
        ("p.csv", "class,share\ncat,inf\ndog,1\nowl,1\n", "share of `cat` is 'inf'"),
        ("p.csv", "name,count\ncat,1\ndog,1\nowl,1\n", "must have the columns `class` and `share`, but has `name`"),
        ("absent.json", None, "absent.json"),
    ],
)
def test_files_that_are_no_shares(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises((UsageError, OSError), match=message):
        read_prior(tmp_path / name, CLASSES)


def test_the_commands(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prior.json").write_text(json.dumps({str(digit): 10 - digit for digit in range(10)}))
    stated = str(tmp_path / "prior.json")
    assert evaluate.main([str(finished_run), "--prior", stated, "--adapt", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["label_shift"]
    assert rows[0]["prior"] == stated and len(rows) == 12 and all(0 <= row["adapted_accuracy"] <= 1 for row in rows)
    assert evaluate.main([str(finished_run), "--adapt"]) == 0
    assert "adapted, %" in capsys.readouterr().out
    before = sorted(finished_run.rglob("*"))
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(UsageError, match="10 of 10 classes have no share"):
        evaluate.main([str(finished_run), "--test", "--prior", str(tmp_path / "wrong.json")])
    assert before == sorted(finished_run.rglob("*"))  # no look at the test images


def test_predictions_are_adapted(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.results.test_new_images import digits

    images = digits(tmp_path / "new", *range(10), count=4)
    only = {str(digit): float(digit == 7) for digit in range(10)}
    found = predict.run(finished_run, images, prior=only)
    assert {one.classes[0] for one in found.predictions} == {"7"} and found.prior and found.class_names[7] == "7"
    plain = predict.run(finished_run, images)
    assert plain.prior is None
    (images / "0" / "broken.png").write_bytes(b"nothing")
    assert predict.main([str(finished_run), str(images), "--prior", "estimate", "--format", "json"]) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert "estimated from 40 images in" in told["prior_from"] and sum(told["prior"].values()) == pytest.approx(1)
    assert "class shares (estimated from 40 images" in printed.err and "the class shares are uncertain" in printed.err
    with pytest.raises(UsageError, match="needs at least 20 images"):
        predict.run(finished_run, images / "0" / "0.png", prior="estimate")
