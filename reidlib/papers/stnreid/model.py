"""STNReID (Luo et al. 2019): a pairwise spatial transformer before a ReID network.

The transformer sees a partial image and a holistic one and samples of the latter the patch that
corresponds (``affine``); the ReID module compares that patch with the partial image.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.data.augment import partial_crop
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import adaptive_weighted_triplet
from reidlib.models.base import Encoding, ReIDModel, accuracy
from reidlib.models.baseline import Baseline

Partial = Literal["remove", "keep", "vertical"]
PAIRS = 256  # pairs that pass the network at once in a test
COARSE = 1 / 32  # of the height: the Gaussian's sigma where L_STN alone trains
QUERIES, GALLERY = 64, 512  # images whose halves of the first convolution are held at once


class STNReID(ReIDModel):
    """The STN and the ReID module of section 3.1; any backbone.

    Its encoding keeps the images themselves: what a gallery image shows depends on the query.
    """

    head = ("localization.",)  # what ``Recipe.head_lr`` is for; the paper has one rate for all
    pairs_pass = True  # an evaluation with ``amp`` takes affined images through in bfloat16

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (256, 128),
        pretrained: bool = True,
        partial: Partial = "remove",
        label_smoothing: float = 0.1,
        triplet: float = 1.0,
        margin: float = 0.3,
        stn: float = 1.0,
        neck: bool = True,
        frozen_stn: bool = False,
        frozen_reid: bool = False,
        match: Literal["affined", "holistic", "sum"] = "affined",
    ) -> None:
        """pretrained: whether the ReID module starts from ``weights`` ("PT" in Table 2; Ep1 does
        not, whatever a profile gives). partial: how partial images are made of whole ones
        (``augment.partial_crop``). label_smoothing, triplet (weight of its loss, 0 is off), margin:
        of L_R; Table 2 varies the first two. stn: weight of L_STN. neck: batch
        norm before the classifier, as the baseline's. frozen_stn: stage 2, where the STN (its batch
        norm too) does not train. frozen_reid (not the paper's): the ReID module stays as it starts,
        and L_STN alone trains the STN, on blurred images (``COARSE``). match: the test compares the
        partial image with the affined image, with the holistic one ("w/o STN"), or adds both
        distances."""
        super().__init__()
        self.size = size
        weights = weights if pretrained else None
        self.pretrained = pretrained
        self.reid = Baseline(num_ids, backbone=backbone, weights=weights, size=size, neck=neck)
        self.localization = Localization(size)
        self.partial, self.label_smoothing, self.triplet = partial, label_smoothing, triplet
        self.margin, self.stn, self.match = margin, stn, match
        frozen = ((self.localization, frozen_stn), (self.reid, frozen_reid))
        self.frozen = [module.requires_grad_(False).eval() for module, is_so in frozen if is_so]

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"match"}

    @classmethod
    def version(cls, options: Mapping[str, Any]) -> int:
        return 1 if options.get("pretrained", True) else 2  # 2: takes nothing of a baseline either

    def train(self, mode: bool = True) -> STNReID:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def load_start(self, state: Mapping[str, Tensor], model: str, same_people: bool) -> None:
        """Of a run of STNReID the STN, of one of the baseline the ReID module, if that is to be
        pre-trained."""
        if model != "stnreid":
            if self.pretrained:
                self.reid.load_start(state, model, same_people)
            return
        stn = {k: v for k, v in state.items() if k.startswith("localization.")}
        self.load_state_dict({**self.state_dict(), **stn})

    def affine(self, partial: Tensor, holistic: Tensor) -> tuple[Tensor, Tensor]:
        """Images [N, 3, H, W] of N pairs to affined images I_a and thetas [N, 2, 3] (Eq. 1, 2)."""
        with torch.autocast(holistic.device.type, enabled=False):  # half precision misses pixels
            theta = self.localization(partial, holistic)
        return geometry.sample(holistic, theta), theta

    def make_partial(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Partial images [N, 3, H, W] cut out of holistic ones, and the thetas [N, 2, 3] that did.

        Drawn from torch's generator, which training seeds by (seed, step).
        """
        seed = int(torch.randint(2**31, ()))
        theta = partial_crop(len(images), np.random.default_rng(seed), self.partial)
        theta = theta.to(images.device, non_blocking=True)
        return geometry.sample(images, theta), theta

    def pooled(self, images: Tensor) -> Tensor:
        """The ReID module's global features f [N, C] (Eq. 3) of images [N, 3, H, W]."""
        return self.reid.pooled(images)

    def features(self, images: Tensor) -> Tensor:
        """What the test compares [N, C]: those features after the neck."""
        return self.reid.neck(self.pooled(images))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        holistic = batch.images
        partial, true = self.make_partial(holistic)
        affined, theta = self.affine(partial, holistic)
        overlap = geometry.theta_iou(theta.detach(), geometry.theta_to_box(true)).mean()
        if self.reid in self.frozen:
            sigma = COARSE * holistic.shape[2]
            wanted, found = (self.pooled(blurred(x, sigma)).float() for x in (partial, affined))
            stn = (wanted - found).pow(2).sum(1).mean()  # Eq. 5
            return {"loss": stn, "stn": stn, "iou": overlap}
        feature = self.pooled(torch.cat([holistic, partial, affined]))
        logits = self.reid.classifier(self.reid.neck(feature)).float()
        feature = feature.float()
        label = batch.label
        total = feature.new_zeros(())
        parts: dict[str, Tensor] = {}
        identity: list[Tensor] = []
        for kind, f, p in zip(("h", "p", "a"), feature.chunk(3), logits.chunk(3), strict=True):
            loss = F.cross_entropy(p, label, label_smoothing=self.label_smoothing)  # L_ID
            identity.append(loss.detach())
            if self.triplet:
                loss = loss + self.triplet * adaptive_weighted_triplet(f, label, self.margin)
            parts[f"reid_{kind}"] = loss  # Eq. 4
            total = total + loss
        _, f_p, f_a = feature.chunk(3)
        parts["stn"] = (f_p - f_a).pow(2).sum(1).mean()  # Eq. 5, not normalised
        total = total + self.stn * parts["stn"]  # Eq. 6
        parts["iou"] = overlap
        parts["id"] = torch.stack(identity).mean()
        return {"loss": total, "accuracy": accuracy(logits, label.repeat(3)), **parts}

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": self.features(images), "image": images}

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        """1 - cosine [Q, G] between each query and what the STN shows of each gallery image.

        Streamed in blocks of images and of pairs: memory does not grow with Q x G images. Under
        autocast the ReID module alone computes in half precision, not the STN and no cosine.
        """
        kind = query["feature"].device.type
        half = torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False):
            return self._distance(query, gallery, half)

    def _distance(self, query: Encoding, gallery: Encoding, half: bool) -> Tensor:
        if self.match == "holistic":
            return super().distance(query, gallery)
        out = query["feature"].new_empty(len(query["feature"]), len(gallery["feature"]))
        wanted = F.normalize(query["feature"])
        for q in range(0, len(out), QUERIES):
            partial = self.localization.halves(query["image"][q : q + QUERIES], "partial")
            for g in range(0, out.shape[1], GALLERY):
                images = gallery["image"][g : g + GALLERY]
                holistic = self.localization.halves(images, "holistic")
                for i in range(partial.shape[1]):
                    affined = self._affined(partial[:, i : i + 1], holistic, images, half)
                    out[q + i, g : g + len(images)] = 1 - affined @ wanted[q + i]
        return out + super().distance(query, gallery) if self.match == "sum" else out

    def _affined(self, partial: Tensor, holistic: Tensor, images: Tensor, half: bool) -> Tensor:
        """The normalised features [G, D] of what one query's STN shows of ``images``."""
        found = []
        for i in range(0, len(images), PAIRS):
            theta = self.localization.from_halves(partial, holistic[:, i : i + PAIRS])
            affined = geometry.sample(images[i : i + PAIRS], theta)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                feature = self.features(affined)
            found.append(F.normalize(feature.float()))
        return torch.cat(found)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images [N, C, H, W] through a Gaussian of ``sigma`` pixels that ends at their edges."""
    row, column = (_gaussian(n, sigma).to(images) for n in images.shape[2:])
    return row @ images @ column.T


def _gaussian(n: int, sigma: float) -> Tensor:
    """The matrix [n, n] that blurs n pixels in a line; its rows add up to 1."""
    place = torch.arange(n) / sigma
    return (-(place.unsqueeze(1) - place).square() / 2).softmax(1)


CHANNELS = (16, 32)
WIDTHS = (512, 128, 32)  # of FC1 ... FC3; FC4 has six outputs


class Localization(nn.Module):
    """Two convolutions and two poolings, each halving the image, then four linear layers.

    size: (H, W) of the images; FC1's input follows, 4096 at the paper's 256x128. theta starts at
    the identity: FC4 has zero weights and the bias [1, 0, 0, 0, 1, 0] (section 4, "Settings").
    """

    def __init__(self, size: tuple[int, int] = (256, 128)) -> None:
        super().__init__()
        if min(size) < 16:
            raise ReidError(f"an image of {size[0]}x{size[1]} is too small to be halved four times")
        self.size = size
        # the printed padding 1 gives 126x62 where 128x64 is printed; 3 gives it
        self.conv1 = nn.Conv2d(6, CHANNELS[0], 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(*CHANNELS, 3, 2, 1)
        self.bn2 = nn.BatchNorm2d(CHANNELS[1])
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        height, width = (_after_convolutions(length) for length in size)
        widths = (CHANNELS[1] * height * width, *WIDTHS, 6)
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.fc1, self.fc2, self.fc3, self.fc4 = layers
        nn.init.zeros_(self.fc4.weight)
        self.fc4.bias.data.copy_(torch.eye(2, 3).flatten())

    def forward(self, partial: Tensor, holistic: Tensor) -> Tensor:
        """Images [N, 3, H, W] of N pairs to thetas [N, 2, 3]."""
        x = self.bn1(self.conv1(torch.cat([holistic, partial], 1)))  # I_h,p, H x W x 2C
        return self._rest(self.pool1(F.relu(x)))

    def _rest(self, x: Tensor) -> Tensor:
        """From the first pooled maps [N, 16, H / 4, W / 4] to thetas [N, 2, 3]."""
        x = self.flatten(self.pool2(F.relu(self.bn2(self.conv2(x)))))
        for layer in (self.fc1, self.fc2, self.fc3):
            x = F.relu(layer(x))
        return self.fc4(x).unflatten(1, (2, 3))

    def halves(self, images: Tensor, side: str) -> Tensor:
        """What images [N, 3, H, W] add to the first convolution, as ``from_halves`` wants it.

        side: "partial" or "holistic". Returns [4, N, 16, H / 4, W / 4]: the four pixels of each
        pooling window apart, after the batch norm of evaluation, whose shift the holistic side has.
        Raises ReidError in training mode, where batch norm sees whole pairs.
        """
        if self.training:
            raise ReidError("the halves of pairs are for evaluation: call eval() first")
        holistic = side == "holistic"
        mean, variance = self.bn1.running_mean, self.bn1.running_var
        assert mean is not None
        assert variance is not None
        scale = self.bn1.weight / (variance + self.bn1.eps).sqrt()
        kernel = self.conv1.weight[:, :3] if holistic else self.conv1.weight[:, 3:]
        shift = self.bn1.bias + (self.conv1.bias - mean) * scale  # type: ignore[operator]
        x = F.conv2d(images, kernel * scale.reshape(-1, 1, 1, 1), None, 2, 3)
        if holistic:
            x = x + shift.reshape(-1, 1, 1)
        height, width = (length // 2 * 2 for length in x.shape[2:])  # pooling leaves out the rest
        x = x[:, :, :height, :width].unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        return x.permute(3, 5, 0, 1, 2, 4).flatten(0, 1).contiguous()

    def from_halves(self, partial: Tensor, holistic: Tensor) -> Tensor:
        """Thetas [N, 2, 3] of N pairs from their halves; one of both may be a single image's."""
        x = partial[0] + holistic[0]
        for a, b in zip(partial[1:], holistic[1:], strict=True):
            x = torch.maximum(x, a + b)
        return self._rest(x.relu_())


def _after_convolutions(length: int) -> int:
    """Pixels that are left of ``length`` after two strided convolutions and two poolings."""
    for _ in range(2):
        length = (length + 1) // 2  # 7x7 with padding 3, or 3x3 with padding 1, stride 2
        length //= 2
    return length
