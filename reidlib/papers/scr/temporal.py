"""Many ways to pool the same tracklets (SCR, section 4.3): each frame is encoded once for all.

"Different sample size and group number are tested but they do not have a strong effect on results."
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from reidlib.data import Dataset
from reidlib.data.bank import ImageBank
from reidlib.evaluate.encode import encode_split
from reidlib.evaluate.retrieval import Encoded
from reidlib.train.store import Run

MOST = 50_000  # frames of a split whose features are held at once


def score_ways(
    runs: Sequence[Run],
    dataset: Dataset,
    ways: Sequence[Mapping[str, Any]],
    *,
    flip: bool = False,
    amp: bool = False,
    device: torch.device | str = "cpu",
) -> None:
    """Stores what each run scores in each of the ways, for ``Run.evaluate`` to find.

    ways: options of ``Run.evaluate`` that say how tracklets are sampled, pooled and compared. A set
    of more than MOST frames is left to ``Run.evaluate``, which encodes what is sampled alone.
    """
    splits = {"query_bank": dataset.query, "gallery_bank": dataset.gallery}
    options: dict[str, Any] = {"flip": flip, "amp": amp}
    for run in runs:
        todo = [way for way in ways if not run.evaluated(dataset, **options, **way)]
        if not todo or max(map(len, splits.values())) > MOST:
            continue
        model = run.load_model(device)
        encoded = {}
        for name, split in splits.items():
            bank = ImageBank.from_split(split, model.size, device)
            frames = encode_split(model, bank, device=device, only=("feature",), **options)
            encoded[name] = Encoded(frames, model.size)
        for way in todo:
            run.evaluate(dataset, device=device, **options, **way, **encoded)
