"""MGN, the comparator of RMGL and VCN (Wang et al., "Learning Discriminative Features with Multiple
Granularities for Person Re-Identification", 2018): one branch for each granularity, split late.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.backbone import build_backbone
from reidlib.models.base import Encoding, ReIDModel, accuracy
from reidlib.models.heads import Heads, identity_losses


class MGN(ReIDModel):
    """Shared up to the first block of conv4; then a branch for each number in ``stripes``.

    A branch of one stripe has a global feature alone and keeps the stride of conv5; the others have
    last stride 1, a global feature and n stripes. All are max-pooled and reduced to 256 (1x1
    convolution, batch norm, ReLU); identity
    loss on every part, triplet loss (margin 1.2) on the global ones. As we read the paper, both
    losses see the reduced features.
    """

    head: ClassVar[tuple[str, ...]] = ("heads.",)

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (384, 128),
        stripes: tuple[int, ...] = (1, 2, 3),
        width: int = 256,
        margin: float | None = 1.2,
    ) -> None:
        """stripes: of each branch. margin: None is the soft margin."""
        super().__init__()
        if not stripes or min(stripes) < 1:
            raise ReidError(f"mgn: stripes is {stripes}, not one number from 1 on for each branch")
        self.size, self.stripes, self.margin = size, stripes, margin
        net: Any = build_backbone(backbone, weights, last_stride=1)
        late: Any = build_backbone(backbone, weights, last_stride=2).conv5
        late.load_state_dict(net.conv5.state_dict())
        blocks = list(net.conv4)
        self.trunk = nn.Sequential(net.stem, net.conv2, net.conv3, blocks[0])
        self.branches = nn.ModuleList(
            copy.deepcopy(nn.Sequential(*blocks[1:], late if n == 1 else net.conv5))
            for n in stripes
        )
        parts = [1 if n == 1 else 1 + n for n in stripes]
        self.heads = nn.ModuleList(
            Heads(k, net.out_channels, width, num_ids, relu=True) for k in parts
        )

    @classmethod
    def version(cls, options: Mapping[str, Any]) -> int:
        return 2  # 1 had no ReLU behind the reductions

    def features(self, images: Tensor) -> list[Tensor]:
        """Of each branch [N, parts, width], the global part first."""
        shared = self.trunk(images)
        found = []
        for n, branch, head in zip(self.stripes, self.branches, self.heads, strict=True):
            x = branch(shared)
            pooled = x.amax((2, 3)).unsqueeze(1)
            if n > 1:
                local = F.adaptive_max_pool2d(x, (n, 1)).squeeze(3).transpose(1, 2)
                pooled = torch.cat([pooled, local], 1)
            found.append(head(pooled))
        return found

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": torch.cat([f.flatten(1) for f in self.features(images)], 1)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        identity, triplet, right = [], [], []
        for feature, head in zip(self.features(batch.images), self.heads, strict=True):
            logits = head.logits(feature)  # type: ignore[operator]
            identity += list(identity_losses(logits, batch.label))
            right += [accuracy(part, batch.label) for part in logits.unbind(1)]
            triplet.append(batch_hard_triplet(feature[:, 0].float(), batch.label, self.margin))
        parts = {
            "id": torch.stack(identity).mean(),
            "triplet": torch.stack(triplet).mean(),
            "accuracy": torch.stack(right).mean(),
        }
        return {"loss": parts["id"] + parts["triplet"], **parts}
