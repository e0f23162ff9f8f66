"""torchreid's triplet engine on our model. Runs in torchreid's own environment.

    python peer_train.py ROOT BACKBONE HEIGHT WIDTH STEPS

Prints images/s as JSON; what torchreid says goes to standard error.
"""

import contextlib
import itertools
import json
import sys
import time

import torch
from torchreid.reid.data import ImageDataManager
from torchreid.reid.engine import ImageTripletEngine

from reidlib.models import build

root, backbone, height, width, steps = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
gpu = torch.cuda.is_available()


class Both(torch.nn.Module):
    """Our baseline as torchreid trains models: images in, logits and features out."""

    def __init__(self, num_ids: int) -> None:
        super().__init__()
        self.model = build("baseline", num_ids, backbone=backbone, size=(height, width))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        feature = self.model.pooled(images)
        return self.model.classifier(self.model.neck(feature)), feature


with contextlib.redirect_stdout(sys.stderr):
    manager = ImageDataManager(
        root=root,
        sources="market1501",
        height=height,
        width=width,
        transforms=["random_flip", "random_crop", "random_erase"],
        batch_size_train=64,
        workers=16 if gpu else 2,
        num_instances=4,
        train_sampler="RandomIdentitySampler",
        use_gpu=gpu,
    )
    model = Both(manager.num_train_pids)
    model = model.cuda() if gpu else model
    optimizer = torch.optim.Adam(model.parameters(), 1.5e-3, weight_decay=5e-4)
    engine = ImageTripletEngine(manager, model, optimizer, use_gpu=gpu, label_smooth=True)
    engine.set_model_mode("train")
    loader = itertools.chain.from_iterable(itertools.repeat(manager.train_loader))
    for _ in range(max(1, steps // 10)):
        engine.forward_backward(next(loader))
    start = time.perf_counter()
    for _ in range(steps):
        engine.forward_backward(next(loader))
    seconds = time.perf_counter() - start
print(json.dumps({"images_per_s": 64 * steps / seconds}))
