"""CRLoc, PPCL's corresponding region locator: where in a reference map is what a partial one shows?

The partial map keeps its place in the holistic frame; its cells outside of its region show nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.errors import ReidError
from reidlib.papers.ppcl.pooling import frame, resampling

Correlation = Literal["cosine", "printed"]
Coordinates = Literal["relative", "absolute", "cropped"]
Product = Literal["float32", "bf16"]
WIDTH = 16  # channels of each convolution: the paper gives none, every pair pays for them
INSIDE = 0.8  # side of the box that an absolute locator begins with, as a share of the frame's. At
# all of it the samples of a region lie on cells, where a bilinear sampler has no gradient, and no
# negative region is legal: such a locator would never begin to learn from maps
TOGETHER = 32  # queries whose correlation with a block of reference maps is one matrix product


def coverage(box: Tensor, height: int, width: int) -> Tensor:
    """Share [N, height * width] in [0, 1] of each cell of the frame that ``box`` [N, 4] covers."""

    def line(low: Tensor, high: Tensor, cells: int) -> Tensor:
        edge = torch.arange(cells + 1, device=box.device, dtype=box.dtype) * 2 / cells - 1
        common = torch.minimum(high.unsqueeze(1), edge[1:]) - torch.maximum(
            low.unsqueeze(1), edge[:-1]
        )
        return (common * cells / 2).clamp(0, 1)

    x0, y0, x1, y1 = box.unbind(-1)
    return (line(y0, y1, height).unsqueeze(2) * line(x0, x1, width).unsqueeze(1)).flatten(1)


class Asked(NamedTuple):
    """Some partial maps, prepared for ``CRLoc.pairs``: what their regions cover, one below the
    other [R, C]; each map's shares of its cells, and its columns of the first convolution; the
    regions [q, 4]."""

    rows: Tensor
    shares: list[Tensor]
    kernels: list[Tensor]
    region: Tensor


class CRLoc(nn.Module):
    """Correlation (Eq. 8), three 3x3 convolutions with batch norm and ReLU, global pooling, one
    fully connected layer of 4 outputs (section 3.1); any number of feature channels.

    Pooled are the means of every channel, and of it times x and times y: a mean alone cannot tell
    *where* in the reference map a response lies. The outputs are a transform (scale and shift in x
    and y), at first the identity, or ``INSIDE`` the frame where it is absolute.
    """

    def __init__(
        self,
        cells: tuple[int, int],
        *,
        temperature: float = 0.05,
        correlation: Correlation = "cosine",
        coordinates: Coordinates = "relative",
        coarse: int = 1,
        product: Product = "float32",
    ) -> None:
        """cells: (h, w) of the maps. correlation: "cosine" of the features, divided by
        ``temperature``, or the "printed" dot products. coordinates: what the outputs transform.
        "relative": the partial map's region. That is where the locator finds it at first, so
        PP-Cycle is 0 at the start, without gradient. "absolute": the whole frame, so that regions
        follow from the correlation alone (Eq. 9). "cropped": the same, and the partial map is cut
        to its region first and resampled to all cells, as Eq. 5 gives CRLoc the region alone.
        coarse: side, in cells, of the squares of the partial map that are one position u of Eq. 8;
        1 is the printed form, 2 costs a quarter. product: in what a test's pairs are multiplied in
        Eq. 8, alone; sums are float32's, and so is all else."""
        super().__init__()
        if coarse < 1 or cells[0] % coarse or cells[1] % coarse:
            raise ReidError(f"a map of {cells[0]}x{cells[1]} has no squares of {coarse} cells: "
                            "set coarse to 1")  # fmt: skip
        if temperature <= 0:
            raise ReidError(f"temperature is {temperature}, not above 0")
        self.cells, self.coarse, self.coordinates = cells, coarse, coordinates
        self.positions = cells[0] // coarse, cells[1] // coarse
        self.cosine, self.temperature = correlation == "cosine", temperature
        self.product = torch.bfloat16 if product == "bf16" else torch.float32
        channels = self.positions[0] * self.positions[1]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for _ in range(3):
            self.convs.append(nn.Conv2d(channels, WIDTH, 3, 1, 1, bias=False))
            self.norms.append(nn.BatchNorm2d(WIDTH))
            channels = WIDTH
        self.fc = nn.Linear(3 * WIDTH, 4)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        if coordinates != "relative":
            with torch.no_grad():
                self.fc.bias[:2] = 2 * math.atanh(math.log(INSIDE) / 2)
        y, x = (torch.linspace(1 / n - 1, 1 - 1 / n, n) for n in cells)
        grid = torch.stack([torch.ones(cells), x.expand(cells), y[:, None].expand(cells)], 2)
        self.register_buffer("moments", grid.flatten(0, 1) / grid[..., 0].numel(), False)

    def forward(self, partial: Tensor, region: Tensor, reference: Tensor) -> Tensor:
        """L(h_x, h_y) of N pairs: maps [N, C, h, w] of which the first shows something in its
        ``region`` [N, 4] only; returns the region [N, 4] of the second. In float32."""
        with torch.autocast(partial.device.type, enabled=False):
            x = self.correlate(partial.float(), region, reference.float())
            return self.read(x, region)

    def correlate(self, partial: Tensor, region: Tensor, reference: Tensor) -> Tensor:
        """Eq. 8: reference positions as space, partial ones as channels [N, P, h, w].

        Of each channel the mean is 1, times the share of its cell that the region covers.
        """
        columns = self.columns(reference)
        if self.coordinates != "cropped":
            return self.correlation(self.rows(partial, region) @ columns.mT, region)
        flat, read = partial.flatten(2).mT, resampling(region, self.cells, self.positions)
        scores = read @ (flat @ columns.mT)  # sooner than to resample all channels
        if self.cosine:
            square = ((read @ (flat @ flat.mT)) * read).sum(2, keepdim=True)
            scores = scores / (square.clamp(min=1e-12).sqrt() * self.temperature)
        return self.correlation(scores, region)

    def correlation(self, scores: Tensor, region: Tensor) -> Tensor:
        """``correlate`` from products of ``rows`` and ``columns`` [N, P, h * w]."""
        weight = self._shares(region).unsqueeze(2) * scores.shape[2]
        return (scores.softmax(2) * weight).unflatten(2, self.cells)

    def read(self, x: Tensor, region: Tensor) -> Tensor:
        """Correlations [N, P, h, w] of partial maps with their ``region`` [N, 4] to the regions
        [N, 4] of the reference maps (L_l of Eq. 9)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self._box(x, region)

    def rows(self, maps: Tensor, region: Tensor) -> Tensor:
        """Partial maps [N, C, h, w] with their ``region`` [N, 4] as they enter Eq. 8: [N, P, C]."""
        if self.coordinates == "cropped":
            flat = resampling(region, self.cells, self.positions) @ maps.flatten(2).mT
        else:
            flat = (F.avg_pool2d(maps, self.coarse) if self.coarse > 1 else maps).flatten(2).mT
        return F.normalize(flat, dim=2) / self.temperature if self.cosine else flat

    def columns(self, maps: Tensor) -> Tensor:
        """Reference maps [N, C, h, w] as they enter Eq. 8: [N, h * w, C]."""
        flat = maps.flatten(2).mT
        return F.normalize(flat, dim=2) if self.cosine else flat

    def _shares(self, region: Tensor) -> Tensor:
        """What share [N, P] of each position the partial map shows."""
        if self.coordinates == "cropped":
            region = frame(len(region), region.device)
        return coverage(region, *self.positions)

    def _box(self, x: Tensor, region: Tensor) -> Tensor:
        """The last maps [N, WIDTH, h, w] to boxes [N, 4]."""
        pooled = (x.flatten(2) @ self.moments).flatten(1)  # type: ignore[operator]
        out = 2 * torch.tanh(self.fc(pooled) / 2)  # from the identity at most this far
        (sx, sy), (tx, ty) = out[:, :2].exp().unbind(1), out[:, 2:].unbind(1)
        moved = torch.stack([tx - sx, ty - sy, tx + sx, ty + sy], 1)
        if self.coordinates != "relative":
            return moved
        thetas = geometry.box_to_theta(region), geometry.box_to_theta(moved)
        return geometry.theta_to_box(geometry.compose(*thetas))

    def asked(self, maps: Tensor, region: Tensor) -> list[Asked]:
        """Partial maps [Q, C, h, w] with their ``region`` [Q, 4] as ``pairs`` wants them: prepared
        once for all reference maps, ``TOGETHER`` of them in one matrix product.

        Positions that the region does not cover are channels of zeros: they are left out of that
        product and of the first convolution.
        """
        share = self._shares(region)
        kernel, _ = _folded(self.convs[0], self.norms[0])
        groups = []
        for some in range(0, len(maps), TOGETHER):
            part = slice(some, some + TOGETHER)
            rows, weight = self.rows(maps[part], region[part]), share[part]
            covered = [w.nonzero().flatten() for w in (weight > 0).cpu()]
            # beyond the frame nothing is covered: one position of weight 0 then stands for all
            index = [(i if len(i) else i.new_zeros(1)).to(maps.device) for i in covered]
            groups.append(
                Asked(
                    torch.cat([r[i] for r, i in zip(rows, index, strict=True)]).to(self.product),
                    [w[i] for w, i in zip(weight, index, strict=True)],
                    [kernel[:, i] for i in index],
                    region[part],
                )
            )
        return groups

    def pairs(self, asked: Sequence[Asked], columns: Tensor) -> Tensor:
        """The regions [Q, G, 4] of all pairs of what is ``asked`` (Q maps) and ``columns``
        [G, h * w, C]; equals ``forward`` pair by pair, in evaluation."""
        (_, first), *rest = (_folded(c, n) for c, n in zip(self.convs, self.norms, strict=True))
        found, cells = [], columns.flatten(0, 1).to(self.product)
        for group in asked:
            scores = (cells @ group.rows.T).float()
            scores = scores.unflatten(0, columns.shape[:2])  # [G, V, R]
            if not self.cosine:  # a cosine over the temperature is small enough for exp
                scores -= scores.amax(1, keepdim=True)
            scores.exp_()
            total = scores.sum(1, keepdim=True)
            at = 0
            for share, kernel, region in zip(
                group.shares, group.kernels, group.region, strict=True
            ):
                own = slice(at, at + len(share))
                at += len(share)
                weight = share * scores.shape[1] / total[:, :, own]
                x = (scores[:, :, own] * weight).unflatten(1, self.cells).permute(0, 3, 1, 2)
                for weights, bias in [(kernel, first), *rest]:
                    x = F.conv2d(x, weights, bias, padding=1).relu_()
                found.append(self._box(x, region.expand(len(x), 4)))
        return torch.stack(found)


def _folded(conv: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with its batch norm of evaluation in it."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    kernel: Tensor = conv.weight  # type: ignore[assignment]
    return kernel * scale.reshape(-1, 1, 1, 1), norm.bias - norm.running_mean * scale
