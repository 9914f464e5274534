"""An image from outside a data set, in the form of the images of an evaluation."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltray.data.decoding import decode
from ltray.data.definition import DatasetDefinition
from ltray.data.image_files import read_file
from ltray.data.originals import Pixels
from ltray.data.transforms import policies
from ltray.data.transforms.five_crops import five_crops
from ltray.data.transforms.resize import centre_of


def read_image(path: Path, definition: DatasetDefinition, *, margin: int | None = None) -> Tensor:
    """Read an image file in the form of an evaluation: (3, S, S), normalised, float32.

    Small images are resized as for storage; large ones are cropped to the centre, by the
    functions that the data set uses.

    Args:
        path: The file.
        definition: The data set on which the model was trained.
        margin: See `fitted`.

    Raises:
        OSError: It is not an image, or it is damaged.
        ValueError: An image without an agreed meaning in 8 bits.
    """
    return fitted(decode(read_file(path), longest=definition.storage.cap).pixels, definition, margin=margin)


def fitted(pixels: Pixels, definition: DatasetDefinition, *, margin: int | None = None) -> Tensor:
    """Convert an image to the form of an evaluation: (3, S, S), normalised, float32; see `read_image`.

    Args:
        pixels: RGB levels of 0 to 255 (H, W, 3), uint8.
        definition: The data set on which the model was trained.
        margin: Pixels by which five crops are moved from one another; they are returned in place of the one image,
            (5, 3, S, S). None: the one image.
    """
    storage, side = definition.storage, definition.image_size
    image = torch.from_numpy(np.ascontiguousarray(storage.fit(pixels))).permute(2, 0, 1)
    if margin is not None:
        images = five_crops(image, side, margin)
        return policies.evaluation(images, image_size=side, mean=definition.mean, std=definition.std)
    if not storage.square:
        image = centre_of(image, side)
    return policies.evaluation(image[None], image_size=side, mean=definition.mean, std=definition.std)[0]
