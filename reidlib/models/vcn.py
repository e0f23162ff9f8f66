"""SC-STN and VCN: a feature map put upright within its own detector's error, then read downwards.

The self-constrained spatial transformer (section 3.2) learns from the map itself how far it may be
moved; the vertical convolution gives every channel K kernels as high as the map, so that *where* a
response is counts, not only how large it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import ranked_list
from reidlib.models.backbone import build_backbone
from reidlib.models.base import Encoding, ReIDModel, accuracy, init_classifier
from reidlib.models.spatial import Head, SpatialHead
from reidlib.models.stn import Kind, Start, Transformer


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
        eps_max: float = 0.4,
        ranked: bool = True,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma_: float = 1e-7,
        label_smoothing: float = 0.1,
        match: Literal["fusion", "global", "spatial"] = "fusion",
        before_norm: bool = False,
    ) -> None:
        """use_global, use_spatial: which branches there are. stn, stn_start, spatial: see
        ``stn.Transformer`` and ``spatial.SpatialHead``. kernels: K. eps_max: bound of the
        detector's error. ranked: whether there is a ranked list loss. alpha, beta, gamma_: weights
        of Eq. 8, as printed (``Recipe.gamma`` is the schedule's). match: the feature that is
        compared; before_norm: the spatial one without its batch norm."""
        super().__init__()
        if not (use_global or use_spatial):
            raise ReidError("vcn: use_global and use_spatial are both false: no branch is left")
        self.size, self.ranked, self.label_smoothing = size, ranked, label_smoothing
        self.alpha, self.beta, self.gamma = alpha, beta, gamma_
        both = use_global and use_spatial
        self.match = match if both else "global" if use_global else "spatial"
        self.before_norm = before_norm
        self.backbone = build_backbone(backbone, weights)
        channels = self.backbone.out_channels
        self.global_branch = Branch(channels, num_ids) if use_global else None
        self.transformer = self.spatial_head = self.spatial_branch = None
        if use_spatial:
            with torch.no_grad():  # the kernels are as high as the map
                height, width = _map_size(self.backbone, size)
            if stn != "none":
                self.transformer = Transformer(height, width, stn, eps_max, stn_start)
            self.spatial_head = SpatialHead(channels, height, width, spatial, kernels)
            self.spatial_branch = Branch(self.spatial_head.features, num_ids)

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


def _map_size(backbone: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    training = backbone.training
    height, width = backbone.eval()(torch.zeros(1, 3, *size)).shape[2:]
    backbone.train(training)
    return height, width
