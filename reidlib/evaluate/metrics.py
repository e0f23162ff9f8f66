"""Retrieval metrics of a distance matrix: CMC, both average precisions, INP, each per query."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError, nearest
from reidlib.evaluate.ranking import Candidates, candidates, match_ranks
from reidlib.system.files import atomic_write

# what tables and figures call a metric that has no name of its own, such as mAP
NAMES = {"rank1": "rank-1", "rank3": "rank-3", "rank5": "rank-5", "rank10": "rank-10"}
BLOCK = 2**22  # distances looked at together: 16 MB of float32
Distances = Tensor | np.ndarray


@dataclass(frozen=True, eq=False)
class Metrics:
    """What one evaluation measured. All values are fractions in [0,1].

    ``cmc`` [max_rank]: share of the valid queries with a true match among the first k images.
    ``mAP``: rectangular average precision, the mean over true matches of precision at their rank.
    ``mAP_trapezoidal``: the original Market-1501 evaluation (Zheng et al. 2015), which averages
    that precision with the one at the rank before. ``mINP`` (Ye et al. 2021): number of true
    matches divided by the rank of the last one. Queries without a true match are in no mean;
    ``num_valid`` of ``num_queries`` have one, and all means are NaN if none has.
    ``per_query``: one row per query in query order with pid, cam, ap, ap_trapezoidal, inp,
    first_hit (1-based rank), num_matches; NaN where the query is not valid.
    """

    cmc: np.ndarray
    per_query: pd.DataFrame

    def rank(self, k: int) -> float:
        """Share of valid queries with a true match among the first ``k``, 1 <= k <= max_rank."""
        if not 1 <= k <= len(self.cmc):
            raise ReidError(f"rank {k} is not in 1..{len(self.cmc)}: score with a larger max_rank")
        return float(self.cmc[k - 1])

    @property
    def mAP(self) -> float:
        return float(self.per_query["ap"].mean())

    @property
    def mAP_trapezoidal(self) -> float:
        return float(self.per_query["ap_trapezoidal"].mean())

    @property
    def mINP(self) -> float:
        return float(self.per_query["inp"].mean())

    @property
    def num_queries(self) -> int:
        return len(self.per_query)

    @property
    def num_valid(self) -> int:
        return int((self.per_query["num_matches"] > 0).sum())

    def as_dict(self) -> dict[str, float]:
        """rank1, 3, 5, 10 (as far as max_rank goes), mAP, mAP_trapezoidal, mINP, counts."""
        ranks = {f"rank{k}": self.rank(k) for k in (1, 3, 5, 10) if k <= len(self.cmc)}
        return ranks | {
            "mAP": self.mAP,
            "mAP_trapezoidal": self.mAP_trapezoidal,
            "mINP": self.mINP,
            "num_valid": self.num_valid,
            "num_queries": self.num_queries,
        }

    def __repr__(self) -> str:
        values = self.as_dict()
        shown = [f"{k} {100 * v:.2f} %" for k, v in values.items() if not k.startswith("num")]
        return f"Metrics({', '.join(shown)}, {self.num_valid} of {self.num_queries} queries)"

    @classmethod
    def joined(cls, parts: Sequence[Metrics]) -> Metrics:
        """Evaluations of different queries as one: every query counts alike."""
        valid = np.array([part.num_valid for part in parts])
        cmc = np.stack([np.nan_to_num(part.cmc) for part in parts])
        mean = (valid @ cmc) / valid.sum() if valid.any() else np.full(cmc.shape[1], np.nan)
        return cls(mean, pd.concat([part.per_query for part in parts], ignore_index=True))

    def save(self, folder: str | Path) -> None:
        """Writes ``metrics.json`` (means and CMC) and ``per_query.csv`` into ``folder``."""
        folder = Path(folder)
        means = {k: None if v != v else v for k, v in self.as_dict().items()}  # NaN is not JSON
        cmc = [None if v != v else v for v in self.cmc.tolist()]
        atomic_write(folder / "per_query.csv", self.per_query.to_csv(index=False))
        atomic_write(folder / "metrics.json", json.dumps(means | {"cmc": cmc}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> Metrics:
        """Reads what ``save`` wrote, without loss. Raises ReidError if it is not there or whole."""
        folder = Path(folder)
        try:
            means = json.loads((folder / "metrics.json").read_text())
            text = (folder / "per_query.csv").read_text()
            table = pd.read_csv(io.StringIO(text), dtype=str).astype(COLUMNS)
            return cls(np.array(means["cmc"], dtype=np.float64), table)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReidError(
                f"no readable metrics in {folder} ({error}): evaluate the run again"
            ) from error


COLUMNS = {
    "pid": "int64",
    "cam": "int64",
    "ap": "float64",
    "ap_trapezoidal": "float64",
    "inp": "float64",
    "first_hit": "float64",
    "num_matches": "int64",
}


def score(
    distance: Distances | Iterable[Distances],
    q_pid: Any,
    g_pid: Any,
    q_cam: Any = None,
    g_cam: Any = None,
    max_rank: int = 50,
    *,
    protocol: str = "market1501",
) -> Metrics:
    """Scores a ranking.

    ``distance``: [Q,G], tensor or array, smaller is more alike, infinity allowed; or an iterable of
    its row blocks [B,G] in query order, so that memory depends on the block. Any floating type,
    taken as it is; on CPU or CUDA. ``q_pid``, ``q_cam`` [Q] and ``g_pid``, ``g_cam`` [G]: integers
    (array, tensor, Series or list). ``protocol``: "market1501" and "cuhk03" (the new protocol)
    ignore gallery images with the query's identity and camera, "partial" has no camera filter.
    Gallery images with pid -1 (junk) are ignored; pid 0 (distractor) stays in the gallery and
    matches nobody. At equal distance a wrong image ranks before a right one.

    Raises ReidError if a length does not fit or a distance is NaN (naming row and column; those
    to junk are not looked at).
    """
    q_id, g_id, q_c, who = labels_and_candidates(q_pid, g_pid, q_cam, g_cam, protocol, max_rank)
    parts = [torch.zeros(0, who.column.shape[1], dtype=torch.long)]
    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        rows = slice(first, first + len(block))
        kept = block[:, who.keep]
        if kept.dtype in (torch.float16, torch.bfloat16):
            kept = kept.float()
        sets = (who.column, who.right, who.ignored)
        rank, known = match_ranks(kept, *(x[rows].to(block.device) for x in sets))
        if not bool((known == kept.shape[1]).all()):
            refuse_nan(block, first)
        parts.append(rank.cpu())
    return metrics_of_ranks(
        torch.cat(parts).numpy(), who.right.sum(1).numpy(), q_id.numpy(), q_c.numpy(), max_rank
    )


def metrics_of_ranks(
    rank: np.ndarray, number: np.ndarray, pid: np.ndarray, cam: np.ndarray, max_rank: int
) -> Metrics:
    """Metrics from the ascending ranks [Q,M] of which the first ``number`` [Q] count."""
    i = np.arange(1, rank.shape[1] + 1)[None, :]
    used = i <= number[:, None]
    precision = np.where(used, i / rank, 0)
    before = np.where(rank > 1, (i - 1) / np.maximum(rank - 1, 1), 1.0)  # 1 above the first rank
    before = np.where(used, before, 0)
    valid = number > 0
    count = np.where(valid, number, np.nan)
    if rank.shape[1]:
        first = np.where(valid, rank[:, 0], np.nan)
        last = np.take_along_axis(rank, np.maximum(number - 1, 0)[:, None], axis=1)[:, 0]
    else:
        first, last = count, np.ones(len(number))
    table = pd.DataFrame(
        {
            "pid": pid,
            "cam": cam,
            "ap": precision.sum(1) / count,
            "ap_trapezoidal": (precision + before).sum(1) / 2 / count,
            "inp": count / last,
            "first_hit": first,
            "num_matches": number,
        }
    )
    cmc = np.full(max_rank, np.nan)
    if valid.any():
        hits = np.bincount(
            np.minimum(first[valid], max_rank + 1).astype(int), minlength=max_rank + 2
        )
        cmc = np.cumsum(hits[1 : max_rank + 1]) / valid.sum()
    return Metrics(cmc, table.astype(COLUMNS))


def labels_and_candidates(
    q_pid: Any, g_pid: Any, q_cam: Any, g_cam: Any, protocol: str, max_rank: int
) -> tuple[Tensor, Tensor, Tensor, Candidates]:
    """What ``score`` is given, checked: the queries' and the gallery's pids, the queries' cameras
    (0 where the protocol needs none), and who matches whom."""
    q_id, g_id = labels_of(q_pid, "q_pid"), labels_of(g_pid, "g_pid")
    cams = protocol == "partial" and q_cam is None and g_cam is None
    q_c = torch.zeros_like(q_id) if cams else labels_of(q_cam, "q_cam", len(q_id))
    g_c = torch.zeros_like(g_id) if cams else labels_of(g_cam, "g_cam", len(g_id))
    if max_rank < 1:
        raise ReidError(f"max_rank is {max_rank}, it must be at least 1")
    return q_id, g_id, q_c, candidates(q_id, g_id, q_c, g_c, protocol)


def hardest_queries(metrics: Metrics, number: int = 20, by: str = "ap") -> pd.DataFrame:
    """The ``number`` valid queries that did worst, worst first.

    ``by``: "ap", "ap_trapezoidal", "inp" or "first_hit"; at a draw, the later first hit is worse.
    Columns: query (row number), then those of ``Metrics.per_query``.
    """
    choices = ("ap", "ap_trapezoidal", "inp", "first_hit")
    if by not in choices:
        raise ReidError(f'cannot sort queries by "{by}"{nearest(by, choices)}')
    table = metrics.per_query.dropna().rename_axis("query").reset_index()
    table["later"] = -table["first_hit"]
    order = [by, "later", "query"] if by != "first_hit" else ["later", "query"]
    worst = table.sort_values(order).drop(columns="later")
    return worst.head(number).reset_index(drop=True)


def labels_of(values: Any, name: str, length: int | None = None) -> Tensor:
    if values is None:
        raise ReidError(f'{name} is missing: only protocol "partial" does without cameras')
    array = np.asarray(values.cpu() if isinstance(values, Tensor) else values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ReidError(f"{name} must be a list of integers, not {array.dtype} {array.shape}")
    if length is not None and len(array) != length:
        raise ReidError(f"{name} has {len(array)} entries, its pid has {length}")
    return torch.tensor(array.astype(np.int64))


def row_blocks(
    distance: Distances | Iterable[Distances], num_query: int, num_gallery: int
) -> Iterator[tuple[int, Tensor]]:
    """Row blocks of bounded size with the number of their first row; checks every shape."""
    first = 0
    step = max(1, BLOCK // max(num_gallery, 1))
    for given in [distance] if isinstance(distance, Distances) else distance:
        rows = torch.from_numpy(given) if isinstance(given, np.ndarray) else given
        if not isinstance(rows, Tensor):
            raise ReidError(
                f"distances are {type(rows).__name__}: give a tensor or an array "
                f"[{num_query},{num_gallery}], or its row blocks"
            )
        if rows.ndim != 2 or rows.shape[1] != num_gallery or first + len(rows) > num_query:
            raise ReidError(
                f"distances from row {first} on have shape {tuple(rows.shape)}, "
                f"but there are {num_query} queries and {num_gallery} gallery images"
            )
        if not rows.is_floating_point():
            raise ReidError(f"distances must be floating point, not {rows.dtype}")
        for start in range(0, len(rows), step):
            yield first + start, rows[start : start + step].detach()
        first += len(rows)
    if first != num_query:
        raise ReidError(f"distances have {first} rows, but there are {num_query} queries")


def refuse_nan(block: Tensor, first: int) -> None:
    """Raises ReidError naming the first NaN of ``block``, whose first row is row ``first``."""
    where = torch.isnan(block).nonzero()
    if len(where):
        row, column = where[0].tolist()
        raise ReidError(
            f"the distance of query row {first + row} and gallery column {column} is NaN: "
            "check the features of both images"
        )
