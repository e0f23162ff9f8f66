"""What each of two processes does that ``test_distributed.py`` starts by torchrun.

python two_processes.py FOLDER: leaves what it found in FOLDER/<rank>.pt, and runs in FOLDER/whole
and FOLDER/double; in the end one process is killed, which leaves half a run in FOLDER/killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reidlib.data import batches
from reidlib.errors import ReidError
from reidlib.system import parallel
from reidlib.system.parallel import with_global_batch_norm
from reidlib.train import build
from reidlib.train import loop as train
from reidlib.train.recipe import Recipe

DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA,
    backbone="tiny",
    size=(64, 32),
    ids_per_batch=4,
    images_per_id=2,
    erasing=0.5,
    shifting=0.5,
    jitter=0.2,
    lr=1e-3,
    steps=6,
)
IN_DOUBLE = {
    "adam": RECIPE,
    "sgd": RECIPE.but(optimizer="sgd"),
    "rmgl": RECIPE.but(model="rmgl", stripes=(2,), steps=3),  # stripes along the batch
}
CPU, DRAW = torch.device("cpu"), batches.Batches.__call__


def in_double(patch: pytest.MonkeyPatch) -> None:
    """Models and images are float64, so that rounding is no excuse."""
    make, draw = build.build_model, batches.Batches.__call__

    def double(self: batches.Batches, step: int) -> batches.Batch:
        batch = draw(self, step)
        return batches.Batch(**{**vars(batch), "images": batch.images.double()})

    patch.setattr(build, "build_model", lambda *given: make(*given).double())
    patch.setattr(batches.Batches, "__call__", double)
    patch.setattr(train, "speed_report", lambda *_: {})


def dying(self: batches.Batches, step: int) -> batches.Batch:
    """Process 1 is killed when it draws the batch of step 4."""
    if step == 4 and parallel.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return DRAW(self, step)


class Net(nn.Module):
    """Both kinds of batch norm, stripes along the batch, and a layer that no loss uses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.neck, self.fc = nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 5)
        self.unused = nn.Linear(2, 2)
        self.double()

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        images, label = batch
        maps = self.bn(self.conv(images)).relu()
        stripes = torch.cat([stripe.mean((2, 3)) for stripe in maps.split(3, 2)])
        logits, labels = self.fc(self.neck(stripes)), label.repeat(len(stripes) // len(label))
        identity = nn.functional.cross_entropy(logits, labels)
        all_of_them = parallel.gather(stripes)
        spread = torch.cdist(all_of_them, all_of_them).add(1).log().mean()  # compares rows
        return {"loss": identity + spread, "spread": spread}


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, 8, 6, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 5, (8,), generator=generator)


def found(net: Net) -> dict[str, Any]:
    """Loss, gradients and running statistics after one step on this process's rows."""
    with_global_batch_norm(net, CPU)
    rows = parallel.rows(8)
    loss = parallel.shared_loss(net)
    losses = loss(tuple(part[rows] for part in batch()))
    losses["loss"].backward()
    return {
        "loss": parallel.mean(losses["loss"].detach()),
        "gradient": {k: v.grad for k, v in net.named_parameters()},
        "state": {k: v.clone() for k, v in net.state_dict().items() if "running" in k},
        "evaluated": net.eval().bn(torch.ones(1, 4, 2, 2, dtype=torch.float64)).detach(),
    }


def main(folder: Path) -> None:
    rank = torch.distributed.get_rank()
    result = found(Net())
    result["agreed"] = parallel.agreed(rank == 0), parallel.agreed(rank == 1)
    for name, call in {
        "shares": lambda: parallel.rows(7),
        "compiled": lambda: train.fit(RECIPE, device="cpu", store=folder, compile="default"),
    }.items():
        try:
            call()
        except ReidError as error:
            result[name] = str(error)
    torch.save(result, folder / f"{rank}.pt")
    options: dict[str, Any] = {"device": "cpu", "progress": False, "checkpoint_seconds": 0}
    train.fit(RECIPE, store=folder / "whole", **options)
    with pytest.MonkeyPatch.context() as patch:
        in_double(patch)
        for recipe in IN_DOUBLE.values():
            train.fit(recipe, store=folder / "double", **options)
    batches.Batches.__call__ = dying  # type: ignore[method-assign]
    train.fit(RECIPE, store=folder / "killed", **options)


if __name__ == "__main__":
    with parallel.joined(cuda=False):
        main(Path(sys.argv[1]))
