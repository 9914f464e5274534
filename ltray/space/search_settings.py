"""The blocks `search:`, `stop:` and `trial:` of a search-space file."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ltray.errors import UsageError, shown
from ltray.knobs import HIGHEST_SEED, Above, Knobs, Needs, Value, knob
from ltray.loggers import LOGGERS
from ltray.metrics import OBJECTIVES, SECONDS, check_groups
from ltray.ray_address import named_cluster
from ltray.strategies.prior import STRENGTHS
from ltray.strategies.samplers import SAMPLERS
from ltray.strategies.stopping_rules import STOPPING_RULES, rules_with

PAPER_TRY = "paper"
AUTO = "auto"
MOST_EPOCHS = 1_000_000


@dataclass(frozen=True)
class Search(Knobs):
    """How settings are proposed.

    `first_try` is `paper` (the papers' setting), `none`, or a list of `paper` and of settings
    such as `{rescom.temperature: 0.1}`: the papers' setting with these values changed.
    """

    called: ClassVar[str] = "a setting of `search`"

    sampler: str = knob("tpe", "", "sampler: the algorithm that proposes settings", choices=tuple(SAMPLERS))
    prior: str = knob(
        "medium",
        "",
        "how much the papers' setting is trusted: the share of proposals around it, and their distance from it",
        choices=tuple(STRENGTHS),
        needs=("sampler", ("prior",)),
    )
    trials: int = knob(32, "", "number of trials, each with its own setting", low=1, high=1_000_000)
    seed: int = knob(0, "", "seed of the proposals; the training seed is `seed`", low=0, high=HIGHEST_SEED)
    first_try: tuple[Any, ...] = knob((PAPER_TRY,), "", "points to evaluate first: paper, none, or a list of settings")
    objectives: tuple[str, ...] = knob(
        (AUTO,),
        "",
        "metrics to maximise, the first one decides; `seconds` is minimised; auto: acc_all, or balanced_accuracy if "
        "the selection images are not balanced",
        choices=(AUTO, *OBJECTIVES),
    )
    warm_start: tuple[str, ...] = knob((), "", "folders of earlier searches whose results the sampler uses")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise UsageError(f"`objectives` must be different metrics, but got {list(self.objectives)}.")
        if AUTO in self.objectives and len(self.objectives) > 1:
            raise UsageError(f"`objectives` must be only `auto`, or metrics, but got {list(self.objectives)}.")
        if self.objectives[0] == SECONDS:
            raise UsageError(
                "`objectives` must begin with an accuracy: the trial that is best by the first one is "
                f"evaluated on the test set. Got {list(self.objectives)}."
            )

    @classmethod
    def check_value(cls, name: str, given: Any) -> Any:
        """Return `given` in the type of the field `name`; see `Knobs.check_value`."""
        return _first_points(given) if name == "first_try" else super().check_value(name, given)

    @property
    def is_open(self) -> bool:
        """Whether the data determine the objective."""
        return self.objectives == (AUTO,)

    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """Return each objective's direction, by Optuna's name."""
        return ["minimize" if objective == SECONDS else "maximize" for objective in self.objectives]

    def check_groups(self, groups: Collection[str]) -> None:
        """Check that the data have classes in the groups of the objectives.

        Args:
            groups: The groups among many, medium and few that have classes.

        Raises:
            UsageError: The group of an objective has no classes.
        """
        for objective in self.objectives:
            check_groups(objective, groups)


def _first_points(given: Any) -> tuple[Any, ...]:
    if given == "none":
        return ()
    points = (given,) if given == PAPER_TRY else given
    for item in points if isinstance(points, list | tuple) else (points,):
        if item != PAPER_TRY and not (isinstance(item, Mapping) and item):
            raise UsageError(
                f"`first_try` must be `paper`, `none` or a list of `paper` and settings such as "
                f"{{rescom.temperature: 0.1}}, but got {shown(item)}."
            )
    if not isinstance(points, list | tuple):
        raise UsageError(f"settings in `first_try` must be in a list: [{shown(given)}].")
    if any(item in points[:index] for index, item in enumerate(points)):
        raise UsageError(f"`first_try` repeats a setting: {shown(points)}; leave one out.")
    return tuple(points)


def _of_rules_with(setting: str) -> Needs:
    return ("rule", rules_with(setting))


@dataclass(frozen=True)
class Stop(Knobs):
    """When a trial is stopped before its last epoch, and how trials are compared.

    `rungs` is `auto` or a list of epochs; see `ltray.study.trial_plan`. The rules are in
    `ltray.strategies.stopping_rules`, population based training in `ltray.study.population`.
    """

    called: ClassVar[str] = "a setting of `stop`"

    rule: str = knob("asha", "", "rule of early stopping", choices=tuple(STOPPING_RULES))
    fidelity: str = knob(
        "epochs",
        "",
        "basis of the comparison at a rung: the first epochs of the complete run, or a short run with its own schedule",
        choices=("epochs", "short_runs"),
        needs=_of_rules_with("fidelity"),
    )
    promotion: str = knob(
        "restart",
        "",
        "how the longer run begins after a short one: from scratch, or as a warm restart from its weights",
        choices=("restart", "continue"),
        needs=("fidelity", ("short_runs",)),
    )
    rungs: tuple[int, ...] = knob(
        (),
        "",
        "epochs at which trials are compared; auto: determined by the schedule",
        low=1,
        high=MOST_EPOCHS,
        needs=_of_rules_with("rungs"),
    )
    first_rung: int = knob(
        0,
        "",
        "epochs before the first decision (grace period); 0: determined by the schedule",
        low=0,
        high=MOST_EPOCHS,
        needs=_of_rules_with("first_rung"),
    )
    keep_one_in: int = knob(
        3,
        "η",
        "reduction factor: the best 1/η of the trials continue after each rung",
        low=2,
        high=100,
        needs=_of_rules_with("keep_one_in"),
    )
    exploit_every: int = knob(
        0,
        "",
        "epochs between two exchanges of a population (perturbation interval); 0: a tenth of the run",
        low=0,
        high=MOST_EPOCHS,
        needs=_of_rules_with("exploit_every"),
    )
    exploit_share: float = knob(
        0.25,
        "",
        "share of the population that copies from the same share of the best (quantile fraction)",
        low=0.01,
        high=0.5,
        needs=_of_rules_with("exploit_share"),
    )

    @property
    def fidelity_label(self) -> str:
        """The entry of the results table on how a trial was trained."""
        return "epochs" if self.fidelity == "epochs" else f"short_runs, {self.promotion}"

    @classmethod
    def check_value(cls, name: str, given: Any) -> Value:
        """Return `given` in the type of the field; `rungs: auto` is an empty list."""
        return () if name == "rungs" and given == "auto" else super().check_value(name, given)

    def check_effects(self, names: Iterable[str], *, prefix: str = "") -> None:
        """Raise an error for settings that have no effect; see `Knobs.check_effects`."""
        names = list(names)
        super().check_effects(names, prefix=prefix)
        if self.rungs and self.first_rung and "first_rung" in names:
            raise UsageError(
                f"`{prefix}first_rung` has no effect with a list of `{prefix}rungs`, but got {self.first_rung}: leave "
                "one of them out."
            )


@dataclass(frozen=True)
class TrialResources(Knobs):
    """Resources of one trial, and its logger; a continued run may change them."""

    called: ClassVar[str] = "a setting of `trial`"

    seeds: int = knob(
        1, "n", "runs of each trial, each on its own training seed; the trial's value is their mean", low=1, high=1000
    )
    workers: int = knob(1, "W", "worker processes of one trial", low=1, high=4096)
    cpus_per_worker: int = knob(1, "", "CPU cores of each worker", low=1, high=1024)
    gpus_per_worker: float = knob(
        -1.0, "", "GPUs of each worker; -1: one if the cluster has GPUs, else none", low=-1.0, high=64.0
    )
    retries: int = knob(1, "", "retries of a trial after consecutive crashes without a new epoch", low=0, high=100)
    logger: str = knob(
        "tensorboard",
        "",
        "where metrics are logged, in addition to the run folder",
        choices=tuple(LOGGERS),
        dotted=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        gpus = self.gpus_per_worker
        if gpus != -1 and not 0 <= gpus <= 1 and not (gpus > 1 and gpus.is_integer()):
            raise UsageError(
                "`gpus_per_worker` must be -1 (one if the cluster has GPUs), a share of one GPU in [0, 1] or a whole "
                f"number, but got {gpus:g}."
            )

    def resources(self) -> dict[str, Any]:
        """Return the settings that a continued search may change: all except the number of seeds."""
        return {name: value for name, value in self.as_dict().items() if name != "seeds"}

    def has_gpu(self) -> bool:
        """Return whether trials have a GPU; a cluster that is joined is assumed to have some, unless `0` is set."""
        import torch  # here: settings are read without it

        if self.gpus_per_worker == -1:
            return bool(named_cluster()) or torch.cuda.is_available()
        return self.gpus_per_worker > 0

    def check_cores(self) -> None:
        """Check that a trial fits a cluster that consists of this machine only.

        Raises:
            UsageError: The trial needs more CPU cores than the machine has.
        """
        wanted, cores = self.workers * self.cpus_per_worker, os.cpu_count() or 1
        if wanted > cores and not named_cluster():
            raise UsageError(
                f"A trial needs {wanted} CPU cores ({self.workers} workers with {self.cpus_per_worker} each), but this "
                f"machine has {cores}. Lower trial.workers (in ltray.train: --workers) or trial.cpus_per_worker."
            )


_ANY = ("best", Above(0))


@dataclass(frozen=True)
class Finalists(Knobs):
    """Trials that are trained again on new seeds after the search, together with the papers' setting."""

    called: ClassVar[str] = "a setting of `finalists`"

    best: int = knob(0, "k", "number of best trials to train again; 0: none", low=0, high=1000)
    seeds: int = knob(
        5,
        "n",
        "new training seeds of each finalist",
        low=2,
        high=1000,
        needs=_ANY,
    )
    data_seeds: int = knob(
        1,
        "m",
        "data seeds, each with every training seed; 1: that of the search; more: all new",
        low=1,
        high=1000,
        needs=_ANY,
    )
    drop_losers: bool = knob(
        True, "", "whether a finalist that is significantly worse than the leader is stopped early", needs=_ANY
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        explicit = [name for name in self.specs() if getattr(self, name) != getattr(type(self), name)]
        self.check_effects(explicit, prefix="finalists.")
