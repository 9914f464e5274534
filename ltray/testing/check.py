"""The complete contract of a method in one call."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ltray.errors import UsageError, shown
from ltray.experiment import Experiment
from ltray.files import reason
from ltray.imported import COLON
from ltray.knobs import Value
from ltray.methods import METHODS
from ltray.methods.find import find_method
from ltray.network import Backbone
from ltray.stage import Method, Stage
from ltray.testing import contract
from ltray.testing.knob_contract import KnobTestbed, ignored_knobs
from ltray.testing.overfit import TinyBackbone, learned
from ltray.testing.worker_pool import WorkerPool

WORKERS = 2
LEARNED = 0.99  # share of the training images; a method that does not learn from them has a much smaller share

# Two or three steps per epoch on 24 images.
SHORT: Mapping[str, Value] = {
    "epochs": 3,
    "batch_size": 12,
    "learning_rate": 0.05,
    "warmup_epochs": 1,
    "milestones": (1, 2),
}
TO_LEARN: Mapping[str, Value] = {
    "epochs": 15,
    "batch_size": 12,
    "learning_rate": 0.05,
    "warmup_epochs": 0,
    "schedule": "constant",
}


def check_method(
    method: Method | str,
    *,
    settings: Mapping[str, Value] | None = None,
    with_settings: Mapping[str, Mapping[str, Value]] | None = None,
    without_effect: Collection[str] = (),
    new_backbone: Callable[[], Backbone] = TinyBackbone,
    pool: WorkerPool | None = None,
) -> None:
    """Check that a method satisfies the complete contract, on small data, in about a minute.

    In this order: its declaration and its settings; every stage (losses, gradients, views, bfloat16, a batch of one
    class, evaluation); it overfits 24 images; a run that is interrupted after any epoch continues bit for bit;
    two workers compute the same as one, in float64; each knob changes the run.

    Two processes are started, which import the program's main module: call it below `if __name__ == "__main__":`.

    Args:
        method: A `Method` at the top level of a module, a name in `METHODS`, or a dotted path.
        settings: Values of the method's knobs that suit 24 images of 8 pixels in 3 classes, such as a queue size.
        with_settings: By knob: values of other knobs with which it has an effect on these images.
        without_effect: Knobs that have no effect on one worker and these images; test them in a test of your own.
        new_backbone: Builds the network's body for these images; the default has two convolutions.
        pool: Processes to compute in; None: two are started, and ended after the check.

    Raises:
        UsageError: The method cannot be found, or its declaration cannot be used.
        AssertionError: It violates the contract; the message names the check and the difference.
    """
    found = find_method(method if isinstance(method, str) else reference_of(method))
    own = dict(settings or {})
    with _check(found, "settings"):
        experiment = contract.small_experiment(short_settings(found))
        assert Experiment.from_settings(experiment.settings()) == experiment, "settings() describes another experiment"
        count = len(_stages(experiment))
    for index in range(count):
        _check_stage(found, experiment, index)
    with _check(found, "learning"):
        _check_learns(found, own, new_backbone)
    with _check(found, "resume"):
        contract.check_resume(experiment)
    with _check(found, "two workers"):
        if pool is not None:
            contract.check_workers(experiment, pool)
        else:
            with WorkerPool(WORKERS) as own_pool:
                contract.check_workers(experiment, own_pool)
    with _check(found, "knobs"):
        testbed = KnobTestbed(found, _legal(found, SHORT) | own, with_settings or {}, new_backbone)
        ignored = {name: why for name, why in ignored_knobs(testbed).items() if name not in without_effect}
        assert not ignored, "; ".join(f"`{name}` has no effect: {why}" for name, why in ignored.items())


def reference_of(method: Method) -> str:
    """Return the name or dotted path by which settings name a method.

    Raises:
        UsageError: It is not a method, or no imported module has it at its top level.
    """
    if not isinstance(method, Method):
        raise UsageError(f"{shown(method)} is not a ltray.Method.")
    if method.path or METHODS.get(method.name) is method:
        return method.reference
    own = sys.modules.get(getattr(method.knobs, "__module__", ""))  # the most likely one first
    for module in filter(None, (own, *tuple(sys.modules.values()))):
        for name, value in tuple(getattr(module, "__dict__", {}).items()):
            if value is method and module.__name__ != "__main__":
                return f"{module.__name__}{COLON}{name}"
    raise UsageError(
        f"The method `{method.name}` is not at the top level of an imported module, so that worker processes cannot "
        "import it: assign it there, as `METHOD = Method(...)`."
    )


def short_settings(method: Method) -> dict[str, Any]:
    """Return settings that train a method on the small digits in one or two seconds: two epochs of every stage.

    A method that continues from a network gets one from a short plain training.
    """
    methods = [METHODS["cross_entropy"], method] if method.needs_network else [method]
    return {"methods": [one.reference for one in methods]} | {
        f"{one.name}.{knob}": 2
        for one in methods
        for knob, value in one.knobs.resolve("digits_lt", {}).as_dict().items()
        if knob == "epochs" or (knob.endswith("_epochs") and not one.knobs.specs()[knob].in_epochs)
        if isinstance(value, int) and value > 2
    }


@contextmanager
def _check(method: Method, what: str) -> Iterator[None]:
    """Raise an error that names the method and the failed check, for any exception of its code."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{method.reference}: {what}: {_words(error)}") from error


def _words(error: Exception) -> str:
    """Return the message of an exception in one line; for a worker's traceback, its last line."""
    if isinstance(error, AssertionError):
        return " ".join(str(error).split()) or "an assertion failed"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if len(lines) > 1 else reason(error)}"


def _check_stage(method: Method, experiment: Experiment, index: int) -> None:
    stage = _stages(experiment)[index]
    if stage.recipe.epochs == 0:
        return
    with _check(method, f"first batch of stage {index}"):
        stage, batch = contract.first_batch(experiment, index)
        contract.check_losses(stage, batch)
    checks: Mapping[str, Callable[[], None]] = {
        "gradients": lambda: contract.check_gradients(stage, batch),
        "views": lambda: contract.check_views(stage, batch),
        "bfloat16": lambda: contract.check_low_precision(stage, batch),
        "one class": lambda: contract.check_one_class(stage, batch),
        "evaluation": lambda: contract.check_evaluation_changes_nothing(experiment, stage),
    }
    for what, check in checks.items():
        with _check(method, f"{what} of stage {index}"):
            check()


def _stages(experiment: Experiment) -> list[Stage]:
    return experiment.stages(contract.open_small(experiment).tail)


def _check_learns(method: Method, settings: Mapping[str, Value], new_backbone: Callable[[], Backbone]) -> None:
    before = METHODS["cross_entropy"]
    methods = [before, method] if method.needs_network else [method]
    knobs = {one.name: _legal(one, TO_LEARN) for one in methods}
    knobs[method.name] |= settings
    share = learned(methods, knobs, new_backbone=new_backbone)[-1]
    assert share >= LEARNED, f"{share:.0%} of the 24 training images are classified correctly after training on them"


def _legal(method: Method, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return those of the values that have an effect with this method; none if it trains nothing."""
    if method.knobs.specs()["epochs"].high == 0:
        return {}
    schedule = values.get("schedule", method.knobs.defaults("digits_lt").schedule)
    return {name: value for name, value in values.items() if name != "milestones" or schedule == "step"}
