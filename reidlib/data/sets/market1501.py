"""Market-1501 (Zheng et al., ICCV 2015).

Licence: for non-commercial research; may not be passed on. It shows real people filmed in public.
Counts: 12,936 training images of 751 ids; 3,368 queries of 750 other ids; 19,732 gallery images,
of which 13,115 show a query id, 2,798 are distractors (pid 0) and 3,819 junk (pid -1).
Protocol: same id and same camera ignored, junk ignored, distractors kept.
Layout: ``Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}``, file names such as
``0002_c1s1_000451_03.jpg``: id, camera, sequence, frame, box. (A few official names end in
``.jpg.jpg``.)
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlib.data.dataset import Dataset
from reidlib.data.sets import market_layout

TITLE = "Market-1501"
FOLDERS = ("Market-1501-v15.09.15", "market1501", "Market-1501")
COUNTS = {"train": 12936, "query": 3368, "gallery": 19732}
NAME = re.compile(
    r"(?P<pid>-1|\d{4})_c(?P<cam>\d)s(?P<seq>\d)_(?P<frame>\d{6})_\d{2}(\.jpg){1,2}", re.ASCII
)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return market_layout.find_folder(TITLE, root, FOLDERS)


def load(root: Path | None = None) -> Dataset:
    """Market-1501 with its official split; see the module's docstring.

    Missing folders and unknown file names are ReidErrors; counts that differ from the official
    ones are said as a warning that names both.
    """
    folder = find_folder(root)
    example = "0002_c1s1_000451_03.jpg"
    return market_layout.read("market1501", TITLE, folder, NAME, example, COUNTS)
