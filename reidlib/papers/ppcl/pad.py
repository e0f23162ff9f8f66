"""Stand-ins for the two test sets of the papers on partial people, cut out of any test set."""

from __future__ import annotations

import pandas as pd
import torch
from PIL import Image

from reidlib.data import Dataset, ImageBank
from reidlib.data.augment import Side
from reidlib.data.bank import denormalise
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError
from reidlib.geometry import sample
from reidlib.papers.ppcl.rectifier import placement

IDS = {"partial-reid": 60, "partial-ilids": 119}  # of the originals


def partial_set(
    dataset: Dataset,
    name: str,
    *,
    probes: int = 2,
    ratio: tuple[float, float] = (0.4, 0.8),
    seed: int = 0,
) -> Dataset:
    """Partial probes and whole gallery images of a dataset's test people, as ``name`` has them.

    "partial-reid": 60 people, ``probes`` (there: 5) probes and as many gallery images of each, cut
    from any side. "partial-ilids": 119 people, one of each, cut from below, as by the luggage
    there. Fewer people if the dataset has fewer. Probes come from its queries, gallery images from
    its gallery, by other cameras than the probe's where there are such; no distractors; protocol
    "partial" (no camera filter). ratio: the share of width or height that remains.
    """
    if name not in IDS:
        raise ReidError(f'no partial test set "{name}": there are {", ".join(IDS)}')
    many = probes if name == "partial-reid" else 1
    query, gallery = (t[t["pid"] > 0] for t in (dataset.query, dataset.gallery))
    pids = sorted(set(query["pid"]) & set(gallery["pid"]))[: IDS[name]]
    asked, shown = [], []
    for pid in pids:
        own = query[query["pid"] == pid].drop_duplicates("cam")[:many]
        others = gallery[gallery["pid"] == pid].drop_duplicates("cam")
        new = ~others["cam"].isin(own["cam"])
        asked.append(own)
        shown.append(pd.concat([others[new], others[~new]])[:many])
    tables = {"query": pd.concat(asked), "gallery": pd.concat(shown)}
    tables = {key: table.reset_index(drop=True) for key, table in tables.items()}
    tables["query"]["cam"], tables["gallery"]["cam"] = 0, 1
    side: Side = "any" if name == "partial-reid" else "bottom"
    some = dataset.but(protocol="partial", **tables)
    cut = make_partial(some, ratio=ratio, side=side, seed=seed)
    return cut.but(name=f"{dataset.name}, {len(pids)} people in the manner of {name}")


def padded_bank(split: pd.DataFrame, size: tuple[int, int]) -> ImageBank:
    """The images of ``split`` at ``size`` (H, W), each in its own proportions: as large as fits, in
    the middle, the mean colour around it (PPCL's row "Pad"; its model is given these).

    For ``evaluate(..., query_bank=...)``. An image's proportions are those of its file, or of what
    the column ``box`` keeps of it.
    """
    bank = ImageBank.from_split(split, size)
    keep = split["box"] if "box" in split.columns else [(-1.0, -1.0, 1.0, 1.0)] * len(split)
    half = []
    for path, (x0, y0, x1, y1) in zip(split["path"], keep, strict=True):
        with Image.open(path) as image:
            half.append((image.width * (x1 - x0) / size[1], image.height * (y1 - y0) / size[0]))
    shape = torch.tensor(half)
    shape = shape / shape.amax(1, keepdim=True)
    images = bank.images(slice(0, len(split)))
    padded = sample(images, placement(torch.cat([-shape, shape], 1)))
    data = (denormalise(padded) * 255).round().to(torch.uint8)
    return ImageBank(data, split, bank.device, "device")
