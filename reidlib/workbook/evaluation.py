"""``python -m reidlib evaluate``: what features from anywhere, or a network, are worth.

Features need torch, NumPy and pandas alone; what only images need is imported with them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as F

from reidlib import rerank as reranking
from reidlib.errors import ReidError
from reidlib.evaluate.blocks import Distance, score_features
from reidlib.evaluate.compare import compare, interval
from reidlib.evaluate.features import Features, FeatureSet, in_memory, read
from reidlib.evaluate.metrics import Metrics, hardest_queries, score
from reidlib.system.files import atomic_write

SHOWN = ("mAP", "rank1", "rank5", "rank10", "mINP")
HARDEST = 10


@dataclass(frozen=True)
class Evaluation:
    """``metrics`` of ``what``; ``names`` [Q]: what the queries are called, by ``column``: their
    row in the labels, from 0, or the path of the image."""

    what: str
    metrics: Metrics
    names: np.ndarray
    column: str = "row"


def of_features(
    path: str,
    labels: str | None = None,
    *,
    protocol: str = "market1501",
    distance: Distance = "cosine",
    rerank: bool = False,
    device: str = "cpu",
) -> Evaluation:
    """Features in files (``evaluate.features.read``), scored block by block.

    protocol: as in ``evaluate``; "tracklet" takes the mean of each tracklet's features. rerank:
    k-reciprocal, which holds all features in memory. Without it the queries are shared among the
    workers of the Dask cluster at ``REIDLIB_SCHEDULER``, if that is set; they must find the files
    under the same path. Raises ReidError for what is missing.
    """
    found = read(path, labels)
    if protocol == "tracklet":
        found = _tracklets(found)
    columns = ["cam"] if protocol != "partial" else []
    for side, table in zip(("query", "gallery"), (found.q_table, found.g_table), strict=True):
        for column in columns:
            if column not in table.columns:
                raise ReidError(
                    f'the labels of the {side} have no column "{column}", which protocol '
                    f"{protocol} needs: add it, or use --protocol partial"
                )
    names: dict[str, Any] = {
        f"{side}_{column}": table[column]
        for side, table in (("q", found.q_table), ("g", found.g_table))
        for column in ("pid", *columns)
    }
    rule = "market1501" if protocol == "tracklet" else protocol
    if rerank:
        a, b = (side.tensor().to(device) for side, _ in found.sides)
        if distance == "cosine":
            a, b = F.normalize(a), F.normalize(b)
        metrics = score(reranking.k_reciprocal_blocks(a, b), **names, protocol=rule)
    else:
        options: dict[str, Any] = {"protocol": rule, "distance": distance, "device": device}
        with _workers() as (executor, shares):
            options |= {"executor": executor, "shares": shares}
            metrics = score_features(found.query, found.gallery, **names, **options)
    sizes = f"{len(found.query):,} x {len(found.gallery):,} x {found.query.dim}"
    what = f"{path} ({sizes}, {distance}{', re-ranked' if rerank else ''}, protocol {protocol})"
    return _counting(Evaluation(what, metrics, found.q_table["row"].to_numpy()), protocol)


@contextmanager
def _workers() -> Iterator[tuple[Executor | None, int]]:
    """Who scores, and in how many parts at once: the Dask cluster, or this process."""
    address = os.environ.get("REIDLIB_SCHEDULER")
    if not address:
        yield None, 1
        return
    from reidlib.train.sweep import dask

    with dask(address) as executor:
        yield executor, sum(executor._client.nthreads().values())  # type: ignore[attr-defined]


def _tracklets(found: FeatureSet) -> FeatureSet:
    from reidlib.evaluate.video import plan

    sides: list[Features] = []
    tables = []
    for part, table in found.sides:
        for column in ("cam", "tracklet"):
            if column not in table.columns:
                raise ReidError(f'protocol tracklet needs the column "{column}" in the labels')
        kept = (table["pid"] != -1).to_numpy()
        part, table = part.take(kept), table[kept].reset_index(drop=True)
        planned = plan(table)
        mean = planned.encode(lambda rows, part=part: {"feature": part.take(rows.numpy()).tensor()})
        sides.append(in_memory(mean["feature"]))
        tables.append(planned.table.assign(row=planned.table["tracklet"]))
    return FeatureSet(sides[0], sides[1], tables[0], tables[1])


def of_model(
    name: str,
    data: str,
    root: str | None = None,
    *,
    protocol: str | None = None,
    rerank: bool = False,
    flip: bool = False,
    device: str = "cpu",
    **network: Any,
) -> Evaluation:
    """A stored run (the beginning of its fingerprint, or its folder) or a file that holds a network
    with its code (``models.wrap.load_network``), evaluated on a dataset or on the images of a CSV.

    network: size, mean and std of such a file.
    """
    from reidlib.data import load
    from reidlib.evaluate.retrieval import evaluate
    from reidlib.models.wrap import load_network
    from reidlib.train import store

    if Path(name).is_file() or Path(name).suffix in (".pt", ".pt2", ".pth"):
        model: Any = load_network(name, **network)
    else:
        run = store.find(Path(name).name if Path(name).is_dir() else name)
        model = run.load_model()
    own = data.lower().endswith(".csv")
    dataset = load("folder", root, csv=data) if own else load(data, root)
    metrics = evaluate(model, dataset, protocol=protocol, rerank=rerank, flip=flip, device=device)
    what = f"{name} on {dataset.name} (protocol {protocol or dataset.protocol})"
    kept = np.flatnonzero(dataset.query["pid"] != -1)
    if len(kept) == metrics.num_queries:
        found = Evaluation(what, metrics, dataset.query["path"].to_numpy()[kept], "image")
    else:
        found = Evaluation(what, metrics, np.arange(metrics.num_queries), "tracklet")
    return _counting(found, protocol or dataset.protocol)


def _counting(found: Evaluation, protocol: str) -> Evaluation:
    """Raises ReidError if no query counts, of which nothing can be said."""
    if not found.metrics.num_valid:
        camera = "; if cameras do not matter, --protocol partial" if protocol != "partial" else ""
        seen = " on an image of another camera" if camera else ""
        raise ReidError(
            f"no query of {found.what} has its pid in the gallery{seen}: correct the labels{camera}"
        )
    return found


def summary(found: Evaluation) -> pd.DataFrame:
    """metric, value, low, high in [0, 1]: means and their 95 % intervals over people."""
    rows = []
    for name in SHOWN:
        low, high = interval(found.metrics, name)
        rows.append((name, found.metrics.as_dict()[name], low, high))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high"])


def hardest(found: Evaluation, number: int = HARDEST) -> pd.DataFrame:
    """The queries that did worst, by name."""
    table = hardest_queries(found.metrics, number)
    named = table.assign(**{found.column: found.names[table["query"]]})
    return named[[found.column, "pid", "cam", "ap", "first_hit"]]


def text(found: Evaluation, others: Sequence[Evaluation] = ()) -> str:
    """What the command prints: means with intervals, CMC, hardest queries, paired differences."""
    metrics = found.metrics
    lines = [found.what, f"{metrics.num_valid:,} of {metrics.num_queries:,} queries count", ""]
    for name, value, low, high in summary(found).itertuples(index=False):
        lines.append(f"{name:<7}{100 * value:>7.2f} %   95 % [{100 * low:.2f}, {100 * high:.2f}]")
    ranks = [k for k in (1, 2, 3, 5, 10, 20, 50) if k <= len(metrics.cmc)]
    lines.append("CMC    " + "  ".join(f"{k}: {100 * metrics.rank(k):.2f}" for k in ranks))
    table = hardest(found).to_string(index=False, float_format=lambda value: f"{value:.4g}")
    row = " (row: of the labels, from 0)" if found.column == "row" else ""
    lines += ["", f"hardest queries{row}", table]
    for other in others:
        lines += ["", f"compared with {other.what}: there -> here, 95 % interval"]
        lines += [repr(compare(other.metrics, metrics, name)) for name in ("mAP", "rank1")]
    return "\n".join(lines)


def save(folder: str, found: Evaluation, others: Sequence[Evaluation] = ()) -> None:
    """Writes ``metrics.json`` (means, intervals, CMC, what was evaluated), ``per_query.csv``,
    ``hardest.csv``, and ``compared.csv`` if there is something to compare with."""
    out = Path(folder)
    found.metrics.save(out)
    table = summary(found)
    means = json.loads((out / "metrics.json").read_text()) | {"what": found.what}
    means["interval"] = {
        name: None if low != low else [low, high]
        for name, low, high in zip(table["metric"], table["low"], table["high"], strict=True)
    }
    atomic_write(out / "metrics.json", json.dumps(means, indent=1) + "\n")
    every = hardest(found, found.metrics.num_queries)
    atomic_write(out / "hardest.csv", every.to_csv(index=False))
    rows = [
        (other.what, one.metric, one.a, one.b, one.difference, one.low, one.high, one.num_queries)
        for other in others
        for one in (compare(other.metrics, found.metrics, name) for name in SHOWN)
    ]
    if rows:
        columns = ["other", "metric", "there", "here", "difference", "low", "high", "num_queries"]
        differences = pd.DataFrame(rows, columns=columns)
        atomic_write(out / "compared.csv", differences.to_csv(index=False))
