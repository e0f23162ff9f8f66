"""The face network of PPCL's Table 4, "VGGFace", with a global depthwise convolution (section 5.2).

Parkhi et al., "Deep face recognition" (2015) is a VGG-16 with fully connected layers of 4096; in
place of the first of them every channel has one kernel as large as the map (Chen et al.,
"MobileFaceNets", 2018, section 3.1), which any map can be brought to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import pairwise_euclidean
from reidlib.models.backbone import build_backbone, map_shape
from reidlib.models.base import Encoding, ReIDModel, accuracy, init_classifier

Metric = Literal["euclidean", "cosine"]


class GlobalDepthwise(nn.Module):
    """A map's descriptor: one (h, w) kernel a channel, batch norm, a fully connected layer to
    ``width``, batch norm; no ReLU in between, as in MobileFaceNet.

    Unlike the mean it knows where in the map a response is.
    """

    def __init__(self, channels: int, shape: tuple[int, int], width: int = 4096) -> None:
        """channels, shape: C and (h, w) of the maps; width: D of the descriptor."""
        super().__init__()
        self.shape, self.width = shape, width
        self.depthwise = nn.Conv2d(channels, channels, shape, groups=channels, bias=False)
        nn.init.constant_(self.depthwise.weight, 1 / (shape[0] * shape[1]))  # starts as the mean
        self.norm = nn.BatchNorm1d(channels)
        self.longer = nn.Linear(channels, width, bias=False)
        self.last = nn.BatchNorm1d(width)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, C, h, w] to [N, D]; a map of another size is a ReidError (see ``fitted``)."""
        if tuple(maps.shape[2:]) != tuple(self.shape):
            raise ReidError(
                f"global depthwise convolution: the map is {tuple(maps.shape[2:])}, its kernels "
                f"{tuple(self.shape)}: resample the map to these"
            )
        pooled = self.norm(self.depthwise(maps).flatten(1))
        descriptor: Tensor = self.last(self.longer(pooled))
        return descriptor


def fitted(maps: Tensor, box: Tensor, shape: tuple[int, int]) -> Tensor:
    """Regions ``box`` [N, 4] of maps [N, C, H, W], each resampled to [N, C, *shape]."""
    return geometry.sample(maps, geometry.box_to_theta(box), shape)


def metric_distance(query: Tensor, gallery: Tensor, metric: Metric) -> Tensor:
    """Distances [Q, G] of descriptors [Q, D], [G, D]: Euclidean as they come, or 1 - cosine."""
    if metric == "euclidean":
        return pairwise_euclidean(query, gallery)
    return 1 - F.normalize(query) @ F.normalize(gallery).T


class VGGFace(ReIDModel):
    """Backbone, ``GlobalDepthwise``, classifier; cross entropy alone. Partial images are simply
    stretched to the full size."""

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "vgg16",
        weights: str | None = None,
        size: tuple[int, int] = (224, 224),
        width: int = 4096,
        dropout: float = 0.5,
        metric: Metric = "euclidean",
        last_stride: int = 2,
    ) -> None:
        """width: of the descriptor. dropout: before the classifier, as in VGG-16. metric: what the
        test compares descriptors by. last_stride: of the backbone; 2 is VGG's own."""
        super().__init__()
        if width < 1 or not 0 <= dropout < 1:
            raise ReidError(f"vggface: width is {width} and dropout {dropout}, not 1 or more and "
                            "in [0, 1)")  # fmt: skip
        self.size, self.dropout, self.metric = size, dropout, metric
        self.backbone = build_backbone(backbone, weights, last_stride=last_stride)
        shape = map_shape(self.backbone, size)
        self.descriptor = GlobalDepthwise(self.backbone.out_channels, shape, width)
        self.classifier = init_classifier(nn.Linear(width, num_ids))

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"metric"}

    def load_start(self, state: Mapping[str, Tensor], model: str, same_people: bool) -> None:
        """All of a run of the same model, but a classifier of other people."""
        if model != "vggface":
            return super().load_start(state, model, same_people)
        own = {k: v for k, v in self.state_dict().items() if k.startswith("classifier.")}
        self.load_state_dict({**state, **({} if same_people else own)})

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": self.descriptor(self.backbone(images))}

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        return metric_distance(query["feature"], gallery["feature"], self.metric)

    def rerank_features(self, encoding: Encoding) -> Tensor:
        """What re-ranking compares, at length 1: the descriptors [N, D]."""
        return encoding["feature"]

    @property
    def identity_terms(self) -> dict[str, int]:
        return {"loss": 1}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        feature = self.descriptor(self.backbone(batch.images))
        dropped = F.dropout(feature, self.dropout, self.training)
        logits = self.classifier(dropped).float()
        loss = F.cross_entropy(logits, batch.label)
        return {"loss": loss, "accuracy": accuracy(logits, batch.label)}
