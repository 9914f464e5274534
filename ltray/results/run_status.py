"""The state of a run or search that may be running in another process: progress, best result, time."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ltray.fitted_table import FittedTable
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS, title
from ltray.program import called
from ltray.quantities import duration, plural
from ltray.results.final_evaluation import accuracy_line
from ltray.results.ledger import describe_look, number_of
from ltray.results.paths import shell_word
from ltray.results.run_record import RunRecord
from ltray.results.tables import STATES
from ltray.run_folder import RESULTS_FILE, RunFolder, attempts
from ltray.seal import read_lines
from ltray.study.budget import Spent

_RECENT = 5  # epochs whose time predicts that of the further ones


def status_of(folder: Path) -> Iterator[str | FittedTable]:
    """Return the lines and tables that describe a run folder.

    Raises:
        UsageError: It is not a run folder, or a file in it is damaged.
    """
    record = RunRecord.read(folder)
    holder = RunFolder(folder).holder()
    ended = record.evaluation is not None and not holder
    state = f"running: {holder}" if holder else "complete" if ended else "interrupted"
    what = "search" if record.is_search else "training run"
    yield f"{folder}: {what}, {record.methods} on {record.settings['dataset']}; {state}"
    yield from _search(record, is_running=bool(holder)) if record.is_search else _training(record, bool(holder))
    if record.evaluation:
        found = accuracy_line(record.evaluation["metrics"], "test", record.objectives[0])
        yield f"  test ({describe_look(number_of(record.evaluation))}): {found}"
    if not holder and not ended:
        yield f"  to continue: {_command(record)}"


def _command(record: RunRecord) -> str:
    return f"{called('tune')} {shell_word(record.folder)}" if record.is_search else "the command that started it, again"


def _training(record: RunRecord, is_running: bool) -> Iterator[str]:
    epochs: list[Mapping[Any, Any]] = [*record.history.to_dict("records")]
    if not epochs:
        yield "  no epoch is complete"
        return
    last, best = epochs[-1], max(epochs, key=lambda row: row[CHECKPOINT_SCORE])
    done, planned = int(last["total_epochs"]), int(last.get(PLANNED_EPOCHS, last["total_epochs"]))
    yield f"  epoch {done} of {planned}: {_figures(last, record)}"
    yield f"  best epoch {int(best['total_epochs'])}: {_figures(best, record)}"
    if is_running and done < planned:
        each = _mean([float(row.get("train/seconds", 0.0)) for row in epochs[-_RECENT:]])
        yield f"  about {duration(each * (planned - done))} of training left ({duration(each)} per epoch)"


def _search(record: RunRecord, *, is_running: bool) -> Iterator[str | FittedTable]:
    from ltray.study.study import leader, load_study, own_trials  # SQLAlchemy takes a second to import

    study = load_study(record.folder)
    trials, planned = own_trials(study), int(record.config["trials"])
    counts = Counter(STATES[trial.state.name] for trial in trials if trial.state.is_finished())
    ended = sum(counts.values())
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    yield f"  {ended} of {plural(planned, 'trial')} ended" + (f": {states}" if states else "")
    best = leader(study)
    if best:
        yield f"  best: trial {best.number}, {title(record.objectives[0])} {100 * best.values[0]:.1f} %"
    spent = Spent.read(record.folder)
    left = spent.seconds / ended * (planned - ended) if ended else 0.0
    rest = f"; about {duration(left)} left at this rate" if is_running and left else ""
    yield f"  {duration(spent.seconds)} so far, {duration(spent.cpu_seconds)} of CPU time{rest}"
    open_trials = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if open_trials:
        yield _open(record, open_trials, is_running=is_running)


def _open(record: RunRecord, trials: Sequence[FrozenTrial], *, is_running: bool) -> FittedTable:
    """Return a table of the trials that have begun and not ended."""
    shown = FittedTable(
        title="running trials" if is_running else "trials that continue", optional=[("images/s",)], remedy="see --wide"
    )
    for column in ("trial", "epoch", f"{title(record.objectives[0])}, %", "images/s"):
        shown.add_column(column, justify="right", no_wrap=True)
    for trial in trials:
        last = _last(record.folder, trial.number)
        if not last:
            shown.add_row(str(trial.number), "0", "–", "–")
            continue
        epoch = f"{last['total_epochs']}/{last[PLANNED_EPOCHS]}"
        speed = f"{last.get('train/images_per_second', 0.0):,.0f}"
        shown.add_row(str(trial.number), epoch, f"{100 * last[record.metric]:.1f}", speed)
    return shown


def _last(folder: Path, number: int) -> Mapping[str, Any]:
    """Return the newest report of a trial over all its attempts; {} if there is none."""
    found = [
        result
        for attempt in attempts(RunFolder(folder).trials, number)
        for result in read_lines(attempt / RESULTS_FILE)
        if "total_epochs" in result
    ]
    return max(found, key=lambda result: int(result["total_epochs"]), default={})


def _figures(epoch: Mapping[Any, Any], record: RunRecord) -> str:
    found: str = accuracy_line(epoch, record.selection, record.objectives[0])
    where = "test images" if record.selection == "test" else "validation images"
    return f"{found} ({record.selected_how if record.folds else where})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
