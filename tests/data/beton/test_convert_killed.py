"""A conversion killed repeatedly at random times gives the same files as an uninterrupted one."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltray.files import digest_of

pytestmark = [pytest.mark.slow, pytest.mark.ffcv]

KILLS = 3


def images(root: Path) -> None:
    """Write 900 JPEGs of different sizes in two splits; one is invalid."""
    draw = np.random.default_rng(0)
    for number in range(900):
        place = root / ("test" if number % 8 == 0 else "train") / f"class {number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        size = (int(draw.integers(150, 640)), int(draw.integers(150, 480)))
        coarse.resize(size, Image.Resampling.BICUBIC).save(place / f"{number}.jpg")
    (root / "train/class 1/bad.jpg").write_bytes(b"no image")


def convert(folder: Path, output: Path) -> "subprocess.Popen[str]":
    arguments = [str(folder), "image_size=224", "--output", str(output), "--on-error", "skip", "--verify"]
    return subprocess.Popen(
        [sys.executable, "-m", "ltray.convert", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder.parent,  # the data-set file is written there
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def digests(output: Path) -> dict[str, str]:
    return {path.name: digest_of(path) for path in sorted(output.rglob("*.beton"))}


@pytest.mark.parametrize("seed", [0, 1])
def test_repeatedly_killed_conversion_gives_the_same_files(seed: int, tmp_path: Path) -> None:
    images(tmp_path / "pets")
    began = time.monotonic()
    output_text, _ = convert(tmp_path / "pets", tmp_path / "uninterrupted").communicate()
    lasted = time.monotonic() - began
    assert "verified: every converted image is equal to the one that was written" in output_text
    chance = random.Random(seed)
    output = tmp_path / "killed"
    killed = 0
    while killed < KILLS:
        process = convert(tmp_path / "pets", output)
        try:
            process.wait(timeout=chance.uniform(0.1, 0.8) * lasted)
            shutil.rmtree(output)  # it finished: start again
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    output_text, _ = convert(tmp_path / "pets", output).communicate()
    assert "verified: every converted image is equal to the one that was written" in output_text
    assert digests(output) == digests(tmp_path / "uninterrupted") != {}
    reports = [place.read_text() for place in sorted(tmp_path.rglob("report.txt"))]
    assert len(reports) == 2 and reports[0] == reports[1]
    assert not list(output.rglob(".work-*"))
