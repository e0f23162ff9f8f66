"""Sets of faces, one folder a person: CASIA-WebFace to train on, LFW to test on."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset, fingerprint_text, warn_counts
from reidlib.data.sets import layout
from reidlib.data.sets.partial import PARTIAL_CAM, WHOLE_CAM, PartialSet
from reidlib.errors import ReidError
from reidlib.system.files import data_dir


def find_folder(
    title: str, root: Path | None, names: tuple[str, ...], pattern: str, example: str
) -> Path:
    """The first folder below ``root`` (or ``REIDLIB_DATA``) that is called one of ``names``, or
    ``root`` itself if it holds what fits ``pattern``."""
    base = data_dir(root)
    for folder in (base / name for name in names):
        if folder.is_dir():
            return folder
    if any(base.glob(pattern)):
        return base
    raise ReidError(f"no {title} below {layout.shown(base)}: expected {names[0]}/{example}")


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


class CASIAWebFace(layout.Reader):
    """CASIA-WebFace (Yi et al., arXiv 1411.7923): faces for training only, as in PPCL section 5.

    NOTICE: its pictures of actors were collected from the web without the people's consent, and it
    is no longer handed out. It is read here only for those who hold it already and may still use
    it, so that published numbers can be checked; never pass it on.
    Licence: was for non-commercial research.
    Counts: 494,414 images of 10,575 ids. PPCL removes the ids that also stand in its test set; no
    list of them is published, so nothing is removed here.
    Protocol: training only, no query and no gallery; test on ``lfw``.
    Layout: ``CASIA-WebFace/0000045/001.jpg``: a folder per id.
    Ids: pid is the place of the folder in sorted order, from 1. There are no cameras: camera 0.
    """

    NAME, TITLE = "casia-webface", "CASIA-WebFace"
    FOLDERS = ("CASIA-WebFace", "CASIA-maxpy-clean", "casia-webface")
    COUNTS: ClassVar = {"train": 494414}
    PERSON = re.compile(r"\d{7}", re.ASCII)
    PATTERN = re.compile(r"\d{3,4}\.jpg", re.ASCII)

    @classmethod
    def find_folder(cls, root: Path | None) -> Path:
        """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
        return find_folder(cls.TITLE, root, cls.FOLDERS, 7 * "[0-9]", "0000045/001.jpg")

    @classmethod
    def load(cls, root: Path | None = None) -> Dataset:
        """CASIA-WebFace, all of it for training; see the card above."""
        folder = cls.find_folder(root)
        rows = []
        for pid, person in enumerate(cls.people(folder), 1):
            found = layout.images(person, cls.PATTERN, cls.TITLE, "001.jpg")
            rows += [(path, pid, 0) for path, _ in found]
        tables = {"train": layout.table(rows), "query": layout.empty(), "gallery": layout.empty()}
        return layout.assemble(cls.NAME, cls.TITLE, tables, folder, cls.COUNTS)

    @classmethod
    def people(cls, folder: Path) -> list[Path]:
        """The folders of the identities, sorted by name."""
        found = []
        for entry in layout.entries(folder, cls.TITLE):
            path = folder / entry.name
            if not (cls.PERSON.fullmatch(entry.name) and entry.is_dir()):
                raise ReidError(
                    f"{layout.shown(path)} is not a folder of one person as in {cls.TITLE} "
                    "(0000045): move it elsewhere"
                )
            found.append(path)
        if not found:
            raise ReidError(f"{layout.shown(folder)} holds no images")
        return found


class LFW(PartialSet):
    """Partial-LFW, built from LFW (Huang et al., 2007) as in PPCL section 5: faces, a test set.

    NOTICE: pictures of people in the news, collected from the web without their consent; some are
    children. For research on recognition methods only, never for deciding about anybody.
    Counts: LFW has 13,233 images of 5,749 people (PPCL prints 7,749). Partial-LFW: the 1,000 people
    with the most images; one image each is the holistic gallery, all their others are the queries,
    each randomly cropped. The number of queries is not published, so it is not checked.
    Protocol: "partial": queries are camera 0, the gallery camera 1, no camera filter.
    Where the paper is silent: which image is the gallery (here drawn, seeded), how large the crops
    are ("proximate area ratio", no numbers; here the kept share of the area is drawn from U(area)),
    and their shape and place (here the share goes to height and width at random, the place is
    uniform).
    Layout: ``lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg`` (also ``lfw_funneled``,
    ``lfw-deepfunneled``, whose lists ``pairs*.txt`` may lie beside the folders).
    Ids: pid is the place of the person in sorted order among those chosen, from 1.
    """

    NAME, TITLE = "lfw", "LFW"
    FOLDERS = ("lfw", "lfw_funneled", "lfw-funneled", "lfw-deepfunneled", "LFW")
    COUNTS: ClassVar = {"gallery": 1000}
    IMAGES = 13233  # of the whole set
    LIST = re.compile(r"(pairs|people)\w*\.txt", re.ASCII)
    PERSON = re.compile(r"[^\W\d_][\w.'-]*")
    EXAMPLE = "Aaron_Eckhart_0001.jpg"

    @classmethod
    def find_folder(cls, root: Path | None) -> Path:
        """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
        example = f"Aaron_Eckhart/{cls.EXAMPLE}"
        return find_folder(cls.TITLE, root, cls.FOLDERS, "*/*_0001.jpg", example)

    @classmethod
    def load(
        cls,
        root: Path | None = None,
        *,
        ids: int = 1000,
        area: tuple[float, float] = (0.3, 0.7),
        seed: int = 0,
    ) -> Dataset:
        """Partial-LFW; see the card above.

        ids: how many people, those with the most images (of equals, the first by name).
        area: low and high of the share of the area that a query keeps. seed: of crops and gallery.
        """
        if not (0 < area[0] <= area[1] <= 1):
            raise ReidError(f"lfw: area is {area}, not 0 < low <= high <= 1")
        if seed < 0 or ids < 1:
            raise ReidError(f"lfw: ids is {ids} and seed {seed}, not at least 1 and 0")
        folder = cls.find_folder(root)
        everybody = cls.read_people(folder)
        total = sum(len(paths) for paths in everybody.values())
        warn_counts(cls.TITLE, {"the folder": total}, {"the folder": cls.IMAGES})
        several = [name for name, paths in everybody.items() if len(paths) > 1]
        if len(several) < ids:
            raise ReidError(
                f"{layout.shown(folder)} has {len(several)} people with two or more images, not "
                f"{ids}: fetch the whole set or pass ids="
            )
        chosen = sorted(sorted(several, key=lambda name: (-len(everybody[name]), name))[:ids])
        probes, gallery = [], []
        for pid, name in enumerate(chosen, 1):
            paths = everybody[name]
            digest = hashlib.sha256(f"LFW|{seed}|{name}".encode()).digest()
            kept = int.from_bytes(digest[:8], "big") % len(paths)
            gallery.append((paths[kept], pid, WHOLE_CAM))
            rest = paths[:kept] + paths[kept + 1 :]
            probes += [(path, pid, PARTIAL_CAM) for path in rest]
        partial, whole = layout.table(probes), layout.table(gallery)
        boxes = random_boxes(len(partial), area, seed)
        built = cls.build(folder, partial, whole)
        text = f"{built.fingerprint}|{area[0]!r}|{area[1]!r}|{seed}|cut at the size of training"
        column = pd.Series(boxes, index=partial.index, dtype=object)
        query = partial.assign(box=column)
        return built.but(query=query, fingerprint=fingerprint_text(text))

    @classmethod
    def read_people(cls, folder: Path) -> dict[str, list[str]]:
        """Name -> paths of the images, both sorted."""
        found = {}
        for entry in layout.entries(folder, cls.TITLE):
            if cls.LIST.fullmatch(entry.name):
                continue
            path = layout.shown(folder / entry.name)
            if not (cls.PERSON.fullmatch(entry.name) and entry.is_dir()):
                raise ReidError(f"{path} is not a folder of one person's images: move it elsewhere")
            pattern = re.compile(rf"{re.escape(entry.name)}_[0-9]{{4}}\.jpg")
            images = layout.images(folder / entry.name, pattern, cls.TITLE, cls.EXAMPLE)
            found[entry.name] = [path for path, _ in images]
        if not found:
            raise ReidError(f"{layout.shown(folder)} holds no images")
        return found
