"""PPCL (He et al. 2021): rectifies partial images, then compares corresponding regions only.

GLRec puts a partial image back at its place; CRLoc finds, in the feature map of every reference
image, the region that corresponds. CRLoc learns without part labels, from two constraints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.correspondence import cycle_error, negative_regions, part_triplet
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.base import Encoding, ReIDModel, accuracy, init_classifier
from reidlib.models.baseline import Baseline
from reidlib.models.crloc import Correlation, CRLoc, Start
from reidlib.models.face import GlobalDepthwise, Metric, map_shape, metric_distance
from reidlib.models.glrec import RATIO, GLRec, check_ratio, cut_boxes, placed_box, placement
from reidlib.models.region import RegionMean, frame
from reidlib.models.region_depthwise import RegionDepthwise

Rectify = Literal["glrec", "resize", "pad"]
GALLERY = 64  # maps that are matched with all queries at once


class PPCL(ReIDModel):
    """Rectifier (frozen), ReID network F, locator; any backbone.

    ``region`` reads a region of a map (``models.region``); ``make_region`` may give another.
    """

    head = ("locator.",)

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
        alpha: float = 0.3,
        beta: float = 0.5,
        temperature: float = 0.05,
        correlation: Correlation = "cosine",
        locator_start: Start = "region",
        coarse: int = 1,
        ratio: tuple[float, float] = RATIO,
        smooth: float = 0.0,
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
        (``probes.padded_bank`` pads those of a test). locate: whether there is a CRLoc ("+R" has
        none). cycle, triplet: the weights lambda_cyc and lambda_tri; 0 leaves a constraint out.
        alpha, beta: margin and largest overlap of PP-Triplet. temperature, correlation,
        locator_start, coarse: see ``CRLoc``; at the start "region" PP-Cycle is 0, without gradient,
        and holds the locator there.
        ratio, smooth: GLRec's. neck, label_smoothing: of PPCL+. margin: of L_F's triplet loss.
        last_stride: of F's conv5; 2 (the classical network's) gives maps of a quarter of the cells.
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
        self.cycle, self.triplet, self.alpha, self.beta = cycle, triplet, alpha, beta
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
            self.rectifier = GLRec(backbone=backbone, size=size, ratio=ratio, smooth=smooth)
            self.rectifier.requires_grad_(False)
            self.rectifier.eval()
        self.region = self.make_region(self.reid.backbone.out_channels)
        self.locator = None
        if locate:
            self.locator = CRLoc(shape, temperature=temperature, start=locator_start,
                                 correlation=correlation, coarse=coarse)  # fmt: skip

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        return {"metric"}

    def make_region(self, channels: int) -> RegionMean | RegionDepthwise:
        """How a region of a map with so many channels is read."""
        pool = self.reid.pool
        if isinstance(pool, GlobalDepthwise):
            return RegionDepthwise(pool, self.metric)
        return RegionMean(channels)

    def train(self, mode: bool = True) -> PPCL:
        super().train(mode)
        if self.rectifier is not None:
            self.rectifier.eval()
        return self

    def load_start(self, state: Mapping[str, Tensor], model: str) -> None:
        """Of a run of GLRec the rectifier, of one of the baseline the ReID network."""
        if model != "glrec":
            return self.reid.load_start(state, model)
        if self.rectifier is not None:
            self.rectifier.load_state_dict(dict(state))

    def rectify(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """x^r of images [N, 3, H, W] as a test gives them, and the regions [N, 4] of the frame that
        show something."""
        if self.rectifier is None:
            return images, frame(len(images), images.device)
        rectified, theta, _ = self.rectifier.rectify(images)
        return rectified, placed_box(theta)

    def rectify_cut(self, images: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """The same of partial images that show ``box`` [N, 4] of ``images``."""
        partial = geometry.sample(images, geometry.box_to_theta(box))
        if self.rectify_by != "pad":
            return self.rectify(partial)
        half = (box[:, 2:] - box[:, :2]) / 2  # as large as fits, in its proportions, in the middle
        half = half / half.amax(1, keepdim=True)
        window = torch.cat([-half, half], 1)
        return geometry.sample(partial, placement(window)), window

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Algorithm 1. L_R is a constant here: the rectifier is trained and frozen."""
        x, label = batch.images, batch.label
        true = cut_boxes(len(x), self.ratio).to(x.device, non_blocking=True)  # line 5
        rectified, region = self.rectify_cut(x, true)  # Eq. 2
        maps = self.reid.backbone(torch.cat([rectified, x]))  # Eq. 3; y is x in another order
        feature = self.reid.pool(maps).flatten(1)
        if self.locator is not None:  # as the test reads them: of a partial image its region alone
            partial = self.region(maps[: len(x)].float(), region)
            feature = torch.cat([partial, feature[len(x) :].to(partial.dtype)])
        logits = self.reid.classifier(self.reid.neck(feature)).float()
        label = label.repeat(2)
        smoothing = self.reid.label_smoothing
        parts = {
            "id": F.cross_entropy(logits, label, label_smoothing=smoothing),
            "hard_triplet": batch_hard_triplet(feature.float(), label, self.reid.margin),
        }
        total = parts["id"] + parts["hard_triplet"]  # L_F
        if self.locator is not None:
            h_r, h_x = maps.float().chunk(2)
            own = self.constraints(h_r, h_x, region, self.locator)
            total = total + self.cycle * own["pp_cycle"] + self.triplet * own["pp_triplet"]  # Eq. 6
            parts |= own
        parts["iou"] = geometry.box_iou(region, true).mean()
        return {"loss": total, "accuracy": accuracy(logits, label), **parts}

    def constraints(
        self, h_r: Tensor, h_x: Tensor, region: Tensor, locator: CRLoc
    ) -> dict[str, Tensor]:
        """PP-Cycle and PP-Triplet of maps [N, C, h, w] of rectified and of whole images.

        y is drawn by shuffling x (line 3), mostly another person. What goes back from y to x is
        h_y with its found region, at its place, as h_x^r is at its own.
        """
        h_y = h_x[torch.randperm(len(h_x)).to(h_x.device, non_blocking=True)]
        there = locator(h_r, region, h_y)  # Eq. 4
        back = locator(h_y, there, h_x)  # Eq. 5
        other = negative_regions(there, self.beta)  # line 10
        anchor, positive = self.region(h_r, region), self.region(h_y, there)
        negative = self.region(h_y, other)
        return {
            "pp_cycle": cycle_error(back, region).mean(),  # Eq. 11
            "pp_triplet": part_triplet(anchor, positive, negative, self.alpha),  # Eq. 12
        }

    def encode(self, images: Tensor) -> Encoding:
        """ "feature" [N, C]: of the whole rectified image. With a locator also "maps"
        [N, C, h, w], "box" [N, 4]: the region that shows something, and "region" [N, D]: its
        feature."""
        rectified, box = self.rectify(images)
        maps = self.reid.backbone(rectified)
        feature = self.reid.neck(self.reid.pool(maps).flatten(1))
        if self.locator is None:
            return {"feature": feature}
        region = self.reid.neck(self.region(maps.float(), box))
        return {"feature": feature, "maps": maps, "box": box, "region": region}

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        """1 - cosine [Q, G] (or the Euclidean distance) between the query's region and the one
        CRLoc finds in each gallery map; without a locator, of the whole images. In blocks of
        gallery maps and queries."""
        if self.locator is None:
            return metric_distance(query["feature"], gallery["feature"], self.metric)
        wanted, cells = query["region"], self.locator.cells
        out = wanted.new_empty(len(wanted), len(gallery["region"]))
        for g in range(0, out.shape[1], GALLERY):
            maps = gallery["maps"][g : g + GALLERY]
            columns = self.locator.columns(maps)
            prepared = self.region.prepare(maps, self.reid.neck)
            for q in range(0, len(out), GALLERY):
                some = slice(q, q + GALLERY)
                rows, region = self.locator.rows(query["maps"][some]), query["box"][some]
                box = self.locator.pairs(rows, region, columns)
                found = self.region.distance(wanted[some], prepared, box, cells)
                out[some, g : g + len(maps)] = found
        return out

    def regions(self, query: Encoding, reference: Encoding) -> Tensor:
        """The region [N, 4] that CRLoc finds in each reference for the query beside it.

        Raises ReidError without a locator.
        """
        if self.locator is None:
            raise ReidError("this model has no locator: its option locate is false")
        found: Tensor = self.locator(query["maps"], query["box"], reference["maps"])
        return found
