"""The localization network of a pairwise spatial transformer (STNReID, Table 1).

From a partial and a holistic image to the theta that shows, of the holistic one, what the partial
one shows. Its first convolution is linear in the channels of both: for Q x G pairs each half is
computed once per image (``halves``) and only added per pair (``from_halves``).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.errors import ReidError

CHANNELS = (16, 32)
WIDTHS = (512, 128, 32)  # of FC1 ... FC3; FC4 has six outputs


class Localization(nn.Module):
    """Two convolutions and two poolings, each halving the image, then four linear layers.

    size: (H, W) of the images; FC1's input follows, 4096 at the paper's 256x128. theta starts at
    the identity: FC4 has zero weights and the bias [1, 0, 0, 0, 1, 0] (section 4, "Settings").
    """

    def __init__(self, size: tuple[int, int] = (256, 128)) -> None:
        super().__init__()
        if min(size) < 16:
            raise ReidError(f"an image of {size[0]}x{size[1]} is too small to be halved four times")
        self.size = size
        # the printed padding 1 gives 126x62 where 128x64 is printed; 3 gives it
        self.conv1 = nn.Conv2d(6, CHANNELS[0], 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(*CHANNELS, 3, 2, 1)
        self.bn2 = nn.BatchNorm2d(CHANNELS[1])
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        height, width = (_after_convolutions(length) for length in size)
        widths = (CHANNELS[1] * height * width, *WIDTHS, 6)
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.fc1, self.fc2, self.fc3, self.fc4 = layers
        nn.init.zeros_(self.fc4.weight)
        self.fc4.bias.data.copy_(torch.eye(2, 3).flatten())

    def forward(self, partial: Tensor, holistic: Tensor) -> Tensor:
        """Images [N, 3, H, W] of N pairs to thetas [N, 2, 3]."""
        x = self.bn1(self.conv1(torch.cat([holistic, partial], 1)))  # I_h,p, H x W x 2C
        return self._rest(self.pool1(F.relu(x)))

    def _rest(self, x: Tensor) -> Tensor:
        """From the first pooled maps [N, 16, H / 4, W / 4] to thetas [N, 2, 3]."""
        x = self.flatten(self.pool2(F.relu(self.bn2(self.conv2(x)))))
        for layer in (self.fc1, self.fc2, self.fc3):
            x = F.relu(layer(x))
        return self.fc4(x).unflatten(1, (2, 3))

    def halves(self, images: Tensor, side: str) -> Tensor:
        """What images [N, 3, H, W] add to the first convolution, as ``from_halves`` wants it.

        side: "partial" or "holistic". Returns [4, N, 16, H / 4, W / 4]: the four pixels of each
        pooling window apart, after the batch norm of evaluation, whose shift the holistic side has.
        Raises ReidError in training mode, where batch norm sees whole pairs.
        """
        if self.training:
            raise ReidError("the halves of pairs are for evaluation: call eval() first")
        holistic = side == "holistic"
        mean, variance = self.bn1.running_mean, self.bn1.running_var
        assert mean is not None
        assert variance is not None
        scale = self.bn1.weight / (variance + self.bn1.eps).sqrt()
        kernel = self.conv1.weight[:, :3] if holistic else self.conv1.weight[:, 3:]
        shift = self.bn1.bias + (self.conv1.bias - mean) * scale  # type: ignore[operator]
        x = F.conv2d(images, kernel * scale.reshape(-1, 1, 1, 1), None, 2, 3)
        if holistic:
            x = x + shift.reshape(-1, 1, 1)
        height, width = (length // 2 * 2 for length in x.shape[2:])  # pooling leaves out the rest
        x = x[:, :, :height, :width].unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        return x.permute(3, 5, 0, 1, 2, 4).flatten(0, 1).contiguous()

    def from_halves(self, partial: Tensor, holistic: Tensor) -> Tensor:
        """Thetas [N, 2, 3] of N pairs from their halves; one of both may be a single image's."""
        x = partial[0] + holistic[0]
        for a, b in zip(partial[1:], holistic[1:], strict=True):
            x = torch.maximum(x, a + b)
        return self._rest(x.relu_())


def _after_convolutions(length: int) -> int:
    """Pixels that are left of ``length`` after two strided convolutions and two poolings."""
    for _ in range(2):
        length = (length + 1) // 2  # 7x7 with padding 3, or 3x3 with padding 1, stride 2
        length //= 2
    return length
