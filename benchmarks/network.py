"""A network of timm with random weights, from image files to mAP: our evaluation and torchreid's.

    python benchmarks/network.py ROOT [--network regnetx_002] [--size 128 64]

ROOT holds Market-1501-v15.09.15. Both read the same TorchScript file, each decodes, encodes,
compares and ranks with its own code. Needs timm here, and torchreid's environment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import measure
import timm
import torch

from reidlib.data import load
from reidlib.evaluate import evaluate
from reidlib.models.wrap import load_network


def theirs(root: Path, network: str, size: tuple[int, int], place: Path) -> dict[str, float]:
    """rank-1 and mAP that torchreid's engine finds, unrounded."""
    (place / "market1501").mkdir()
    (place / "market1501" / "Market-1501-v15.09.15").symlink_to(root.resolve())
    script = str(measure.HERE / "peer_network.py")
    command = [measure.peer_python(), "-W", "ignore", script, str(place), network, *map(str, size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--network", default="regnetx_002")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 64), metavar=("H", "W"))
    given = parser.parse_args()
    torch.manual_seed(0)
    network = timm.create_model(given.network, num_classes=0).eval()
    dataset = load("market1501", given.root)
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/network.pt"
        with torch.inference_mode():
            torch.jit.trace(network, torch.zeros(2, 3, *given.size)).save(file)
        ours = evaluate(load_network(file, size=tuple(given.size)), dataset)
        folder = Path(given.root) / "Market-1501-v15.09.15"
        peer = theirs(folder, file, tuple(given.size), Path(place))
    print(f"{given.network}, {given.size[0]}x{given.size[1]}: {ours}; torchreid {peer}")
    for name, value in (("rank-1", ours.rank(1)), ("mAP", ours.mAP)):
        difference = abs(value - peer[name])
        measure.verdict(f"difference of {name} x 1e6", difference * 1e6, "<= 1", difference <= 1e-6)
