"""Run folders: one command at a time holds one, and a dead one holds nothing."""

import os
import signal
import subprocess
import sys

import pytest

from ltray.engine.checkpoint import Checkpoint, Position
from ltray.errors import UsageError
from ltray.run_folder import append_history, held, unrecorded

HOLD = """
import sys, time
from pathlib import Path
from ltray.run_folder import append_history, held, unrecorded
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_in_use_is_refused_and_a_killed_process_lets_it_go(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"in use by process {holder.pid} on "), held(folder):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with held(folder):
            assert f"process {os.getpid()} " in (folder / ".lock").read_text()


def test_a_child_process_does_not_keep_the_folder(tmp_path):
    with held(tmp_path):
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


def test_epochs_that_only_a_checkpoint_holds_are_found_in_order(tmp_path):
    for epoch in (1, 2, 3):
        metrics = {"total_epochs": epoch, "val/acc_all": epoch / 10}
        checkpoint = Checkpoint(Position(), stages={}, optimizer={}, settings={}, metrics=metrics)
        checkpoint.save(tmp_path / f"checkpoint_{epoch}")
        if epoch == 1:
            append_history(tmp_path, metrics)
    (tmp_path / "checkpoint_3" / "checkpoint.pt").write_bytes(b"half")
    assert unrecorded(tmp_path) == [(tmp_path / "checkpoint_2", {"total_epochs": 2, "val/acc_all": 0.2})]
