"""Pre-trained weights: all of a file or nothing, and no code out of it."""

import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import WeightsEnum, resnet18

from reidlib.errors import ReidError
from reidlib.models.backbone import build_backbone
from reidlib.models.weights import load_weights, read_weights


class Net(nn.Module):
    """A backbone in miniature, with a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(42)
    state = Net().state_dict()
    state["bn.num_batches_tracked"] += 17
    return {key: value.clone() for key, value in state.items()}


@pytest.fixture
def net() -> Net:
    torch.manual_seed(7)
    return Net()


def write(path: Path, state) -> str:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_all_but_the_classifier_is_loaded(tmp_path, state, net, name):
    head = net.fc.weight.detach().clone()
    load_weights(net, write(tmp_path / name, state), "net")
    for key, value in net.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(value, state[key]), key
    assert torch.equal(net.fc.weight, head)
    assert not torch.equal(net.fc.weight, state["fc.weight"])


def test_a_file_without_classifier_or_batch_counters_is_whole(tmp_path, state, net):
    for key in ("fc.weight", "fc.bias", "bn.num_batches_tracked"):
        del state[key]
    load_weights(net, write(tmp_path / "w.safetensors", state), "net")
    assert torch.equal(net.conv.weight, state["conv.weight"])


def test_a_training_checkpoint_with_state_dict_inside(tmp_path, state, net):
    load_weights(net, write(tmp_path / "w.pth", {"state_dict": state, "epoch": 3}), "net")
    assert torch.equal(net.bn.running_var, state["bn.running_var"])


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("wrong", ["lacks", "unknown", "misshapen"])
def test_a_file_that_does_not_fit_names_the_tensor_and_changes_nothing(
    tmp_path, state, net, name, wrong
):
    expected = {"lacks": "bn.weight", "unknown": "module.x", "misshapen": "conv.bias"}[wrong]
    if wrong == "lacks":
        del state["bn.weight"]
    elif wrong == "unknown":
        state["module.x"] = torch.zeros(1)
    else:
        state["conv.bias"] = torch.zeros(5)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    path = write(tmp_path / name, state)
    with pytest.raises(ReidError) as caught:
        load_weights(net, path, "net")
    message = str(caught.value)
    for part in (path, "net", wrong, "1 of", expected):
        assert part in message
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x02garbage", bytes(64)])
def test_what_is_no_weights_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReidError, match=rf"weights file .*{name} (cannot be read|is not a plain)"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_that_is_cut_short(tmp_path, state, name):
    path = Path(write(tmp_path / name, state))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ReidError, match=rf"weights file .*{name}"):
        read_weights(path)


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("old_format", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, old_format):
    trap = tmp_path / "sprung"
    path = tmp_path / "w.pth"
    torch.save({"x": Trap(str(trap))}, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(ReidError, match=r"w\.pth is not a plain dictionary of tensors"):
        read_weights(path)
    assert not trap.exists()
    torch.load(path, weights_only=False)  # the trap would have worked
    assert trap.exists()


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 1}, torch.zeros(2), {"state_dict": 5}])
def test_other_content_than_a_dictionary_of_tensors(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ReidError, match="is not a plain dictionary of tensors"):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file_and_a_misspelt_name(tmp_path):
    with pytest.raises(
        ReidError, match=r'gone\.pth is not there: give another, "imagenet" or None'
    ):
        build_backbone("tiny", str(tmp_path / "gone.pth"))
    with pytest.raises(ReidError, match='imagnet is not there: give another, "imagenet" or None'):
        build_backbone("resnet18", "imagnet")


def test_imagenet_without_network_names_the_ways_out(monkeypatch):
    asked = []

    def fail(self, *args, **kwargs):
        asked.append((str(self), kwargs))
        raise URLError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    with pytest.raises(ReidError) as caught:
        build_backbone("mobilenet_v2", "imagenet")
    for part in ("mobilenet_v2", "no route to host", "local weights file", "weights=None"):
        assert part in str(caught.value)
    assert asked == [
        ("MobileNet_V2_Weights.IMAGENET1K_V1", {"progress": False, "check_hash": True})
    ]


def test_imagenet_loads_what_torchvision_gives(monkeypatch):
    torch.manual_seed(11)
    source = resnet18().state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, **_: source)
    backbone = build_backbone("resnet18", "imagenet")
    assert torch.equal(backbone.conv5[1].conv2.weight, source["layer4.1.conv2.weight"])
    assert torch.equal(backbone.stem.bn1.running_mean, source["bn1.running_mean"])


def test_tiny_has_no_imagenet_weights():
    with pytest.raises(
        ReidError, match='backbone "tiny" has no ImageNet weights: use weights=None'
    ):
        build_backbone("tiny", "imagenet")


def test_the_real_file_fits_mobilenet_and_nothing_else(weights_file):
    state = read_weights(weights_file)
    backbone = build_backbone("mobilenet_v2", str(weights_file))
    loaded = list(backbone.state_dict().values())
    assert len(loaded) == len(state) == 312
    assert sum(v.numel() for v in state.values()) == sum(v.numel() for v in loaded)
    assert torch.equal(backbone.stem[0][0].weight, state["features.0.0.weight"])
    assert torch.equal(backbone.conv5[-1][0].weight, state["features.18.0.weight"])
    with torch.inference_mode():
        features = backbone.eval()(torch.randn(2, 3, 64, 32))
    assert torch.isfinite(features).all()
    with pytest.raises(ReidError, match="do not fit resnet18"):
        build_backbone("resnet18", str(weights_file))
