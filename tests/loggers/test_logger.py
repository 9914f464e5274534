"""Loggers by name and by dotted path, and errors for invalid or failing ones of other packages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ltray.errors import UsageError
from ltray.loggers import LOGGERS, Logger, check_logger, new_logger
from ltray.run_folder import RunFolder
from ltray.space.search_settings import TrialResources
from ltray.train import main as train
from tests.other_package import unload

MODULE = """
class Lines:
    def __init__(self, folder):
        self.path = folder / "lines.txt"

    def _add(self, text):
        with self.path.open("a") as file:
            file.write(text + "\\n")

    def epoch(self, metrics, epoch):
        self._add(f"epoch {epoch}")

    def finish(self, settings, metrics):
        self._add("finish")

    def close(self):
        self._add("close")


class Unmade(Lines):
    def __init__(self, folder):
        raise ConnectionError("no server")


class FailsAtEpoch(Lines):
    def epoch(self, metrics, epoch):
        raise ConnectionError("no server")


class FailsAtFinish(Lines):
    def finish(self, settings, metrics):
        raise ConnectionError("no server")


class FailsAtClose(Lines):
    def close(self):
        raise ConnectionError("no server")


class Incomplete:
    def __init__(self, folder):
        pass

    def epoch(self, metrics, epoch):
        pass


NUMBER = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of another package with loggers."""
    (tmp_path / "loggersofmine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "loggersofmine"
    unload("loggersofmine")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own use of SQLAlchemy
@pytest.mark.parametrize(
    "name",
    # The packages of the others take seconds to import.
    [name if name == "tensorboard" else pytest.param(name, marks=pytest.mark.slow) for name in LOGGERS],
)
def test_every_logger_name_has_an_implementation(name: str, tmp_path: Path) -> None:
    logger = new_logger(name, tmp_path)
    assert isinstance(logger, Logger)
    logger.begin({"bcl.temperature": 0.1}, "val/acc_all")
    logger.image("views", Image.new("RGB", (3, 2)), 0)
    logger.epoch({"val/acc_all": 0.5, "val/acc_all_best": 0.5, "loss/total": 1.0}, 1)
    logger.finish({"bcl.temperature": 0.1}, {"val/acc_all": 0.5})
    logger.close()
    assert any(tmp_path.iterdir())


def test_logger_of_another_package_receives_the_run(package: str, tmp_path: Path) -> None:
    logger = new_logger(f"{package}:Lines", tmp_path)
    logger.begin({}, "val/acc_all")  # the class has no such methods
    logger.image("views", Image.new("RGB", (3, 2)), 0)
    logger.epoch({}, 1)
    logger.finish({}, {})
    logger.close()
    assert (tmp_path / "lines.txt").read_text().split("\n")[:3] == ["epoch 1", "finish", "close"]


@pytest.mark.parametrize("name", ["FailsAtEpoch", "FailsAtFinish", "FailsAtClose", "Unmade"])
def test_failing_logger_is_named(name: str, package: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"the logger '{package}:{name}' failed: ConnectionError: no server"):
        logger = new_logger(f"{package}:{name}", tmp_path)
        logger.epoch({}, 1)
        logger.finish({}, {})
        logger.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Incomplete", "must return a logger, with the methods `epoch`, `finish` and `close`"),
        ("NUMBER", "must be a class or a function that takes the run folder"),
        ("Linse", "has no `Linse`. Did you mean `Lines`"),
    ],
)
def test_invalid_logger_is_refused(name: str, message: str, package: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        new_logger(f"{package}:{name}", tmp_path)
    assert message in str(refusal.value)


def test_logger_setting_is_a_known_name_or_a_dotted_path() -> None:
    assert TrialResources.specs()["logger"].choices == tuple(LOGGERS)
    with pytest.raises(UsageError, match="Did you mean `tensorboard`"):
        TrialResources(logger="tensorbord")
    with pytest.raises(UsageError, match="finds no module `nowhere`"):
        check_logger(TrialResources(logger="nowhere.at_all:Logger").logger)


@pytest.mark.parametrize("logger", ["nowhere:LOGGER", "loggersofmine:Missing"])
def test_train_refuses_an_invalid_logger_before_writing(logger: str, package: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(UsageError):
        train(["--dataset", "digits-lt", "--methods", "bcl", "--output", str(folder), "--logger", logger])
    assert not folder.exists() and RunFolder(folder).config() is None


@pytest.mark.slow  # the package takes seconds to import
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own use of SQLAlchemy
def test_mlflow_continues_the_run_of_its_folder_and_records_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/secret.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/secret.db")
    for number, ends in ((1, False), (2, True)):  # interrupted, then continued
        logger = new_logger("mlflow", tmp_path / "run")
        logger.begin({"bcl.temperature": 0.1}, "val/acc_all")
        logger.epoch({"val/acc_all": 0.25 * number, "chosen/τ": 0.5, "pid": 3}, number)
        if ends:
            logger.finish({}, {})
        logger.close()
        (run,) = client.search_runs([client.get_experiment_by_name("ltray").experiment_id])
        assert run.info.status == ("FINISHED" if ends else "KILLED")
    assert run.data.params == {"bcl.temperature": "0.1"} and "pid" not in run.data.metrics
    history = client.get_metric_history(run.info.run_id, "val/acc_all")
    assert [(point.step, point.value) for point in history] == [(1, 0.25), (2, 0.5)]
    assert "secret" not in (tmp_path / "run" / "mlflow.json").read_text()
