"""Shared fixtures: no test touches the user's cache or runs; real data only where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from reidlib.data.batches import Batch

collect_ignore_glob = ["sixth/*.ipynb"]  # it runs where its paper is put
settings.register_profile("shared", deadline=None)  # the machine's cores are shared out
settings.load_profile("shared")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """``REIDLIB_CACHE`` and ``REIDLIB_RUNS`` in a temporary folder, no ``REIDLIB_PROFILE``."""
    folder = tmp_path_factory.mktemp("reidlib")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLIB_CACHE", str(folder / "cache"))
        patch.setenv("REIDLIB_RUNS", str(folder / "runs"))
        patch.delenv("REIDLIB_PROFILE", raising=False)
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state of torch."""
    torch.manual_seed(0)


def pytest_xdist_auto_num_workers() -> int:
    """Of ``pytest -n auto``: a process a core, but no more than memory is likely to hold."""
    return min(len(os.sched_getaffinity(0)), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notebooks and files with a slow test come first: processes that share files out
    (``--dist loadfile --no-loadscope-reorder``) then end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow and item.path.suffix != ".ipynb")


def _real(folder: str) -> Path:
    """``REIDLIB_DATA`` if it holds ``folder``; without it the test is skipped."""
    root = os.environ.get("REIDLIB_DATA")
    if not root:
        pytest.skip("REIDLIB_DATA is not set: no real data here")
    if not (Path(root) / folder).is_dir():
        pytest.skip(f"REIDLIB_DATA ({root}) holds no {folder}")
    return Path(root)


@pytest.fixture(scope="session")
def market1501_root() -> Path:
    """The folder that holds ``Market-1501-v15.09.15``; without it the test is skipped."""
    return _real("Market-1501-v15.09.15")


@pytest.fixture(scope="session")
def viper_root() -> Path:
    """The folder that holds ``VIPeR``; without it the test is skipped."""
    return _real("VIPeR")


@pytest.fixture(scope="session")
def cuhk03_subset_root() -> Path:
    """The folder that holds ``CUHK03-subset``; without it the test is skipped."""
    return _real("CUHK03-subset")


@pytest.fixture(scope="session")
def mars_root() -> Path:
    """The folder that holds the fixture ``MARS`` (edge drawings, no official set); without it the
    test is skipped."""
    root = _real("MARS")
    if not (root / "MARS" / "NOT_OFFICIAL.txt").is_file():
        pytest.skip(f"{root}/MARS is not the fixture of edge drawings")
    return root


@pytest.fixture(scope="session")
def weights_file() -> Path:
    """MobileNetV2 weights as safetensors; without ``REIDLIB_WEIGHTS_DIR`` the test is skipped."""
    folder = os.environ.get("REIDLIB_WEIGHTS_DIR")
    if not folder:
        pytest.skip("REIDLIB_WEIGHTS_DIR is not set: no weights file here")
    path = Path(folder) / "mobilenet_v2_imagenet.safetensors"
    if not path.is_file():
        pytest.skip(f"REIDLIB_WEIGHTS_DIR ({folder}) holds no {path.name}")
    return path


@pytest.fixture
def batch(request: pytest.FixtureRequest) -> Batch:
    """4 identities x 2 images of noise, of the test file's SIZE (default: 96x32)."""
    n = 8
    return Batch(
        images=torch.randn(n, 3, *getattr(request.module, "SIZE", (96, 32))),
        label=torch.arange(4).repeat_interleave(2),
    )
