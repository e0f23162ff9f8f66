"""VGG-16 without its classifier (Simonyan & Zisserman 2015), and a narrow one for CPUs."""

from __future__ import annotations

from torch import nn

# output channels of the 3x3 convolutions, block by block; a max pooling ends each block
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
TINY = ((32,), (64,), (128,), (128,), (256,))


class VGG(nn.Module):
    """Five blocks of 3x3 convolutions in ``features``, with torchvision's names.

    ``ends`` has the place in ``features`` where each block ends, behind its pooling. norm: batch
    norm after each convolution, as torchvision's ``vgg16_bn``: without it a VGG hardly learns from
    random weights.
    """

    def __init__(self, blocks: tuple[tuple[int, ...], ...] = VGG16, norm: bool = False) -> None:
        super().__init__()
        self.blocks = blocks
        self.ends: list[int] = []
        layers: list[nn.Module] = []
        channels = 3
        for block in blocks:
            for out in block:
                layers.append(nn.Conv2d(channels, out, 3, padding=1))
                layers += [nn.BatchNorm2d(out)] if norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = out
            layers.append(nn.MaxPool2d(2, 2))
            self.ends.append(len(layers))
        self.features = nn.Sequential(*layers)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)


def tiny() -> VGG:
    """``vgg_tiny``: one convolution a block, narrow, with batch norm."""
    return VGG(TINY, norm=True)
