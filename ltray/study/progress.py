"""The state that a trial of a search has reached: its best epoch, and its training time."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ltray.metrics import CHECKPOINT_SCORE, SECONDS, counted
from ltray.study.run_of_several import RUN, RUN_SEED, is_later_run

SCORE, METRICS = "score", "metrics"


@dataclass(frozen=True)
class TrialProgress:
    """A summary of a trial's epochs for the search; stored in the study.

    The result of a trial is that of its best epoch, whose checkpoint is kept. All its
    objectives are metrics of that one epoch, so that one model has all of them.

    Attributes:
        epoch: Last reported epoch, over all stages.
        seconds: Training time of all epochs.
        best_epoch: The epoch whose result is the trial's.
        score: Its checkpoint score.
        metrics: Its metrics of `ltray.metrics.COUNTED`, in [0, 1], such as "acc_few".
        value: The first objective after `epoch`, or None if it is not known.
        continued: Last epoch after which early stopping let the trial continue.
        stopped: Epoch after which early stopping ended it, 0 before.
        runs: The best epoch of each run of a trial of several seeds: its score and its metrics.

    A continued search reports a trial's last epoch again. It must not decide on that epoch again, because more
    trials are known by then. This record is one write: if a driver is killed, the study contains an epoch with
    its value and its decision, or nothing of the epoch.
    """

    epoch: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    score: float = -1.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    value: float | None = None
    continued: int = 0
    stopped: int = 0
    runs: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Read the text that `text` returned; None gives the state of a trial that has not started."""
        return cls(**json.loads(text)) if text else cls()

    def text(self) -> str:
        """Return the text that a study stores."""
        return json.dumps(asdict(self))

    def after(self, result: Mapping[str, Any], *, metric: str) -> "TrialProgress":
        """Return the state after one more epoch.

        Args:
            result: The report of the epoch.
            metric: The first objective, such as "val/acc_all".
        """
        prefix = metric.partition("/")[0]
        better = result[CHECKPOINT_SCORE] > self.score
        return TrialProgress(
            epoch=int(result["total_epochs"]),
            seconds=self.seconds + float(result.get("train/seconds", 0.0)),
            best_epoch=int(result["total_epochs"]) if better else self.best_epoch,
            score=float(result[CHECKPOINT_SCORE]) if better else self.score,
            metrics=counted(result, prefix) if better else self.metrics,
            value=None if is_later_run(result) else float(result[metric]),  # rules compare first runs
            continued=self.continued,
            stopped=self.stopped,
            runs=self._runs_after(result, prefix) if RUN_SEED in result else (),
        )

    def _runs_after(self, result: Mapping[str, Any], prefix: str) -> list[Mapping[str, Any]]:
        """Return the best epoch of each run after one more epoch of the newest run."""
        runs, run = list(self.runs), int(result[RUN])
        if run == len(runs) or result[CHECKPOINT_SCORE] > runs[run][SCORE]:
            runs[run:] = [{SCORE: float(result[CHECKPOINT_SCORE]), METRICS: counted(result, prefix)}]
        return runs

    def values(self, objectives: Sequence[str]) -> list[float]:
        """Return the objectives' values; of several seeds, the mean over the runs."""
        runs = [run[METRICS] for run in self.runs] or [self.metrics]
        return [
            self.seconds if name == SECONDS else math.fsum(run[name] for run in runs) / len(runs) for name in objectives
        ]
