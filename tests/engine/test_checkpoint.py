"""Checkpoints: complete or absent, and only plain data."""

import errno
import resource
from dataclasses import replace

import pytest
import torch

from ltray.engine.checkpoint import FILE_NAME, Checkpoint, Position, metrics_of


def checkpoint():
    return Checkpoint(
        position=Position(stage=1, epoch=3, total_epochs=5, best=0.5, best_epoch=4),
        stages={"0.queue": torch.arange(6.0).reshape(2, 3)},
        optimizer={"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        settings={"methods": ["bcl"], "bcl.temperature": 0.1},
        context={"counts": [3, 2]},
        metrics={"val/acc_all": 0.5},
    )


def test_checkpoint_is_loaded_as_saved(tmp_path):
    saved = checkpoint()
    saved.save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    assert loaded.position == saved.position
    assert torch.equal(loaded.stages["0.queue"], saved.stages["0.queue"])
    assert torch.equal(loaded.optimizer["state"][0]["momentum_buffer"], torch.ones(2))
    assert (loaded.settings, loaded.context, loaded.metrics) == (saved.settings, saved.context, saved.metrics)


def test_metrics_are_read_without_the_weights(tmp_path):
    checkpoint().save(tmp_path)
    assert metrics_of(tmp_path) == {"val/acc_all": 0.5}


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_truncated_checkpoint_is_not_complete(tmp_path, kept):
    path = checkpoint().save(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    assert metrics_of(tmp_path) is None


def test_a_folder_without_checkpoint_has_no_metrics(tmp_path):
    assert metrics_of(tmp_path) is None
    with pytest.raises(FileNotFoundError):
        Checkpoint.load(tmp_path)


def test_pickled_code_is_refused(tmp_path):
    class Foreign:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"position": Foreign()}, tmp_path / FILE_NAME)
    with pytest.raises(Exception, match="contains more than weights"):
        Checkpoint.load(tmp_path)


def test_saving_leaves_no_temporary_file(tmp_path):
    checkpoint().save(tmp_path)
    checkpoint().save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "summary.json"]


def test_position_counts_epochs_and_keeps_the_first_best_epoch_of_a_stage():
    position = Position()
    assert position.at_stage(0) is position
    for value in (0.4, 0.6, 0.6, 0.5):
        position = position.after_epoch(value)
    assert position == Position(stage=0, epoch=4, total_epochs=4, best=0.6, best_epoch=2)
    assert position.at_stage(1) == Position(stage=1, epoch=0, total_epochs=4, best=-1.0, best_epoch=2)
    assert position.at_stage(1).after_epoch(0.1) == Position(stage=1, epoch=1, total_epochs=5, best=0.1, best_epoch=5)


@pytest.mark.parametrize("limit", [0, 100, 2000])
@pytest.mark.parametrize("size", [6, 500_000])
def test_full_disk_is_reported_with_the_file_name_and_leaves_nothing(tmp_path, limit, size):
    """Torch's message is "unexpected pos 576 vs 534" if the disk is full before the file is closed."""
    target = checkpoint().save(tmp_path / "old")
    before = target.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            replace(checkpoint(), stages={"0.queue": torch.zeros(size)}).save(tmp_path / "old")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG and raised.value.filename == str(target)
    assert target.read_bytes() == before and len(list((tmp_path / "old").iterdir())) == 2


def test_other_errors_of_torch_are_not_changed(tmp_path, monkeypatch):
    def fail(*message):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        checkpoint().save(tmp_path)
    assert list(tmp_path.iterdir()) == []
