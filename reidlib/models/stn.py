"""Spatial transformers on a feature map: free, without rotation, and self-constrained."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from reidlib.geometry import sample

# "six", "four": free factors, with and without rotation, started at the identity. "wide": SC-STN
# with eps in (0, 1); "fixed": eps is its bound; "self": SC-STN.
Kind = Literal["none", "six", "four", "wide", "fixed", "self"]
Start = Literal["drawn", "identity"]


class Transformer(nn.Module):
    """Looks at the mean over the channels of a map and moves the map (VCN section 3.2).

    ``forward`` takes maps [N, C, H, W] to (moved maps, theta [N, 2, 3], eps [N]). Two fully
    connected layers, of 128 and 5 (or 6, 4) outputs (Eq. 4); zeros beyond the map.
    """

    def __init__(
        self, height: int, width: int, kind: Kind, eps_max: float = 0.4, start: Start = "drawn"
    ) -> None:
        """height, width: of the map. eps_max: bound of the detector's error eps (0.4 in Eq. 5).

        start: of SC-STN. "drawn": batch norm as it is by default, so that the first steps move
        every map by up to eps at random. "identity": its weight is 0 at first, nothing moves. The
        original STN always starts at the identity.
        """
        super().__init__()
        self.kind, self.eps_max = kind, 1.0 if kind == "wide" else eps_max
        self.free = kind in ("six", "four")
        outputs = {"six": 6, "four": 4}.get(kind, 5)
        self.fc1 = nn.Linear(height * width, 128)
        self.bn1 = nn.BatchNorm1d(128)
        self.fc2 = nn.Linear(128, outputs)
        self.bn2: nn.Module = nn.Identity()
        if self.free:  # the original STN
            nn.init.zeros_(self.fc2.weight)
            nn.init.zeros_(self.fc2.bias)
        else:
            self.bn2 = norm = nn.BatchNorm1d(outputs)
            if start == "identity":
                nn.init.zeros_(norm.weight)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = maps.mean(1).flatten(1)  # Eq. 3
        x = self.bn2(self.fc2(torch.relu(self.bn1(self.fc1(mean))))).float()
        theta, eps = self.theta(x)
        return sample(maps, theta.to(maps.dtype)), theta, eps

    def theta(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From the last layer's outputs to theta [N, 2, 3] and eps [N]."""
        zero = torch.zeros_like(x[:, 0])
        if self.free:
            sw, sh, tw, th = 1 + x[:, 0], 1 + x[:, 1], x[:, 2], x[:, 3]
            rw, rh = (x[:, 4], x[:, 5]) if self.kind == "six" else (zero, zero)
            eps = zero
        else:
            x = torch.tanh(x)  # Eq. 4
            eps = self.eps_max * (x[:, 0] + 1) / 2  # Eq. 5
            if self.kind == "fixed":
                eps = torch.full_like(eps, self.eps_max)
            sw, sh = 1 + eps * x[:, 1], 1 + eps * x[:, 2]
            tw, th = eps * x[:, 3], eps * x[:, 4]
            rw = rh = zero
        rows = [torch.stack([sw, rh, tw], 1), torch.stack([rw, sh, th], 1)]  # Eq. 1
        return torch.stack(rows, 1), eps
