"""MLflow: a run with settings, metrics by epoch and pictures; the package is the extra `mlflow`."""

import json
import os
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from PIL import Image

from ltray.files import atomic_write, read_json
from ltray.loggers.logger import missing_package, plain_settings, scalars
from ltray.printable import encodable

ADDRESS = "MLFLOW_TRACKING_URI"
EXPERIMENT = "ltray"
RECORD = "mlflow.json"
"""The file of the run folder with the run's id and a digest of the address, by which a continued run is found again."""


class MLflowLogger:
    """Writes one run of MLflow's experiment `ltray`.

    The address is that of the environment variable MLFLOW_TRACKING_URI. Without it, a database `mlflow.db` beside the
    run folder is used, which all runs beside it share: `mlflow ui --backend-store-uri sqlite:///runs/mlflow.db`.

    Args:
        folder: The run folder.

    Raises:
        UsageError: MLflow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise missing_package("mlflow", "mlflow-skinny") from error
        local = folder.parent.absolute()
        address = os.environ.get(ADDRESS) or f"sqlite:///{local / 'mlflow.db'}"
        self._place = blake2b(address.encode(), digest_size=8).hexdigest()  # the address may contain a password
        self._client = MlflowClient(tracking_uri=address)
        self._folder, self._new, self._finished = folder, False, False
        self._run = self._known_run() or self._new_run(local)

    def begin(self, settings: Mapping[str, Any], metric: str) -> None:
        """Log the settings of a new run as its parameters; a continued run has them already."""
        if self._new:
            for key, value in plain_settings(settings).items():
                self._client.log_param(self._run, key, value)

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        """Log the metrics of an epoch in one batch."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [Metric(encodable(name), value, now, epoch) for name, value in scalars(metrics).items()]
        self._client.log_batch(self._run, metrics=values)

    def image(self, name: str, picture: Image.Image, epoch: int) -> None:
        """Store a picture as an artifact of the run."""
        self._client.log_image(self._run, picture, f"{name}-epoch-{epoch}.png")

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Mark the run as finished."""
        self._finished = True

    def close(self) -> None:
        """End the run: finished, or killed if it did not reach its end."""
        self._client.set_terminated(self._run, status="FINISHED" if self._finished else "KILLED")

    def _known_run(self) -> str | None:
        """Return the id of the run that this folder began at the same address, and open it again; None: there is none.

        Another address, such as a new server, gets a new run.
        """
        from mlflow.exceptions import MlflowException

        path = self._folder / RECORD
        known = read_json(path) if path.is_file() else {}
        if known.get("place") != self._place:
            return None
        try:
            self._client.update_run(known["run"], status="RUNNING")
        except MlflowException:  # it was deleted there
            return None
        return str(known["run"])

    def _new_run(self, local: Path) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        artifacts = None if ADDRESS in os.environ else (local / "mlflow-artifacts").as_uri()
        identity = found.experiment_id if found else self._client.create_experiment(EXPERIMENT, artifacts)
        self._new = True
        run = self._client.create_run(identity, run_name=encodable(self._folder.name))
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self._folder / RECORD, json.dumps({"place": self._place, "run": run.info.run_id}).encode())
        return str(run.info.run_id)
