"""How much larger than a view an image is for the five crops of test-time ensembling."""

from ltray.network import Backbone
from ltray.parts.blocks import transformer_blocks

SHARE = 24 / 224


def crop_margin(backbone: Backbone, image_size: int) -> int:
    """Return the pixels by which the shorter side exceeds a crop.

    Source: LIFT's code, 24 pixels for patches of 16 and 21 for patches of 14: a patch and a half, so that the crops cut
    the image into different patches. For other networks the same share of the image, 24 of 224 pixels.

    Args:
        backbone: The network.
        image_size: Side of a crop in pixels.
    """
    if transformer_blocks(backbone):
        return 3 * backbone.stride // 2
    return max(1, round(image_size * SHARE))
