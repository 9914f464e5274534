"""The digest of a trial in a study, which detects a changed value in the database."""

import copy
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState

DIGEST = "sha256"
_FIXED = "fixed_params"  # Optuna's attribute with the values of a waiting trial


def digest_of_trial(trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> list[Any]:
    """Return the digest of a trial when it ends or is queued.

    Args:
        trial: The trial.
        state: Its new state.
        values: Its values in that state.

    Returns:
        The names of the user attributes in the digest, and the SHA-256. Attributes that other programs add, such
        as a viewer's notes, are not included.
    """
    names = sorted(name for name in trial.user_attrs if name != DIGEST)
    return [names, _sha256(trial, state, values, names)]


def with_digest(trial: FrozenTrial) -> FrozenTrial:
    """Return a copy of a final trial with its digest; return a trial that may still change without a change."""
    if not _lasts(trial.state):
        return trial
    own = copy.deepcopy(trial)
    own.set_user_attr(DIGEST, digest_of_trial(trial, trial.state, trial.values))
    return own


def check_digest(trial: FrozenTrial) -> None:
    """Compare a trial with its digest, if it has one; a trial of an earlier version has none.

    Raises:
        ValueError: They differ.
    """
    if DIGEST not in trial.user_attrs or not _lasts(trial.state):
        return
    names, sha256 = trial.user_attrs[DIGEST]
    if not set(names) <= trial.user_attrs.keys() or _sha256(trial, trial.state, trial.values, names) != sha256:
        raise ValueError(f"trial {trial.number} differs from its digest")


def _lasts(state: TrialState) -> bool:
    return bool(state.is_finished()) or state == TrialState.WAITING


def _sha256(trial: FrozenTrial, state: TrialState, values: Sequence[float] | None, names: Sequence[str]) -> str:
    content = {
        "state": state.name,
        "values": None if values is None else [float(value) for value in values],
        "params": trial.params,
        "distributions": {name: distribution_to_json(found) for name, found in trial.distributions.items()},
        "by_epoch": {str(step): float(value) for step, value in trial.intermediate_values.items()},
        "attributes": {name: trial.user_attrs[name] for name in names},
        _FIXED: trial.system_attrs.get(_FIXED),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
