"""What a worker would refuse is refused before a launch: without a process, a folder or weights."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.parts.batch_norm import check_over_workers
from ltray.start_check import check_start
from ltray.testing import contract

TAIL = LongTail((8, 7, 6, 6, 5, 4, 4, 3, 3, 2))
NAMES = tuple("abcdefghij")


class OddNorm(nn.BatchNorm2d):
    """A BatchNorm that does something else as well."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, and halve."""
        halved: Tensor = super().forward(x) / 2
        return halved


@pytest.mark.parametrize("name", METHODS)
def test_every_method_passes_on_data_that_it_can_use(name: str) -> None:
    if METHODS[name].needs_network and name != "ride_distilled":
        check_start(contract.small_experiment({"methods": ["cross_entropy", name]}), TAIL, NAMES, workers=2)
    elif name != "ride_distilled":
        check_start(contract.small_experiment({"methods": [name]}), TAIL, NAMES, workers=2)


def test_fewer_images_than_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="48 training images are too few for 49 workers"):
        check_start(contract.small_experiment({"methods": ["bcl"]}), TAIL, NAMES, workers=49)


def test_batch_norm_of_another_kind_is_refused_for_several_workers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(OddNorm(4)))
    with pytest.raises(UsageError, match="`OddNorm` is a kind of BatchNorm that cannot be computed over several"):
        check_over_workers(module)
    module[1].local_batch_norm = True
    check_over_workers(module)
    run = contract.small_experiment({"methods": ["cross_entropy"]})
    stages = run.stages(TAIL)
    stages[0].network.backbone.bn1 = OddNorm(16)
    monkeypatch.setattr(Experiment, "_build", lambda *given, **named: stages)
    check_start(run, TAIL, NAMES)
    with pytest.raises(UsageError, match="train with 1 worker"):
        check_start(run, TAIL, NAMES, workers=2)


POLICY = """
from ltray.data.transforms.geometry import PaddedCrop
from ltray.data.transforms.policies import PolicyTemplate

SHIFTED = PolicyTemplate(lambda size, flip: PaddedCrop(size, padding=2, flip=flip), ())
"""


def test_augmentation_for_images_of_one_size_is_refused_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shiftedpackage.py").write_text(POLICY)
    monkeypatch.syspath_prepend(str(tmp_path))
    own: dict[str, Any] = {"methods": ["cross_entropy"], "cross_entropy.augmentation": "shiftedpackage:SHIFTED"}
    check_start(contract.small_experiment(own), TAIL, NAMES)
    large = contract.small_experiment(own | {"dataset.image_size": 96, "backbone": "resnet32"})
    with pytest.raises(UsageError, match="`shiftedpackage:SHIFTED` cannot create views of images of different sizes"):
        check_start(large, TAIL, NAMES)
