"""GLRec: its start, the place of an image in the frame, its loss, the gate."""

import pytest
import torch
import torch.nn.functional as F

from reidlib import geometry, models
from reidlib.errors import ReidError
from reidlib.models.base import evaluating
from reidlib.papers.ppcl.rectifier import GLRec, cut_boxes

SIZE = (64, 32)
BOX = torch.tensor([[-1.0, -1.0, 1.0, 0.2], [-0.5, -1.0, 1.0, 1.0], [-1.0, -0.25, 0.5, 0.75]])


def build(**options) -> GLRec:
    model = models.build("glrec", 4, backbone="tiny", size=SIZE, **options)
    assert isinstance(model, GLRec)
    return model


def says(model: GLRec, t: torch.Tensor, logit: torch.Tensor) -> GLRec:
    """A model whose network answers so."""
    model.forward = lambda images: (t, logit)  # type: ignore[method-assign]
    return model


def test_it_starts_as_a_whole_image_at_its_place(batch):
    model = build()
    torch.nn.init.zeros_(model.fc.weight)
    with evaluating(model):
        t, logit = model(batch.images)
        rectified, theta, eta = model.rectify(batch.images)
    torch.testing.assert_close(t, torch.tensor([[1.0, 1, 0, 0]]).expand(8, 4))
    assert (logit < 0).all()
    assert (eta < 0.5).all()
    assert torch.equal(rectified, batch.images)
    torch.testing.assert_close(theta, geometry.identity(8))


def test_the_network_is_a_resnet18_but_for_the_smallest():
    for backbone in ("resnet18", "resnet50"):
        model = GLRec(backbone=backbone, size=SIZE)
        assert model.backbone.out_channels == 512
    assert build().backbone.out_channels == 1024


def test_a_known_cut_is_put_back():
    """Inside the patch the rectified image is the original, outside it is empty."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 64), torch.linspace(0, 2, 32), indexing="ij")
    image = torch.stack([x.sin(), y.sin(), (x + y).cos()]).expand(3, 3, 64, 32) + 2
    partial = geometry.sample(image, geometry.box_to_theta(BOX))
    t = torch.cat([BOX[:, 2:] - BOX[:, :2], BOX[:, 2:] + BOX[:, :2]], 1) / 2
    model = says(build(), t, torch.ones(3))
    rectified, theta, eta = model.rectify(partial)
    torch.testing.assert_close(GLRec.box(t), BOX)
    torch.testing.assert_close(geometry.placed_box(theta), BOX)
    assert (eta > 0.5).all()
    centre_x, centre_y = torch.linspace(-1, 1, 65)[1::2], torch.linspace(-1, 1, 129)[1::2]
    for i, (x0, y0, x1, y1) in enumerate(BOX.tolist()):
        in_x, in_y = (
            (centre_x > x0 + 0.1) & (centre_x < x1 - 0.1),
            (centre_y > y0 + 0.1) & (centre_y < y1 - 0.1),
        )
        mask = in_y[:, None] & in_x
        assert (rectified[i] - image[i])[:, mask].abs().max() < 0.03
        out = ~((centre_y > y0 - 0.1) & (centre_y < y1 + 0.1))[:, None].expand(64, 32)
        assert not rectified[i][:, out].any()


def test_below_one_half_an_image_is_left_alone(batch):
    t = torch.tensor([[0.5, 0.5, 0.1, 0.2]]).expand(8, 4)
    logit = torch.tensor([-3.0, -0.1, 0.1, 3.0] * 2)
    rectified, theta, eta = says(build(), t, logit).rectify(batch.images)
    torch.testing.assert_close(eta, logit.sigmoid())
    whole = eta < 0.5
    assert torch.equal(rectified[whole], batch.images[whole])
    torch.testing.assert_close(theta[whole], geometry.identity(4))
    assert not torch.allclose(rectified[~whole], batch.images[~whole])


def test_what_would_leave_the_frame_stays_as_it_is(batch):
    """On any of its four sides; what is seen at its edge alone is placed."""
    away = [[0.5, 0.5, 1.5, 0], [0.5, 0.5, 0, -1.6], [0.5, 0.5, -1.5, 0], [0.5, 0.5, 0, 9]]
    edge = [[0.5, 0.5, 1.4, 0], [0.5, 0.5, 0, -1.4], [0.5, 0.5, -1.4, 0], [0.5, 0.5, 0, 1.4]]
    model = says(build(), torch.tensor(away + edge), torch.ones(8))
    rectified, theta, _ = model.rectify(batch.images)
    torch.testing.assert_close(theta[:4], geometry.identity(4))
    torch.testing.assert_close(rectified[:4], batch.images[:4], rtol=0, atol=1e-4)
    box = geometry.placed_box(theta[4:])
    torch.testing.assert_close(box, model.box(torch.tensor(edge)))
    assert not rectified[4:].abs().amax((1, 2, 3)).eq(0).any()


def test_a_scale_that_vanishes_still_places_something(batch):
    t = torch.tensor([[-1.0, 0.0, 0.1, 0.2]]).expand(8, 4)
    rectified, theta, _ = says(build(), t, torch.ones(8)).rectify(batch.images)
    assert rectified.isfinite().all()
    assert theta.isfinite().all()


def test_the_loss_is_equation_1_on_partial_images_and_the_gate_on_all(batch):
    model = build().train()
    answers = {}
    forward = model.forward

    def watched(images):
        answers["t"], answers["logit"] = forward(images)
        return answers["t"], answers["logit"]

    model.forward = watched
    torch.manual_seed(4)
    losses = model.loss(batch)
    torch.manual_seed(4)
    _, box = model.make_partial(batch.images)
    partial = geometry.box_area(box) < 3.99
    assert partial.sum() == 4, "half of them"
    theta = geometry.box_to_theta(box)
    true = torch.stack([theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2]], 1)
    eq1 = (answers["t"] - true)[partial].square().sum(1).mean()
    gate = F.binary_cross_entropy(answers["logit"].sigmoid(), partial.float())
    torch.testing.assert_close(losses["regression"], eq1)
    torch.testing.assert_close(losses["gate"], gate)
    torch.testing.assert_close(losses["loss"], eq1 + gate)
    iou = geometry.box_iou(model.box(answers["t"]), box)[partial].mean()
    torch.testing.assert_close(losses["iou"], iou.detach())
    assert losses["accuracy"] == ((answers["logit"] > 0) == partial).float().mean()


def test_gradients_reach_every_parameter(batch):
    model = build().train()
    model.loss(batch)["loss"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("ratio", [(0.2, 0.8), (0.5, 0.5)])
def test_cuts_keep_a_share_of_one_side(ratio):
    any_box = cut_boxes(400, ratio, "box")
    share = geometry.box_area(any_box) / 4
    assert ratio[0] - 1e-5 < share.min()
    assert share.max() < ratio[1] + 1e-5
    assert ((any_box[:, :2] > -1) & (any_box[:, 2:] < 1)).any(1).float().mean() > 0.3, "both ends"
    box = cut_boxes(400, ratio)
    kept = geometry.box_area(box) / 4
    assert ratio[0] - 1e-6 <= kept.min() <= kept.max() <= ratio[1] + 1e-6
    assert ((box.abs() < 0.999).sum(1) == 1).all()
    assert len((box.abs() < 0.999).int().argmax(1).unique()) == 4


def test_cuts_follow_the_seed(batch):
    model, drawn = build(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model.make_partial(batch.images))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][1], drawn[2][1])


@pytest.mark.parametrize("ratio", [(0.8, 0.2), (0.0, 0.5), (0.5, 1.5)])
def test_a_bad_ratio(ratio):
    with pytest.raises(ReidError, match="not \\(low, high\\)"):
        build(ratio=ratio)


def test_its_encoding(batch):
    model = build()
    with evaluating(model):
        found = model.encode(batch.images)
    assert {k: tuple(v.shape) for k, v in found.items()} == {
        "feature": (8, 5), "box": (8, 4), "eta": (8,)
    }  # fmt: skip
