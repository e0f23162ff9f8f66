"""PPCL (He et al. 2021): rectifies partial images, then compares corresponding regions only.

GLRec puts a partial image back at its place; CRLoc finds, in the feature map of every reference
image, the region that corresponds. CRLoc learns without part labels, from two constraints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.backbone import map_shape
from reidlib.models.base import Encoding, ReIDModel, accuracy, init_classifier, take
from reidlib.models.baseline import Baseline
from reidlib.papers.ppcl.constraints import cycle_error, negative_regions, part_triplet
from reidlib.papers.ppcl.face import GlobalDepthwise, Metric, metric_distance
from reidlib.papers.ppcl.locator import Coordinates, Correlation, CRLoc, Product
from reidlib.papers.ppcl.pooling import (
    Products,
    RegionDepthwise,
    RegionMean,
    frame,
    region_distance,
)
from reidlib.papers.ppcl.rectifier import RATIO, Cut, GLRec, check_ratio, cut_boxes

Rectify = Literal["glrec", "resize", "pad"]
Match = Literal["located", "fixed"]
Compare = Literal["maps", "pooled"]
GALLERY = 256  # maps that are matched with as many queries at once


class PPCL(ReIDModel):
    """Rectifier (frozen), ReID network F, locator; any backbone.

    ``region`` reads a region of a map (``models.region``, ``models.region_depthwise``).
    """

    head = ("reid.classifier.",)

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (256, 128),
        rectify: Rectify = "glrec",
        locate: bool = True,
        cycle: float = 10.0,
        triplet: float = 1.0,
        joint: bool = False,
        alpha: float = 0.3,
        beta: float = 0.5,
        compare: Compare = "maps",
        temperature: float = 0.05,
        correlation: Correlation = "cosine",
        coordinates: Coordinates = "relative",
        coarse: int = 1,
        product: Product = "float32",
        match: Match = "located",
        ratio: tuple[float, float] = RATIO,
        cut: Cut = "side",
        neck: bool = False,
        label_smoothing: float = 0.0,
        margin: float = 0.3,
        last_stride: int = 1,
        pool: Literal["mean", "depthwise"] = "mean",
        width: int = 4096,
        metric: Metric = "cosine",
    ) -> None:
        """rectify: what is done with partial images: GLRec (its weights come from a run of "glrec"
        that the recipe starts from), or they are given as they are, "resize"d or "pad"ded
        (``data.bank.padded_bank`` pads those of a test). locate: whether there is a CRLoc ("+R" has
        none). cycle, triplet: the weights lambda_cyc and lambda_tri; 0 leaves a constraint out.
        joint: whether the two constraints train F too, or CRLoc alone and F by L_F alone ("We train
        the backbone network with loss function L_F", section 3.1).
        alpha, beta: margin and largest overlap of PP-Triplet. compare: its regions' "maps" (Eq.
        12), resampled to one size, or what is "pooled" from them, before the neck.
        temperature, correlation, coordinates, coarse, product: see ``CRLoc``. match: what a test
        reads of the reference: the region that is "located" in it, or one "fixed" where GLRec put
        the partial image, as without a locator. ratio, cut: GLRec's. neck, label_smoothing: of
        PPCL+. margin: of L_F's triplet loss. last_stride: of F's conv5; 2 (the classical network's)
        gives maps of a quarter of the cells.
        pool: how a map or a region is read; on faces by a global depthwise convolution to ``width``
        values (section 5.2), compared by the ``metric`` "euclidean"."""
        super().__init__()
        if pool == "mean" and metric != "cosine":
            raise ReidError(f'ppcl: metric is "{metric}": a mean is compared by "cosine", set pool '
                            'to "depthwise"')  # fmt: skip
        if pool == "depthwise" and neck:
            raise ReidError("ppcl: with pool depthwise the descriptor ends in a batch norm: set "
                            "neck to false")  # fmt: skip
        if locate and not (cycle or triplet):
            raise ReidError("ppcl: cycle and triplet are both 0: the locator would learn nothing, "
                            "set locate to false")  # fmt: skip
        self.size, self.ratio, self.rectify_by = size, check_ratio(ratio), rectify
        self.cut = cut
        self.cycle, self.triplet, self.alpha, self.beta = cycle, triplet, alpha, beta
        self.joint, self.compare = joint, compare
        self.reid = Baseline(num_ids, backbone=backbone, weights=weights, size=size, neck=neck,
                             label_smoothing=label_smoothing, margin=margin,
                             last_stride=last_stride)  # fmt: skip
        self.metric = metric
        shape = map_shape(self.reid.backbone, size)
        if pool == "depthwise":
            self.reid.pool = GlobalDepthwise(self.reid.backbone.out_channels, shape, width)
            self.reid.classifier = init_classifier(nn.Linear(width, num_ids, bias=False))
        self.rectifier = None
        if rectify == "glrec":
            self.rectifier = GLRec(backbone=backbone, size=size, ratio=ratio, cut=cut)
            self.rectifier.requires_grad_(False)
            self.rectifier.eval()
        own = self.reid.pool  # how a region of a map is read
        self.region = RegionDepthwise(own, metric) if pool == "depthwise" else RegionMean()
        self.match = match
        self.locator = None
        if locate:
            self.locator = CRLoc(shape, temperature=temperature, coordinates=coordinates,
                                 correlation=correlation, coarse=coarse,
                                 product=product)  # fmt: skip

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"metric", "match", "product"}

    @classmethod
    def version(cls, options: Mapping[str, Any]) -> int:
        """3: PP-Triplet compares maps and has legal negatives alone; pairs of whole images are
        compared as a whole. 4: regions end with the frame."""
        return 4 if options.get("locate", True) else 1

    def train(self, mode: bool = True) -> PPCL:
        super().train(mode)
        if self.rectifier is not None:
            self.rectifier.eval()
        return self

    def load_start(self, state: Mapping[str, Tensor], model: str, same_people: bool) -> None:
        """Of a run of GLRec the rectifier, of one of the baseline the ReID network."""
        if model != "glrec":
            return self.reid.load_start(state, model, same_people)
        if self.rectifier is not None:
            self.rectifier.load_state_dict(dict(state))

    def check_start(self, models: Sequence[str]) -> None:
        if self.rectifier is not None and "glrec" not in models:
            raise ReidError("ppcl: rectify is glrec, but start names no run of the model glrec: "
                            "name one, or set rectify to resize")  # fmt: skip

    def rectify(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """x^r of images [N, 3, H, W] as a test gives them, and the regions [N, 4] of the frame that
        show something: what GLRec puts beyond the frame is not to be read there.

        The mean over a region that is mostly beyond it would be mostly zeros, which are alike: of
        1,000 gallery images one such was the nearest of 697 queries.
        """
        rectified, place = self.placed(images)
        return rectified, place.clamp(-1, 1)

    def placed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """x^r of images [N, 3, H, W], and where GLRec puts them: boxes [N, 4], which may reach
        beyond the frame."""
        if self.rectifier is None:
            return images, frame(len(images), images.device)
        rectified, theta, _ = self.rectifier.rectify(images)
        return rectified, geometry.placed_box(theta)

    def rectify_cut(self, images: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """The same of partial images that show ``box`` [N, 4] of ``images``."""
        partial = geometry.sample(images, geometry.box_to_theta(box))
        if self.rectify_by != "pad":
            return self.rectify(partial)
        half = (box[:, 2:] - box[:, :2]) / 2  # as large as fits, in its proportions, in the middle
        half = half / half.amax(1, keepdim=True)
        window = torch.cat([-half, half], 1)
        return geometry.sample(partial, geometry.placement(window)), window

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Algorithm 1. L_R is a constant here: the rectifier is trained and frozen. ``own`` is L_L
        (Eq. 13)."""
        x, label = batch.images, batch.label
        true = cut_boxes(len(x), self.ratio, self.cut).to(x.device, non_blocking=True)  # line 5
        rectified, region = self.rectify_cut(x, true)  # Eq. 2
        maps = self.reid.backbone(torch.cat([rectified, x]))  # Eq. 3; y is x in another order
        own: dict[str, Tensor] = {}
        if self.locator is None:
            feature = self.reid.pool(maps).flatten(1)
        else:
            h_r, h_x = maps.float().chunk(2)
            feature, own = self.constraints(h_r, h_x, region, self.locator)
        logits = self.reid.classifier(self.reid.neck(feature)).float()
        label = label.repeat(2)
        smoothing = self.reid.label_smoothing
        parts = {
            "id": F.cross_entropy(logits, label, label_smoothing=smoothing),
            "hard_triplet": batch_hard_triplet(feature.float(), label, self.reid.margin),
        }
        total = parts["id"] + parts["hard_triplet"]  # L_F
        if own:
            total = total + self.cycle * own["pp_cycle"] + self.triplet * own["pp_triplet"]  # Eq. 6
        parts |= own
        parts["iou"] = geometry.box_iou(region, true).mean()
        return {"loss": total, "accuracy": accuracy(logits, label), **parts}

    def constraints(
        self, h_r: Tensor, h_x: Tensor, region: Tensor, locator: CRLoc
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Of maps [N, C, h, w] of rectified and of whole images: features [2N, D] for L_F, as the
        test reads them (of a partial image its region alone), PP-Cycle and PP-Triplet.

        y is drawn by shuffling x (line 3), mostly another person. What goes back from y to x is
        h_y with its found region, at its place, as h_x^r is at its own.
        """
        anchor, whole = self.region(h_r, region), self.region(h_x, frame(len(h_x), h_x.device))
        feature = torch.cat([anchor, whole])
        if not self.joint:
            h_r, h_x, anchor = h_r.detach(), h_x.detach(), anchor.detach()
        h_y = h_x[torch.randperm(len(h_x)).to(h_x.device, non_blocking=True)]
        there = locator(h_r, region, h_y)  # Eq. 4
        back = locator(h_y, there, h_x)  # Eq. 5
        other, legal = negative_regions(there, self.beta)  # line 10
        if self.compare == "maps":
            maps = Products.of(h_r, h_y)
            near, far = (
                region_distance(maps, locator.cells, region, box) for box in (there, other)
            )
        else:
            one = F.normalize(anchor)
            read = [self.region(h_y, box, frozen=not self.joint) for box in (there, other)]
            near, far = ((one - F.normalize(some)).pow(2).sum(1) for some in read)
        return feature, {
            "pp_cycle": cycle_error(back, region).mean(),  # Eq. 11
            "pp_triplet": part_triplet(near, far, legal, self.alpha),  # Eq. 12
        }

    def encode(self, images: Tensor) -> Encoding:
        """ "feature" [N, C]: of the whole rectified image. With a locator also "maps"
        [N, C, h, w], "box" [N, 4]: the region that shows something, "region" [N, D]: its feature,
        and "place" [N, 4]: where GLRec put the image (``placed``)."""
        rectified, place = self.placed(images)
        maps = self.reid.backbone(rectified)
        feature = self.reid.neck(self.reid.pool(maps).flatten(1))
        if self.locator is None:
            return {"feature": feature}
        box = place.clamp(-1, 1)
        region = self.reid.neck(self.region(maps.float(), box))
        return {"feature": feature, "maps": maps, "box": box, "region": region, "place": place}

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        """1 - cosine [Q, G] (or the Euclidean distance) between the region of one image and the one
        that CRLoc finds for it in the other; without a locator, and of two images that the gate
        calls whole, of the whole images.

        The region is the query's; where the query is whole and the gallery image is partial (Table
        3), the gallery image's, and CRLoc searches the query.
        """
        if self.locator is None:
            return metric_distance(query["feature"], gallery["feature"], self.metric)
        # the region of a whole image is all of it
        out = metric_distance(query["region"], gallery["region"], self.metric)
        asks, shows = is_partial(query["box"]), is_partial(gallery["box"])
        for q, g, forward in ((asks, torch.ones_like(shows), True), (~asks, shows, False)):
            rows, columns = q.nonzero(), g.nonzero().flatten()
            if len(rows) and len(columns):
                one, other = take(query, rows.flatten()), take(gallery, columns)
                found = self._search(one, other) if forward else self._search(other, one).T
                out[rows, columns] = found
        return out

    def _search(self, query: Encoding, gallery: Encoding) -> Tensor:
        """``distance`` [Q, G] by the queries' regions. In blocks of gallery maps and queries; what
        depends on queries alone is prepared once."""
        assert self.locator is not None
        cells, blocks, found = self.locator.cells, range(0, len(query["box"]), GALLERY), []
        asked = []
        if self.match == "located":
            parts = [take(query, slice(q, q + GALLERY)) for q in blocks]
            asked = [self.locator.asked(part["maps"], part["box"]) for part in parts]
        for maps in gallery["maps"].split(GALLERY):
            columns = self.locator.columns(maps)
            prepared, rows = self.region.prepare(maps, self.reid.neck), []
            for number, q in enumerate(blocks):
                some = slice(q, q + GALLERY)
                if self.match == "located":
                    box = self.locator.pairs(asked[number], columns)
                else:
                    box = query["box"][some].unsqueeze(1).expand(-1, len(maps), 4)
                rows.append(self.region.distance(query["region"][some], prepared, box, cells))
            found.append(torch.cat(rows))
        return torch.cat(found, 1)

    def regions(self, query: Encoding, reference: Encoding) -> Tensor:
        """The region [N, 4] that CRLoc finds in each reference for the query beside it, in the
        frame of the rectified reference (``in_image`` takes it to the image itself).

        Raises ReidError without a locator.
        """
        if self.locator is None:
            raise ReidError("this model has no locator: its option locate is false")
        found: Tensor = self.locator(query["maps"], query["box"], reference["maps"])
        return found


def is_partial(box: Tensor) -> Tensor:
    """Of which images [N] the rectified one fills a ``box`` [N, 4] and not the frame."""
    return (box - frame(len(box), box.device)).abs().amax(1) > 1e-6


def in_image(box: Tensor, place: Tensor) -> Tensor:
    """What ``box`` [N, 4] of the frame shows of images that were put at ``place`` [N, 4]
    (``PPCL.placed``): a box [N, 4] of the images."""
    return geometry.theta_to_box(
        geometry.compose(geometry.placement(place), geometry.box_to_theta(box))
    )
