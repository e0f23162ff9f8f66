"""A stranger's first numbers: what docs/your-data.md says to type after `git clone`, typed."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reidlib.system.files import root

pytestmark = [pytest.mark.endure, pytest.mark.slow]


@pytest.fixture
def mine(tmp_path):
    """``features/``: ``mine.npy`` and ``mine.csv``; ``images/``: JPEGs and ``mine.csv``."""
    rng = np.random.default_rng(0)
    pid, cam = np.repeat(np.arange(1, 41), 8), np.tile(np.arange(8) // 4, 40)
    split = np.where(np.arange(320) % 4 == 0, "query", "gallery")
    (tmp_path / "features").mkdir()
    features = rng.normal(size=(41, 32))[pid] + rng.normal(size=(320, 32))
    np.save(tmp_path / "features" / "mine.npy", features.astype(np.float16))
    table = pd.DataFrame({"pid": pid, "cam": cam, "split": split})
    table.to_csv(tmp_path / "features" / "mine.csv", index=False)
    (tmp_path / "images").mkdir()
    table["path"] = [f"{i}.jpg" for i in range(320)]
    table.loc[pid <= 20, "split"] = "train"
    table.to_csv(tmp_path / "images" / "mine.csv", index=False)
    for i, name in enumerate(table["path"]):
        pixels = rng.integers(0, 96, (64, 32, 3)) + 4 * pid[i]
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / name)
    return tmp_path


def typed(heading: str) -> str:
    """The first block of commands below a heading of the page."""
    page = (root() / "docs" / "your-data.md").read_text()
    found = re.search(rf"^## {heading}.*?```\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1].replace("THIS_REPOSITORY", str(root()))


def seconds(commands: str, folder: Path) -> tuple[float, str]:
    """Types them in a shell in ``folder`` with nothing of ours but what pip would download."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REIDLIB")}
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    environment |= {"PYTHONPATH": packages, "PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    environment["JUPYTER_PATH"] = f"{sys.prefix}/share/jupyter"  # pip puts it beside the packages
    # what is here already is not downloaded, nor what builds the package
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return time.monotonic() - began, done.stdout


def test_from_own_features_within_five_minutes(mine):
    taken, said = seconds(typed("From git clone to a number from your features"), mine / "features")
    print(f"{taken:.0f} s")
    assert re.search(r"^mAP +\d+\.\d\d %   95 % \[", said, re.MULTILINE)
    assert taken < 300


def test_from_own_images_within_ten_minutes(mine):
    taken, _ = seconds(typed("From git clone to a number from your images"), mine / "images")
    print(f"{taken:.0f} s")
    table = mine / "images" / "reid" / "reports" / "mine" / "tables"
    (metrics,) = table.glob("00_quickstart_metrics*.csv")
    assert len(pd.read_csv(metrics))
    assert taken < 600
