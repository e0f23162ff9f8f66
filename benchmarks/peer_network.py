"""torchreid's engine on Market-1501 with any TorchScript network. Runs in its own environment.

    python peer_network.py ROOT NETWORK HEIGHT WIDTH

Prints rank-1 and mAP as JSON; what torchreid says goes to standard error.
"""

import contextlib
import json
import sys

import torch
from torchreid.reid.data import ImageDataManager
from torchreid.reid.engine import ImageSoftmaxEngine

root, network, height, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with contextlib.redirect_stdout(sys.stderr):
    manager = ImageDataManager(
        root=root,
        sources="market1501",
        height=height,
        width=width,
        batch_size_test=100,
        workers=0,
        use_gpu=False,
    )
    model = torch.jit.load(network)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)  # never steps
    engine = ImageSoftmaxEngine(manager, model, optimizer, use_gpu=False)
    loaders = manager.test_loader["market1501"]
    with torch.inference_mode():
        rank1, mean = engine._evaluate(
            query_loader=loaders["query"], gallery_loader=loaders["gallery"], dist_metric="cosine"
        )
print(json.dumps({"rank-1": float(rank1), "mAP": float(mean)}))
