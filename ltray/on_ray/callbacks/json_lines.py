"""Writes the reports of trials to their folders as soon as they arrive."""

import json
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.utils.util import SafeFallbackEncoder

from ltray.run_folder import RESULTS_FILE
from ltray.seal import append_sealed


class JsonLinesCallback(Callback):
    """Adds every result as a JSON line to its trial's folder, immediately.

    Ray's own loggers write to a temporary folder that is copied to the run folder about every ten seconds: a killed
    driver would lose epochs.
    """

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **i: Any) -> None:
        """Write a result."""
        folder = Path(trial.path)
        folder.mkdir(parents=True, exist_ok=True)
        append_sealed(folder / RESULTS_FILE, json.loads(json.dumps(result, cls=SafeFallbackEncoder)))
