"""Re-ranking from features: k-reciprocal encoding, and average query expansion.

Z. Zhong, L. Zheng, D. Cao, S. Li: Re-ranking Person Re-identification with k-reciprocal Encoding.
CVPR 2017. The canonical form, exactly, but sparse: of all N = Q + G images only the k1 + 1 nearest
neighbours are kept, found over row blocks; no N x N matrix is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.system.compute import full_precision
from reidlib.system.sparse import Rows, mean_of_rows, sum_of_minima

BLOCK = 2**24  # distances held at once: 64 MB of float32
SIDE, COLUMNS = 512, 2**12  # rows and columns of a product that stays in a core's cache: 8 MB
Features = Tensor | np.ndarray
ROWS, PAIRS = 256, 1024  # images, and pairs of features, handled at once: what fits a cache


def k_reciprocal(
    query: Features, gallery: Features, k1: int = 20, k2: int = 6, lambda_: float = 0.3
) -> Tensor:
    """Re-ranked distances between features.

    ``query`` [Q,D], ``gallery`` [G,D]: tensors or arrays, features as they are compared (normalise
    them first where the distance is cosine). Returns [Q,G] float32 in [0,1]: the Jaccard distance
    of the k-reciprocal encodings plus ``lambda_`` times (d - Jaccard), where d is the squared
    Euclidean distance divided by the query's largest one (Eq. 12). ``k1``: neighbours that must be
    mutual; ``k2``: neighbours whose encodings are averaged (1: none); of fewer images all are
    neighbours. The neighbours are sought on the features' device, the sets are made on the CPU.

    Memory beyond features and result grows with (Q + G) k1, not with (Q + G)².
    Raises ReidError for shapes that do not fit, values that are not finite, or bad parameters.
    """
    result, start = torch.empty(0), 0
    for block in k_reciprocal_blocks(query, gallery, k1, k2, lambda_):
        if not start:
            result = block.new_empty(len(query), len(gallery))
        result[start : start + len(block)] = block
        start += len(block)
    return result


def k_reciprocal_blocks(
    query: Features, gallery: Features, k1: int = 20, k2: int = 6, lambda_: float = 0.3
) -> Iterator[Tensor]:
    """``k_reciprocal`` for galleries whose distances do not fit in memory: blocks [B,G] of its
    rows, in order, as ``evaluate.score`` takes them."""
    features, num_query = _checked(query, gallery), len(query)
    if k1 < 1 or k2 < 1 or not 0 <= lambda_ <= 1:
        raise ReidError(f"k1 {k1} and k2 {k2} must be at least 1, lambda_ {lambda_} in [0, 1]")
    square = features.square().sum(1)
    near, largest = nearest(features, features, square, max(k1 + 1, k2))
    weights = _weights(features, *_reciprocal_sets(near, k1), largest.cpu().numpy())
    if k2 > 1:
        weights = mean_of_rows(weights, near[:, :k2])
    step = max(1, BLOCK // len(gallery))
    for rows, shared in sum_of_minima(weights, num_query, step):
        block = _without_own_square(features[rows], features[num_query:], square[num_query:])
        block.add_(square[rows, None]).clamp_(min=0).mul_(lambda_ / largest[rows, None])
        jaccard = np.divide(shared, 2 - shared, out=shared)  # Eq. 10: minima and maxima sum to 2
        jaccard = np.subtract(1, jaccard, out=jaccard)
        yield block.add_(torch.from_numpy(jaccard).to(block.device), alpha=1 - lambda_)


def average_query_expansion(query: Features, gallery: Features, k: int = 5) -> Tensor:
    """Each query feature averaged with those of its ``k`` most similar gallery images.

    ``query`` [Q,D], ``gallery`` [G,D]; all are L2-normalised first, similarity is the cosine.
    Returns the new query features [Q,D], L2-normalised, float32. (Chum et al., Total Recall, ICCV
    2007, with ranks in place of spatial verification.) Raises ReidError as ``k_reciprocal`` does.
    """
    _checked(query, gallery)
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    if not 1 <= k <= len(gallery):
        raise ReidError(f"k is {k}, there are {len(gallery)} gallery images to average with")
    query, gallery = F.normalize(query.float()), F.normalize(gallery.float())
    step = max(1, BLOCK // len(gallery))
    parts = []
    for rows in query.split(step):
        with full_precision():
            near = (rows @ gallery.T).topk(k, dim=1).indices
        parts.append(F.normalize(rows + gallery[near].sum(1)))
    return torch.cat(parts)


def _checked(query: Features, gallery: Features) -> Tensor:
    """All features [N,D] float32, moved so that their mean is 0: no distance changes, and less is
    lost to rounding when squared norms are subtracted."""
    query, gallery = (torch.as_tensor(side) for side in (query, gallery))
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ReidError(
            f"features must be [Q,D] and [G,D], not {tuple(query.shape)}, {tuple(gallery.shape)}"
        )
    if not len(query) or not len(gallery):
        raise ReidError(f"there are {len(query)} queries and {len(gallery)} gallery images")
    features = torch.cat([query.detach().float(), gallery.detach().float()])
    bad = torch.nonzero(~torch.isfinite(features).all(1)).flatten()
    if len(bad):
        row = int(bad[0])
        side, row = ("query", row) if row < len(query) else ("gallery", row - len(query))
        raise ReidError(f"the feature of {side} image {row} is not finite")
    return features.sub_(features.mean(0))


def nearest(some: Tensor, features: Tensor, square: Tensor, k: int) -> tuple[np.ndarray, Tensor]:
    """The k nearest of all features to each of ``some`` [B,D], found over blocks of both.

    ``square`` [N]: squared norms of the features [N,D]. Returns the neighbours [B,k] by distance,
    equal ones by number, and the largest squared distance of each row [B].
    """
    k, found, largest = min(k, len(features)), [], []
    width = COLUMNS if features.device.type == "cpu" else 2**17
    for rows in some.split(SIDE):
        values, indices, far = [], [], []
        for start in range(0, len(features), width):
            part = slice(start, start + width)
            block = _without_own_square(rows, features[part], square[part])
            far.append(block.amax(1))
            value, index = block.topk(min(k, block.shape[1]), dim=1, largest=False)
            values.append(value)
            indices.append(index + start)
        value, place = torch.cat(values, 1).topk(k, dim=1, largest=False)
        index = torch.cat(indices, 1).gather(1, place)
        order = index.argsort(dim=1)
        again = value.gather(1, order).argsort(dim=1, stable=True)
        found.append(index.gather(1, order.gather(1, again)).cpu())
        own = rows.square().sum(1)
        most = torch.stack(far).amax(0) + own
        largest.append(most.clamp_(min=torch.finfo(most.dtype).tiny))
    return torch.cat(found).numpy(), torch.cat(largest)


def _without_own_square(some: Tensor, features: Tensor, square: Tensor) -> Tensor:
    """Squared Euclidean distances [B,N] less the squared norm of each of ``some`` [B,D], which
    changes no row's order."""
    with full_precision():
        return torch.addmm(square, some, features.T, alpha=-2)


def _mutual(near: np.ndarray) -> np.ndarray:
    """Which neighbours [N,k] have the image among their own k: the reciprocal ones (Eq. 3)."""
    found = np.empty(near.shape, dtype=np.bool_)
    for start in range(0, len(near), ROWS):
        rows = near[start : start + ROWS]
        image = np.arange(start, start + len(rows))[:, None, None]
        found[start : start + ROWS] = (near[rows] == image).any(2)
    return found


def _reciprocal_sets(near: np.ndarray, k1: int) -> tuple[np.ndarray, np.ndarray]:
    """The expanded k-reciprocal sets (Eq. 5) as row starts [N+1] and columns.

    The set of half the size of a reciprocal neighbour joins if more than two thirds of it are
    in the image's own set.
    """
    number = len(near)
    near = near.astype(np.int32)
    full, half = near[:, : k1 + 1], near[:, : round(k1 / 2) + 1]
    own = np.where(_mutual(full), full, -1)
    small = np.where(_mutual(half), half, -2)
    size = (small >= 0).sum(1)
    columns, lengths = [], []
    for start in range(0, number, ROWS):
        mine = own[start : start + ROWS]
        theirs = small[mine]  # [B,k,h]; of -1 anything, removed below
        common = np.zeros(theirs.shape, dtype=np.bool_)
        for member in mine.T:
            common |= theirs == member[:, None, None]
        joins = (mine >= 0) & (3 * common.sum(2) > 2 * size[mine])
        theirs = np.where(joins[:, :, None], theirs, -1).reshape(len(mine), -1)
        merged = np.sort(np.concatenate([mine, theirs], axis=1), axis=1)
        first = np.diff(merged, axis=1, prepend=-1) > 0
        first &= merged >= 0
        columns.append(merged[first])
        lengths.append(first.sum(1))
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]), np.concatenate(columns)


def _weights(features: Tensor, start: np.ndarray, column: np.ndarray, scale: np.ndarray) -> Rows:
    """The encodings (Eq. 7): exp(-d) of the members, each row divided by its sum."""
    owner = np.repeat(np.arange(len(scale)), np.diff(start))
    weight = _squared_distances(features, owner, column)
    weight = np.exp(-weight / scale[owner])
    weight /= np.add.reduceat(weight, start[:-1])[owner]
    return Rows(start, column.astype(np.int64), weight)


def _squared_distances(features: Tensor, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of the pairs ``first[i]``, ``second[i]``: [P] float32."""
    if features.device.type != "cpu":
        a, b = (torch.from_numpy(x.astype(np.int64)).to(features.device) for x in (first, second))
        parts = zip(a.split(2**16), b.split(2**16), strict=True)
        found = [(features[i] - features[j]).square().sum(1) for i, j in parts]
        return torch.cat(found).cpu().numpy()
    out = np.empty(len(first), dtype=np.float32)
    array = features.numpy()
    for start in range(0, len(out), PAIRS):
        some = slice(start, start + PAIRS)
        difference = array[first[some]]
        difference -= array[second[some]]
        np.einsum("pd,pd->p", difference, difference, out=out[some])
    return out
