"""DSR (He et al. 2018): how well a gallery image's features rebuild those of a partial image.

Both images are sets of blocks of the last feature map. The distance of a pair is what the best
combination of the gallery's blocks leaves of the query's: no alignment is needed, and no common
size, so a partial image is taken as large as it is. The features are a trained baseline's;
STNReID's "DSR(Our)" is this on its baseline.
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

    test_version = 2  # 2: sparse coding of partial images in their own size

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (256, 128),
        scales: tuple[int, ...] = (1, 2, 3),
        beta: float = 0.001,
        coding: Literal["ridge", "sparse"] = "sparse",
        enlarge: bool = False,
    ) -> None:
        """scales: sides of the square blocks, in cells of the map; of a partial image whose map is
        smaller than a block there is none of that scale. beta: weight of the penalty on the
        coefficients, absolute ("sparse", the original's) or squared ("ridge", in closed form:
        several times as fast); the default is the best of four on validation people, in
        ``10_stnreid``. enlarge: a partial image fills the input, as it does for all other models;
        the original takes it in its own size and proportions."""
        super().__init__(num_ids, backbone=backbone, weights=weights, size=size)
        self.scales, self.beta, self.coding = scales, beta, coding
        self.own_size = not enlarge  # see ``evaluate.encode.encode_cut``

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"scales", "beta", "coding", "enlarge"}

    def encode(self, images: Tensor) -> Encoding:
        """``"blocks"`` [N, M, C]: the means over all blocks of all scales, each of length 1."""
        maps = self.backbone(images)
        sides = [side for side in self.scales if side <= min(maps.shape[2:])]
        blocks = [F.avg_pool2d(maps, side, 1).flatten(2) for side in sides]
        feature = self.neck(self.pool(maps).flatten(1))
        return {"feature": feature, "blocks": F.normalize(torch.cat(blocks, 2), dim=1).mT}

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        """Mean squared error [Q, G], in [0, 1], of each query's blocks rebuilt from a gallery
        image's. Blocks of zeros are none: the query's map was smaller than others'."""
        there = query["blocks"].any(2)  # [Q, M]
        whose, which = there.nonzero().T
        x, blocks = query["blocks"][whose, which], gallery["blocks"]  # [B, C], B of all queries
        out = x.new_zeros(len(there), len(blocks))
        step = max(1, CELLS // max(1, len(x) * blocks.shape[1]))
        for g in range(0, len(blocks), step):
            some = blocks[g : g + step]
            errors = ridge_errors if self.coding == "ridge" else sparse_errors
            out[:, g : g + step].index_add_(0, whose, errors(x, some, self.beta).T)
        return out / there.sum(1, keepdim=True).clamp(min=1)


def ridge_errors(x: Tensor, blocks: Tensor, beta: float) -> Tensor:
    """What is left [G, B] of each x [B, C], of length 1, rebuilt from G images' blocks [G, K, C] by
    ridge regression: |x - Y' w|^2 at the minimum of |x - Y' w|^2 + beta |w|^2."""
    shrunk = ridge_dictionary(blocks, beta)
    products = shrunk.flatten(0, 1) @ x.T  # [G * K, B]
    return 1 - products.pow_(2).unflatten(0, (-1, shrunk.shape[1])).sum(1)


def ridge_dictionary(blocks: Tensor, beta: float) -> Tensor:
    """Z [N, M, C] of the blocks Y [N, M, C], such that |x|^2 - |Z x|^2 is the error of x.

    With the coefficients w = (Y Y' + beta)^-1 Y x, the error |x - Y' w|^2 is |x|^2 - x' Y' A Y x,
    where A has the eigenvectors of Y Y' and, for its eigenvalues l, (l + 2 beta) / (l + beta)^2.
    """
    values, vectors = torch.linalg.eigh(blocks @ blocks.mT)
    values = values.clamp(min=0)
    root = (values + 2 * beta).sqrt() / (values + beta)
    return root.unsqueeze(2) * (vectors.mT @ blocks)


def sparse_errors(x: Tensor, blocks: Tensor, beta: float) -> Tensor:
    """The same of sparse coding: |x - Y' w|^2 at the minimum of |x - Y' w|^2 / 2 + beta |w|_1.

    By FISTA (Beck & Teboulle 2009), the blocks of all queries at once: an image's products of
    blocks are made once.
    """
    out = x.new_empty(len(blocks), len(x))
    eye = torch.eye(blocks.shape[1], dtype=x.dtype, device=x.device)
    for g, y in enumerate(blocks):
        gram, cross = y @ y.T, y @ x.T  # [K, K], [K, B]
        rate = 1 / max(float(torch.linalg.matrix_norm(gram, 2)), 1e-12)
        still, pull = eye - rate * gram, rate * cross  # a step of gradient descent
        w = ahead = torch.zeros_like(cross)
        t = 1.0
        for _ in range(ITERATIONS):
            new = F.softshrink(torch.addmm(pull, still, ahead), rate * beta)
            following = (1 + (1 + 4 * t * t) ** 0.5) / 2
            ahead, w, t = torch.lerp(w, new, 1 + (t - 1) / following), new, following
        out[g] = x.pow(2).sum(1) + (w * (gram @ w - 2 * cross)).sum(0)
    return out
