"""Pairs through STNReID's localization network: the split first layer beside the naive form.

Both make the thetas of every query with every gallery image. Naive: the two images of each pair are
concatenated and taken through the whole network, in the same blocks of pairs. Split: what an image
adds to the first convolution is computed once an image, and added per pair.
"""

from __future__ import annotations

import argparse

import torch
from measure import seconds, verdict
from torch import Tensor

from reidlib.models.base import evaluating
from reidlib.papers.stnreid.model import PAIRS, Localization


def naive(network: Localization, query: Tensor, gallery: Tensor) -> Tensor:
    """Thetas [Q, G, 2, 3], pair by pair."""
    rows = [
        torch.cat([network(one.expand_as(some), some) for some in gallery.split(PAIRS)])
        for one in query
    ]
    return torch.stack(rows)


def split(network: Localization, query: Tensor, gallery: Tensor) -> Tensor:
    """The same from the halves, as ``STNReID.distance`` does it, the halves included."""
    partial, holistic = network.halves(query, "partial"), network.halves(gallery, "holistic")
    rows = []
    for i in range(len(query)):
        blocks = holistic.split(PAIRS, dim=1)
        rows.append(torch.cat([network.from_halves(partial[:, i : i + 1], b) for b in blocks]))
    return torch.stack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--gallery", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for size in ((256, 128), (64, 32)):
        torch.manual_seed(0)
        network = Localization(size)
        network.fc4.weight.data.normal_(std=0.1)  # away from the identity
        query, gallery = (torch.randn(n, 3, *size) for n in (given.queries, given.gallery))
        with evaluating(network):
            slow = seconds(lambda: naive(network, query, gallery), given.repeats)  # noqa: B023
            fast = seconds(lambda: split(network, query, gallery), given.repeats)  # noqa: B023
            gap = (naive(network, query, gallery) - split(network, query, gallery)).abs().max()
        pairs = given.queries * given.gallery
        name = f"{size[0]}x{size[1]}"
        print(f"{name}, {torch.get_num_threads()} threads: {pairs / slow:,.0f} pairs/s naive, "
              f"{pairs / fast:,.0f} split")  # fmt: skip
        verdict(f"{name}: split / naive pairs per second", slow / fast, "at least 2",
                slow / fast >= 2)  # fmt: skip
        verdict(f"{name}: largest difference of a theta x 1e5", gap.item() * 1e5, "at most 1",
                gap.item() <= 1e-5)  # fmt: skip


if __name__ == "__main__":
    main()
