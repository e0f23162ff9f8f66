"""Tiny image files, drawn here."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def draw() -> Callable[..., Path]:
    """Writes noise of (H, W) pixels to a file; other seeds, other pixels."""

    def write(path: Path, size: tuple[int, int] = (24, 12), seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def split(tmp_path, draw) -> pd.DataFrame:
    """12 images of 4 identities, PNG and JPEG, of two sizes."""
    rows = []
    for i in range(12):
        name = f"{i:02}.{'png' if i % 2 else 'jpg'}"
        path = draw(tmp_path / "images" / name, (24, 12) if i % 3 else (31, 17), seed=i)
        rows.append((str(path), [7, 3, 20, 9][i // 3], i % 3 + 1))
    return pd.DataFrame(rows, columns=["path", "pid", "cam"])
