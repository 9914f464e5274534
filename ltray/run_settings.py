"""The settings of a run in addition to its data set, its methods and their knobs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ltray.arguments import check_place
from ltray.knobs import HIGHEST_SEED, Knobs, Value, knob
from ltray.metrics import BALANCED

RANDOM, IMAGENET = "random", "imagenet"  # values of `weights` in addition to a file and a library's name of weights
WEIGHT_FILES = (".pt", ".pth", ".safetensors", ".bin", ".ckpt", ".tar", ".pkl", ".npz")
FILES = ("start", "weights")  # settings with a path of a file or a folder


@dataclass(frozen=True)
class RunSettings(Knobs):
    """The settings of a run in addition to its data set, its methods and their knobs; "": the default of the run."""

    called: ClassVar[str] = "a setting of a run"

    seed: int = knob(0, "", "seed of weights, order of images and augmentation", low=0, high=HIGHEST_SEED)
    backbone: str = knob("", "", "backbone of the first method that builds a network, or a dotted path")
    weights: str = knob("", "", "random, imagenet, the library's name of weights, or a file")
    train: str = knob("", "", "part of a pretrained backbone that is trained, or modules that are inserted into it")
    bottleneck: int = knob(
        0,
        "r",
        "size of the modules that `train` inserts into each block; 0: determined by the number of classes",
        low=0,
        high=65_536,
        before=0,
    )
    start: str = knob("", "", "folder of a checkpoint to continue from")
    objective: str = knob(BALANCED, "", "metric by which epochs and trials are compared")

    @classmethod
    def check_value(cls, name: str, given: Any) -> Value:
        """Return `given` in the type of the setting `name`; see `Knobs.check_value`. A path becomes absolute."""
        value = super().check_value(name, given)
        if name not in FILES or value in ("", RANDOM, IMAGENET) or (name == "weights" and not _is_place(str(value))):
            return value
        check_place(name, str(value))
        return os.path.abspath(
            os.path.expanduser(str(value))
        )  # trials may have another working directory, and so may continued runs


def _is_place(weights: str) -> bool:
    """Return whether a value of `weights` is a path; otherwise it is a library's name of weights."""
    return os.sep in weights or weights.lower().endswith(WEIGHT_FILES) or Path(weights).exists()
