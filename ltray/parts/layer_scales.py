"""The place of each parameter of a backbone between its input and its output, for layer-wise learning rates."""

from torch import nn

from ltray.network import Backbone
from ltray.parts.blocks import blocks_of, transformer_blocks


def layer_scales(backbone: Backbone, decay: float) -> dict[nn.Parameter, float]:
    """Return the factor of the learning rate of each parameter; {} of a backbone whose blocks are not known.

    The last of L blocks has decay^1, the first decay^L, what comes before it decay^(L + 1) and what comes after the
    last one 1, as in BEiT's and MAE's code. What lies between two blocks (a reduction of
    the resolution) belongs to the next one; parameters are in the order in which the modules register them.

    Args:
        backbone: What is put into its blocks for fine-tuning belongs to them.
        decay: Factor per block, in (0, 1].
    """
    blocks = [block.module for block in transformer_blocks(backbone)] or blocks_of(backbone)
    layer_of = {parameter: layer for layer, block in enumerate(blocks, 1) for parameter in block.parameters()}
    found: dict[nn.Parameter, float] = {}
    reached = 0
    for parameter in backbone.parameters() if blocks else ():
        layer = layer_of.get(parameter, reached + 1 if reached else 0)
        reached = max(reached, layer_of.get(parameter, 0))
        found[parameter] = decay ** (len(blocks) + 1 - layer)
    return found
