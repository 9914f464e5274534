"""`check_method`: a method that breaks the contract is refused with the name of the failed check."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.methods import METHODS
from ltray.stage import Method
from ltray.testing import WorkerPool, check_method
from ltray.testing.check import reference_of
from tests.other_package import METHOD, unload, written

FORWARD = 'return {"classification": loss}'
NETWORK = 'self.network = context.new_network("linear")'
VIEWS = 'self.views = (View("image"),)'
CLASS = "class Smooth(Stage):"

# A part of a valid method, its replacement, and the expected beginning of the message.
BROKEN = {
    "no stage": ("[Smooth(knobs, context)]", "[]", "settings: UsageError: `smooth`: .* returned no stage"),
    "no network": (NETWORK, "self.net = 1", "settings: AttributeError: .*network"),
    "a tensor instead of named terms": (FORWARD, "return loss", "first batch of stage 0: forward must return a dict"),
    "no term": (FORWARD, "return {}", "first batch of stage 0: forward must return a dictionary"),
    "one term per image": (FORWARD, 'return {"x": loss.expand(4)}', r"'x' must be a scalar tensor, but is .* \(4,\)"),
    "a number": (FORWARD, 'return {"x": loss.item()}', "'x' must be a scalar tensor, but is [0-9.]+"),
    "a loss that is not a number": (FORWARD, 'return {"x": loss * float("nan")}', "the loss term 'x' is nan"),
    "a parameter without a gradient": (
        NETWORK,
        f"{NETWORK}\n        self.spare = torch.nn.Linear(2, 2)",
        "gradients of stage 0: spare.weight is trained but receives no gradient",
    ),
    "a view that is not read": (
        VIEWS,
        'self.views = (View("image"), View("second"))',
        "views of stage 0: view 'second' is declared but not read",
    ),
    "a view that is not declared": ('batch["image"]', 'batch["query"]', "first batch of stage 0: KeyError.*query"),
    "a division by what bfloat16 rounds to 0": (
        FORWARD,
        'scores = self.network(batch["image"]).detach()\n        return {"x": loss / (scores * 0 + 1.001 - 1).mean()}',
        "bfloat16 of stage 0: x is .*inf",
    ),
    "a division by the number of classes less one": (
        FORWARD,
        'return {"x": loss / batch.labels.float().std()}',
        "one class of stage 0: x is .*inf",
    ),
    "an evaluation that counts": (
        CLASS,
        f"{CLASS}\n    def logits(self, images):\n        self.network.classifier.bias.data += 1\n"
        "        return self.network(images)\n",
        "evaluation of stage 0: .*classifier.bias.* differ after an evaluation",
    ),
    "an evaluation of two classes": (
        CLASS,
        f"{CLASS}\n    def logits(self, images):\n        return self.network(images)[:, :2]\n",
        r"evaluation of stage 0: logits must return \(images, classes\)",
    ),
    "a loss without the labels": ("batch.labels, label", "0 * batch.labels, label", r"learning: \d+% of the 24"),
    "a counter outside the state": (
        FORWARD,
        'self.seen = getattr(self, "seen", 0) + 1\n        return {"x": loss * (1 + 0.01 * self.seen)}',
        "resume: .* differ one epoch after an interruption at epoch 1",
    ),
    "a draw that depends on the rank": (
        FORWARD,
        'return {"x": loss * (0.9 + 0.2 * torch.rand(()))}',
        "two workers: .*not close",
    ),
    "a mean over the batch of all workers": (
        FORWARD,
        'return {"x": loss * len(batch.labels) / self.recipe.batch_size}',
        "two workers: .*not close",
    ),
    "a knob that is not read": ("self.alpha = knobs.alpha", "self.alpha = 0.1", "knobs: `alpha` has no effect"),
}


@pytest.fixture
def method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], str]]:
    """Write a method of another package with a part replaced, and return its dotted path."""
    package = f"package_{abs(hash(tmp_path))}"  # the workers cache imported modules

    def write(part: str, other: str) -> str:
        assert part in METHOD
        written(tmp_path, package, smooth=f"import torch\n{METHOD.replace(part, other)}")
        monkeypatch.syspath_prepend(str(tmp_path))
        return f"{package}.smooth:METHOD"

    yield write
    unload(package)


@pytest.mark.parametrize("fault", BROKEN)
def test_method_that_breaks_the_contract_is_refused(
    fault: str, method: Callable[[str, str], str], two_workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, other, message = BROKEN[fault]
    if "knob" in fault:  # test_every_knob checks the other knobs
        monkeypatch.setattr("ltray.testing.check.ignored_knobs", only_own)
    path = method(part, other)
    with pytest.raises(AssertionError, match=message) as caught:
        check_method(path, pool=two_workers)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def only_own(testbed):
    from ltray.testing.knob_contract import ignored_knobs

    return ignored_knobs(testbed, only=["alpha"])


def test_valid_method_passes(
    method: Callable[[str, str], str], two_workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltray.testing.check.ignored_knobs", only_own)
    check_method(method(FORWARD, FORWARD), pool=two_workers)


# Settings for 24 images in 3 classes, for methods of every kind.
SETTINGS_OF = {
    "cross_entropy": {},
    "bcl": {},
    "rescom": {"queue_size": 4, "hard_negatives": 4},
    "crt": {},
    "tau_norm": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS_OF)
def test_methods_of_ltray_pass(name: str, two_workers: WorkerPool) -> None:
    milestones = {"milestones": (1, 2)}
    steps = {"schedule": milestones, "decay": milestones, "milestones": milestones} if name == "crt" else {}
    check_method(METHODS[name], settings=SETTINGS_OF[name], with_settings=steps, pool=two_workers)


@pytest.mark.slow
def test_check_method_starts_its_own_processes(
    method: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltray.testing.check.ignored_knobs", only_own)
    with pytest.raises(AssertionError, match="two workers"):
        check_method(method(FORWARD, BROKEN["a draw that depends on the rank"][1]))


LOCAL = Method("local", "no paper", METHODS["focal"].knobs, METHODS["focal"].stages)


def test_reference_of_a_method_can_be_imported_by_workers() -> None:
    assert reference_of(METHODS["bcl"]) == "bcl"
    assert reference_of(replace(LOCAL, path="package.module:METHOD")) == "package.module:METHOD"
    assert reference_of(LOCAL).endswith("test_check:LOCAL")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (replace(LOCAL, name="hidden"), "`hidden` is not at the top level of an imported module.*METHOD = Method"),
        (METHODS["focal"].knobs, "is not a ltray.Method"),
        (None, "None is not a ltray.Method"),
        ("fokal", "`fokal` is not a method. Did you mean `focal`"),
        ("no_package_of_this_name:METHOD", "Python finds no module"),
    ],
)
def test_unknown_method_is_refused(given: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_method(given)


def test_unusable_declaration_is_refused(method: Callable[[str, str], str]) -> None:
    with pytest.raises(UsageError, match="the method is named `bcl`, as one of ltray's own"):
        check_method(method('Method("smooth"', 'Method("bcl"'))
