"""Partial test sets out of any dataset: a box that keeps a share of the image, known exactly."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from reidlib.data.augment import SIDES, Side, keep_boxes
from reidlib.data.dataset import Dataset, fingerprint_text
from reidlib.errors import ReidError

Box = tuple[float, float, float, float]
IDS = {"partial-reid": 60, "partial-ilids": 119}  # people of the original test sets


def partial_boxes(n: int, *, ratio: tuple[float, float], side: Side, seed: int) -> list[Box]:
    """``n`` boxes that keep a share drawn from U(ratio) of the image; the rest is removed from
    one ``side`` (``"any"``: one of the four, each as likely)."""
    boxes = keep_boxes(n, np.random.default_rng([seed, 0x9A27]), ratio, side)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.tolist()]


def make_partial(
    dataset: Dataset,
    *,
    ratio: tuple[float, float] = (0.4, 0.8),
    role: Literal["query", "gallery", "both"] = "query",
    side: Side = "any",
    seed: int = 0,
) -> Dataset:
    """The dataset with partial images as query, gallery or both.

    ratio: the share of the image's height or width that remains, drawn from U(low, high).
    side: where the rest is removed. The column ``box`` holds what remains, in [-1, 1].
    The protocol (camera filter) stays that of the dataset.
    """
    low, high = ratio
    if not 0 < low <= high <= 1:
        raise ReidError(f"partial: ratio is {ratio}, not 0 < low <= high <= 1")
    if role not in ("query", "gallery", "both"):
        raise ReidError(f'partial: role is "{role}", not "query", "gallery" or "both"')
    if side not in ("any", *SIDES):
        raise ReidError(f'partial: side is "{side}", not "any" or one of {SIDES}')
    if seed < 0:
        raise ReidError(f"partial: seed is {seed}, not at least 0")
    roles = ("query", "gallery") if role == "both" else (role,)

    def cut(table: pd.DataFrame, salt: int) -> pd.DataFrame:
        if "box" in table.columns:
            raise ReidError(f"partial: the images of {dataset.name} are cut out of files already")
        boxes = partial_boxes(len(table), ratio=(low, high), side=side, seed=seed + salt)
        column = pd.Series(boxes, index=table.index, dtype=object)
        return table.assign(box=column)

    salts = {"query": 0, "gallery": 1_000_003}
    tables = {name: cut(getattr(dataset, name), salts[name]) for name in roles}
    how = "partial, cut at the size of training"
    text = f"{dataset.fingerprint}|{how}|{low!r}|{high!r}|{role}|{side}|{seed}"
    name = f"{dataset.name} (partial {role} {low:.0%}-{high:.0%})"
    return dataset.but(name=name, fingerprint=fingerprint_text(text), **tables)


def first_people(dataset: Dataset, n: int | None, *, distractors: bool = False,
                 once: bool = False) -> Dataset:  # fmt: skip
    """The test set of the ``n`` first people alone (None: of all), with their gallery images; with
    ``distractors`` the gallery stays whole. once: of each person and camera one gallery image, for
    methods to which every pair costs."""
    if n is None and not once:
        return dataset
    pids = sorted(set(dataset.query["pid"]) - {-1, 0})[:n]
    few = dataset.query[dataset.query["pid"].isin(pids)].reset_index(drop=True)
    gallery, name = dataset.gallery, f"{dataset.name}, {len(pids)} people"
    if not distractors:
        gallery = gallery[gallery["pid"].isin(pids)]
    if once:
        gallery = gallery[(gallery["pid"] < 1) | ~gallery.duplicated(["pid", "cam"])]
        name += ", one gallery image of each by each camera"
    return dataset.but(name=name, query=few, gallery=gallery.reset_index(drop=True))


def kept(dataset: Dataset, query: float, gallery: float = 1.0, seed: int = 0) -> Dataset:
    """``dataset`` with exactly these shares of its query and gallery images; 1 leaves them whole.

    A share is of one side of an image, and so of its area: the rest goes from one of four sides.

    Raises ReidError for a share outside of (0, 1].
    """
    wanted: tuple[tuple[Literal["query", "gallery"], float], ...] = (
        ("query", query),
        ("gallery", gallery),
    )
    for role, share in wanted:
        if not 0 < share <= 1:
            raise ReidError(f"kept: the share of the {role} is {share}, not in (0, 1]")
        if share < 1:
            dataset = make_partial(dataset, ratio=(share, share), role=role, seed=seed)
    return dataset


def partial_set(
    dataset: Dataset,
    name: str,
    *,
    people: int | None = None,
    probes: int = 2,
    shown: int | None = None,
    groups: int = 1,
    ratio: tuple[float, float] = (0.4, 0.8),
    seed: int = 0,
) -> Dataset:
    """Partial probes and whole gallery images of a dataset's test people, as ``name`` has them.

    "partial-reid": 60 people, ``probes`` (there: 5) probes and ``shown`` (default: as many) gallery
    images of each, cut from any side. "partial-ilids": 119 people, one of each, cut from below, as
    by the luggage there. people: another number of them. Fewer if the dataset has fewer. Probes
    come from its queries, gallery images from its gallery, by other cameras than the probe's where
    there are such; no distractors; protocol "partial" (no camera filter). ratio: the share of width
    or height that remains.

    groups: as many sets of so many people each, none of them twice, are tested one after the other
    (column ``group``): a ranking is as hard as the original's and rests on more people. Only whole
    groups count; with one, no column says so.
    """
    if name not in IDS:
        raise ReidError(f'no partial test set "{name}": there are {", ".join(IDS)}')
    if groups < 1:
        raise ReidError(f"partial_set: groups is {groups}, not at least 1")
    number = people or IDS[name]
    many = probes if name == "partial-reid" else 1
    most = (shown or many) if name == "partial-reid" else 1
    query, gallery = (t[t["pid"] > 0] for t in (dataset.query, dataset.gallery))
    pids = sorted(set(query["pid"]) & set(gallery["pid"]))
    groups = max(1, min(groups, len(pids) // number))
    pids = pids[: groups * number]
    asked, found = [], []
    for pid in pids:
        own = query[query["pid"] == pid].drop_duplicates("cam")[:many]
        others = gallery[gallery["pid"] == pid].drop_duplicates("cam")
        new = ~others["cam"].isin(own["cam"])
        asked.append(own)
        found.append(pd.concat([others[new], others[~new]])[:most])
    tables = {"query": pd.concat(asked), "gallery": pd.concat(found)}
    tables = {key: table.reset_index(drop=True) for key, table in tables.items()}
    tables["query"]["cam"], tables["gallery"]["cam"] = 0, 1
    if groups > 1:
        place = {pid: i // number for i, pid in enumerate(pids)}
        tables = {key: table.assign(group=table["pid"].map(place)) for key, table in tables.items()}
    side: Side = "any" if name == "partial-reid" else "bottom"
    some = dataset.but(protocol="partial", **tables)
    cut = make_partial(some, ratio=ratio, side=side, seed=seed)
    each = f"{groups} times {number}" if groups > 1 else f"{len(pids)}"
    return cut.but(name=f"{dataset.name}, {each} people in the manner of {name}")
