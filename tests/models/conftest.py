"""What the models' tests share."""

import pytest
import torch

from reidlib.data.batches import Batch


@pytest.fixture
def batch(request: pytest.FixtureRequest) -> Batch:
    """4 identities x 2 images of noise, of the test file's SIZE (default: 96x32)."""
    n = 8
    return Batch(
        images=torch.randn(n, 3, *getattr(request.module, "SIZE", (96, 32))),
        label=torch.arange(4).repeat_interleave(2),
        cam=torch.ones(n, dtype=torch.int64),
        index=torch.arange(n),
        theta=torch.eye(2, 3).repeat(n, 1, 1),
    )
