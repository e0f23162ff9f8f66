"""Networks of timm as backbones: the same stages, channels and sizes as our own."""

import copy
import sys

import pytest
import torch
from safetensors.torch import save_file

from reidlib.errors import ReidError
from reidlib.models import build
from reidlib.models.backbone import STAGES, build_backbone
from reidlib.models.normalise import Renormalise

SIZE = (96, 48)
MODELS = ["baseline", "pcb", "mgn", "dsr", "stnreid", "ppcl", "vcn", "scr", "rmgl"]
NETWORKS = ["regnetx_002", "pvt_v2_b0"]  # convolutions alone, and a transformer


def test_without_timm_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ReidError, match=r'needs the package timm: pip install "reidlib\[timm\]"'):
        build_backbone("timm:resnet18")


class TestTimm:
    @pytest.fixture(autouse=True)
    def there(self):
        self.timm = pytest.importorskip("timm")

    @pytest.mark.parametrize(
        "name", ["resnet10t", "regnetx_002", "convnext_atto", "pvt_v2_b0", "mobilenetv3_small_050"]
    )
    def test_stages_are_those_of_the_network(self, name):
        torch.manual_seed(0)
        net = build_backbone(f"timm:{name}", last_stride=2).eval()
        torch.manual_seed(0)
        own = self.timm.create_model(name, features_only=True).eval()
        x = torch.randn(2, 3, 128, 64)
        expected = own(x)[-4:]
        for k, wanted in enumerate(expected):
            assert net.channels[f"conv{k + 2}"] == wanted.shape[1]
            found = net(x, end=f"conv{k + 2}")
            assert found.shape == wanted.shape
        if not name.startswith("mobilenet"):  # drawn in another order: other random weights
            torch.testing.assert_close(found, wanted)
        wide = build_backbone(f"timm:{name}", last_stride=1).eval()
        assert wide(x).shape == (2, net.out_channels, 8, 4)

    def test_its_own_mean_and_deviation(self):
        net = build_backbone("timm:mobilevit_xxs").eval()
        assert isinstance(net.stem[0], Renormalise)  # mean 0, deviation 1
        rgb = torch.tensor([0.2, 0.5, 0.9]).reshape(3, 1, 1)
        mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in ((0.485, 0.456, 0.406),
                                                                (0.229, 0.224, 0.225)))  # fmt: skip
        torch.testing.assert_close(net.stem[0]((rgb - mean) / std), rgb)

    @pytest.mark.parametrize("network", NETWORKS)
    @pytest.mark.parametrize("name", MODELS)
    def test_every_model_trains_a_step_on_it(self, name, network, batch):
        model = build(name, 4, backbone=f"timm:{network}", size=SIZE).train()
        loss = model.loss(batch)["loss"]
        loss.backward()
        assert torch.isfinite(loss)
        grads = [p.grad.abs().sum() for p in model.parameters() if p.grad is not None]
        assert len(grads) > 20
        encoding = model.eval().encode(batch.images)
        assert model.distance(encoding, encoding).shape == (8, 8)

    def test_weights_of_a_file_and_of_a_run(self, tmp_path):
        own = self.timm.create_model("resnet10t")
        save_file(own.state_dict(), tmp_path / "own.safetensors")
        net = build_backbone("timm:resnet10t", str(tmp_path / "own.safetensors"))
        assert torch.equal(net.conv5[0].conv1.weight, own.layer4[0].conv1.weight)
        trained = build("baseline", 4, backbone="timm:resnet10t")
        save_file(copy.deepcopy(trained.state_dict()), tmp_path / "run.safetensors")
        again = build_backbone("timm:resnet10t", str(tmp_path / "run.safetensors"))
        for stage in STAGES:
            for a, b in zip(
                getattr(again, stage).parameters(),
                getattr(trained.backbone, stage).parameters(),
                strict=True,
            ):
                assert torch.equal(a, b)
        with pytest.raises(ReidError, match="timm cannot make resnet18 with weights"):
            build_backbone("timm:resnet18", str(tmp_path / "own.safetensors"))

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("resnt18", 'timm has no network "resnt18", did you mean "resnet18"'),
            ("vit_tiny_patch16_224", "as a chain of stages"),
            ("swin_tiny_patch4_window7_224", "does not take images of 128x64 stage by stage"),
        ],
    )
    def test_what_cannot_be_cut_is_refused_in_words(self, name, said):
        with pytest.raises(ReidError, match=said):
            build_backbone(f"timm:{name}")
