"""Optuna's study: the durable record of a search, from which a search resumes."""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ltray.errors import UsageError
from ltray.files import check_regular, reading
from ltray.printable import encodable, printable
from ltray.run_folder import RunFolder
from ltray.run_settings import FILES
from ltray.setting_names import DATASET
from ltray.space.draws import FixedTrial, StudyTrial, given, lowest
from ltray.space.rows import explicit_keys
from ltray.space.search_space import SearchSpace
from ltray.strategies.samplers import GIVEN, OWN_STATE, REPEATING, Proposal, is_given, new_sampler
from ltray.study._compat import silence_gaussian_process
from ltray.study.new_setting import new_setting
from ltray.study.paper_prior import prior_of
from ltray.study.progress import TrialProgress
from ltray.study.storage import MirroredStorage, one_transaction
from ltray.study.study_file import only_study, open_database, reporting_errors

optuna.logging.set_verbosity(optuna.logging.WARNING)  # the console has its own lines about a search

PAPER, NAME, SETTINGS, REASON, ATTEMPT, ORIGIN = "paper", "name", "settings", "reason", "attempt", "origin"
PROGRESS = "progress"  # the state of a trial, as JSON; see `TrialProgress`
BEGUN = "begun"  # marks a study that contains all its first trials
COPIES = "copies"  # [epoch, source] of every copy from which a member of a population continued


def open_study(folder: Path, space: SearchSpace, learn: Callable[[], Iterable[FrozenTrial]] = tuple) -> optuna.Study:
    """Open the study of a run folder, or create it with the space's first trials in its queue.

    Args:
        folder: The run folder; `study.sqlite3` in it can be read live by optuna-dashboard.
        space: The search space.
        learn: Returns finished trials of earlier studies; called only if the study is new.
    """
    run = RunFolder(folder)
    path = RunFolder(folder.absolute()).study_file
    if not (path.exists() and path.stat().st_size) and any(run.trials.glob("[0-9]*")):
        raise UsageError(
            f"{printable(path)}: is {'empty' if path.exists() else 'missing'}, but {run.trials.name}/ "
            "contains trials of the search: restore the file from a copy, or start a new search with another --output."
        )
    database = open_database(path)
    name = only_study(database, path) or encodable(folder.resolve().name)
    with reporting_errors(path), reading(path, "is damaged", remedy="restore it from a copy"):
        study = optuna.create_study(
            storage=MirroredStorage(database),
            study_name=name,
            directions=space.search.directions(),
            load_if_exists=True,
        )
        _check_study(study, space, path)
    if BEGUN not in study.user_attrs:
        begin(study, space, learn())
    return study


def load_study(folder: Path) -> optuna.Study:
    """Open the study of another search for reading.

    Raises:
        UsageError: The study is damaged or missing.
    """
    path = RunFolder(folder.absolute()).study_file
    check_regular(path)
    database = open_database(path)
    name = only_study(database, path)
    if name is None:
        raise UsageError(f"{printable(path)}: contains no study.")
    with reporting_errors(path), reading(path, "is damaged", remedy="restore it from a copy"):
        return optuna.load_study(storage=MirroredStorage(database), study_name=name)


def _check_study(study: optuna.Study, space: SearchSpace, path: Path) -> None:
    """Check that the study belongs to the space.

    Raises:
        UsageError: It belongs to another search.
    """
    directions = [direction.name.lower() for direction in study.directions]
    objectives = list(space.search.objectives)
    if directions != space.search.directions() or (BEGUN in study.user_attrs and study.metric_names != objectives):
        found = ", ".join(f"{d} {name}" for d, name in zip(directions, study.metric_names or ["?"], strict=False))
        raise UsageError(
            f"{printable(path)}: is not the study of this search: it has the objectives {found}, the search has "
            f"{', '.join(objectives)}."
        )


def begin(study: optuna.Study, space: SearchSpace, earlier: Iterable[FrozenTrial]) -> None:
    """Add the trials of earlier studies and the first points to a new study, once.

    Args:
        study: The study.
        space: The search space.
        earlier: Finished trials of earlier studies, marked with their origin.
    """
    known = {trial.user_attrs.get(ORIGIN) for trial in study.get_trials(deepcopy=False)}
    study.add_trials([trial for trial in earlier if trial.user_attrs[ORIGIN] not in known])
    for first in space.first_trials()[sum(map(is_given, study.get_trials(deepcopy=False))) :]:
        walk = FixedTrial(given(first.params), space.moving())
        space.suggest(walk)
        study.enqueue_trial(walk.params, user_attrs={GIVEN: True, PAPER: first.paper, NAME: first.name})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(space.search.objectives))
    study.set_user_attr(BEGUN, True)


def ask(study: optuna.Study, space: SearchSpace) -> tuple[optuna.Trial, dict[str, Any]]:
    """Propose the next trial and its settings; the proposal depends only on the study's record.

    A resumed search therefore proposes the same settings as an uninterrupted one.
    """
    own = own_trials(study)
    silence_gaussian_process()
    proposal = _proposal(study, space, own)
    sampler = new_sampler(space.search.sampler, proposal)
    if sampler:
        study.sampler = sampler
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if sampler is None:
            study.enqueue_trial(_next_grid_point(space, own), user_attrs={GIVEN: True})
        elif (space.may_repeat() or space.search.sampler in REPEATING) and space.search.sampler not in OWN_STATE:
            known = {trial.user_attrs[SETTINGS] for trial in own}
            if params := new_setting(study, space, proposal, known):
                study.enqueue_trial(params)
    with one_transaction(study):
        trial = study.ask()
        return trial, keep_settings(trial, space)


def keep_settings(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """Draw a trial's settings and store them; values that the study already contains do not change."""
    settings = space.suggest(StudyTrial(trial, space.moving()))
    trial.set_user_attr(SETTINGS, json.dumps(settings))
    return settings


def as_read(settings: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """Return a trial's settings with the data set and the given files as this command has read them.

    The process of a trial then does not read the data-set file again, which may be edited or moved while the search
    runs, and finds the network from which to continue at its current path.

    Args:
        settings: The drawn settings, perhaps of an earlier command.
        space: The search space.
    """
    base = space.base.settings()
    explicit = explicit_keys(space.rows)
    places = {name: base[name] for name in FILES if settings.get(name) and base[name] and name not in explicit}
    fields = {key: value for key, value in base.items() if key.startswith(f"{DATASET}.")}
    return fields | dict(settings) | places | {DATASET: base[DATASET]}


def _next_grid_point(space: SearchSpace, own: list[FrozenTrial]) -> dict[str, Any]:
    """Return the first point of the grid, in the study's form, that no trial has used."""
    known = [trial.params for trial in own]
    for point in space.grid_points():
        walk = FixedTrial(given(point), space.moving())
        space.suggest(walk)
        if walk.params not in known:
            return walk.params
    raise LookupError("all points of the grid have been used")


def _proposal(study: optuna.Study, space: SearchSpace, own: list[FrozenTrial]) -> Proposal:
    walk = FixedTrial(lowest, space.moving())
    space.suggest(walk)
    return Proposal(
        number=len(own),
        sampled=sum(not is_given(trial) for trial in own),
        ranges=walk.distributions,
        earlier=[trial for trial in study.get_trials(deepcopy=False) if ORIGIN in trial.user_attrs],
        seed=space.search.seed,
        prior=prior_of(space),
    )


def own_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials of this search that have settings, without those of earlier studies."""
    return [trial for trial in study.get_trials(deepcopy=False) if SETTINGS in trial.user_attrs]


def proposed(study: optuna.Study) -> int:
    """Return the number of trials that have settings."""
    return len(own_trials(study))


def unfinished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were running when a driver ended, by number."""
    return [trial for trial in own_trials(study) if trial.state == TrialState.RUNNING]


def recorded_values(study: optuna.Study) -> dict[int, Mapping[int, float]]:
    """Return the value of every trial at every epoch, by trial number."""
    found = {trial.number: dict(trial.intermediate_values) for trial in own_trials(study)}
    for number, progress in progress_of(study).items():  # the progress is written first
        if progress.value is not None:
            found[number].setdefault(progress.epoch, progress.value)
    return {number: values for number, values in found.items() if values}


def progress_of(study: optuna.Study) -> dict[int, TrialProgress]:
    """Return the state of every trial, by trial number."""
    return {trial.number: TrialProgress.read(trial.user_attrs.get(PROGRESS)) for trial in own_trials(study)}


def leader(study: optuna.Study) -> FrozenTrial | None:
    """Return this search's complete trial with the best first objective, an accuracy; None if there is none."""
    complete = [trial for trial in own_trials(study) if trial.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.values[0], -trial.number), default=None)


def front(study: optuna.Study) -> list[int]:
    """Return the numbers of this search's trials that no other trial dominates."""
    complete = [trial for trial in own_trials(study) if trial.state == TrialState.COMPLETE]
    signs = [1.0 if d == optuna.study.StudyDirection.MAXIMIZE else -1.0 for d in study.directions]
    points = {t.number: [sign * v for sign, v in zip(signs, t.values, strict=True)] for t in complete}
    return [number for number, point in points.items() if not any(_beats(p, point) for p in points.values())]


def _beats(one: list[float], other: list[float]) -> bool:
    """Return whether `one` dominates `other`: no value is worse and at least one is better; larger is better."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
