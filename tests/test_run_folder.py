"""Run folders: one command at a time locks a folder, and the lock ends with its process."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltray.engine.checkpoint import Checkpoint, Position
from ltray.errors import UsageError
from ltray.model_folder import ModelFolder
from ltray.run_folder import RESULTS_FILE, RunFolder
from tests.paths import ROOT

HOLD = """
import sys, time
from pathlib import Path
from ltray.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""


def test_folder_in_use_is_refused_until_its_process_is_killed(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"in use by process {holder.pid} on "), RunFolder(folder).locked():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with RunFolder(folder).locked():
            assert f"process {os.getpid()} " in (folder / ".lock").read_text()


def test_folder_with_former_setting_names_continues(tmp_path):
    before = {
        "settings": {"frozen": "backbone"},
        "alternatives": {"bcl": {"frozen": ""}},
        "rows": [{"frozen": "nothing"}],
    }
    now = {
        "settings": {"train": "head", "bottleneck": 0},
        "alternatives": {"bcl": {"train": "", "bottleneck": 0}},
        "rows": [{"train": "all", "bottleneck": 0}],
    }
    folder = RunFolder(tmp_path / "run")
    assert not folder.claim(before, {}, may_differ=())
    assert folder.claim(now, {}, may_differ=())
    with pytest.raises(UsageError, match="`train` is .* there"):
        folder.claim(now | {"alternatives": {"bcl": {"train": "head", "bottleneck": 0}}}, {}, may_differ=())


def test_only_the_named_parts_of_a_configuration_may_differ(tmp_path):
    settings = {"settings": {"train": "head", "bottleneck": 0}}
    folder = RunFolder(tmp_path / "run")
    assert not folder.claim(settings | {"trials": 4, "trial": {"workers": 1}}, {}, may_differ=("trials",))
    assert folder.claim(settings | {"trials": 9, "trial": {"workers": 1}}, {}, may_differ=("trials",))
    assert folder.config()["trials"] == 9
    with pytest.raises(UsageError, match="`workers` is 1 there and 2 now"):
        folder.claim(settings | {"trials": 9, "trial": {"workers": 2}}, {}, may_differ=("trials",))


def test_child_process_does_not_keep_the_lock(tmp_path):
    with RunFolder(tmp_path).locked():
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        hold = subprocess.run(
            [sys.executable, "-c", HOLD.replace("time.sleep(600)", ""), str(tmp_path)], capture_output=True, text=True
        )
        assert hold.stdout == "held\n", hold.stderr
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_unrecorded_epochs_of_checkpoints_are_found_in_order(tmp_path):
    for epoch in (1, 2, 3):
        metrics = {"total_epochs": epoch, "val/acc_all": epoch / 10}
        checkpoint = Checkpoint(Position(), stages={}, optimizer={}, settings={}, metrics=metrics)
        checkpoint.save(tmp_path / f"checkpoint_{epoch}")
        if epoch == 1:
            RunFolder(tmp_path).append_history(metrics)
    (tmp_path / "checkpoint_3" / "checkpoint.pt").write_bytes(b"half")
    assert RunFolder(tmp_path).unrecorded() == [(tmp_path / "checkpoint_2", {"total_epochs": 2, "val/acc_all": 0.2})]


def test_file_names_of_a_run_folder_are_defined_once():
    """Other modules use properties of `RunFolder` or `ModelFolder`, so that each file name is defined once."""
    own = [RunFolder(Path("run")), ModelFolder(Path("run"))]
    paths = [getattr(folder, name) for folder in own for name in vars(type(folder)) if name != "path"]
    names = {path.name for path in paths if isinstance(path, Path) and path.suffix} | {RESULTS_FILE}
    assert len(names) >= 15
    homes = {ROOT / "ltray/run_folder.py", ROOT / "ltray/model_folder.py"}
    for file in set((ROOT / "ltray").rglob("*.py")) - homes:
        literals = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        assert not names & literals, f"{file}: {names & literals}"
