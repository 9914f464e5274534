"""The verdict on finished runs of a published row, as text and as a row of a Markdown table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltray.errors import UsageError
from ltray.metrics import BALANCED
from ltray.published import Claim
from ltray.published.check import NOT, Comparison, compare_with
from ltray.quantities import plural
from ltray.results.intervals import mean_interval
from ltray.run_folder import RunFolder

HEADINGS = (
    "date",
    "row",
    "ours: all (many / medium / few), %",
    "published, %",
    "verdict",
    "hardware",
    "training, s",
    "commit",
)
NO_FIGURE = f"{NOT}: the source has no figure over all classes"
GROUPS = ("many", "medium", "few")
SHORT = 7  # digits of a commit


@dataclass(frozen=True)
class RowOutcome:
    """Finished runs of a published row.

    Attributes:
        name: The name of the row.
        claim: The published figure.
        evaluations: The content of `evaluation.json` of each run.
        environments: The content of `env.json` of each run.
        seconds: Duration of the training of all runs, without evaluations.
    """

    name: str
    claim: Claim
    evaluations: tuple[Mapping[str, Any], ...]
    environments: tuple[Mapping[str, Any], ...]
    seconds: float

    @classmethod
    def read(cls, name: str, claim: Claim, folders: Sequence[Path]) -> "RowOutcome":
        """Read the run folders.

        Args:
            name: The name of the row.
            claim: The published figure.
            folders: Folders of finished runs that differ in their seed only.

        Raises:
            UsageError: A run is not finished, or a file is damaged.
        """
        evaluations, environments, seconds = [], [], 0.0
        for folder in folders:
            run = RunFolder(folder)
            evaluation = run.best.evaluation()
            if evaluation is None:
                raise UsageError(f"{folder}: contains no finished run; run the same command again to continue it.")
            evaluations.append(evaluation)
            environments.append(run.environment() or {})
            seconds += sum(epoch.get("train/seconds", 0.0) for epoch in run.history())
        return cls(name, claim, tuple(evaluations), tuple(environments), seconds)

    @property
    def comparison(self) -> Comparison | None:
        """The comparison with the published figure; None if the source has no figure over all classes."""
        if self.claim.all is None:
            return None
        accuracy = mean_interval([one["metrics"][f"test/{BALANCED}"] for one in self.evaluations])
        return compare_with(self.claim, self.evaluations[0]["settings"], accuracy)

    @property
    def verdict(self) -> str:
        """The verdict with its reasons or its qualifications."""
        return self.comparison.text if self.comparison else NO_FIGURE

    @property
    def ours(self) -> str:
        """Our accuracies in percent, means over the runs: "38.0 (65.8 / 35.6 / 8.4)"."""
        groups = [self._mean(f"acc_{name}") for name in GROUPS]
        return f"{self._mean(BALANCED)} ({' / '.join(groups)})"

    def _mean(self, key: str) -> str:
        values = [one["metrics"][name] for one in self.evaluations if (name := f"test/{key}") in one["metrics"]]
        return f"{100 * sum(values) / len(values):.1f}" if values else "–"

    @property
    def theirs(self) -> str:
        """The published accuracies in percent, in the form of `ours`; groups only if they are published."""
        groups = [getattr(self.claim, name) for name in GROUPS]
        whole = "–" if self.claim.all is None else f"{self.claim.all:g}"
        if all(value is None for value in groups):
            return whole
        return f"{whole} ({' / '.join('–' if value is None else f'{value:g}' for value in groups)})"

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the row under `HEADINGS`."""
        seeds = ", ".join(str(one["seed"]) for one in self.evaluations)
        return (
            min((one.get("time", "")[:10] for one in self.environments), default="") or "–",
            f"`{self.name}`, {'seed' if len(self.evaluations) == 1 else 'seeds'} {seeds}",
            self.ours,
            self.theirs,
            self.verdict,
            ", ".join(dict.fromkeys(hardware(one) for one in self.environments)),
            f"{self.seconds:,.0f}",
            ", ".join(dict.fromkeys(short_commit(one.get("commit")) for one in self.environments)),
        )

    def markdown(self, *, headings: bool = True) -> str:
        """Return the row of a Markdown table, with the lines above it if `headings`."""
        lines = [HEADINGS, ("---",) * len(HEADINGS)] if headings else []
        return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in [*lines, self.cells])


def hardware(environment: Mapping[str, Any]) -> str:
    """Return the hardware that a run has recorded: its GPUs, or the processor and its number of cores."""
    if gpus := environment.get("gpus"):
        return f"{len(gpus)} × {gpus[0]}" if len(gpus) > 1 else str(gpus[0])
    name = environment.get("processor") or "processor not recorded"
    return f"{name}, {plural(int(environment.get('cpus') or 1), 'core')}"


def short_commit(commit: str | None) -> str:
    """Return the first digits of a commit, with "+changes" if it has uncommitted changes; "–" if it is not known."""
    if not commit:
        return "–"
    digits, plus, changes = commit.partition("+")
    return digits[:SHORT] + plus + changes
