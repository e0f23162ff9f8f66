"""Where an evaluation fails: hardest queries, camera pairs, number of matches, distances.

Every question is a function that returns a DataFrame, and a ``plot_`` function that draws it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError, nearest
from reidlib.evaluate.metrics import Metrics, labels_of, refuse_nan, row_blocks, score
from reidlib.evaluate.ranking import candidates

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def hardest_queries(metrics: Metrics, number: int = 20, by: str = "ap") -> pd.DataFrame:
    """The ``number`` valid queries that did worst, worst first.

    ``by``: "ap", "ap_trapezoidal", "inp" or "first_hit"; at a draw, the later first hit is worse.
    Columns: query (row number), then those of ``Metrics.per_query``.
    """
    choices = ("ap", "ap_trapezoidal", "inp", "first_hit")
    if by not in choices:
        raise ReidError(f'cannot sort queries by "{by}"{nearest(by, choices)}')
    table = metrics.per_query.dropna().rename_axis("query").reset_index()
    worst = table.assign(key=-table[by] if by == "first_hit" else table[by])
    worst = worst.sort_values(["key", "first_hit", "query"], ascending=[True, False, True])
    return worst.drop(columns="key").head(number).reset_index(drop=True)


def plot_hardest_queries(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Average precision and rank of the first hit of ``hardest_queries``, one bar a query."""
    ax = _axes(ax)
    names = [f"{q} (pid {p}, cam {c})" for q, p, c in table[["query", "pid", "cam"]].to_numpy(int)]
    place = np.arange(len(table))
    ax.barh(place, 100 * table["ap"])
    for y, ap, first in zip(place, table["ap"], table["first_hit"], strict=True):
        ax.annotate(f" first hit {int(first)}", (100 * ap, y), va="center", fontsize="small")
    ax.set_yticks(place, names, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel("average precision (%)")
    ax.set_ylabel("query")
    return ax


def by_number_of_matches(
    metrics: Metrics, edges: Sequence[int] = (1, 2, 3, 5, 10, 20, 50)
) -> pd.DataFrame:
    """Metrics of the valid queries, grouped by how many true matches the gallery holds for them.

    ``edges``: where groups begin, ascending from 1. Columns: matches ("5-9"), num_queries, rank1,
    mAP, mINP. Groups without a query are left out.
    """
    edges = list(edges)
    if not edges or edges[0] != 1 or sorted(set(edges)) != edges:
        raise ReidError(f"edges are {edges}: they must ascend from 1")
    table = metrics.per_query.dropna()
    ends = [e - 1 for e in edges[1:]]
    names = [str(a) if a == b else f"{a}-{b}" for a, b in zip(edges, ends, strict=False)]
    names.append(f"{edges[-1]} or more")
    group = np.searchsorted(edges, table["num_matches"], side="right") - 1
    rows = []
    for i in np.unique(group).tolist():
        some = table[group == i]
        rank1 = float((some["first_hit"] == 1).mean())
        rows.append([names[i], len(some), rank1, some["ap"].mean(), some["inp"].mean()])
    return pd.DataFrame(rows, columns=["matches", "num_queries", "rank1", "mAP", "mINP"])


def plot_by_number_of_matches(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Rank-1 and mAP against the number of true matches."""
    ax = _axes(ax)
    place = np.arange(len(table))
    ax.bar(place - 0.2, 100 * table["rank1"], width=0.4, label="rank-1")
    ax.bar(place + 0.2, 100 * table["mAP"], width=0.4, label="mAP")
    counts = zip(table["matches"], table["num_queries"], strict=True)
    ax.set_xticks(place, [f"{m}\n(n={n})" for m, n in counts])
    ax.set_xlabel("true matches in the gallery (number of queries)")
    ax.set_ylabel("%")
    ax.legend()
    return ax


def camera_pairs(
    distance: Tensor | Iterable[Tensor], q_pid: Any, g_pid: Any, q_cam: Any, g_cam: Any
) -> pd.DataFrame:
    """Metrics of every pair of query camera and gallery camera, and who is mistaken for whom.

    Arguments as in ``score``, Market-1501 protocol. One row per pair: q_cam, g_cam; num_valid,
    rank1, mAP with the gallery reduced to that camera (NaN where no query has a match there);
    false_first: the share of the camera's queries with a match anywhere whose nearest image in
    the *whole* gallery is wrong and comes from g_cam. The false_first of a row of cameras add up
    to one minus the camera's rank-1.
    """
    q_id, g_id = labels_of(q_pid, "q_pid"), labels_of(g_pid, "g_pid")
    q_c, g_c = labels_of(q_cam, "q_cam", len(q_id)), labels_of(g_cam, "g_cam", len(g_id))
    who = candidates(q_id, g_id, q_c, g_c, "market1501")
    cams = g_c.unique().tolist()
    tables = []
    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        refuse_nan(block, first)
        block = block.cpu()
        rows = slice(first, first + len(block))
        who_here = [x[rows] for x in (who.column, who.right, who.ignored)]
        culprit = _nearest_wrong_camera(block[:, who.keep], g_c[who.keep], *who_here)
        for cam in cams:
            column = torch.nonzero(g_c == cam).flatten()
            labels = (q_id[rows], g_id[column], q_c[rows], g_c[column])
            part = score(block[:, column], *labels).per_query[["cam", "ap", "first_hit"]]
            counts = who.right[rows].any(1).numpy()
            tables.append(part.assign(g_cam=cam, wrong=culprit == cam, counts=counts))
    table = pd.concat(tables, ignore_index=True).rename(columns={"cam": "q_cam"})
    table["hit"] = (table["first_hit"] == 1).astype(float).where(table["first_hit"].notna())
    table["wrong"] = table["wrong"].astype(float).where(table["counts"])
    return (
        table.groupby(["q_cam", "g_cam"])
        .agg(
            num_valid=("ap", "count"),
            rank1=("hit", "mean"),
            mAP=("ap", "mean"),
            false_first=("wrong", "mean"),
        )
        .reset_index()
    )


def _nearest_wrong_camera(
    block: Tensor, cam: Tensor, column: Tensor, right: Tensor, ignored: Tensor
) -> np.ndarray:
    """The camera of the nearest image where it is wrong, else -1; a wrong one wins a draw."""
    own = block.gather(1, column)
    best = (
        own.masked_fill(~right, torch.inf).amin(1) if own.shape[1] else block.new_zeros(len(block))
    )
    wrong = block.clone()
    mine = torch.nonzero(right | ignored)
    wrong[mine[:, 0], column[mine[:, 0], mine[:, 1]]] = torch.inf
    value, place = wrong.min(1)
    number = wrong.shape[1] - (right | ignored).sum(1)
    return torch.where((value <= best) & (number > 0), cam[place], -1).numpy()


def plot_camera_pairs(table: pd.DataFrame, value: str = "mAP", ax: Axes | None = None) -> Axes:
    """A matrix of ``value`` ("rank1", "mAP" or "false_first"), query cameras down."""
    choices = ("rank1", "mAP", "false_first")
    if value not in choices:
        raise ReidError(f'cannot draw "{value}"{nearest(value, choices)}')
    ax = _axes(ax)
    grid = table.pivot(index="q_cam", columns="g_cam", values=value)
    image = ax.imshow(100 * grid.to_numpy())
    for (y, x), number in np.ndenumerate(grid.to_numpy()):
        if not np.isnan(number):
            ax.text(x, y, f"{100 * number:.0f}", ha="center", va="center", color="white")
    ax.set_xticks(range(grid.shape[1]), [str(c) for c in grid.columns])
    ax.set_yticks(range(grid.shape[0]), [str(c) for c in grid.index])
    ax.set_xlabel("gallery camera")
    ax.set_ylabel("query camera")
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, label=f"{value} (%)")
    return ax


def distance_distributions(
    distance: Tensor | Iterable[Tensor],
    q_pid: Any,
    g_pid: Any,
    q_cam: Any,
    g_cam: Any,
    *,
    bins: int = 100,
    limits: tuple[float, float] = (0.0, 2.0),
    protocol: str = "market1501",
) -> pd.DataFrame:
    """How distances of the same and of different persons are distributed.

    Arguments as in ``score``; what it ignores is not counted. ``limits``: of the histogram; the
    default is the range of cosine distances, and what lies outside counts in the outermost bins.
    Columns: distance (middle of the bin), same, different (number of pairs).
    """
    low, high = limits
    if bins < 1 or not low < high:
        raise ReidError(f"bins is {bins}, limits {limits}: need a bin, and limits that ascend")
    q_id, g_id = labels_of(q_pid, "q_pid"), labels_of(g_pid, "g_pid")
    q_c, g_c = labels_of(q_cam, "q_cam", len(q_id)), labels_of(g_cam, "g_cam", len(g_id))
    who = candidates(q_id, g_id, q_c, g_c, protocol)
    same, ignored, every = (torch.zeros(bins) for _ in range(3))

    def count(values: Tensor) -> Tensor:
        return torch.histc(values.clamp(low, high).cpu(), bins, low, high)

    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        refuse_nan(block, first)
        rows = slice(first, first + len(block))
        block = block[:, who.keep].float().cpu()
        own = block.gather(1, who.column[rows])
        same = same + count(own[who.right[rows]]).double()
        ignored = ignored + count(own[who.ignored[rows]]).double()
        every = every + count(block[q_id[rows] != -1]).double()
    edges = np.linspace(low, high, bins + 1)
    return pd.DataFrame(
        {
            "distance": (edges[1:] + edges[:-1]) / 2,
            "same": same.long().numpy(),
            "different": (every - same - ignored).long().numpy(),
        }
    )


def plot_distance_distributions(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Both histograms, each scaled to an area of 1."""
    ax = _axes(ax)
    width = table["distance"].diff().iloc[-1] if len(table) > 1 else 1.0
    for name in ("different", "same"):
        density = table[name] / max(table[name].sum(), 1) / width
        ax.fill_between(table["distance"], density, step="mid", alpha=0.5, label=f"{name} person")
    ax.set_xlabel("distance")
    ax.set_ylabel("density")
    ax.legend()
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained")
    return ax
