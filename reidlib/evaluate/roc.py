"""The ROC curve of a model on a test set (``verification.roc_curve`` from its distances)."""

from __future__ import annotations

import pandas as pd

from reidlib.data import Dataset, ImageBank
from reidlib.evaluate.encode import distance_blocks, encode_split
from reidlib.evaluate.verification import roc_curve
from reidlib.models import ReIDModel


def roc(model: ReIDModel, dataset: Dataset, points: int = 81) -> pd.DataFrame:
    """Columns: fpr, tpr, threshold, num_same, num_different, over all pairs of a query and a
    gallery image of ``dataset`` that its protocol allows, at ``points`` rates."""
    tables = dataset.query, dataset.gallery
    query, gallery = (encode_split(model, ImageBank.from_split(t, model.size)) for t in tables)
    labels = [table[column] for column in ("pid", "cam") for table in tables]
    blocks = distance_blocks(model, query, gallery)
    return roc_curve(blocks, *labels, points=points, protocol=dataset.protocol)
