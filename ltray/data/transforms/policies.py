"""The augmentation policies by name, each with a recipe for small and a recipe for large images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.data.transforms.autoaugment import AutoAugment
from ltray.data.transforms.blur import GaussianBlur
from ltray.data.transforms.colour import ColourJitter, Grayscale
from ltray.data.transforms.cutout import Cutout
from ltray.data.transforms.geometry import AsItIs, Cut, Mirror, PaddedCrop, ResizedCrop, SquareCrop
from ltray.data.transforms.patches import patches
from ltray.data.transforms.pixels import LARGEST, Operation
from ltray.data.transforms.randaugment import RandAugment
from ltray.errors import UsageError
from ltray.imported import imported, is_dotted_path, nearest_or_dotted_path

__all__ = ["POLICIES", "Policy", "PolicyTemplate", "evaluation", "patches", "policy"]

SMALL = 64  # up to this side the CIFAR recipes apply, above it ImageNet's
CACHED = 3 << 19  # bytes of pixels that a CPU processes at once, so that they stay in its cache


@dataclass(frozen=True)
class PolicyTemplate:
    """A policy for any size and normalisation.

    Attributes:
        cut: Returns the crop for the side of the view in pixels and whether the view may be flipped.
        operations: The photometric operations, in order.
    """

    cut: Callable[[int, bool], Cut]
    operations: tuple[Operation, ...]


def _padded(*operations: Operation) -> PolicyTemplate:
    return PolicyTemplate(lambda size, flip: PaddedCrop(size, padding=size // 8, flip=flip), operations)


def _resized(*operations: Operation, smallest: float = 0.08) -> PolicyTemplate:
    return PolicyTemplate(lambda size, flip: ResizedCrop(size, scale=(smallest, 1.0), flip=flip), operations)


def _patch(*operations: Operation) -> PolicyTemplate:
    return PolicyTemplate(lambda size, flip: AsItIs(), operations)


JITTER = ColourJitter(0.4, hue=0.0)
SIM_JITTER = ColourJitter(0.4, hue=0.1, probability=0.8)
GRAY = Grayscale(0.2)
BLUR = GaussianBlur((0.1, 2.0), probability=0.5)
RARE_BLUR = GaussianBlur((0.1, 2.0), probability=0.2)

CIFAR = _padded()
CIFAR_STRONG = _padded(AutoAugment(), Cutout(share=0.5))
CIFAR_SIM = _resized(SIM_JITTER, GRAY, smallest=0.2)
CIFAR_SIM_BLUR = _resized(SIM_JITTER, GRAY, BLUR, smallest=0.2)
CROP_FLIP = _resized()
MINIMALIST = PolicyTemplate(lambda size, flip: SquareCrop(size, scale=(0.08, 1.0), flip=False), ())
PLAIN = _resized(JITTER)
STRONG = _resized(JITTER, RandAugment())
STACK = _resized(JITTER, GRAY, BLUR, RandAugment())
PACO_SIM = _resized(JITTER, GRAY, BLUR)
SIM = _resized(SIM_JITTER, GRAY)
SIM_BLUR = _resized(SIM_JITTER, GRAY, BLUR)

POLICIES: Mapping[str, tuple[PolicyTemplate, PolicyTemplate]] = {
    # The recipe up to 64 pixels and the recipe above. If a paper has no CIFAR recipe, both are its recipe for ImageNet.
    "standard": (CIFAR, PLAIN),
    "autoaugment_cutout": (CIFAR_STRONG, STRONG),
    "sim": (CIFAR_SIM, SIM),
    "sim_wide": (SIM, SIM),  # BCL's follow-ups differ in the smallest crop at 32 pixels
    "sim_blur": (CIFAR_SIM_BLUR, SIM_BLUR),
    "rand": (_resized(SIM_JITTER, GRAY, RandAugment(), smallest=0.2), _resized(SIM_JITTER, GRAY, RandAugment())),
    "randcls": (STRONG, STRONG),
    "randclsstack": (STACK, STACK),
    "rescom": (CIFAR_STRONG, _resized(JITTER, GRAY, RandAugment())),
    "paco_query": (CIFAR_STRONG, STRONG),
    "paco_key": (CIFAR_SIM_BLUR, PACO_SIM),
    "gpaco_key": (_resized(SIM_JITTER, GRAY, RARE_BLUR, smallest=0.2), PACO_SIM),
    "gpaco_stack": (STACK, STACK),
    "bcl_classify": (CIFAR_STRONG, STRONG),
    "crop_flip": (CROP_FLIP, CROP_FLIP),
    "minimalist": (MINIMALIST, MINIMALIST),
    "dscl_query": (SIM_BLUR, SIM_BLUR),
    "dscl_key": (PLAIN, PLAIN),
    "dscl_patch": (_patch(Mirror(), SIM_JITTER, GRAY, BLUR), _patch(Mirror(), SIM_JITTER, GRAY, BLUR)),
}


@dataclass(frozen=True)
class Policy:
    """How one view is created from stored images: random for each sample, the same for the same key.

    Attributes:
        name: The policy's name in the table.
        cut: The crop.
        operations: The photometric operations, in order.
        mean: Mean of each channel, in [0, 1]; subtracted at the end.
        std: Standard deviation of each channel, in [0, 1]; the views are divided by it at the end.
    """

    name: str
    cut: Cut
    operations: tuple[Operation, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def geometric(self, images: Tensor, keys: Tensor) -> Tensor:
        """Crop, resize and flip.

        Args:
            images: Stored images, uint8 (n, 3, H, W).
            keys: One key per sample, from `counter_rng.keys` (n,), int64.

        Returns:
            uint8 (n, 3, S, S).
        """
        return self.cut(images, keys.cpu())

    def photometric(self, images: Tensor, keys: Tensor) -> Tensor:
        """Apply the photometric operations (colour changes, warps, Cutout), then normalise.

        Args:
            images: The images that `geometric` returned, uint8 (n, 3, S, S); not changed.
            keys: The same keys (n,), int64.

        Returns:
            float32 (n, 3, S, S): (x - mean) / std.
        """
        keys = keys.cpu()
        if images.device.type != "cpu":
            return _normalised(self._changed(images.to(torch.float32), keys), self.mean, self.std)
        from ltray.data.transforms.kernels import run, tone

        centre, scale = _centre_and_scale(self.mean, self.std)
        result = torch.empty(images.shape, dtype=torch.float32)
        rows = max(1, CACHED // images.shape[1:].numel())
        for part, some, target in zip(*(torch.split(whole, rows) for whole in (images, keys, result)), strict=True):
            run(tone.normalise, self._changed(part.clone(), some), centre, scale, target)
        return result

    def _changed(self, levels: Tensor, keys: Tensor) -> Tensor:
        for salt, operation in enumerate(self.operations, start=2):  # the crop uses the salts 0 and 1
            levels = operation(levels, keys, salt=salt)
        return levels


def policy(name: str, *, image_size: int, mean: Sequence[float], std: Sequence[float], flip: bool = True) -> Policy:
    """Return the policy of this name for views of this size.

    Args:
        name: A key of `POLICIES`, or the dotted path of a policy of another package: a `PolicyTemplate`, or a pair of
            them, for views up to `SMALL` pixels and for larger views.
        image_size: Side of the view in pixels.
        mean: Mean of each channel of the data set, in [0, 1].
        std: Standard deviation of each channel, in [0, 1].
        flip: Whether images may be flipped left to right; false for images such as digits and text.

    Raises:
        UsageError: No policy has this name, or the dotted path cannot be imported; see `ltray.imported.imported`.
    """
    small, large = _templates(name)
    recipe = small if image_size <= SMALL else large
    operations = tuple(operation for operation in recipe.operations if flip or not isinstance(operation, Mirror))
    return Policy(name, recipe.cut(image_size, flip), operations, tuple(mean), tuple(std))


def _templates(name: str) -> tuple[PolicyTemplate, PolicyTemplate]:
    if is_dotted_path(name):
        found = imported(name, _is_policy, "a PolicyTemplate, or a pair of them")
        return found if isinstance(found, tuple) else (found, found)
    if name not in POLICIES:
        hint = nearest_or_dotted_path(name, POLICIES, "A policy")
        raise UsageError(f"`{name}` is not an augmentation policy.{hint}")
    return POLICIES[name]


def _is_policy(found: object) -> bool:
    pair = found if isinstance(found, tuple) else (found, found)
    return len(pair) == 2 and all(isinstance(one, PolicyTemplate) for one in pair)


def evaluation(images: Tensor, *, image_size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return stored evaluation images, normalised and otherwise unchanged.

    Args:
        images: uint8 (n, 3, image_size, image_size).
        image_size: Side of a view in pixels.
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel, in [0, 1].

    Returns:
        float32 (n, 3, image_size, image_size).

    Raises:
        UsageError: The images have another size.
    """
    if images.shape[2:] != (image_size, image_size):
        raise UsageError(
            f"Evaluation images must have {image_size} x {image_size} pixels, but got "
            f"{images.shape[2]} x {images.shape[3]}. Resize and centre-crop them when reading."
        )
    return _normalised(images.to(torch.float32), mean, std)


def _normalised(levels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (levels / 255 - mean) / std, in place."""
    centre, scale = (value.to(levels.device).view(1, -1, 1, 1) for value in _centre_and_scale(mean, std))
    return levels.sub_(centre).mul_(scale)


def _centre_and_scale(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the values to subtract from the levels of each channel, and the factors for the results (3,)."""
    return torch.tensor(mean) * LARGEST, 1.0 / (torch.tensor(std) * LARGEST)
