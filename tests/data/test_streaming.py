"""Images of mixed sizes, cropped during decoding: exact, resumable, without leaked threads."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltray.data import ffcv_pool, loaders, plan
from ltray.data.beton.convert import convert
from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.node_copy import local_copy
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.reader import BetonFile
from ltray.data.beton.store import converted, folder_of
from ltray.data.beton.verification import verify
from ltray.data.dataset import ImageData, open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.ffcv_pool import StreamedPool
from ltray.data.pools import Cuts
from ltray.data.transforms.resize import resize_one
from ltray.errors import UsageError
from ltray.recipe import Recipe
from ltray.stage import Patches, Stage, View

pytestmark = pytest.mark.ffcv

CPU = torch.device("cpu")
COUNTS = (24, 14, 9)
VIEWS = (View("first", "sim"), View("second", "standard"))


class OneStage(Stage):
    """A stage that only declares its views and sampling."""

    def __init__(self, views: tuple[View, ...] = VIEWS, sampling: str = "natural") -> None:
        super().__init__(Recipe(batch_size=8))
        self.views = views
        self.sampling = sampling


def scene(number: int) -> Image.Image:
    """Return a smooth image with its own size and colours."""
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((int(random.integers(90, 700)), int(random.integers(90, 500))), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> DatasetDefinition:
    """Convert a small folder of JPEGs and PNGs once."""
    root = tmp_path_factory.mktemp("scenes")
    number = 0
    for label, count in enumerate(COUNTS):
        (root / "images" / f"class {label}").mkdir(parents=True)
        for _ in range(count):
            suffix = "jpg" if number % 2 else "png"
            scene(number).save(root / "images" / f"class {label}" / f"{number:03}.{suffix}")
            number += 1
    made = DatasetDefinition(
        name="scenes",
        source="folder",
        folder=str(root / "images"),
        store=str(root / "store"),
        image_size=96,
        longest_side=400,
        test_per_class=3,
        validation_per_class=2,
    )
    convert(made, progress=ProgressBars(shown=False))
    return made


@pytest.fixture
def data(definition: DatasetDefinition) -> ImageData:
    return open_data(definition, device=CPU)


def test_images_of_mixed_sizes_are_streamed(data: ImageData) -> None:
    assert isinstance(data._train_images, StreamedPool)
    assert data.tail.counts == (19, 9, 4)
    sizes = data._train_images.sizes
    assert len(sizes.unique(dim=0)) > 5 and sizes.max() <= 400


@pytest.mark.parametrize("sampling", ["natural", "class_balanced", "pairs"])
def test_streamed_views_have_their_size_and_are_reproducible(data: ImageData, sampling: str) -> None:
    loader = data.training(OneStage(sampling=sampling), None, seed=1)
    batches = list(loader.epoch(0))
    assert len(batches) == loader.steps == 4
    for batch in batches:
        assert batch["first"].shape == batch["second"].shape == (8, 3, 96, 96)
    again = list(loader.epoch(0, 2))
    for left, right in zip(again, batches[2:], strict=True):
        assert torch.equal(left["first"], right["first"]) and torch.equal(left["second"], right["second"])
        assert torch.equal(left.indices, right.indices)


def test_workers_together_get_the_batches_of_one_worker(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(data.training(OneStage(), None, seed=1).epoch(3))
    parts = []
    for rank in range(2):
        for module in (loaders, plan):
            monkeypatch.setattr(module, "rank", lambda rank=rank: rank)
            monkeypatch.setattr(module, "world_size", lambda: 2)
        parts.append(list(data.training(OneStage(), None, seed=1).epoch(3)))
    for step, batch in enumerate(expected):
        assert torch.equal(torch.cat([part[step]["first"] for part in parts]), batch["first"])


def test_patches_are_cut_from_streamed_views(data: ImageData) -> None:
    views = (View("query", "sim"), Patches("patches", "dscl_patch", of="query", count=2, size=32))
    batch = next(data.training(OneStage(views), None, seed=0).epoch(0))
    assert batch["patches"].shape == (8, 2, 3, 32, 32) and batch.boxes is not None


def test_cut_shows_the_requested_part_of_the_original(definition: DatasetDefinition, data: ImageData) -> None:
    pool = data._train_images
    assert isinstance(pool, StreamedPool)
    height, width = pool.sizes[0].tolist()
    box = torch.tensor([[[0, 0, width, height], [width // 4, height // 4, width // 2, height // 2]]])
    ((whole, part),) = next(pool.cut([Cuts(torch.tensor([0]), box)], 64))
    index = int(data.splits.train.indices[0])
    name = sorted(Path(definition.folder).rglob("*.*"))[index]
    original = Image.open(name).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    for cut, corners in zip((whole, part), box[0].tolist(), strict=True):
        expected = np.asarray(original.crop(tuple(corners)).resize((64, 64), Image.Resampling.BILINEAR)).astype(float)
        assert np.abs(cut.permute(1, 2, 0).numpy() - expected).mean() < 3.0


@pytest.mark.parametrize("batch", [1, 4, 512])
def test_evaluation_uses_the_centre_of_every_image_once(
    data: ImageData, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(loaders, "EVALUATION_BATCH", batch)
    labels = torch.cat([named for _, named in data.test()])
    assert labels.bincount().tolist() == [3, 3, 3]
    monkeypatch.setattr(loaders, "EVALUATION_BATCH", 1000)
    ((together, _),) = list(data.test())
    monkeypatch.setattr(loaders, "EVALUATION_BATCH", batch)
    assert torch.equal(torch.cat([images for images, _ in data.test()]), together)


def test_epochs_stopped_early_leave_no_threads(data: ImageData) -> None:
    loader = data.training(OneStage(), None, seed=1)
    next(loader.epoch(0))
    before = threading.active_count()
    for epoch in range(20):
        next(loader.epoch(epoch))
    assert threading.active_count() <= max(before, 1 + ffcv_pool.decoding_threads())


@pytest.mark.slow
def test_memory_does_not_grow_over_hundreds_of_loaders(definition: DatasetDefinition) -> None:
    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def use_one() -> None:
        next(open_data(definition, device=CPU).training(OneStage(), None, seed=1).epoch(0))

    for _ in range(20):
        use_one()
    before = resident()
    for _ in range(200):
        use_one()
    assert resident() - before < 50_000  # kB


def test_damage_without_a_digest_check_is_detected_by_the_decoder(
    definition: DatasetDefinition, tmp_path: Path
) -> None:
    sidecar = copied(converted(definition).pools["train"], tmp_path)
    file = BetonFile(sidecar)
    index = int(np.flatnonzero(file._modes == 0)[0])
    start, length = int(file._starts[index]), int(file._lengths[index])
    content = bytearray(sidecar.beton.read_bytes())
    content[start : start + length] = bytes(length)
    sidecar.beton.write_bytes(content)
    with pytest.raises(RuntimeError, match=f"image {index} is damaged"):
        BetonFile(sidecar).decode(index)
    with pytest.raises(UsageError, match="damaged"):
        verify(sidecar, lambda count: None)


def copied(sidecar: Sidecar, folder: Path) -> Sidecar:
    """Return a copy of a .beton and its sidecar."""
    beton = folder / sidecar.beton.name
    beton.write_bytes(sidecar.beton.read_bytes())
    beton.with_suffix(".json").write_bytes(sidecar.beton.with_suffix(".json").read_bytes())
    return Sidecar.read(beton)


def test_verification_reads_every_image(definition: DatasetDefinition) -> None:
    read: list[int] = []
    verify(converted(definition).pools["train"], read.append)
    assert sum(read) == sum(COUNTS)


def test_complete_file_is_checked_once_per_machine(
    definition: DatasetDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sidecar = copied(converted(definition).pools["train"], tmp_path)
    whole: list[bool] = []
    check = Sidecar.check
    monkeypatch.setattr(Sidecar, "check", lambda self, *, whole=False, seen=whole: (seen.append(whole), check(self)))
    local_copy(sidecar)
    assert whole == [False, True]
    local_copy(sidecar)
    assert whole == [False, True, False]


def test_local_disk_gets_a_copy(definition: DatasetDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTRAY_LOCAL", str(tmp_path))
    here = converted(definition).pools["train"]
    assert here.beton.is_relative_to(tmp_path)
    before = here.beton.stat().st_mtime_ns
    assert converted(definition).pools["train"].beton.stat().st_mtime_ns == before
    here.beton.write_bytes(b"damaged")
    converted(definition).pools["train"].check(whole=True)


def test_cut_does_not_read_outside_the_box() -> None:
    image = torch.zeros(40, 40, 3, dtype=torch.uint8)
    image[10:20, 10:20] = 200
    assert bool((resize_one(image.permute(2, 0, 1), (10, 10, 20, 20), 32) == 200).all())


class ReadOnly:
    """Read-only images, like raw ones, which are views of a memory-mapped file."""

    heights = widths = np.full(3, 70)

    def decode(self, index: int) -> np.ndarray:
        """Return an image that cannot be written to."""
        image = np.full((70, 70, 3), index, dtype=np.uint8)
        image.flags.writeable = False
        return image


def test_read_only_images_are_streamed_without_a_warning() -> None:
    pool = StreamedPool(ReadOnly(), np.arange(3), view=32, device=CPU)
    (images,) = pool.stream(torch.tensor([2, 0]), 8)
    assert images.shape == (2, 3, 32, 32) and images.amax((1, 2, 3)).tolist() == [2, 0]


def test_memory_source_refuses_images_of_mixed_sizes(definition: DatasetDefinition) -> None:
    data = open_data(definition, device=CPU, source="memory")
    with pytest.raises(UsageError, match="read them from FFCV files"):
        data.test()


def test_large_png_is_stored_as_jpeg(definition: DatasetDefinition) -> None:
    file = BetonFile(converted(definition).pools["train"])
    stored = Image.open(io.BytesIO(file.encoded(1).tobytes()))
    assert stored.format == "JPEG"
    assert (folder_of(definition) / "report.txt").is_file()
