"""Results are written to the run folder when they are reported."""

from types import SimpleNamespace

import numpy as np

from ltray.on_ray.callbacks.json_lines import JsonLinesCallback
from ltray.results.tables import history


def test_reported_epochs_are_written_immediately_and_an_incomplete_line_is_dropped(tmp_path):
    first, second = tmp_path / "0003", tmp_path / "0003.1"
    records = JsonLinesCallback()
    for epoch, folder in ((1, first), (2, first), (3, second)):
        result = {"total_epochs": epoch, "stage": 0, "checkpoint_score": np.float32(0.5), "val/acc_all": 0.1 * epoch}
        records.on_trial_result(epoch, [], SimpleNamespace(path=str(folder)), result)
        if epoch == 2:  # the driver dies while it writes the third line
            with (first / "result.json").open("a") as lines:
                lines.write('{"total_epochs": 3, "val')
        table = history({3: [first, second]})
        assert table["epoch"].to_list() == list(range(1, epoch + 1))
    assert table["val/acc_all"].to_list() == [0.1, 0.2, 0.1 * 3]
