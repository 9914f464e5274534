"""Trials of earlier searches, which the sampler of a new search uses."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from ltray.errors import UsageError
from ltray.printable import printable
from ltray.run_folder import RunFolder
from ltray.space.draws import FixedTrial, OutsideSpace, given
from ltray.space.search_space import SearchSpace
from ltray.study.study import ORIGIN, SETTINGS, load_study, own_trials

CMAES_NEEDS = 10
# Settings that may differ from the earlier search: seeds change only the noise, paths have no effect.
MAY_DIFFER = ("seed", "dataset", "dataset.store", "dataset.folder")


@dataclass(frozen=True)
class Earlier:
    """The trials that a new search uses from one earlier search.

    Attributes:
        folder: Its run folder.
        trials: Its complete trials that are in the new space, marked with their origin.
        left_out: The reasons why other trials are not used, with the number of such trials.
    """

    folder: Path
    trials: list[FrozenTrial]
    left_out: Mapping[str, int]

    def describe(self) -> str:
        """Return a line for the user."""
        line = f"warm start from {len(self.trials)} trials of {self.folder}"
        if self.left_out:
            reasons = "; ".join(f"{count}: {reason}" for reason, count in self.left_out.items())
            line += f"; {sum(self.left_out.values())} not used ({reasons})"
        return line


def learn_from_earlier(space: SearchSpace, folder: Path, console: Console) -> list[FrozenTrial]:
    """Return the earlier trials that a new search uses, and print their origin.

    Args:
        space: The new search's space, bound to its classes.
        folder: The new search's run folder, with its `env.json`.
        console: Receives the lines.

    Raises:
        UsageError: See `earlier_searches`.
    """
    earlier = earlier_searches(space, folder, digest=_environment(folder)["data_digest"])
    for one in earlier:
        console.print(one.describe(), soft_wrap=True)
    return [trial for one in earlier for trial in one.trials]


def earlier_searches(space: SearchSpace, folder: Path, *, digest: str) -> list[Earlier]:
    """Read the searches in `search.warm_start`.

    Args:
        space: The new search's space, bound to its classes.
        folder: The new search's run folder.
        digest: Digest of the new search's data.

    Raises:
        UsageError: An entry is not a search, is repeated, or has another objective, other data,
            another protocol or other fixed settings.
    """
    named = [Path(name) for name in space.search.warm_start]
    places = [path.resolve() for path in [folder, *named]]
    for path in named:
        if places.count(path.resolve()) > 1:
            raise UsageError(f"search.warm_start: {path} is this search or a duplicate.")
    found = [_read(space, path, digest=digest) for path in named]
    count = sum(len(one.trials) for one in found)
    if named and space.search.sampler == "cmaes" and count < CMAES_NEEDS:
        raise UsageError(
            f"search.warm_start: cmaes starts at the best tenth of the earlier trials and needs {CMAES_NEEDS} of "
            f"them, but {count} are in this space. Use sampler=tpe, or remove warm_start."
        )
    return found


def _read(space: SearchSpace, path: Path, *, digest: str) -> Earlier:
    config = RunFolder(path).config()
    if config is None or not RunFolder(path).study_file.is_file():
        raise UsageError(f"search.warm_start: {path} contains no search.")
    there = _environment(path)
    _same(path, "objectives", config["search"]["objectives"], list(space.search.objectives))
    _same(path, "data_digest", there["data_digest"], digest)
    _same(path, "protocol", there["protocol"], space.base.dataset.protocol)
    before, now = config["settings"], space.base.settings()
    explored = {d.key for d in space.dimensions} | set(config["explore"])
    for key in sorted((before.keys() | now.keys()) - explored - set(MAY_DIFFER)):
        _same(path, key, before.get(key), now.get(key))

    study = load_study(path)
    found, left_out = [], Counter[str]()
    for trial in own_trials(study):
        if trial.state == TrialState.COMPLETE:
            try:
                found.append(_as_foreign(trial, space, path, before=before, now=now))
            except OutsideSpace as error:
                left_out[str(error)] += 1
    return Earlier(path, found, left_out)


def _as_foreign(
    trial: FrozenTrial, space: SearchSpace, path: Path, *, before: Mapping[str, Any], now: Mapping[str, Any]
) -> FrozenTrial:
    """Return a trial in the new study's form.

    Raises:
        OutsideSpace: The new space does not contain its settings.
    """
    settings = dict(before) | json.loads(trial.user_attrs[SETTINGS])
    walk = FixedTrial(given(settings), space.moving())
    drawn = space.suggest(walk)
    for key in settings.keys() - drawn.keys() - set(MAY_DIFFER):
        if settings[key] != now.get(key):
            raise OutsideSpace(f"{key} is {settings[key]!r} there and fixed at {now.get(key)!r} here")
    return create_trial(
        state=TrialState.COMPLETE,
        values=trial.values,
        params=walk.params,
        distributions=walk.distributions,
        user_attrs={ORIGIN: f"{path}, trial {trial.number}"},
    )


def _environment(folder: Path) -> dict[str, Any]:
    run = RunFolder(folder)
    found = run.environment()
    if found is None or not {"data_digest", "protocol"} <= found.keys():
        raise UsageError(f"{printable(run.environment_file)}: has no digest or no protocol of the search's data.")
    return found


def _same(path: Path, key: str, before: Any, now: Any) -> None:
    if before != now:
        raise UsageError(
            f"search.warm_start: {path} cannot be used for this search: `{key}` is {before!r} there and {now!r} here."
        )
