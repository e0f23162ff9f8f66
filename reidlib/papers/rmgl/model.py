"""RMGL: stripes at several granularities, cut in the middle of the network (Wang et al. 2021).

Branch i has its own conv3 ... conv5 and sees n_i stripes, along two paths with the same weights:
the *original* one convolves the whole map and cuts the result (output partition), the *receptive*
one cuts the map after ``split`` and convolves each stripe alone, so that its features cannot see
the rest of the image (receptive partition, section III-B).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.backbone import STAGES, build_backbone
from reidlib.models.base import Encoding, ReIDModel, accuracy
from reidlib.models.heads import Heads, identity_losses
from reidlib.papers.rmgl.stripes import (
    Pooling,
    Rounding,
    balanced_cuts,
    partition,
    pool_equal,
    pool_stripes,
    unpartition,
)

Split = Literal["input", "stem", "conv2", "conv3", "conv4", "conv5"]
Maps = dict[tuple[int, str], Tensor]  # (branch, "original" or "receptive") -> [N, C, H, W]
SHARED = ("stem", "conv2")  # of all branches; conv3 ... conv5 are each branch's own


class RMGL(ReIDModel):
    """Receptive multi-granularity learning; section, equation and option beside each other below.

    ``encode``: "feature" [N, 256 * parts], where each path of a branch has 1 + n parts, the first
    of them global (Eq. 1).
    """

    head: ClassVar[tuple[str, ...]] = ("heads.",)

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (384, 128),
        stripes: tuple[int, ...] = (2, 3),
        op: bool = True,
        rp: bool = True,
        split: Split = "conv2",
        pooling: Pooling = "max",
        equal_pooling: Pooling | None = None,
        abp: bool = True,
        abp_pooling: Pooling = "avg",
        abp_rounding: Rounding = "nearest",
        abp_training: bool = False,
        width: int = 256,
        margin: float | None = 0.6,
        triplet: float = 1.0,
        last_stride: int = 1,
    ) -> None:
        """stripes: of each branch. op, rp: whether there is an original, a receptive path. split:
        where the latter is cut; "conv2" is the paper's res_conv2c, "input" the input partition,
        "conv5" the output partition (two equal paths with heads of their own: RP's control).
        pooling: of equal stripes; equal_pooling: of equal stripes at test, if another. abp:
        activation balanced pooling instead of equal stripes, at test alone (as the text says) or
        with ``abp_training`` always; abp_pooling: "avg" is Eq. 11; abp_rounding: of its cuts.
        width: of a part's feature. margin: None is the soft margin. triplet: weight of its loss."""
        super().__init__()
        if not (op or rp):
            raise ReidError("rmgl: op and rp are both false: there is no path left")
        if not stripes or min(stripes) < 1:
            raise ReidError(f"rmgl: stripes is {stripes}, not one number from 1 on for each branch")
        self.size, self.stripes, self.split, self.margin = size, stripes, split, margin
        self.paths = ("original",) * op + ("receptive",) * rp
        self.abp, self.abp_training = abp, abp_training
        self.abp_pooling, self.abp_rounding = abp_pooling, abp_rounding
        self.pooling, self.equal_pooling = pooling, equal_pooling or pooling
        self.triplet = triplet
        net = build_backbone(backbone, weights, last_stride=last_stride)
        self.trunk = nn.ModuleDict({stage: getattr(net, stage) for stage in SHARED})
        own = nn.ModuleDict({s: getattr(net, s) for s in STAGES if s not in SHARED})
        self.branches = nn.ModuleList(copy.deepcopy(own) for _ in stripes)  # equal at the start
        # the one stripe of a whole map is its global feature: it has no second head
        parts = [len(self.paths) * (1 + n * (n > 1)) for n in stripes]
        self.heads = nn.ModuleList(Heads(k, net.out_channels, width, num_ids) for k in parts)

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        balanced = {"abp", "abp_pooling", "abp_rounding"}
        return {"equal_pooling"} | (set() if options.get("abp_training") else balanced)

    @classmethod
    def version(cls, options: Mapping[str, Any]) -> int:
        return 2 if 1 in options.get("stripes", ()) else 1  # 1 had two heads on one whole map

    @property
    def identity_terms(self) -> dict[str, int]:
        classifiers: list[Any] = [head.classifier for head in self.heads]
        return {"id": sum(len(classifier) for classifier in classifiers)}

    def maps(self, images: Tensor) -> Maps:
        """The last maps of every branch and path; what the branches share is computed once."""
        shared = {"input": images}
        if "original" in self.paths or self.split not in ("input", "stem"):
            shared["stem"] = self.trunk["stem"](images)
            shared["conv2"] = self.trunk["conv2"](shared["stem"])
        elif self.split == "stem":
            shared["stem"] = self.trunk["stem"](images)
        found: Maps = {}
        for i, n in enumerate(self.stripes):
            at = dict(shared)
            for stage in ("conv3", "conv4", "conv5"):
                if "original" in self.paths or self._before(stage):
                    at[stage] = self._stage(stage, i)(list(at.values())[-1])
            if "original" in self.paths:
                found[i, "original"] = at["conv5"]
            if "receptive" in self.paths:
                found[i, "receptive"] = self._receptive(at[self.split], i, n)
        return found

    def _stage(self, stage: str, branch: int) -> nn.Module:
        part: Any = self.trunk if stage in SHARED else self.branches[branch]
        module: nn.Module = part[stage]
        return module

    def _before(self, stage: str) -> bool:
        """Whether ``stage`` comes before the cut, and so is run on the whole map."""
        order = ("input", *STAGES)
        return order.index(stage) <= order.index(self.split)

    def _receptive(self, x: Tensor, branch: int, n: int) -> Tensor:
        """From the map at the cut: every stripe alone through the rest of the network."""
        x = partition(x, n)
        for stage in STAGES:
            if not self._before(stage):
                x = self._stage(stage, branch)(x)
        return unpartition(x, n)

    def pooled(self, maps: Maps, branch: int) -> Tensor:
        """The parts of a branch [N, parts, C]: of each path the whole map, then its stripes."""
        n = self.stripes[branch]
        parts = []
        for path in self.paths:
            x = maps[branch, path]
            parts.append(x.amax((2, 3)).unsqueeze(1))
            if n == 1:
                continue
            if self.abp and (self.abp_training or not self.training):
                cuts = balanced_cuts(x, n, self.abp_rounding)
                parts.append(pool_stripes(x, cuts, self.abp_pooling))
            else:
                pooling = self.pooling if self.training else self.equal_pooling
                parts.append(pool_equal(x, n, pooling))
        return torch.cat(parts, 1)

    def features(self, images: Tensor) -> list[Tensor]:
        """Of each branch [N, parts, width] (f in Eq. 1)."""
        maps = self.maps(images)
        return [head(self.pooled(maps, i)) for i, head in enumerate(self.heads)]

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": torch.cat([f.flatten(1) for f in self.features(images)], 1)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        identity, triplet, right = [], [], []
        for feature, head in zip(self.features(batch.images), self.heads, strict=True):
            logits = head.logits(feature)  # type: ignore[operator]
            identity.append(identity_losses(logits, batch.label).sum())  # Eq. 2
            right += [accuracy(part, batch.label) for part in logits.unbind(1)]
            whole = feature.flatten(1).float()  # f_b, not normalised
            triplet.append(batch_hard_triplet(whole, batch.label, self.margin))  # Eq. 3
        parts = {
            "id": torch.stack(identity).sum(),
            "triplet": torch.stack(triplet).sum(),
            "accuracy": torch.stack(right).mean(),
        }
        return {"loss": parts["id"] + self.triplet * parts["triplet"], **parts}  # Eq. 4
