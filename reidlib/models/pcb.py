"""PCB, the comparator of SCR's Fig. 4 (Sun et al., "Beyond Part Models: Person Retrieval with
Refined Part Pooling (and a Strong Convolutional Baseline)", 2018); without its refined pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.models.backbone import build_backbone
from reidlib.models.base import Encoding, ReIDModel
from reidlib.models.heads import Heads, identity_losses


class PCB(ReIDModel):
    """Horizontal stripes, each average-pooled, reduced to 256 and given its own classifier.

    The reduction is a 1x1 convolution, batch norm and ReLU. ``encode``: "feature" is the
    concatenation over the stripes, of the pooled vectors (the paper's G, its better one) or of the
    reduced ones (H). The loss is the sum of the stripes' cross entropies.
    """

    head: ClassVar[tuple[str, ...]] = ("heads.",)

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (384, 128),
        stripes: int = 6,
        width: int = 256,
        last_stride: int = 1,
        match: Literal["g", "h"] = "g",
    ) -> None:
        """stripes: how many, of equal height. width: of a reduced vector. match: what is compared
        at test, the pooled vectors "g" [N, stripes * C] or the reduced "h" [N, stripes * width]."""
        super().__init__()
        if stripes < 1:
            raise ReidError(f"pcb: stripes is {stripes}, not at least 1")
        self.size, self.stripes, self.match = size, stripes, match
        self.backbone = build_backbone(backbone, weights, last_stride=last_stride)
        self.heads = Heads(stripes, self.backbone.out_channels, width, num_ids, relu=True)

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"match"}

    @property
    def identity_terms(self) -> dict[str, int]:
        return {"id": self.stripes}

    def pooled(self, images: Tensor) -> Tensor:
        """The mean of each stripe [N, stripes, C]."""
        maps = self.backbone(images)
        if maps.shape[2] < self.stripes:
            raise ReidError(
                f"a map of {maps.shape[2]} rows cannot be cut into {self.stripes} stripes: choose "
                "higher images or fewer stripes"
            )
        return F.adaptive_avg_pool2d(maps, (self.stripes, 1)).squeeze(3).transpose(1, 2)

    def encode(self, images: Tensor) -> Encoding:
        pooled = self.pooled(images)
        compared = pooled if self.match == "g" else self.heads(pooled)
        return {"feature": compared.flatten(1)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.heads.logits(self.heads(self.pooled(batch.images)))
        identity = identity_losses(logits, batch.label).sum()
        right = (logits.argmax(2) == batch.label[:, None]).float().mean()
        return {"loss": identity, "id": identity, "accuracy": right}
