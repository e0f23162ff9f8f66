"""Whether channels gain over rows as boxes get worse (SCR, section 2.2).

"The performance of channel partition is better than that of spatial partition, because semantic
concept-to-concept matching is more robust to misalignment than body part-to-part matching."
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reidlib.data import Dataset
from reidlib.errors import ReidError
from reidlib.evaluate.compare import bootstrap, per_query
from reidlib.evaluate.verdict import Claim, judged, too_short
from reidlib.train.store import Run


def claim(
    sentence: str,
    where: str,
    runs: tuple[Sequence[Run], Sequence[Run]],
    calm: Dataset,
    harsh: Dataset,
    options: Mapping[str, Any],
    metric: str = "mAP",
) -> Claim:
    """A claim that the second runs' gain over the first ones is larger on ``harsh`` than on
    ``calm``: the same people, images and weights, other boxes. Paired by query and by seed.

    runs: of each seed, of the two networks. options: of ``Run.evaluate``. Raises ReidError if the
    two sets do not ask the same queries.
    """
    gains, labels = [], []
    for dataset in (calm, harsh):
        before, after = (
            per_query([run.evaluate(dataset, **options) for run in some], metric) for some in runs
        )
        gains.append(100 * (after.values - before.values))
        labels += [before.labels, after.labels]
    if not all(labels[0].equals(other) for other in labels[1:]):
        raise ReidError("the boxes are not of the same queries: nothing to pair")
    counts = np.isfinite(np.concatenate(gains)).all(0)
    one, two = (gain[:, counts] for gain in gains)
    found = bootstrap(two, labels[0]["pid"].to_numpy()[counts], minus=one)
    shares = {name: [run.chance_share for run in some]
              for name, some in zip(("before", "after"), runs, strict=True)}  # fmt: skip
    note = f"{one.mean():+.1f} -> {two.mean():+.1f}"
    return judged(sentence, where, found, metric, short=too_short(shares), note=note)
