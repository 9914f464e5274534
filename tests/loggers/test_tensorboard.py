"""TensorBoard files: a point per epoch, and the settings with the tags of the accuracies."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ltray.loggers.tensorboard import TensorBoardLogger


def test_tensorboard_hparams_use_the_tags_of_the_curves(tmp_path):
    board = TensorBoardLogger(tmp_path)
    for epoch in (1, 2):
        metrics = {"val/acc_all": 0.25 * epoch, "loss/total": 1.0 / epoch, "chosen/τ": 0.5, "time_this_iter_s": 3.0}
        board.epoch(metrics, epoch)
    board.finish({"rescom.temperature": 0.1, "rescom.milestones": (160, 180)}, metrics)
    board.close()
    (file,) = tmp_path.iterdir()
    events = EventAccumulator(str(file)).Reload()
    assert set(events.Tags()["scalars"]) == {"val/acc_all", "loss/total", "chosen/τ"}
    assert [(e.step, e.value) for e in events.Scalars("val/acc_all")] == [(1, 0.25), (2, 0.5)]
    content = [
        HParamsPluginData.FromString(metadata.plugin_data.content)
        for metadata in events.summary_metadata.values()
        if metadata.plugin_data.plugin_name == "hparams"
    ]
    (settings,) = [c.session_start_info.hparams for c in content if c.HasField("session_start_info")]
    assert settings["rescom.temperature"].number_value == 0.1
    assert settings["rescom.milestones"].string_value == "(160, 180)"
    (metrics,) = [c.experiment.metric_infos for c in content if c.HasField("experiment")]
    assert [m.name.tag for m in metrics] == ["val/acc_all"]
