"""The strong baseline: global feature, batch-norm neck, identity and triplet loss.

Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.losses import batch_hard_triplet
from reidlib.models.backbone import build_backbone
from reidlib.models.base import Encoding, ReIDModel, accuracy, init_classifier


class Baseline(ReIDModel):
    """Backbone, global pooling, batch-norm neck, classifier without bias.

    The triplet loss sees the feature before the neck, classifier and test the one after it.
    """

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (256, 128),
        pooling: Literal["avg", "max"] = "avg",
        neck: bool = True,
        label_smoothing: float = 0.1,
        margin: float = 0.3,
        triplet: float = 1.0,
        last_stride: int = 1,
    ) -> None:
        """neck: batch norm before the classifier. triplet: weight of its loss, 0 is off."""
        super().__init__()
        self.size = size
        self.backbone = build_backbone(backbone, weights, last_stride=last_stride)
        channels = self.backbone.out_channels
        pools = {"avg": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}
        self.pool = pools[pooling](1)
        self.neck: nn.Module = nn.Identity()
        if neck:
            self.neck = nn.BatchNorm1d(channels)
            self.neck.bias.requires_grad_(False)  # no shift (section III-C)
        self.classifier = init_classifier(nn.Linear(channels, num_ids, bias=False))
        self.label_smoothing, self.margin, self.triplet = label_smoothing, margin, triplet

    def load_start(self, state: Mapping[str, Tensor], model: str, same_people: bool) -> None:
        """Of a run of the baseline backbone, neck and the classifier of the same people, as far as
        it has them in the same shape."""
        super().load_start(state, model, same_people)
        own = self.state_dict()
        for name, value in state.items():
            fits = name in own and own[name].shape == value.shape
            if fits and (same_people or not name.startswith("classifier.")):
                own[name] = value
        self.load_state_dict(own)

    def pooled(self, images: Tensor) -> Tensor:
        """The feature [N, C] before the neck."""
        return self.pool(self.backbone(images)).flatten(1)

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": self.neck(self.pooled(images))}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        feature = self.pooled(batch.images)
        logits = self.classifier(self.neck(feature)).float()
        identity = F.cross_entropy(logits, batch.label, label_smoothing=self.label_smoothing)
        parts = {"id": identity, "accuracy": accuracy(logits, batch.label)}
        total = identity
        if self.triplet:
            parts["triplet"] = batch_hard_triplet(feature.float(), batch.label, self.margin)
            total = total + self.triplet * parts["triplet"]
        return {"loss": total, **parts}
