"""TensorBoard files: a point per epoch, and settings with the metrics of the best epoch, also while a run trains."""

from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ltray.loggers.tensorboard import TensorBoardLogger
from ltray.metrics import COUNTED


def events_of(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def hparams_of(events: EventAccumulator) -> list[HParamsPluginData]:
    return [
        HParamsPluginData.FromString(metadata.plugin_data.content)
        for metadata in events.summary_metadata.values()
        if metadata.plugin_data.plugin_name == "hparams"
    ]


def epoch(all_: float, few: float, best: float) -> dict[str, float]:
    return {"val/acc_all": all_, "val/acc_few": few, "val/acc_all_best": best, "time_this_iter_s": 3.0}


def test_hparams_page_shows_the_best_epoch_while_the_run_trains(tmp_path: Path) -> None:
    board = TensorBoardLogger(tmp_path)
    board.begin({"rescom.temperature": 0.1, "rescom.milestones": (160, 180)}, "val/acc_all")
    board.epoch(epoch(0.5, 0.1, 0.5) | {"chosen/τ": 0.5}, 1)
    board.epoch(epoch(0.75, 0.2, 0.75), 2)
    board.epoch(epoch(0.25, 0.9, 0.75), 3)
    events = events_of(tmp_path)  # the logger is still open
    assert [(e.step, e.value) for e in events.Scalars("val/acc_all")] == [(1, 0.5), (2, 0.75), (3, 0.25)]
    assert [e.value for e in events.Scalars("best/acc_all")] == [0.5, 0.75]
    assert round(events.Scalars("best/acc_few")[-1].value, 6) == 0.2  # that of the best epoch, not the largest
    assert "time_this_iter_s" not in events.Tags()["scalars"]
    assert "chosen/τ" in events.Tags()["scalars"]
    content = hparams_of(events)
    (settings,) = [c.session_start_info.hparams for c in content if c.HasField("session_start_info")]
    assert settings["rescom.temperature"].number_value == 0.1
    assert settings["rescom.milestones"].string_value == "(160, 180)"
    (metrics,) = [c.experiment.metric_infos for c in content if c.HasField("experiment")]
    assert [m.name.tag for m in metrics] == [f"best/{key}" for key in COUNTED]
    assert not any(c.HasField("session_end_info") for c in content)
    board.finish({}, {})
    board.close()
    assert any(c.HasField("session_end_info") for c in hparams_of(events_of(tmp_path)))


def test_a_continued_run_keeps_the_best_epoch_of_its_first_part(tmp_path: Path) -> None:
    for number, metrics in ((1, epoch(0.5, 0.1, 0.5)), (2, epoch(0.25, 0.9, 0.5))):
        board = TensorBoardLogger(tmp_path)
        board.begin({"bcl.temperature": 0.1}, "val/acc_all")
        board.epoch(metrics, number)
        board.close()
    few = events_of(tmp_path).Scalars("best/acc_few")
    assert [(point.step, round(point.value, 6)) for point in few] == [(1, 0.1)]


def test_pictures_are_logged_in_their_size(tmp_path: Path) -> None:
    board = TensorBoardLogger(tmp_path)
    board.image("views", Image.new("RGB", (30, 20), "red"), 0)
    board.close()
    (image,) = events_of(tmp_path).Images("views")
    assert (image.step, image.width, image.height) == (0, 30, 20)
