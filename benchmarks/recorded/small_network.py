"""A small convolutional network, with which a run from random weights costs a second."""

from torch import Tensor, nn

from ltray.network import Backbone

WIDTHS = (16, 32, 64)


class SmallNetwork(Backbone):
    """Three 3×3 convolutions with BatchNorm, the last two with stride 2, and the mean over the image."""

    width = WIDTHS[-1]
    stride = 4

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for index, after in enumerate(WIDTHS):
            convolution = nn.Conv2d(before, after, 3, stride=2 if index else 1, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
            before = after
        self.layers = nn.Sequential(*layers)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the feature map (B, 64, H/4, W/4)."""
        found: Tensor = self.layers(images)
        return found
