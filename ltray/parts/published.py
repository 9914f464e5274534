"""Weights that a library publishes: their names, their training data, the images that they expect."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ltray.errors import UsageError
from ltray.files import reason
from ltray.printable import printable


@dataclass(frozen=True)
class InputSettings:
    """The images on which weights were trained.

    Attributes:
        mean: Mean of each channel, on a scale of 0 to 1.
        std: Standard deviation of each channel.
        image_size: Side in pixels.
        interpolation: How images were resized: "bilinear", "bicubic"; "" if it is not known.
        only_size: Whether the network accepts only images of this size.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    interpolation: str = ""
    only_size: bool = False


@dataclass(frozen=True)
class Published:
    """Weights that a library publishes.

    Attributes:
        name: Library, network and weights: "timm/tf_efficientnet_lite0.in1k".
        pretrained_on: Data, as text; "not stated" where the library does not say.
        imagenet_labels: Whether labels of ImageNet-1k were seen; None where nothing states it.
        input: The images that they expect.
        file: Name of the file.
        at: The source of the file, for a manual download: an address, or a repository's name.
        keeps: The folder in which the library stores it.
        fetch: Returns the file's path; downloads the file if it is missing.
        digest: First hexadecimal digits of the file's SHA-256 according to the library; "" if it publishes none.
        repository: Of the Hugging Face hub, if the file is one of several of it, else "".
        alternatives: The names of these files.
    """

    name: str
    pretrained_on: str
    imagenet_labels: bool | None
    input: InputSettings
    file: str
    at: str
    keeps: Path
    fetch: Callable[[], Path]
    digest: str = ""
    repository: str = ""
    alternatives: tuple[str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether the file is on this machine; nothing is downloaded."""
        if self.repository:
            return hub_file_at_hand(self.repository, self.alternatives) is not None
        return (self.keeps / self.file).is_file()

    def local(self) -> Path:
        """Return the path of the file, downloaded if it is not there yet.

        Raises:
            UsageError: It cannot be downloaded; the message contains the file to copy and its destination.
        """
        try:
            return self.fetch()
        except (OSError, RuntimeError, ValueError) as error:  # no connection, a cut download, a wrong digest
            raise UsageError(
                f"The weights {self.name} cannot be downloaded ({reason(error).splitlines()[0]}). Download {self.file} "
                f"of {self.at} on a computer with internet access, copy it to this machine, and set `weights` to that "
                f"file or put it into the folder of its library ({printable(self.keeps)})."
            ) from error


LABELLED = ("in1k",)
DATA: Mapping[str, str] = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "laion2b": "LAION-2B image-text pairs",
    "laion400m": "LAION-400M image-text pairs",
    "laion5b": "LAION-5B image-text pairs",
    "laion": "LAION image-text pairs",
    "laiona": "LAION-Aesthetics image-text pairs",
    "openai": "OpenAI's 400 million image-text pairs",
    "datacomp1b": "DataComp image-text pairs",
    "datacomp": "DataComp image-text pairs",
    "datacompxl": "DataComp image-text pairs",
    "datacompdr": "DataComp image-text pairs",
    "commonpool": "CommonPool image-text pairs",
    "metaclip": "MetaCLIP image-text pairs",
    "dfn2b": "DFN-2B image-text pairs",
    "dfn5b": "DFN-5B image-text pairs",
    "dfndr2b": "DFN-2B image-text pairs",
    "merged2b": "merged-2B image-text pairs",
    "webli": "WebLI image-text pairs",
    "cc12m": "CC12M image-text pairs",
    "yfcc15m": "YFCC15M image-text pairs",
    "yfcc100m": "YFCC100M images",
    "mscoco": "MS COCO captions",
    "ig1b": "Instagram images with hashtags",
    "swag": "Instagram images with hashtags",
    "seer": "Instagram images without labels",
    "jft": "JFT-300M",
    "lvd142m": "LVD-142M images without labels",
    "lvd1689m": "LVD-1689M images without labels",
    "sat493m": "SAT-493M images without labels",
    "sa1b": "SA-1B masks",
}
"""Data sets by the parts of libraries' names of weights."""
WITHOUT_LABELS = ("dino", "mae", "fcmae", "ijepa")
"""Methods of training without labels, on ImageNet-1k if the name contains no other data."""


def pretrained_on(tag: str) -> tuple[str, bool | None]:
    """Return the data that a library's name of weights states, as text, and whether ImageNet-1k's labels were seen.

    Args:
        tag: Such as "augreg_in21k_ft_in1k", "laion2b_s34b_b88k", "dino".
    """
    parts = tag.lower().split("_")
    data = list(dict.fromkeys(DATA[word] for word in parts if word in DATA))
    unlabelled = [word for word in parts if word in WITHOUT_LABELS]
    if not data:
        return (f"ImageNet-1k images without labels ({unlabelled[0]})", False) if unlabelled else ("not stated", None)
    labels = any(word in parts for word in LABELLED)
    if labels and unlabelled and "ft" not in parts:
        return f"{', then '.join(data)}, without labels ({unlabelled[0]})", False
    return ", then ".join(data) + (" (with its labels)" if labels else ""), labels


def of_hub(
    name: str,
    pretrained_on: str,
    imagenet_labels: bool | None,
    images: InputSettings,
    *,
    repository: str,
    files: tuple[str, ...],
) -> Published:
    """Return weights that are one of several files of a repository of the Hugging Face hub; see `Published`."""
    return Published(
        name,
        pretrained_on,
        imagenet_labels,
        images,
        file=files[0],
        at=f"the Hugging Face repository {repository}",
        keeps=hub_folder(repository),
        fetch=partial(from_hub, repository, files),
        repository=repository,
        alternatives=files,
    )


def from_hub(repository: str, files: tuple[str, ...]) -> Path:
    """Return the path of the first of some files that a repository of the Hugging Face hub has, from the cache first.

    A file that was copied by hand into the repository's folder of the cache is used as well.

    Raises:
        OSError: None of them is in the cache, and none can be downloaded.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if found := hub_file_at_hand(repository, files):
        return found
    log = logging.getLogger("huggingface_hub")
    before, log.level = log.level, logging.ERROR  # messages about retries are not needed; the reason is raised
    try:
        for file in files:
            try:
                return Path(hf_hub_download(repository, file))
            except LocalEntryNotFoundError as error:
                raise OSError("the Hugging Face hub cannot be reached") from error
            except EntryNotFoundError:
                continue
        raise OSError(f"the repository {repository} has none of {', '.join(files)}")
    finally:
        log.level = before


def hub_file_at_hand(repository: str, files: tuple[str, ...]) -> Path | None:
    """Return the path of the first of some files of a repository that the cache has; None: it has none of them."""
    folder = hub_folder(repository)
    if not folder.is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    for file in files:
        if (folder / file).is_file():
            return folder / file
        if isinstance(known := try_to_load_from_cache(repository, file), str):
            return Path(known)
    return None


def hub_folder(repository: str) -> Path:
    """Return the folder in which files of a repository of the Hugging Face hub are stored."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def from_address(address: str, digest: str) -> Path:
    """Return the path of a file in torch.hub's cache, downloaded from an address if it is not there.

    Raises:
        OSError: No connection.
        RuntimeError: Its SHA-256 does not begin with `digest`.
    """
    import torch

    place = hub_cache() / address.rpartition("/")[2]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(place), hash_prefix=digest or None, progress=False)
    return place


def digest_in(address: str) -> str:
    """Return the first digits of a file's SHA-256 at the end of its name, "" if none: "0676ba61" for resnet50."""
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", address)
    return found[1] if found else ""


def hub_cache() -> Path:
    """Return the folder in which torch.hub stores weights."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"
