"""Any network as a model: its own mean and deviation, a sentence for what is no feature."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from reidlib.data import load
from reidlib.data.bank import MEAN, STD
from reidlib.errors import ReidError
from reidlib.evaluate import evaluate
from reidlib.models import wrap
from reidlib.models.normalise import Renormalise
from reidlib.models.wrap import load_network


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.fixture
def people(tmp_path):
    """A CSV of 12 small images of noise."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (16, 8, 3), dtype=np.uint8)).save(
            tmp_path / f"{i}.png"
        )
        rows.append((f"{i}.png", 1 + i % 3, i // 3, "query" if i < 3 else "gallery"))
    table = pd.DataFrame(rows, columns=["path", "pid", "cam", "split"])
    table.to_csv(tmp_path / "mine.csv", index=False)
    return load("folder", csv=str(tmp_path / "mine.csv"))


def test_a_wrapped_network_is_evaluated_in_one_line(people):
    net = network()
    metrics = evaluate(wrap(net, size=(16, 8)), people)
    assert metrics.num_valid == 3
    assert net.training  # as it was
    assert (
        evaluate(wrap(lambda x: net.eval()(x), size=(16, 8)), people).as_dict() == metrics.as_dict()
    )
    with pytest.raises(ReidError, match=r"Sequential is no re-identification model: wrap it"):
        evaluate(net, people)


def test_own_mean_and_deviation():
    rgb = torch.rand(2, 3, 4, 4)
    images = (rgb - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
    seen = []
    model = wrap(
        lambda x: seen.append(x) or x.mean((2, 3)), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)
    )
    model.encode(images)
    expected = (rgb - torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)) / torch.tensor(
        [0.1, 0.2, 0.3]
    ).reshape(3, 1, 1)
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=1e-5)
    wrap(lambda x: seen.append(x) or x.mean((2, 3))).encode(images)
    assert seen[1] is images
    with pytest.raises(ReidError, match=r"three each, std above 0"):
        Renormalise((0.5, 0.5, 0.5), (0.1, 0.0, 0.1))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda x: x, r"gives \[2, 3, 4, 4\] for 2 images: it must give features \[N, D\]"),
        (lambda x: (x, x), "gives tuple for 2 images"),
        (lambda x: x.mean((2, 3))[:1], r"gives \[1, 3\] for 2 images"),
    ],
)
def test_what_is_no_feature_is_named(broken, said):
    with pytest.raises(ReidError, match=said):
        wrap(broken).encode(torch.zeros(2, 3, 4, 4))


def test_images_that_a_network_refuses_are_named(tmp_path):
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(6 * 4 * 3, 5)).eval()
    torch.jit.trace(fixed, torch.zeros(2, 3, 6, 4)).save(tmp_path / "net.pt")
    model = load_network(tmp_path / "net.pt", size=(8, 4))
    with pytest.raises(ReidError, match=r"images \[2, 3, 8, 4\] \(.*cannot be mul.*\): give the s"):
        model.encode(torch.zeros(2, 3, 8, 4))
    torch.export.save(torch.export.export(fixed, (torch.zeros(2, 3, 6, 4),)), tmp_path / "net.pt2")
    model = load_network(tmp_path / "net.pt2", trust=True, size=(6, 4))
    with pytest.raises(ReidError, match=r"images \[3, 3, 6, 4\] .* so that the batch may vary"):
        model.encode(torch.zeros(3, 3, 6, 4))
    for wrong in ({"std": (0.1, 0.0, 0.1)}, {"size": (0, 4)}):
        with pytest.raises(ReidError, match=r"std above 0|1 or more"):
            load_network(tmp_path / "net.pt", **wrong)


def test_torchscript_and_exported_networks(tmp_path, people):
    net = network().eval()
    expected = evaluate(wrap(net, size=(16, 8)), people).as_dict()
    images = torch.zeros(4, 3, 16, 8)
    torch.jit.trace(net, images).save(tmp_path / "net.pt")
    assert evaluate(load_network(tmp_path / "net.pt", size=(16, 8)), people).as_dict() == expected
    batch = torch.export.Dim("batch", max=4096)
    torch.export.save(
        torch.export.export(net, (images,), dynamic_shapes=({0: batch},)), tmp_path / "net.pt2"
    )
    with pytest.raises(ReidError, match="can execute code that it holds: if it is your own"):
        load_network(tmp_path / "net.pt2")
    own = load_network(tmp_path / "net.pt2", trust=True, size=(16, 8))
    assert evaluate(own, people).as_dict() == expected


class Bomb:
    def __reduce__(self):
        return (exec, ("open('executed', 'w').write('x')",))


@pytest.mark.parametrize("name", ["net.pt", "net.pth"])
def test_a_pickle_is_refused_and_not_executed(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ReidError, match="is neither TorchScript nor an exported network"):
        load_network(name)
    torch.save(Bomb(), name)
    with pytest.raises(ReidError, match="is neither TorchScript nor an exported network"):
        load_network(name)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(ReidError, match=r"there is no file none.pt"):
        load_network("none.pt")
