"""Evaluation of features that lie on disk: time per distance and memory as the gallery grows.

    python benchmarks/features.py [--queries 3368] [--galleries 50000 5000000] [--folder FOLDER]
    python benchmarks/features.py --workers 2        # the same again on a local Dask cluster

Half-precision features of 512 values in .npy files in a temporary folder (5 GB for five million);
each gallery is scored in a fresh process, as ``python -m reidlib evaluate`` does. ``--workers``:
the queries of the last gallery are shared among as many processes of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import measure
import numpy as np

from reidlib.workbook.evaluation import of_features

DIM, STEP = 512, 50_000


def write(folder: Path, number: int, queries: int) -> None:
    """query.npy, gallery.npy and their labels, in blocks: making them must not need memory."""
    labels = measure.market_labels(number)
    for side, n in (("q", queries), ("g", number)):
        name = {"q": "query", "g": "gallery"}[side]
        pid, cam = labels[f"{side}_pid"][:n], labels[f"{side}_cam"][:n]
        rows = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, (n, DIM))
        for start in range(0, n, STEP):
            part = pid[start : start + STEP]
            made = measure.features(len(part) + 1, DIM, np.append(part, 750), start + len(name))
            rows[start : start + len(part)] = made[: len(part)].numpy()
        rows.flush()
        table = np.stack([pid, cam], 1)
        np.savetxt(folder / f"{name}.csv", table, "%d", ",", header="pid,cam", comments="")


def one(folder: str) -> None:
    """In a fresh process: seconds, peak of the whole process, mAP."""
    rows = [len(np.load(f"{folder}/{side}.npy", mmap_mode="r")) for side in ("query", "gallery")]
    start, cpu = time.perf_counter(), time.process_time()
    result = of_features(folder).metrics
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    million = rows[0] * rows[1] / 1e6
    spent = {"ms": 1000 * seconds / million, "cpu": 1000 * cpu / million}
    print(json.dumps(spent | {"gib": measure.memory("VmHWM"), "mAP": result.mAP}))


def shared(folder: str, workers: int) -> dict[str, float]:
    """The same with the queries shared among the workers of a local Dask cluster."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        os.environ["REIDLIB_SCHEDULER"] = cluster.scheduler_address
        row = measure.again(__file__, "--one", folder)
        del os.environ["REIDLIB_SCHEDULER"]
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--galleries", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--folder", help="where the files are written (and removed again)")
    parser.add_argument("--workers", type=int, help="share the queries among such processes")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one)
    else:
        table = {}
        for number in options.galleries:
            with tempfile.TemporaryDirectory(dir=options.folder) as place:
                write(Path(place), number, options.queries)
                row = table[number] = measure.again(__file__, "--one", place)
                if options.workers and number == options.galleries[-1]:
                    both = shared(place, options.workers)
            print(
                f"{options.queries:,} x {number:,}: {row['ms']:.2f} ms per million distances "
                f"({row['cpu']:.2f} of the processor), peak "
                f"{row['gib']:.2f} GiB of the whole process, mAP {row['mAP']:.6f}",
                flush=True,
            )
        first, last = table[options.galleries[0]], table[options.galleries[-1]]
        ratio = last["cpu"] / first["cpu"]
        measure.verdict(
            "processor time per distance, last / first gallery", ratio, "<= 1.1", ratio <= 1.1
        )
        gib = last["gib"]
        measure.verdict("peak memory at the last (GiB)", gib, "<= 4", gib <= 4)
        if options.workers:
            ratio, same = last["ms"] / both["ms"], last["mAP"] == both["mAP"]
            name = f"time, one process / {options.workers} workers (same mAP: {same})"
            measure.verdict(name, ratio, ">= 1.5", ratio >= 1.5 and same)
