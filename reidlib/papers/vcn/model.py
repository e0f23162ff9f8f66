"""SC-STN and VCN: spatial transformers on a feature map, and kernels as high as the map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.geometry import exact, sample
from reidlib.losses import ranked_list
from reidlib.models.backbone import build_backbone, map_shape
from reidlib.models.base import Encoding, ReIDModel, accuracy, init_classifier

# "six", "four": the original STN's free factors, with and without rotation. "wide": SC-STN with eps
# in (0, 1); "fixed": eps is its bound; "self": SC-STN.
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

        start: "drawn": all layers as torch starts them, so that the first steps move every map at
        random: by up to eps, and without that bound to any part of the map. "identity": nothing
        moves at first, since the last layer has no weights and, of free factors, the identity as
        its bias, or its batch norm the weight 0.
        """
        super().__init__()
        self.kind, self.eps_max = kind, 1.0 if kind == "wide" else eps_max
        self.free = kind in ("six", "four")
        outputs = {"six": 6, "four": 4}.get(kind, 5)
        self.fc1 = nn.Linear(height * width, 128)
        self.bn1 = nn.BatchNorm1d(128)
        self.fc2 = nn.Linear(128, outputs)
        norm = nn.BatchNorm1d(outputs)
        self.bn2: nn.Module = nn.Identity() if self.free else norm
        if start == "identity" and self.free:
            nn.init.zeros_(self.fc2.weight)
            with torch.no_grad():
                self.fc2.bias.copy_(torch.tensor([1.0, 1, 0, 0, 0, 0])[:outputs])
        elif start == "identity":
            nn.init.zeros_(norm.weight)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with exact(maps):
            mean = maps.mean(1, dtype=torch.float32).flatten(1)  # Eq. 3
            x = self.bn2(self.fc2(torch.relu(self.bn1(self.fc1(mean)))))
            theta, eps = self.theta(x)
        return sample(maps, theta), theta, eps

    def theta(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From the last layer's outputs to theta [N, 2, 3] and eps [N]."""
        zero = torch.zeros_like(x[:, 0])
        if self.free:
            sw, sh, tw, th = x[:, 0], x[:, 1], x[:, 2], x[:, 3]
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


# "vcn": K kernels a channel over the pooled rows. "sorted": the same over each channel's rows in
# the order of their values, which is as many parameters and outputs without any place. Without
# horizontal pooling: "vcn_2d", kernels over the whole map, or "vcn_columns", vertical kernels in
# every column. "shared": the same K kernels for all channels. "gp": mean plus maximum. "fc": the
# same through a fully connected layer of K * C outputs. "mgn": two and three stripes.
Head = Literal["vcn", "sorted", "vcn_2d", "vcn_columns", "shared", "gp", "fc", "mgn"]


def vertical_convolution(rows: Tensor, kernels: Tensor) -> Tensor:
    """VCN Eq. 7 for all channels in one contraction: [N, C, H], [C, K, H] to [N, C, K]."""
    return torch.bmm(rows.transpose(0, 1), kernels.transpose(1, 2)).transpose(0, 1)


class MeanMax(nn.Module):
    """Mean plus maximum of maps [N, C, H, W] over the width (VCN Eq. 6), or over all places."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(self.dims) + maps.amax(self.dims)


class SpatialHead(nn.Module):
    """Maps [N, C, H, W] to the spatial feature [N, ``features``], before its batch norm."""

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        kind: Head,
        kernels: int,
        start: Literal["drawn", "mean"] = "drawn",
    ) -> None:
        """start: of the kernels. "drawn": as torch starts a convolution. "mean": all are 1 / H, so
        that the feature is a pooled one at first, as f_g is."""
        super().__init__()
        self.kind = kind
        self.pool = MeanMax(2, 3) if kind in ("gp", "fc") else MeanMax(3)
        self.features = channels * kernels
        cells = height * width if kind == "vcn_2d" else height
        if kind == "vcn_columns":
            self.features *= width
        if kind in ("vcn", "sorted", "vcn_2d", "vcn_columns", "shared"):
            shape = (1 if kind == "shared" else channels, kernels, cells)
            self.kernels = nn.Parameter(torch.empty(shape))
            bound = 1 / math.sqrt(cells)
            nn.init.uniform_(self.kernels, -bound, bound)
            if start == "mean":
                nn.init.constant_(self.kernels, 1 / cells)
        elif kind == "gp":
            self.features = channels
        elif kind == "fc":
            self.longer = nn.Linear(channels, self.features)
        else:
            self.features = 5 * 256
            self.reduce = nn.ModuleList(nn.Linear(channels, 256, bias=False) for _ in range(5))

    def forward(self, maps: Tensor) -> Tensor:
        if self.kind in ("vcn", "sorted", "shared"):
            rows = self.pool(maps)
            rows = rows.sort(2).values if self.kind == "sorted" else rows
            kernels = self.kernels.expand(rows.shape[1], -1, -1)
            return vertical_convolution(rows, kernels.to(rows.dtype)).flatten(1)
        if self.kind == "vcn_2d":
            flat = maps.flatten(2)
            return vertical_convolution(flat, self.kernels.to(flat.dtype)).flatten(1)
        if self.kind == "vcn_columns":
            kernels = self.kernels.to(maps.dtype)
            return torch.einsum("nchw,ckh->nckw", maps, kernels).flatten(1)
        if self.kind == "mgn":
            parts = [F.adaptive_max_pool2d(maps, (n, 1)).squeeze(3) for n in (2, 3)]
            stripes = torch.cat(parts, 2).unbind(2)
            return torch.cat([r(s) for r, s in zip(self.reduce, stripes, strict=True)], 1)
        pooled: Tensor = self.pool(maps)
        return self.longer(pooled) if self.kind == "fc" else pooled


class Branch(nn.Module):
    """Batch norm and classifier of a pooled feature."""

    def __init__(self, features: int, num_ids: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)
        self.classifier = init_classifier(nn.Linear(features, num_ids))

    def forward(self, pooled: Tensor) -> Tensor:
        normed: Tensor = self.norm(pooled)
        return normed


class VCN(ReIDModel):
    """Global and spatial branch on one backbone.

    ``encode``: "feature" is what ``match`` says, "global" [N, C], "spatial" [N, D], "theta"
    [N, 2, 3]: how the spatial transformer reads the map, "eps" [N]: the detector's error that it
    allows for. "fusion" is both features, each of length 1, so that the cosine distance is half the
    sum of theirs.
    """

    head: ClassVar[tuple[str, ...]] = ("global_branch.classifier.", "spatial_branch.classifier.")
    mirror_averaged: ClassVar[tuple[str, ...]] = ("feature", "global", "spatial")

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (384, 128),
        use_global: bool = True,
        use_spatial: bool = True,
        stn: Kind = "self",
        stn_start: Start = "drawn",
        spatial: Head = "vcn",
        kernels: int = 6,
        kernel_start: Literal["drawn", "mean"] = "drawn",
        spatial_lr: float = 1.0,
        eps_max: float = 0.4,
        ranked: bool = True,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma_: float = 1e-7,
        label_smoothing: float = 0.1,
        match: Literal["fusion", "global", "spatial"] = "fusion",
        before_norm: bool = True,
    ) -> None:
        """use_global, use_spatial: which branches there are. stn, stn_start, spatial: see
        ``Transformer`` and ``SpatialHead``, as of kernel_start. kernels: K. spatial_lr: the rate of
        transformer and kernels, times that of all; the paper has one rate. 0: they stay as they
        begin. eps_max: bound of the detector's error.
        ranked: whether there is a ranked list loss. alpha, beta, gamma_: weights of Eq. 8, as
        printed (``Recipe.gamma`` is the schedule's); a branch alone has those of the spatial one.
        match: the feature that is compared; before_norm: the spatial one without the batch norm,
        which the text has "following f_s" (f_g is said to be behind its own)."""
        super().__init__()
        if not (use_global or use_spatial):
            raise ReidError("vcn: use_global and use_spatial are both false: no branch is left")
        if not 0 <= spatial_lr < math.inf:
            raise ReidError(f"vcn: spatial_lr is {spatial_lr}, not at least 0 and finite")
        self.size, self.ranked, self.label_smoothing = size, ranked, label_smoothing
        self.alpha, self.beta, self.gamma = alpha, beta, gamma_
        self.spatial_lr = spatial_lr
        both = use_global and use_spatial
        self.match = match if both else "global" if use_global else "spatial"
        self.before_norm = before_norm
        self.backbone = build_backbone(backbone, weights)
        channels = self.backbone.out_channels
        self.global_branch = Branch(channels, num_ids) if use_global else None
        self.transformer = self.spatial_head = self.spatial_branch = None
        if use_spatial:
            height, width = map_shape(self.backbone, size)  # the kernels are as high as the map
            if stn != "none":
                self.transformer = Transformer(height, width, stn, eps_max, stn_start)
            self.spatial_head = SpatialHead(channels, height, width, spatial, kernels, kernel_start)
            self.spatial_branch = Branch(self.spatial_head.features, num_ids)

    @classmethod
    def version(cls, options: Mapping[str, Any]) -> int:
        """2, with a spatial branch: a map is moved in float32, every transformer starts as torch
        draws its layers, and f_s is compared before its batch norm."""
        return 2 if options.get("use_spatial", True) else 1

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"match", "before_norm"}

    def features(self, images: Tensor, before_norm: bool = False) -> Encoding:
        """ "global", "spatial", and "theta", "eps" of the transformer, as far as they are there."""
        maps = self.backbone(images)
        found: Encoding = {}
        if self.global_branch is not None:
            found["global"] = self.global_branch(maps.mean((2, 3)) + maps.amax((2, 3)))
        if self.spatial_head is not None and self.spatial_branch is not None:
            if self.transformer is not None:
                maps, found["theta"], found["eps"] = self.transformer(maps)
            pooled = self.spatial_head(maps)
            found["spatial"] = pooled if before_norm else self.spatial_branch(pooled)
        return found

    def encode(self, images: Tensor) -> Encoding:
        found = self.features(images, self.before_norm)
        if self.match == "fusion":
            parts = [F.normalize(found[name].float()) for name in ("global", "spatial")]
            found["feature"] = torch.cat(parts, 1)
        else:
            found["feature"] = found[self.match]
        return found

    @property
    def rates(self) -> dict[str, float]:
        return dict.fromkeys(("transformer.", "spatial_head."), self.spatial_lr)

    @property
    def identity_terms(self) -> dict[str, int]:
        return {"id_spatial": 1, "id_global": 1}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        found = self.features(batch.images)
        alone = not ("global" in found and "spatial" in found)
        weights = {  # Eq. 8; a branch alone has the weights of the spatial one
            "spatial": (1.0, self.alpha),
            "global": (1.0, self.alpha) if alone else (self.beta, self.gamma),
        }
        total = torch.zeros((), device=batch.images.device)
        parts: dict[str, Tensor] = {}
        for name, branch in (("spatial", self.spatial_branch), ("global", self.global_branch)):
            if branch is None:
                continue
            logits = branch.classifier(found[name]).float()
            smoothing = self.label_smoothing
            parts[f"id_{name}"] = F.cross_entropy(logits, batch.label, label_smoothing=smoothing)
            total = total + weights[name][0] * parts[f"id_{name}"]
            if self.ranked:
                parts[f"ranked_{name}"] = ranked_list(found[name].float(), batch.label)
                total = total + weights[name][1] * parts[f"ranked_{name}"]
            parts.setdefault("accuracy", accuracy(logits, batch.label))
        if "eps" in found:
            parts["eps"] = found["eps"].detach().float().mean()
        return {"loss": total, **parts}
