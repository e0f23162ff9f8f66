"""Our k-reciprocal re-ranking and torchreid's, on the same features: time, memory, result.

    python benchmarks/rerank.py [--market ROOT]
    python benchmarks/rerank.py --scale 500000          # neighbours searched for a sample only
    python benchmarks/rerank.py --scale 500000 --whole --dim 128    # to its end

Generated features of Market-1501's size without junk (3,368 + 15,913, 512-d), or features made
from the real dataset's pixels. Time and memory are those beyond the product of all pairs: that is
torchreid's input, so it is not counted for it, and its time is taken off ours (we never hold it).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch

from reidlib import rerank
from reidlib.evaluate import score


def ours(path: str, num_query: int) -> None:
    """In a fresh process: seconds of the product alone and of all, peak beyond the features."""
    x = torch.from_numpy(np.load(path))
    rerank.k_reciprocal(x[:64], x[64:512])  # whatever is set up once

    def product() -> None:
        for rows in x.split(rerank.BLOCK // len(x)):
            rows @ x.T

    alone = measure.seconds(product, 3)
    result, seconds, gib = measure.peak_beyond(
        lambda: rerank.k_reciprocal(x[:num_query], x[num_query:])
    )
    for _ in range(2):
        again = measure.seconds(lambda: rerank.k_reciprocal(x[:num_query], x[num_query:]))
        seconds, alone = min(seconds, again), min(alone, measure.seconds(product))
    np.save(Path(path).with_name("ours.npy"), result.numpy())
    print(json.dumps({"product": alone, "seconds": seconds, "gib": gib}))


def compare(x: torch.Tensor, labels: dict[str, np.ndarray]) -> None:
    number = len(labels["q_pid"])
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", x.numpy())
        mine = measure.again(__file__, "--ours", f"{folder}/x.npy", str(number))
        result = np.load(f"{folder}/ours.npy")
    given = {"features": x.numpy(), "num_query": np.array(number)}
    peer, expected = measure.torchreid("rerank", given)
    beyond = mine["seconds"] - mine["product"]
    print(
        f"{number} + {len(x) - number} images, {x.shape[1]}-d: product of all pairs "
        f"{mine['product']:.2f} s, ours with it {mine['seconds']:.2f} s and {mine['gib']:.2f} GiB, "
        f"torchreid without it {peer['seconds']:.2f} s and {peer['gib']:.2f} GiB"
    )
    plain = score(1 - x[:number] @ x[number:].T, **labels)
    both = [score(torch.from_numpy(d), **labels) for d in (result, expected)]
    print(f"mAP {plain.mAP:.6f}, re-ranked {both[0].mAP:.6f}, by torchreid {both[1].mAP:.6f}")
    difference = np.abs(result - expected)
    ratio = peer["seconds"] / beyond
    measure.verdict("time, torchreid / ours", ratio, ">= 10", ratio >= 10)
    ratio = peer["gib"] / mine["gib"]
    measure.verdict("peak memory, torchreid / ours", ratio, ">= 8", ratio >= 8)
    share = float((difference <= 1e-6).mean())
    print(f"largest difference {difference.max():.2e}; {100 * share:.5f} % within 1e-6")
    worst = abs(both[0].mAP - both[1].mAP)
    measure.verdict("difference of mAP x 1e6", worst * 1e6, "<= 1", worst <= 1e-6)


def generated() -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    labels = measure.market_labels(15913)
    query = measure.features(3368, 512, labels["q_pid"], seed=1, noise=2.5)
    gallery = measure.features(15913, 512, labels["g_pid"], seed=2, noise=2.5)
    return torch.cat([query, gallery]), labels


def market(root: str) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    from reidlib.data import ImageBank, load

    data = load("market1501", root)
    gallery = data.gallery[data.gallery.pid != -1]
    sides = []
    for split in (data.query, gallery):
        bank = ImageBank.from_split(split, (32, 16))
        pixels = bank.images(slice(0, len(bank))).reshape(len(bank), 3, 16, 2, 8, 2)
        sides.append(torch.nn.functional.normalize(pixels.mean((3, 5)).flatten(1)))
    names = (("q", data.query), ("g", gallery))
    labels = {f"{n}_{c}": table[c].to_numpy() for n, table in names for c in ("pid", "cam")}
    return torch.cat(sides), labels


QUERIES, EACH, SAMPLE = 3368, 100, 1024


def scattered(number: int, dim: int) -> tuple[torch.Tensor, np.ndarray]:
    """Features, EACH around each of many points, mixed, and whose they are."""
    x = torch.empty(number, dim)
    for rows in torch.arange(number).split(500 * EACH):  # making them must not be the peak
        random = torch.Generator().manual_seed(int(rows[0]))
        centre = 2 * torch.randn(len(rows) // EACH, dim, generator=random)
        x[rows] = torch.randn(len(rows), dim, generator=random).add_(
            centre.repeat_interleave(EACH, 0)
        )
    order = np.random.default_rng(0).permutation(number)
    return torch.nn.functional.normalize(x)[order], order // EACH


def scale(num_gallery: int, whole: bool, dim: int) -> None:
    """Seconds of the processor: of one core, with OMP_NUM_THREADS=1.

    Unless ``whole``, the neighbours are searched for a sample, in blocks as large as those of all,
    and those of the others are made from what is known of the features; the rest is done as a
    whole.
    """
    number = (QUERIES + num_gallery) // EACH * EACH
    x, pid = scattered(number, dim)
    cam = np.random.default_rng(1).integers(0, 6, number)
    search, spent = rerank.nearest, dict[str, float]()

    def known(
        some: torch.Tensor, features: torch.Tensor, square: torch.Tensor, k: int
    ) -> tuple[np.ndarray, torch.Tensor]:
        start = time.process_time()
        sample, largest = search(some if whole else some[:SAMPLE], features, square, k)
        spent["search"] = time.process_time() - start
        near = np.empty((number, k), np.int64)
        for members in np.argsort(pid, kind="stable").reshape(-1, EACH):
            apart = torch.cdist(features[members], features[members])
            near[members] = members[apart.argsort(dim=1, stable=True)[:, :k].numpy()]
        spent["same"] = float((near[: len(sample)] == sample).mean())
        spent["known"] = time.process_time() - start
        return (sample, largest) if whole else (near, largest.amax().expand(number))

    rerank.nearest = known
    start = time.process_time()
    blocks = rerank.k_reciprocal_blocks(x[:QUERIES], x[QUERIES:])
    labels = {"q_pid": pid[:QUERIES] + 1, "g_pid": pid[QUERIES:] + 1}
    result = score(blocks, **labels, q_cam=cam[:QUERIES], g_cam=cam[QUERIES:])
    rest = time.process_time() - start - spent["known"]
    rerank.nearest = search
    gib = measure.memory("VmHWM")
    searched = number if whole else SAMPLE
    print(
        f"{QUERIES:,} + {number - QUERIES:,}, {dim}-d: mAP {result.mAP:.6f}; neighbours of "
        f"{searched:,} {spent['search']:.1f} s ({100 * spent['same']:.2f} % as known), so of all "
        f"{spent['search'] * number / searched / 60:.1f} minutes; the rest {rest:.0f} s",
        flush=True,
    )
    measure.verdict("peak memory, features included (GiB)", gib, "<= 8", gib <= 8)
    try:
        import faiss
    except ImportError:
        return
    if not whole:
        beside_faiss(faiss, x)


def beside_faiss(faiss: Any, x: torch.Tensor) -> None:
    """The search of the neighbours, and of the largest distance, which re-ranking divides by:
    ours finds both in one pass; the latter is a search of its own in faiss, as an inner product."""
    some, square = x[:SAMPLE], x.square().sum(1)
    near, far = faiss.IndexFlatL2(x.shape[1]), faiss.IndexFlatIP(x.shape[1] + 1)
    near.add(x.numpy())
    far.add(torch.cat([x, square[:, None]], 1).numpy())
    turned = torch.cat([-2 * some, torch.ones(len(some), 1)], 1).numpy()
    seconds = dict.fromkeys(("ours", "faiss, neighbours", "faiss, largest distance"), float("inf"))
    parts = (
        lambda: rerank.nearest(some, x, square, 21),
        lambda: near.search(some.numpy(), 21),
        lambda: far.search(turned, 1),
    )
    for _ in range(3):
        for name, part in zip(seconds, parts, strict=True):
            start = time.process_time()
            part()
            seconds[name] = min(seconds[name], time.process_time() - start)
    print(f"faiss {faiss.__version__}, {SAMPLE:,} of {len(x):,} images:", end=" ")
    print(", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, metavar="GALLERY")
    parser.add_argument("--whole", action="store_true", help="search the neighbours of all images")
    parser.add_argument("--dim", type=int, default=512, help="values of a feature, with --scale")
    parser.add_argument("--market", metavar="ROOT")
    parser.add_argument("--ours", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scale:
        scale(options.scale, options.whole, options.dim)
    elif options.ours:
        ours(options.ours[0], int(options.ours[1]))
    else:
        compare(*(market(options.market) if options.market else generated()))
