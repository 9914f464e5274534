"""One image from outside a data set, brought to what evaluation looks at."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltray.data.decoding import decode
from ltray.data.definition import DatasetDefinition
from ltray.data.image_files import read_file
from ltray.data.transforms import policies
from ltray.data.transforms.resize import centre_of


def read_image(path: Path, definition: DatasetDefinition) -> Tensor:
    """Read an image file as evaluation would see it: (3, S, S), normalised, float32.

    Small images are fitted as they would be stored; of large ones the centre is cut out, by the
    same functions that serve the data set.

    Args:
        path: The file.
        definition: Of the data set that the model was trained on.

    Raises:
        OSError: No image, or a damaged one.
        ValueError: An image without an agreed meaning in 8 bits.
    """
    storage, side = definition.storage, definition.image_size
    pixels = np.ascontiguousarray(storage.fit(decode(read_file(path), longest=storage.cap).pixels))
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    if not storage.square:
        image = centre_of(image, side)
    return policies.evaluation(image[None], image_size=side, mean=definition.mean, std=definition.std)[0]
