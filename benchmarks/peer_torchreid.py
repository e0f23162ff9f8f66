"""torchreid's ranking or re-ranking of arrays in a folder. Runs in torchreid's own environment.

    python peer_torchreid.py rank|rerank FOLDER

Prints seconds and the peak of memory beyond its inputs as JSON; writes result.npy.
"""

import json
import sys
from pathlib import Path

import numpy as np
from measure import peak_beyond
from torchreid.reid.metrics.rank import evaluate_rank
from torchreid.reid.utils.rerank import re_ranking

task, folder = sys.argv[1], Path(sys.argv[2])


def given(name: str) -> np.ndarray:
    return np.load(folder / f"{name}.npy")


if task == "rank":
    labels = [given(name) for name in ("q_pid", "g_pid", "q_cam", "g_cam")]
    distance = given("distance")
    (cmc, mean), seconds, gib = peak_beyond(lambda: evaluate_rank(distance, *labels, max_rank=50))
    result = np.append(cmc, mean)
else:
    x, number = given("features"), int(given("num_query"))
    square = (x**2).sum(1)
    product = np.maximum(square[:, None] + square - 2 * x @ x.T, 0)
    distance = np.sqrt(product)  # it squares what it is given
    parts = [
        np.ascontiguousarray(part)
        for part in (
            distance[:number, number:],
            distance[:number, :number],
            distance[number:, number:],
        )
    ]
    del product, distance
    result, seconds, gib = peak_beyond(lambda: re_ranking(*parts, k1=20, k2=6, lambda_value=0.3))
np.save(folder / "result.npy", result)
print(json.dumps({"seconds": seconds, "gib": gib}))
