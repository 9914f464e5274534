"""`ltray report --watch`: a page that follows a running search, for one user of this machine."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.report.__main__ import main
from ltray.report.watch import ReportServer
from ltray.results.live_record import live_record
from ltray.run_folder import RESULTS_FILE, RunFolder, trial_name
from ltray.seal import append_sealed
from ltray.space.search_space import SearchSpace
from ltray.study.study import open_study
from tests.folder_in_use import held

SPACE = """
dataset: digits-lt
methods: [cross_entropy]
explore: {cross_entropy.weight_decay: {from: 1.0e-5, to: 1.0e-2, log: true}}
search: {trials: 3, sampler: random}
stop: {rule: none}
"""
METRIC = "val/acc_all"


@pytest.fixture
def searching(tmp_path: Path) -> tuple[Path, Callable[[int, float], None]]:
    """The folder of a search without tables, and a function that reports an epoch of one of its trials."""
    (tmp_path / "space.yaml").write_text(SPACE)
    space, folder = SearchSpace.read(tmp_path / "space.yaml").bind(10), tmp_path / "search"
    blocks = {"search": {"objectives": ["acc_all"]}, "stop": {"rule": "none"}, "trials": 3}
    explored = {"explore": {"cross_entropy.weight_decay": "1e-05 … 0.01 (log)"}}
    RunFolder(folder).claim({"settings": space.base.settings()} | blocks | explored, {}, may_differ=())
    search = StudySearch(open_study(folder, space), space, metric=METRIC, trials=3, stopper=GracefulStopper())
    begun: dict[int, int] = {}

    def report(trial: int, value: float) -> None:
        if trial not in begun:
            search.suggest(str(trial))
        begun[trial] = begun.get(trial, 0) + 1
        result = {EPOCHS: begun[trial], PLANNED_EPOCHS: 9, METRIC: value, f"{METRIC}_best": value}
        result |= {CHECKPOINT_SCORE: value, "stage": 0, "loss/total": 1.0, "train/seconds": 1.0, "val/images": 200.0}
        own = RunFolder(folder).trials / trial_name(trial)
        own.mkdir(parents=True, exist_ok=True)
        append_sealed(own / RESULTS_FILE, result)
        search.on_trial_result(str(trial), result)

    return folder, report


@contextmanager
def served(folder: Path) -> Iterator[ReportServer]:
    with ReportServer([folder]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        text: str = answer.read().decode()
        return text


def refusal(address: str) -> tuple[int, str]:
    """Return status and text of a request that is refused."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(address)
    with refused.value as answer:
        return answer.code, answer.read().decode()


def test_a_running_search_has_its_trials_before_its_tables_are_written(searching) -> None:
    folder, report = searching
    report(0, 0.4321)
    report(1, 0.5)
    assert live_record(folder).trials is None  # nobody searches: the folder has no tables
    with held(folder):
        trials = live_record(folder).trials
        assert trials is not None and sorted(trials["trial"]) == [0, 1]
        assert trials.set_index("trial").loc[0, METRIC] == 0.4321
        report(1, 0.625)
        record = live_record(folder)
        assert record.trials is not None and record.trials.set_index("trial").loc[1, METRIC] == 0.625
        assert len(record.history) == 3


def test_the_page_follows_the_search_at_its_secret_address_only(searching, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, report = searching
    report(0, 0.4321)
    monkeypatch.setattr("ltray.report.watch.OLDEST", 0.0)
    with held(folder), served(folder) as server:
        assert server.server_address[0] == "127.0.0.1"
        page = get(server.address)
        assert "43.2" in page and "87.6" not in page and 'fetch("version"' in page
        version = get(f"{server.address}version")
        assert version == get(f"{server.address}version")
        report(1, 0.8765)
        assert get(f"{server.address}version") != version
        assert "87.6" in get(server.address)
        base = server.address.removesuffix(server.path)
        for path in ("", "/", "/version", server.path[:-2], f"{server.path}../", f"{server.path}config.yaml"):
            assert refusal(base + path)[0] == 404
        other = ReportServer([folder])
        assert other.path != server.path
        other.server_close()


def test_a_damaged_folder_is_a_sentence_in_the_browser(searching) -> None:
    folder, report = searching
    report(0, 0.5)
    with served(folder) as server:
        RunFolder(folder).config_file.write_text("settings: [")
        status, text = refusal(server.address)
        assert status == 500 and "config.yaml" in text


def test_a_report_in_a_file_does_not_reload_itself(searching) -> None:
    folder, report = searching
    report(0, 0.5)
    assert main([str(folder)]) == 0
    assert 'fetch("version"' not in RunFolder(folder).report_file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "8000"], "`--port` has an effect only with `--watch`"),
        (["--watch", "--port", "70000"], "the largest port is 65535"),
        (["--watch", "--output", "x.html"], "`--output` has no effect with `--watch`"),
    ],
)
def test_options_without_effect_are_refused(searching, options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        main([str(searching[0]), *options])


def test_a_port_in_use_is_named(searching) -> None:
    with served(searching[0]) as server, pytest.raises(UsageError, match="cannot be used: Address already in use"):
        main([str(searching[0]), "--watch", "--port", str(server.server_address[1])])
