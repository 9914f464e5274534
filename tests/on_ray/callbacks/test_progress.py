"""Progress output of a running search, on a terminal and in a file."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from ltray.metrics import PLANNED_EPOCHS
from ltray.on_ray.callbacks.progress import ProgressCallback
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK, TrialTask
from ltray.reporting import FAILURE, LATER

METRIC = "val/acc_few"


def new_watch(console, best=None):
    explored = {"rescom.temperature": "τ", "rescom.effective_number_beta": "β"}
    return ProgressCallback(console, explored, metric=METRIC, trials=64, done=3, best=best, stopper=GracefulStopper())


def new_trial(number, tmp_path):
    settings = {"dataset": "digits-lt", "methods": ["rescom"], "objective": "acc_few"}
    settings |= {"rescom.temperature": 0.123456789, "rescom.effective_number_beta": 0.99999}
    return SimpleNamespace(
        trial_id=f"t{number}",
        config={TASK: TrialTask(number, 0, settings)},
        path=str(tmp_path / str(number)),
        last_result={},
    )


def report(watch, trial, epoch):
    result = {EPOCHS: epoch, PLANNED_EPOCHS: 20, METRIC: 0.5, f"{METRIC}_best": 0.5}
    result |= {"val/acc_all": 0.9, "loss/total": 1.25}  # not the metric of this search
    trial.last_result = result
    watch.on_trial_result(0, [], trial, result)


def test_output_to_a_file_has_a_line_per_event_without_table(tmp_path):
    console = Console(file=io.StringIO(), width=140)
    watch, trial = new_watch(console), new_trial(7, tmp_path)
    watch.setup()
    watch.on_trial_start(0, [], trial)
    report(watch, trial, 6)
    watch.on_trial_complete(0, [], trial)
    watch.on_step_end(0, [])
    watch.close()
    assert console.file.getvalue().splitlines() == [
        "trial 7 starts: τ=0.1235, β=0.99999",
        "trial 7 stopped early at epoch 6 of 20, val/acc_few 50.0 %  [4 of 64 done]",
    ]


def test_row_shows_metric_in_percent_loss_and_images_per_second(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=140, height=20)
    watch, trial = new_watch(console), new_trial(7, tmp_path)
    watch.on_trial_start(0, [], trial)
    result = {EPOCHS: 6, PLANNED_EPOCHS: 20, METRIC: 0.456, f"{METRIC}_best": 0.512, "loss/total": 1.25}
    watch.on_trial_result(0, [], trial, result | {"val/acc_all": 0.9, "train/images_per_second": 1234.4})
    lines = ["".join(s.text for s in line).split() for line in console.render_lines(watch._view(), pad=False)]
    assert lines[-1] == ["7", "6/20", "45.6", "%", "1.250", "1234"] and lines[1][6:9] == ["best", "51.2", "%"]


@pytest.mark.parametrize(("width", "height"), [(40, 10), (60, 12), (200, 50)])
def test_live_table_fits_the_terminal(tmp_path, width, height):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
    watch = new_watch(console)
    for number in range(30):
        trial = new_trial(number, tmp_path)
        watch.on_trial_start(0, [], trial)
        if number % 3:
            report(watch, trial, 1 + number % 20)
    lines = console.render_lines(watch._view(), pad=False)
    shown = ["".join(segment.text for segment in line) for line in lines]
    assert len(shown) < height and max(map(len, shown)) <= width
    assert shown[1].startswith("3 of 64 trials done · best 50.0 %"[: width - 1])
    rows = [line for line in shown if line.split()[0].isdecimal() and "trials done" not in line]
    assert len(rows) == 30 or shown[-1] == f"and {30 - len(rows)} more"


def test_continued_search_shows_the_best_of_earlier_trials(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=140, height=20)
    for earlier, shown in ((0.6, "best 60.0 % (trial 1)"), (0.4, "best 50.0 % (trial 9)")):
        watch, trial = new_watch(console, best=(earlier, 1)), new_trial(9, tmp_path)
        watch.on_trial_start(0, [], trial)
        report(watch, trial, 6)
        console.print(watch._view())
        assert shown in console.file.getvalue()


def test_trial_that_waits_for_free_space_is_paused(tmp_path):
    console = Console(file=io.StringIO(), width=140)
    watch, trial = new_watch(console), new_trial(7, tmp_path)
    watch.on_trial_start(0, [], trial)
    trial.last_result = {FAILURE: "/x: cannot be written.", LATER: True}
    watch.on_trial_complete(0, [], trial)
    assert console.file.getvalue().splitlines()[1:] == ["trial 7 is paused: /x: cannot be written."]
