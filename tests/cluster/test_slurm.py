"""The SLURM script: its syntax, its first checks, and a job that is queued again and continues."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltray.run_folder import RunFolder
from tests.cluster import slurm_here
from tests.cluster.slurm_here import output, slurm
from tests.on_ray.commands import LIMIT, SMALL
from tests.paths import ROOT

SCRIPT = ROOT / "cluster" / "slurm.sh"
OPTIONS = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", SCRIPT.read_text(), re.M))


def test_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    assert os.access(SCRIPT, os.X_OK)


def test_job_is_queued_again_before_its_time_limit_only() -> None:
    """The signal is none that scancel or a preemption sends: SLURM itself decides what follows those."""
    assert "requeue" in OPTIONS
    assert OPTIONS["open-mode"] == "append"  # the output of the first part is kept
    signal, _, seconds = OPTIONS["signal"].removeprefix("B:").partition("@")
    assert signal == "USR1" and int(seconds) >= 120
    text = SCRIPT.read_text()
    assert re.findall(r"^trap 'again=yes;.*' (\w+)$", text, re.M) == ["USR1"]
    assert text.index('[ -n "$again" ]') < text.index("scontrol requeue")


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "no command: sbatch cluster/slurm.sh"),
        (["true"], {"LTRAY_ENVIRONMENT": "/nowhere"}, "/nowhere contains no Ray"),
        (["true"], {}, "make setup"),
    ],
)
def test_script_checks_first(arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path) -> None:
    known = {name: value for name, value in os.environ.items() if name != "LTRAY_ENVIRONMENT"}
    done = subprocess.run(
        ["bash", SCRIPT, *arguments],
        env=known | {"SLURM_JOB_ID": "1"} | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path that slurmd accepts: no other user may write above it, except in /tmp."""
    path = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def wait_until(reached: Callable[[], bool], log: Path, *, runs: Callable[[], object] = lambda: True) -> None:
    deadline = time.monotonic() + LIMIT
    while not reached():
        assert runs() and time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(3000)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start SLURM")
def test_job_that_reaches_its_time_limit_is_queued_again_and_continues(folder: Path) -> None:
    missing = slurm_here.missing_programs()
    assert not missing, f"{missing}: apt-get install slurmctld slurmd slurm-client munge"
    log, run = folder / "job.out", folder / "run"
    command = [sys.executable, "-m", "ltray.train", "--methods", "cross_entropy", "--dataset", "digits-lt", *SMALL]
    command += ["--workers", "2", "epochs=40", "--output", str(run)]
    before = set(Path("/tmp").glob("ltray-??????"))
    with slurm(folder) as settings:
        settings |= {"LTRAY_ENVIRONMENT": sys.prefix, "LTRAY_DATA": str(folder / "data")}
        options = ["--parsable", "--nodes=1", "--cpus-per-task=2", f"--output={log}", f"--chdir={ROOT}"]
        job = output(["sbatch", *options, str(SCRIPT), *command], settings)
        assert job.isdecimal(), job

        def state() -> str:
            """Return the state of the job; "" once it has ended."""
            return output(["squeue", "-h", "-j", job, "-t", "PENDING,RUNNING,COMPLETING", "-o", "%T"], settings)

        wait_until(lambda: log.exists() and "epoch 2/40" in log.read_text(), log, runs=state)
        assert [path for path in Path("/tmp").glob("ltray-??????") if path not in before]
        output(["scancel", "--batch", "--signal=USR1", job], settings)  # as SLURM does before the limit
        wait_until(lambda: state() == "PENDING", log)
        assert "queued again and continues" in log.read_text()
        assert "epoch 40/40" not in log.read_text()
        output(["scontrol", "update", f"JobId={job}", "StartTime=now"], settings)  # SLURM waits for two minutes
        wait_until(lambda: not state(), log)
        ended = output(["scontrol", "show", "job", job], settings)
    text = log.read_text()
    assert "JobState=COMPLETED" in ended, text
    assert f"continues the run in {run}" in text
    assert len(RunFolder(run).history()) == 40
    assert RunFolder(run).best.evaluation(), text
    wait_until(lambda: set(Path("/tmp").glob("ltray-??????")) <= before, log)  # Ray's files are removed
