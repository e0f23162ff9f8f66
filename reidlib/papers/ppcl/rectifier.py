"""GLRec, PPCL's gated layout rectifier: puts a partial image back at its place in the frame.

Trained by itself, without labels: where an image was cut is known (section 3.1). PPCL takes the
trained one over (``Recipe.start``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.data.augment import keep_boxes
from reidlib.data.batches import Batch
from reidlib.data.sets.faces import random_boxes
from reidlib.errors import ReidError
from reidlib.models.backbone import build_backbone
from reidlib.models.base import Encoding, ReIDModel, init_classifier

Cut = Literal["side", "box"]
RATIO = (0.2, 0.8)  # the share that remains: "random input ratio (e.g., 0.2 ~ 0.8)", section 4.3
SMALLEST = 0.05  # share of the frame's side that a placed image has at least


def cut_boxes(n: int, ratio: tuple[float, float] = RATIO, cut: Cut = "side") -> Tensor:
    """Boxes [n, 4] that keep a share U(ratio) of an image: the rest goes from one of four "side"s,
    or what is kept is any "box" of that area.

    The paper crops "randomly"; its test images of people lack one side, those of faces are boxes.
    Drawn from torch's generator, which training seeds by (seed, step).
    """
    seed = int(torch.randint(2**31, ()))
    if cut == "box":
        return torch.tensor(random_boxes(n, ratio, seed))
    return keep_boxes(n, np.random.default_rng(seed), ratio, "any").float()


def check_ratio(ratio: tuple[float, ...]) -> tuple[float, float]:
    """``ratio`` if it is (low, high) with 0 < low <= high <= 1; else a ReidError."""
    if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1] <= 1:
        raise ReidError(f"ratio is {ratio}, not (low, high) with 0 < low <= high <= 1")
    return ratio[0], ratio[1]


class GLRec(ReIDModel):
    """[t; eta] = R(x): a ResNet-18 (``tiny`` where the backbone is a tiny one), mean, 5 outputs.

    t = (scale x, scale y, shift x, shift y) takes a point of the image to its place in the frame.
    It starts at the identity and at a gate that says "whole".
    """

    head = ("fc.",)

    def __init__(
        self,
        num_ids: int = 1,
        *,
        backbone: str = "resnet18",
        weights: str | None = None,
        size: tuple[int, int] = (256, 128),
        ratio: tuple[float, float] = RATIO,
        cut: Cut = "side",
    ) -> None:
        """num_ids: not used. backbone: any but a tiny one stands for ResNet-18, so that one profile
        serves rectifier and ReID network; of ``weights`` it takes "imagenet" only. ratio: the share
        that remains in the partial images of training. cut: see ``cut_boxes``."""
        super().__init__()
        self.size, self.ratio, self.cut = size, check_ratio(ratio), cut
        network = "tiny" if backbone in ("tiny", "vgg_tiny") else "resnet18"
        own = weights if weights == "imagenet" or network == backbone else None
        self.backbone = build_backbone(network, own, last_stride=2)
        self.same_backbone = network == backbone
        self.fc = init_classifier(nn.Linear(self.backbone.out_channels, 5))
        self.fc.bias.data.copy_(torch.tensor([1.0, 1, 0, 0, -1]))

    def load_start(self, state: Mapping[str, Tensor], model: str, same_people: bool) -> None:
        if model == "baseline" and not self.same_backbone:
            raise ReidError("glrec: its ResNet-18 takes nothing over from a baseline of another "
                            "backbone: leave out its start, or use resnet18")  # fmt: skip
        super().load_start(state, model, same_people)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [N, 3, H, W] to t [N, 4] and the gate's logit [N]; above 0 is partial."""
        out = self.fc(self.backbone(images).mean((2, 3))).float()
        return out[:, :4], out[:, 4]

    @staticmethod
    def box(t: Tensor) -> Tensor:
        """Where t [N, 4] puts an image: a box [N, 4] of the frame."""
        scale, shift = t[:, :2].clamp(min=SMALLEST), t[:, 2:]
        return torch.cat([shift - scale, shift + scale], 1)

    def rectify(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x^r = T(G(R(x))) (Eq. 2) of images [N, 3, H, W], the thetas [N, 2, 3] it was read
        through, and eta [N] in (0, 1). Below 0.5 the image stays as it is. Zeros (the mean colour)
        lie outside of the placed image."""
        with torch.autocast(images.device.type, enabled=False):  # half precision misses pixels
            theta, eta = self.gate(*self(images))
            rectified = geometry.sample(images, theta)
        return torch.where((eta < 0.5).reshape(-1, 1, 1, 1), images, rectified), theta, eta

    def gate(self, t: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
        """G: the thetas [N, 2, 3] that place images by t [N, 4], the identity where eta [N] is
        below 0.5, and where t is beyond the frame; and eta.

        Beyond the frame nothing of an image is left, and empty regions are all alike: in a gallery
        of 1,000 two such images were the nearest of every query.
        """
        eta, box = logit.sigmoid(), self.box(t)
        beyond = (box[:, :2] >= 1).any(1) | (box[:, 2:] <= -1).any(1)
        whole = ((eta < 0.5) | beyond).reshape(-1, 1, 1)
        return torch.where(whole, torch.eye(2, 3, device=t.device), geometry.placement(box)), eta

    @property
    def identity_terms(self) -> dict[str, int]:
        return {}

    def make_partial(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Half of the images cut and resized to the full input, and of all the boxes [N, 4] that
        they show; those of whole images are the frame."""
        half = torch.randperm(len(images)) < len(images) // 2
        box = cut_boxes(len(images), self.ratio, self.cut)
        box[~half] = torch.tensor([-1.0, -1, 1, 1])
        box = box.to(images.device, non_blocking=True)
        return geometry.sample(images, geometry.box_to_theta(box)), box

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        images, true = self.make_partial(batch.images)
        t, logit = self(images)
        partial = (geometry.box_area(true) < 3.9999).to(t.dtype)
        number = partial.sum().clamp(min=1)
        wanted = torch.cat([true[:, 2:] - true[:, :2], true[:, 2:] + true[:, :2]], 1) / 2
        regression = ((t - wanted).pow(2).sum(1) * partial).sum() / number  # Eq. 1
        gate = F.binary_cross_entropy_with_logits(logit, partial)
        right = ((logit > 0) == (partial > 0)).float().mean()
        iou = (geometry.box_iou(self.box(t.detach()), true) * partial).sum() / number
        return {"loss": regression + gate, "regression": regression, "gate": gate,
                "accuracy": right, "iou": iou}  # fmt: skip

    def encode(self, images: Tensor) -> Encoding:
        """ "feature" [N, 5]: t and eta; "box" [N, 4]: where ``rectify`` puts the image; "eta"."""
        t, logit = self(images)
        theta, eta = self.gate(t, logit)
        feature = torch.cat([t, eta.unsqueeze(1)], 1)
        return {"feature": feature, "box": geometry.placed_box(theta), "eta": eta}
