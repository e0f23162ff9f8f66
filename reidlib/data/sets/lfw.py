"""Partial-LFW, built from LFW (Huang et al., 2007) as in PPCL section 5: faces, a test set.

NOTICE: pictures of people in the news, collected from the web without their consent; some are
children. For research on recognition methods only, never for deciding about anybody.
Counts: LFW has 13,233 images of 5,749 people (PPCL prints 7,749). Partial-LFW: the 1,000 people
with the most images; one image each is the holistic gallery, all their others are the queries, each
randomly cropped. The number of queries is not published, so it is not checked.
Protocol: "partial": queries are camera 0, the gallery camera 1, no camera filter.
Where the paper is silent: which image is the gallery (here drawn, seeded), how large the crops are
("proximate area ratio", no numbers; here the kept share of the area is drawn from U(area)), and
their shape and place (here the share goes to height and width at random, the place is uniform).
Layout: ``lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg`` (also ``lfw_funneled``, ``lfw-deepfunneled``,
whose lists ``pairs*.txt`` may lie beside the folders).
Ids: pid is the place of the person in sorted order among those chosen, from 1.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset, warn_counts
from reidlib.data.sets import layout, partial_layout
from reidlib.errors import ReidError
from reidlib.system.paths import data_dir

TITLE = "LFW"
FOLDERS = ("lfw", "lfw_funneled", "lfw-funneled", "lfw-deepfunneled", "LFW")
COUNTS = {"gallery": 1000}
IMAGES, PEOPLE = 13233, 5749  # of the whole set
LIST = re.compile(r"(pairs|people)\w*\.txt", re.ASCII)
PERSON = re.compile(r"[^\W\d_][\w.'-]*")
EXAMPLE = "Aaron_Eckhart_0001.jpg"


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    base = data_dir(root)
    for folder in (base / name for name in FOLDERS):
        if folder.is_dir():
            return folder
    if any(path.is_file() for path in base.glob("*/*_0001.jpg")):
        return base
    raise ReidError(
        f"no {TITLE} below {layout.shown(base)}: expected {FOLDERS[0]}/Aaron_Eckhart/{EXAMPLE}"
    )


def read_people(folder: Path) -> dict[str, list[str]]:
    """Name -> paths of the images, both sorted."""
    found = {}
    for entry in layout.entries(folder, TITLE):
        if LIST.fullmatch(entry.name):
            continue
        path = layout.shown(folder / entry.name)
        if not (PERSON.fullmatch(entry.name) and entry.is_dir()):
            raise ReidError(f"{path} is not a folder of one person's images: move it elsewhere")
        pattern = re.compile(rf"{re.escape(entry.name)}_[0-9]{{4}}\.jpg")
        images = layout.images(folder / entry.name, pattern, TITLE, EXAMPLE)
        found[entry.name] = [path for path, _ in images]
    if not found:
        raise ReidError(f"{layout.shown(folder)} holds no images")
    return found


def random_boxes(
    n: int, area: tuple[float, float], seed: int
) -> list[tuple[float, float, float, float]]:
    """``n`` boxes (x0, y0, x1, y1) in [-1, 1] that keep a share of the area drawn from U(area)."""
    u = np.random.default_rng([seed, 0x1F3]).random((n, 4))
    share = area[0] + (area[1] - area[0]) * u[:, 0]
    height = share ** u[:, 1]  # between the share itself (full width) and 1 (full height)
    width = share / height
    x, y = u[:, 2] * (1 - width), u[:, 3] * (1 - height)
    boxes = 2 * np.stack([x, y, x + width, y + height], axis=1) - 1
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.clip(-1, 1).tolist()]


def load(
    root: Path | None = None,
    *,
    ids: int = 1000,
    area: tuple[float, float] = (0.3, 0.7),
    seed: int = 0,
) -> Dataset:
    """Partial-LFW; see the module's docstring.

    ids: how many people, those with the most images (of equals, the first by name).
    area: low and high of the share of the area that a query keeps. seed: of crops and gallery.
    """
    if not (0 < area[0] <= area[1] <= 1):
        raise ReidError(f"lfw: area is {area}, not 0 < low <= high <= 1")
    if seed < 0 or ids < 1:
        raise ReidError(f"lfw: ids is {ids} and seed {seed}, not at least 1 and 0")
    folder = find_folder(root)
    everybody = read_people(folder)
    total = sum(len(paths) for paths in everybody.values())
    warn_counts(TITLE, {"the folder": total}, {"the folder": IMAGES})
    several = [name for name, paths in everybody.items() if len(paths) > 1]
    if len(several) < ids:
        raise ReidError(
            f"{layout.shown(folder)} has {len(several)} people with two or more images, not {ids}: "
            "fetch the whole set or pass ids="
        )
    chosen = sorted(sorted(several, key=lambda name: (-len(everybody[name]), name))[:ids])
    query, gallery = [], []
    for pid, name in enumerate(chosen, 1):
        paths = everybody[name]
        digest = hashlib.sha256(f"LFW|{seed}|{name}".encode()).digest()
        kept = int.from_bytes(digest[:8], "big") % len(paths)
        gallery.append((paths[kept], pid, partial_layout.WHOLE_CAM))
        rest = paths[:kept] + paths[kept + 1 :]
        query += [(path, pid, partial_layout.PARTIAL_CAM) for path in rest]
    partial, whole = layout.table(query), layout.table(gallery)
    boxes = random_boxes(len(partial), area, seed)
    built = partial_layout.build("lfw", TITLE, folder, partial, whole, COUNTS)
    text = f"{built.fingerprint}|{area[0]!r}|{area[1]!r}|{seed}"
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    column = pd.Series(boxes, index=partial.index, dtype=object)
    return built.but(query=partial.assign(box=column), fingerprint=fingerprint)
