"""The contract of every knob: another value gives another run, unless it has no effect by its declaration."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import torch

from ltray.engine.checkpoint import Checkpoint
from ltray.engine.loop import train
from ltray.engine.session import Run
from ltray.engine.train_step import NotFinite
from ltray.errors import UsageError
from ltray.knobs import Above, OrDotted, Value
from ltray.network import Backbone, Network
from ltray.parts.heads import new_classifier
from ltray.recipe import Recipe
from ltray.stage import BuildContext, Method
from ltray.testing.overfit import COUNTS, SIZE, TinyBackbone, textures

CLOCKS = ("train/seconds", "train/images_per_second")
NEED_FROZEN = ("feature_passes",)  # have an effect with pretrained weights only, which a run of the testbed has not
START_SEED = 1  # of the network to continue from; the runs' own is 0


class Fingerprints:
    """A session that stores a digest of each epoch: metrics, weights, queues, averages."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def resume(self) -> Checkpoint | None:
        """Return None: every run is new."""
        return None

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Compute the digest of the metrics, except for clock readings, and of the state of all stages."""
        digest = hashlib.sha256()
        digest.update(repr(sorted((name, value) for name, value in metrics.items() if name not in CLOCKS)).encode())
        for tensors in (checkpoint.stages, checkpoint.average):
            for name, tensor in sorted(tensors.items()):
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        self.seen.append(digest.hexdigest())


@dataclass
class KnobTestbed:
    """A method on 24 small images, on which a complete run takes a tenth of a second.

    Attributes:
        method: The method to check.
        settings: Values that differ from the method's values for the digits, so that a run is short.
        only_with: Other values that a knob needs to have an effect on these data.
        new_backbone: Builds the backbone.
    """

    method: Method
    settings: Mapping[str, Value]
    only_with: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    new_backbone: Callable[[], Backbone] = TinyBackbone
    _known: dict[Recipe, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = self.method.knobs.resolve("digits_lt", dict(self.settings))
        self._data = textures()

    def outcome(self, knobs: Recipe) -> str | None:
        """Return a fingerprint of the run with these knobs; None if the method refuses them."""
        if knobs not in self._known:
            self._known[knobs] = self.run(knobs)
        return self._known[knobs]

    def run(self, knobs: Recipe) -> str | None:
        """Train with the engine, from the same seed each time."""
        session = Fingerprints()
        start = None
        if self.method.needs_network:
            torch.manual_seed(START_SEED)
            start = self.network("linear")
        torch.manual_seed(0)
        try:
            knobs.check_classes(len(COUNTS))
            stages = self.method.stages(knobs, BuildContext(self._data.tail, self.network, start, SIZE))
            train(stages, self._data, session, Run(seed=0, device=torch.device("cpu"), selection="test"))
        except UsageError:
            return None
        except NotFinite as error:
            session.seen.append(str(error))
        return " ".join(session.seen)

    def network(self, kind: str) -> Network:
        """Build an untrained network; `kind` names its classifier."""
        backbone = self.new_backbone()
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=len(COUNTS)))

    def where(self, name: str) -> Recipe | None:
        """Return knobs with which `name` has an effect; None if its `needs` are never met."""
        return met(self.base.replace(**self.only_with.get(name, {})), name)

    def other_values(self, knobs: Recipe, name: str) -> Iterator[Value]:
        """Yield valid values of a knob other than its own: all choices, or numbers near and far."""
        for value in _candidates(knobs, name):
            if value != getattr(knobs, name) and _with(knobs, name, value) is not None:
                yield value


def ignored_knobs(testbed: KnobTestbed, only: Iterable[str] | None = None) -> dict[str, str]:
    """Return the knobs that the method ignores, and the values that show it.

    Two choices must give two different runs; so must a number and at least one other number. A knob
    whose `needs` are not met must change nothing.

    Args:
        testbed: The method and its data.
        only: The knobs to check; None: all.
    """
    assert testbed.run(testbed.base) == testbed.outcome(testbed.base), "two equal runs differ: nothing can be concluded"
    found = {}
    for name in testbed.base.specs() if only is None else only:
        if name in NEED_FROZEN and testbed.base.has_effect(name) and not testbed.base.specs()[name].needs:
            continue
        alike = _alike(testbed, name)
        if alike:
            found[name] = f"no run differs between {' and '.join(map(repr, alike))}"
        elif (value := _effect_without_needs(testbed, name)) is not None:
            found[name] = f"`needs` is not met, but {value!r} gives another run"
    return found


def _alike(testbed: KnobTestbed, name: str) -> tuple[Value, Value] | None:
    """Return two values that give the same run, or None if the method uses the knob."""
    spec, knobs = testbed.base.specs()[name], testbed.where(name)
    if knobs is None or spec.refused or (spec.low is not None and spec.low == spec.high):
        return None  # declared to have no effect with this method, or a constant
    own, others = getattr(knobs, name), list(testbed.other_values(knobs, name))
    assert others, f"found no other legal value of `{name}` with {knobs}"
    if spec.choices is None and testbed.base.types()[name] is not bool:
        return None if any(_differ(testbed, knobs, name, own, value) for value in others) else (own, others[0])
    pairs = combinations([own, *others], 2)
    return next((pair for pair in pairs if not _differ(testbed, knobs, name, *pair)), None)


def _differ(testbed: KnobTestbed, knobs: Recipe, name: str, first: Value, second: Value) -> bool:
    outcomes = []
    for value in (first, second):
        changed = _with(knobs, name, value)
        outcomes.append(None if changed is None else testbed.outcome(changed))
    return None not in outcomes and outcomes[0] != outcomes[1]


def _effect_without_needs(testbed: KnobTestbed, name: str) -> Value | None:
    """Return a value that gives another run although it has no effect by the declaration."""
    without = unmet(testbed.base, name)
    if without is None:
        return None
    for value in testbed.other_values(without, name):
        if _differ(testbed, without, name, getattr(without, name), value):
            return value
    return None


def met(knobs: Recipe, name: str) -> Recipe | None:
    """Return the knobs, changed where `name` has no effect by its declaration; None where it can have none."""
    needs = knobs.specs()[name].needs
    if needs is None or knobs.has_effect(name):
        return knobs
    other, values = needs
    wanted = values.choices if isinstance(values, OrDotted) else values
    for value in _above(wanted, knobs, other) if isinstance(wanted, Above) else wanted:
        changed = _with(knobs, other, value)
        enabled = None if changed is None else met(changed, other)
        if enabled is not None and enabled.has_effect(name):
            return enabled
    return None


def unmet(knobs: Recipe, name: str) -> Recipe | None:
    """Return the knobs, changed so that `name` has no effect by its declaration; None where it always has one."""
    needs = knobs.specs()[name].needs
    if needs is None:
        return None
    for value in (getattr(knobs, needs[0]), *_candidates(knobs, needs[0])):
        changed = _with(knobs, needs[0], value)
        if changed is not None and not changed.has_effect(name):
            return changed
    return None


def _with(knobs: Recipe, name: str, value: Value) -> Recipe | None:
    try:
        return knobs.replace(**{name: value})
    except UsageError:
        return None


def _above(values: Above, knobs: Recipe, name: str) -> Iterable[Value]:
    own = getattr(knobs, name)
    return [value for value in (own, *_candidates(knobs, name)) if value in values]


def _candidates(knobs: Recipe, name: str) -> list[Value]:
    """Return values to try, moderate ones first: extreme sizes and epochs need too much memory and time."""
    spec, kind, own = knobs.specs()[name], knobs.types()[name], getattr(knobs, name)
    ends = [end for end in (spec.low, knobs.upper_bound(name, len(COUNTS))) if end is not None]
    if kind is bool:
        return [not own]
    if spec.choices is not None:
        return list(spec.choices)
    if isinstance(own, tuple):
        return [tuple(item + 1 for item in own), tuple(item - 1 for item in own if item > 0), (*own, 1)]
    if kind is int:
        return [own + 1, own - 1, own + 2, *(int(end) for end in ends if end < 10)]
    middle = [sum(ends) / 2, 0.1 * ends[0] + 0.9 * ends[1]] if len(ends) == 2 else [1.0]
    return [own / 2, own * 2, *middle, *ends, *([] if own else [0.01])]  # if 0 means no limit, try a small one
