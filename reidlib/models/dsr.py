"""DSR (He et al. 2018): how well a gallery image's features rebuild those of a partial image.

Both images are sets of blocks of the last feature map. The distance of a pair is what the best
combination of the gallery's blocks leaves of the query's: no alignment, no common size is needed.
The features are a trained baseline's; STNReID's "DSR(Our)" is this on its baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.models.base import Encoding
from reidlib.models.baseline import Baseline

CELLS = 2**24  # products of blocks held at once: 64 MB of float32
ITERATIONS = 60  # of sparse coding


class DSR(Baseline):
    """The baseline, trained as such; its options here decide the test alone."""

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (256, 128),
        scales: tuple[int, ...] = (1, 2, 3),
        beta: float = 0.01,
        coding: Literal["ridge", "sparse"] = "ridge",
    ) -> None:
        """scales: sides of the square blocks, in cells of the map; what is larger than the map is
        left out. beta: weight of the penalty on the coefficients, squared ("ridge") or absolute
        ("sparse", the original's; one pair after the other, so hundreds of times as slow)."""
        super().__init__(num_ids, backbone=backbone, weights=weights, size=size)
        self.scales, self.beta, self.coding = scales, beta, coding

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"scales", "beta", "coding"}

    def encode(self, images: Tensor) -> Encoding:
        """``"blocks"`` [N, M, C]: the means over all blocks of all scales, each of length 1."""
        maps = self.backbone(images)
        sides = [side for side in self.scales if side <= min(maps.shape[2:])]
        blocks = [F.avg_pool2d(maps, side, 1).flatten(2) for side in sides]
        feature = self.neck(self.pool(maps).flatten(1))
        return {"feature": feature, "blocks": F.normalize(torch.cat(blocks, 2), dim=1).mT}

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        """Mean squared error [Q, G], in [0, 1], of each query's blocks rebuilt from a gallery
        image's."""
        x, blocks = query["blocks"], gallery["blocks"]
        out = x.new_empty(len(x), len(blocks))
        if self.coding == "sparse":
            for i, rows in enumerate(x):
                out[i] = torch.cat([sparse_error(rows, y[None], self.beta) for y in blocks])
            return out
        step = max(1, CELLS // (x.shape[0] * x.shape[1] * blocks.shape[1]))
        for g in range(0, len(blocks), step):
            shrunk = ridge_dictionary(blocks[g : g + step], self.beta)
            products = shrunk.flatten(0, 1) @ x.flatten(0, 1).T  # [g * M, Q * M]
            kept = products.pow_(2).unflatten(0, (-1, shrunk.shape[1])).sum(1)
            out[:, g : g + step] = 1 - kept.unflatten(1, (len(x), -1)).mean(2).T
        return out


def ridge_dictionary(blocks: Tensor, beta: float) -> Tensor:
    """Z [N, M, C] of the blocks Y [N, M, C], such that |x|^2 - |Z x|^2 is the error of x.

    With the coefficients w = (Y Y' + beta)^-1 Y x, the error |x - Y' w|^2 is |x|^2 - x' Y' A Y x,
    where A has the eigenvectors of Y Y' and, for its eigenvalues l, (l + 2 beta) / (l + beta)^2.
    """
    values, vectors = torch.linalg.eigh(blocks @ blocks.mT)
    values = values.clamp(min=0)
    root = (values + 2 * beta).sqrt() / (values + beta)
    return root.unsqueeze(2) * (vectors.mT @ blocks)


def sparse_error(x: Tensor, blocks: Tensor, beta: float) -> Tensor:
    """Mean error [N] of x [M, C] rebuilt from blocks [N, K, C] by sparse coding.

    Minimises |x - Y' w|^2 / 2 + beta |w|_1 by FISTA (Beck & Teboulle 2009).
    """
    gram, cross = blocks @ blocks.mT, blocks @ x.mT  # [N, K, K], [N, K, M]
    rate = 1 / torch.linalg.matrix_norm(gram, 2).clamp(min=1e-12).reshape(-1, 1, 1)
    w = ahead = torch.zeros_like(cross)
    t = 1.0
    for _ in range(ITERATIONS):
        step = ahead - rate * (gram @ ahead - cross)
        new = step.sign() * (step.abs() - rate * beta).clamp(min=0)
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        ahead, w, t = new + (t - 1) / following * (new - w), new, following
    return (x - w.mT @ blocks).pow(2).sum(2).mean(1)
