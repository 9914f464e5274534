"""A population on Tune: members pause at the end of a generation, copy checkpoints and continue."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from ltray.engine.checkpoint import Checkpoint
from ltray.experiment import Experiment
from ltray.on_ray.scheduler import EPOCHS, RuleScheduler
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import checkpoints, copies_folder, resumable
from ltray.study._compat import live
from ltray.study.population import Copy, Population
from ltray.study.progress import TrialProgress
from ltray.study.study import COPIES, PROGRESS, SETTINGS, as_read, proposed, unfinished

DECISION = "copies after epoch {}"  # the study's record of an exchange until all trials have it
GENERATION = "generation"  # the epoch at which a member was last compared with the others


class PopulationSearch(StudySearch):
    """Trains all trials of a search to the end, generation by generation.

    A member that has ended a generation is stopped in Tune and remains open in the study. When all
    members have ended it, the decision is written to the study, checkpoints are copied, and all
    members continue like resumed trials. If a driver ends before this is complete, the next driver
    reads the decision and executes it again from the start.

    Args:
        population: The generations.
        trials_folder: The folder of the trials' folders.
        say: Prints a line.
        arguments: Those of `StudySearch`.
    """

    def __init__(
        self, *arguments: Any, population: Population, trials_folder: Path, say: Callable[[str], None], **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._population, self._folder, self._print_line = population, trials_folder, say
        for trial in self._study.get_trials(deepcopy=False):
            remove_discarded_checkpoints(trial, trials_folder)
        self._decide()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next member; None while all other members wait for the running members."""
        found = super().suggest(trial_id)
        waits = found == Searcher.FINISHED and not self._stopper.reason and unfinished(self._study)
        return None if waits else found

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the end of a member in the study, or end the generation."""
        super().on_trial_complete(trial_id, result, error)
        if not self._stopper.reason:
            self._decide()

    def compared(self, number: int) -> int:
        """Return the epoch at which a member was last compared, 0 before."""
        return int(self._study.get_trials(deepcopy=False)[number].user_attrs.get(GENERATION, 0))

    def _decide(self) -> None:
        members = unfinished(self._study)
        if proposed(self._study) < self._of or not members:
            return
        epoch = next((e for e in self._population.ends if any(self.compared(m.number) < e for m in members)), None)
        if epoch is None or not all(epoch in member.intermediate_values for member in members):
            return
        settings = {member.number: json.loads(member.user_attrs[SETTINGS]) for member in members}
        copies = self._copies(members, settings, epoch)
        for number, copied in copies.items():
            whole = replace(copied, settings=as_read(copied.settings, self._space))
            copy_checkpoint(self._folder, number, whole, epoch)
        self._commit(members, copies, epoch)
        running = {trial.number for trial in self._trials.values()}
        self._left = [m for m in unfinished(self._study) if m.number not in running]
        for member in self._left:
            remove_discarded_checkpoints(member, self._folder)
        for number, copied in copies.items():
            self._print_line(
                f"trial {number} copies trial {copied.source} at epoch {epoch}: {_changes(settings, copied)}"
            )

    def _copies(
        self, members: list[FrozenTrial], settings: Mapping[int, Mapping[str, Any]], epoch: int
    ) -> dict[int, Copy]:
        """Return the source of each copying member: from an earlier driver's record, or a new decision."""
        key = DECISION.format(epoch)
        known = self._study.user_attrs.get(key)
        if known is None:
            values = {member.number: member.intermediate_values[epoch] for member in members}
            copies = self._population.copies(epoch, values, settings, self._space)
            known = [[number, copied.source, copied.settings] for number, copied in copies.items()]
            self._study.set_user_attr(key, known)
        return {number: Copy(source, changed) for number, source, changed in known}

    def _commit(self, members: list[FrozenTrial], copies: Mapping[int, Copy], epoch: int) -> None:
        """Write the exchange to its trials; entries that an earlier driver wrote do not change."""
        for member in members:
            trial = live(self._study, member)
            history = [list(copy) for copy in member.user_attrs.get(COPIES, [])]
            if member.number in copies:
                own = copies[member.number]
                if not history or history[-1][0] != epoch:
                    trial.set_user_attr(COPIES, [*history, [epoch, own.source]])
                trial.set_user_attr(SETTINGS, json.dumps(own.settings))
                progress = TrialProgress.read(member.user_attrs.get(PROGRESS))
                trial.set_user_attr(PROGRESS, replace(progress, best_epoch=0, score=-1.0, metrics={}).text())
        for member in members:  # written last: it marks a trial that has completed this exchange
            live(self._study, member).set_user_attr(GENERATION, epoch)


class PBTScheduler(RuleScheduler):
    """Pauses members that have ended a generation in which they have not been compared yet.

    Args:
        search: Has the record of the members that were compared.
        stopper: Receives the members that pause, so that a pause is not treated as an end.
        arguments: Those of `RuleScheduler`.
    """

    def __init__(
        self, population: Population, search: PopulationSearch, stopper: GracefulStopper, **arguments: Any
    ) -> None:
        super().__init__(None, **arguments)
        self._population, self._search, self._stopper = population, search, stopper

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a member continues."""
        decision = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP or result[EPOCHS] not in self._population.ends:
            return decision
        if self._search.compared(task_of(trial).number) >= result[EPOCHS]:
            return decision
        self._stopper.ended.add(trial.trial_id)
        return str(TrialScheduler.STOP)


def copy_checkpoint(trials: Path, number: int, copied: Copy, epoch: int) -> None:
    """Write the source's checkpoint as one from which trial `number` continues.

    The source's best value so far is not copied; the copy records its origin.
    """
    folder, metrics = resumable(trials, copied.source)[-1]
    if metrics["total_epochs"] != epoch:
        raise RuntimeError(
            f"{folder}: is a checkpoint of epoch {metrics['total_epochs']:g}, but trial {number} copies epoch {epoch}."
        )
    source = Checkpoint.load(folder)
    own = replace(
        source,
        position=replace(source.position, best=-1.0, best_epoch=0),
        settings=Experiment.from_settings(copied.settings, complete=True).settings(),
        metrics=dict(source.metrics) | {"copied_from": copied.source},
    )
    target = copies_folder(trials, number) / f"checkpoint_{epoch:06d}"
    shutil.rmtree(target, ignore_errors=True)
    own.save(target)


def remove_discarded_checkpoints(trial: FrozenTrial, trials: Path) -> None:
    """Remove the checkpoints of the training that a member discarded for its last copy."""
    copies = trial.user_attrs.get(COPIES)
    if copies and trial.state == TrialState.RUNNING:
        for folder, metrics in checkpoints(trials, trial.number):
            if metrics["total_epochs"] <= copies[-1][0]:
                shutil.rmtree(folder)


def _changes(settings: Mapping[int, Mapping[str, Any]], copied: Copy) -> str:
    before = settings[copied.source]
    changed = {key: value for key, value in copied.settings.items() if before.get(key) != value}
    return (
        ", ".join(f"{k.rpartition('.')[2]} {before[k]:.4g} → {v:.4g}" for k, v in changed.items())
        or "no setting changes"
    )
