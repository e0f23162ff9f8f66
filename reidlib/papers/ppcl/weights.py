"""Table 1c: the weights of PP-Cycle and PP-Triplet, with GLRec and F as a trained PPCL has them.

The constraints train CRLoc alone, so the sixteen cells need sixteen locators and one F. They are
trained and measured as those of ``decisive``. An optimiser that divides by the size of its
gradients (Adam; the paper names none) sees the ratio of the weights alone, so cells of one ratio
are one network here; the paper prints up to 4.9 points between such cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import torch

from reidlib.data import Dataset
from reidlib.evaluate.compare import bootstrap
from reidlib.evaluate.verdict import Claim, judged
from reidlib.papers.ppcl import decisive
from reidlib.train.store import Run

WEIGHTS = (0.1, 1.0, 10.0, 100.0)
PRINTED = "10, 1"  # lambda_cyc, lambda_tri: optimal in the paper
GRID = {f"{c:g}, {t:g}": {"cycle": c, "maps": t} for c in WEIGHTS for t in WEIGHTS}
AXES = ("lambda_cyc", "lambda_tri")
ERROR = 0.08  # of the detector: the town that F knows


def table(
    runs: Sequence[Run],
    load: Callable[..., Dataset],
    *,
    steps: int = decisive.STEPS,
    test_ids: int = decisive.PROBED,
) -> pd.DataFrame:
    """Every cell of Table 1c, with F and GLRec of ``runs`` (seeds), tidy.

    load: the dataset with the options given. Columns: row, lambda_cyc, lambda_tri, metric (IoU
    with the true region, or mAP in percent among images of 32 people), mean, sd (over seeds), gain
    over ``PRINTED`` with low and high (95 %, people and seeds resampled), probes, people, n
    (seeds).
    """
    town, test = decisive.town_and_probes(load, ERROR, test_ids)
    each = [decisive.values(run, town, test, 0.0, steps, GRID, ("relative",)) for run in runs]
    lines = []
    for metric, scale in decisive.METRICS.items():
        found = scale * torch.stack([one[metric][0] for one in each]).double()  # [S, R, N]
        cells = dict(zip(GRID, found[:, 2:-1].unbind(1), strict=True))
        for name, cell in cells.items():
            gain, seeds = bootstrap(cell, test.query["pid"], minus=cells[PRINTED]), cell.mean(1)
            lines.append({
                "row": name, **dict(zip(AXES, map(float, name.split(", ")), strict=True)),
                "metric": metric, "mean": seeds.mean().item(),
                "sd": seeds.std().item() if len(seeds) > 1 else float("nan"),
                "gain": gain.value, "low": gain.low, "high": gain.high,
                "probes": gain.n, "people": gain.people, "n": len(seeds),
            })  # fmt: skip
    return pd.DataFrame(lines)


def wide(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The means of ``metric`` in percent: lambda_cyc down, lambda_tri across, as printed."""
    some = found[found["metric"] == metric]
    scale = 100 / decisive.METRICS[metric]
    return scale * some.pivot(index=AXES[0], columns=AXES[1], values="mean")


def ratios(cells: pd.DataFrame) -> pd.DataFrame:
    """Of the cells of each ratio of the weights, except the printed one's, the first."""
    ratio = cells[AXES[0]] / cells[AXES[1]]
    first = cells.assign(ratio=ratio.round(6)).drop_duplicates(["metric", "ratio"])
    return first[first["ratio"] != 10].sort_values(["metric", "ratio"])


def claims(found: pd.DataFrame) -> list[Claim]:
    """ "lambda_cyc = 10 and lambda_tri = 1 achieves the optimal performance", asked of the mAP of
    every other ratio."""
    made = []
    for line in ratios(found[found["metric"] == "mAP"]).to_dict("records"):
        other = decisive.gain_of(line)
        gain = other._replace(value=-other.value, low=-other.high, high=-other.low)
        text = f"weights {PRINTED} are better than {line['row']} (mAP)"
        made.append(judged(text, "4.3", gain, "mAP"))
    return made
