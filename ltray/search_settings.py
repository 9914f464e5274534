"""The blocks `search:`, `stop:` and `trial:` of a search-space file."""

from dataclasses import dataclass

from ltray.errors import UsageError
from ltray.knobs import Knobs, knob


@dataclass(frozen=True)
class Search(Knobs):
    """How settings are proposed."""

    sampler: str = knob("tpe", "", "who proposes settings", choices=("tpe", "random"))
    trials: int = knob(32, "", "settings to try", low=1, high=1_000_000)
    seed: int = knob(0, "", "seed of the proposals; the training seed is `seed`", low=0)
    first_try: str = knob("paper", "", "whether the papers' setting is the first trial", choices=("paper", "none"))


@dataclass(frozen=True)
class Stop(Knobs):
    """When a trial is ended before its last epoch."""

    rule: str = knob("asha", "", "early stopping: successive halving, or none", choices=("asha", "none"))
    first_rung: int = knob(0, "", "epochs before the first decision; 0: a ninth of the run", low=0)
    keep_one_in: int = knob(3, "η", "the share that goes on at each rung is 1/η", low=2, high=100)


@dataclass(frozen=True)
class TrialResources(Knobs):
    """What one trial occupies."""

    workers: int = knob(1, "W", "worker processes of one trial", low=1, high=4096)
    cpus_per_worker: int = knob(1, "", "CPU cores of each worker", low=1, high=1024)
    gpus_per_worker: float = knob(
        -1.0, "", "GPUs of each worker; -1: one where the cluster has any", low=-1.0, high=64.0
    )
    retries: int = knob(1, "", "how often a crashed trial goes on from its checkpoint", low=0, high=100)


@dataclass(frozen=True)
class Finalists(Knobs):
    """What is trained again on fresh seeds once the search is done, beside the papers' setting."""

    best: int = knob(0, "k", "trials to train again, from the best down; 0: none", low=0, high=1000)
    seeds: int = knob(5, "n", "fresh training seeds of each; never the search's own", low=2, high=1000)
    data_seeds: int = knob(
        1, "m", "data seeds, each with every training seed; 1: the search's own, more: all fresh", low=1, high=1000
    )
    drop_losers: bool = knob(True, "", "whether a setting clearly behind the leader after three rounds is given up")

    def __post_init__(self) -> None:
        super().__post_init__()
        idle = [f for f in ("seeds", "data_seeds", "drop_losers") if getattr(self, f) != getattr(type(self), f)]
        if self.best == 0 and idle:
            raise UsageError(f"`finalists.{idle[0]}` has no effect with finalists.best=0; set finalists.best=3.")
