"""VCN: vertical convolution against a loop, the transformer's limits, every variant of Table 3."""

import pytest
import torch
import torch.nn.functional as F

from reidlib import models
from reidlib.errors import ReidError
from reidlib.evaluate.cost import gmacs
from reidlib.geometry import identity
from reidlib.losses import ranked_list
from reidlib.models.base import count_parameters, evaluating
from reidlib.papers.vcn import recipe as vcn
from reidlib.papers.vcn.model import VCN, MeanMax, SpatialHead, Transformer, vertical_convolution
from reidlib.train import fit
from reidlib.train.build import build_optimizer

SIZE = (96, 32)


def build(num_ids: int = 4, **options):
    torch.manual_seed(0)
    return models.build("vcn", num_ids, backbone="tiny", size=SIZE, **options)


def test_vertical_convolution_equals_a_loop():
    maps, kernels = torch.randn(3, 5, 7, 4), torch.randn(5, 6, 7)
    rows = MeanMax(3)(maps)
    found = vertical_convolution(rows, kernels)
    for n in range(3):
        for c in range(5):
            f = torch.stack([maps[n, c, h].mean() + maps[n, c, h].max() for h in range(7)])  # Eq. 6
            torch.testing.assert_close(rows[n, c], f)
            for k in range(6):
                expected = sum(f[h] * kernels[c, k, h] for h in range(7))  # Eq. 7
                torch.testing.assert_close(found[n, c, k], expected, rtol=1e-5, atol=1e-5)


def test_shared_kernels_are_the_same_for_all_channels():
    shared, own = (SpatialHead(5, 7, 4, kind, 6) for kind in ("shared", "vcn"))
    with torch.no_grad():
        own.kernels.copy_(shared.kernels.expand(5, -1, -1))
    maps = torch.randn(3, 5, 7, 4)
    torch.testing.assert_close(shared(maps), own(maps))


@pytest.mark.parametrize(("kind", "limit"), [("self", 0.4), ("fixed", 0.4), ("wide", 1.0)])
def test_factors_stay_within_the_error_that_is_learned(kind, limit):
    """Eq. 2, whatever the last layer says."""
    transformer = Transformer(6, 2, kind)
    theta, eps = transformer.theta(10 * torch.randn(500, 5))
    assert ((eps >= 0) & (eps <= limit)).all()
    if kind == "fixed":
        assert (eps == 0.4).all()
    else:
        assert eps.min() < 0.1 * limit
        assert eps.max() > 0.9 * limit
    bound = eps[:, None] + 1e-6
    assert ((theta[:, [0, 1], [0, 1]] - 1).abs() <= bound).all()
    assert (theta[:, :, 2].abs() <= bound).all()
    assert (theta[:, [0, 1], [1, 0]] == 0).all(), "no rotation"


KINDS = ("six", "four", "self", "wide", "fixed")


@pytest.mark.parametrize("kind", KINDS)
def test_every_transformer_may_start_at_the_identity_or_at_random(kind):
    """Whatever the map, in training and at test; and it can leave the identity."""
    maps = torch.randn(16, 3, 6, 2)
    still, drawn = (Transformer(6, 2, kind, start=s).train() for s in ("identity", "drawn"))
    moved, theta, eps = still(maps)
    torch.testing.assert_close(moved, maps, rtol=0, atol=1e-5)
    assert torch.equal(theta, identity(16))
    assert torch.equal(still.eval()(maps)[1], identity(16))
    moved.square().sum().backward()
    last = still.fc2 if still.free else still.bn2
    assert last.bias.grad[0 if still.free else 1 :].all()
    assert (drawn(maps)[1] - identity(16)).abs().amax((1, 2)).min() > 0.01
    if kind == "self":
        assert (eps == 0.2).all()  # half of its bound


def test_six_factors_rotate_and_four_do_not():
    six, _ = Transformer(6, 2, "six").theta(torch.ones(1, 6))
    four, _ = Transformer(6, 2, "four").theta(torch.ones(1, 4))
    assert six[0].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert four[0].tolist() == [[1, 0, 1], [0, 1, 1]]


def test_a_map_is_moved_in_float32_under_autocast():
    """A theta in bfloat16 would be up to 0.05 of 24 rows off."""
    torch.manual_seed(0)
    transformer, maps = Transformer(24, 8, "self").eval(), torch.randn(4, 5, 24, 8)
    expected, theta, _ = transformer(maps)
    with torch.autocast("cpu", torch.bfloat16):
        moved, same, _ = transformer(maps)
    assert torch.equal(same, theta)
    assert torch.equal(moved, expected)
    assert not torch.equal(theta, theta.bfloat16().float())


def test_only_the_baseline_is_the_version_before():
    versions = {str(options): VCN.version(options) for options in VARIANTS}
    assert [name for name, version in versions.items() if version == 1] == [
        "{'use_spatial': False}"
    ]


def test_kernels_in_every_column_are_a_loop_over_columns():
    columns, pooled = (SpatialHead(5, 7, 4, kind, 6) for kind in ("vcn_columns", "vcn"))
    maps = torch.randn(3, 5, 7, 4)
    found = columns(maps).view(3, 5, 6, 4)
    assert columns.features == 5 * 6 * 4
    for w in range(4):
        expected = vertical_convolution(maps[..., w], columns.kernels)
        torch.testing.assert_close(found[..., w], expected)
    assert columns.kernels.shape == pooled.kernels.shape


def test_kernels_know_where_a_response_is():
    """Two maps with the same mean and maximum of every channel, upside down."""
    head, pooled = SpatialHead(3, 6, 2, "vcn", 6), SpatialHead(3, 6, 2, "gp", 6)
    maps = torch.rand(1, 3, 6, 2)
    torch.testing.assert_close(pooled(maps), pooled(maps.flip(2)))
    assert (head(maps) - head(maps.flip(2))).abs().max() > 0.01


def test_kernels_may_begin_as_a_pooling():
    """Then all K values of a channel are the mean of its rows, wherever a response is."""
    head = SpatialHead(3, 6, 2, "vcn", 5, start="mean")
    maps = torch.rand(4, 3, 6, 2)
    rows = maps.mean(3) + maps.amax(3)
    torch.testing.assert_close(head(maps), rows.mean(2).repeat_interleave(5, 1))


def test_sorted_rows_have_kernels_but_no_place():
    """The equal-size control: as many parameters and values, and any order of the rows is one."""
    head, rows = (SpatialHead(3, 6, 2, kind, 5) for kind in ("sorted", "vcn"))
    with torch.no_grad():
        rows.kernels.copy_(head.kernels)
    maps = torch.rand(4, 3, 6, 2)
    torch.testing.assert_close(head(maps), head(maps[:, :, torch.randperm(6)]))
    ramp = torch.arange(6.0)[:, None].expand(1, 3, 6, 2)
    torch.testing.assert_close(head(ramp), rows(ramp))
    assert (head.features, count_parameters(head)) == (rows.features, count_parameters(rows))


VARIANTS = [
    {},
    {"use_spatial": False},
    {"use_global": False},
    {"stn": "none"},
    {"stn": "six"},
    {"stn": "four"},
    {"stn": "wide"},
    {"stn": "fixed"},
    {"spatial": "gp"},
    {"spatial": "fc"},
    {"spatial": "vcn_2d"},
    {"spatial": "vcn_columns"},
    {"spatial": "shared"},
    {"spatial": "sorted"},
    {"stn": "six", "stn_start": "identity"},
    {"spatial": "mgn"},
    {"ranked": False},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_parameter_of_every_variant_of_table_3_trains(options, batch):
    model = build(**options).train()
    losses = model.loss(batch)
    losses["loss"].backward()
    idle = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    if "stn_start" in options:  # behind a last layer of zeros nothing moves at first
        idle -= {f"transformer.{n}" for n in ("fc1.weight", "bn1.weight", "bn1.bias")}
    idle -= {"transformer.fc1.bias"}  # batch norm takes a bias away
    if options.get("stn", "self") in ("self", "fixed", "wide"):
        idle -= {"transformer.fc2.bias"}
    assert idle == set()
    with evaluating(model):
        feature = model.encode(batch.images)["feature"]
    assert feature.shape[0] == 8
    assert feature.isfinite().all()


def test_the_loss_is_equation_8(batch):
    model = build().eval()
    losses = model.loss(batch)
    found = model.features(batch.images)
    expected = torch.zeros(())
    for name, (a, b) in {"spatial": (1.0, 0.5), "global": (0.5, 1e-7)}.items():
        branch = getattr(model, f"{name}_branch")
        logits = branch.classifier(found[name])
        expected = expected + a * F.cross_entropy(logits, batch.label, label_smoothing=0.1)
        expected = expected + b * ranked_list(found[name], batch.label)
    torch.testing.assert_close(losses["loss"], expected)


def test_fusion_ranks_by_the_sum_of_both_distances(batch):
    model = build().eval()
    with evaluating(model):
        found = model.encode(batch.images)
    distance = model.distance(found, found)
    parts = [1 - F.normalize(found[k]) @ F.normalize(found[k]).T for k in ("global", "spatial")]
    torch.testing.assert_close(2 * distance, parts[0] + parts[1], rtol=1e-5, atol=1e-5)


def test_what_is_compared_shares_a_run():
    full = vcn.RECIPE.but(dataset="synthetic")
    assert full.but(match="spatial").training() == full.but(match="global").training() == full
    assert full.but(before_norm=False).training() == full


def test_f_s_is_compared_before_its_batch_norm(batch):
    """ "Following f_s, a BN layer": what the kernels give; behind the norm it is an option."""
    normed, raw = build(before_norm=False).eval(), build().eval()
    found = [model.encode(batch.images) for model in (normed, raw)]
    assert torch.equal(found[0]["global"], found[1]["global"])
    torch.testing.assert_close(normed.spatial_branch(found[1]["spatial"]), found[0]["spatial"])
    losses = [model.loss(batch)["loss"] for model in (normed, raw)]
    assert torch.equal(*losses), "what is trained is the same"


def test_the_last_row_is_the_papers_full_model():
    assert list(vcn.rows().values())[-1] == vcn.RECIPE


def test_added_parameters_and_computation_of_the_original_form():
    """Table 4 (O), classifiers removed: 23.51 M + 0.35 M, 6.12 G."""
    with torch.device("meta"):  # shapes alone
        model = models.build("vcn", 751, size=(384, 128))
    classifiers = sum(
        count_parameters(branch.classifier)
        for branch in (model.global_branch, model.spatial_branch)
    )
    backbone = count_parameters(model.backbone)
    added = count_parameters(model) - classifiers - backbone
    assert round(backbone / 1e6, 2) == 23.51
    assert round(added / 1e6, 2) == 0.35
    assert gmacs(model) == pytest.approx(6.12, rel=0.01)


def test_transformer_and_kernels_train_at_a_rate_of_their_own():
    """Nothing else does, and by default all but the classifiers have one rate."""
    recipe = vcn.RECIPE.but(backbone="tiny", weights=None, size=SIZE, head_lr=5.0)
    own = {
        "transformer.fc1.weight": 8.0,
        "transformer.bn2.bias": 8.0,
        "spatial_head.kernels": 8.0,
        "spatial_branch.classifier.weight": 5.0,
        "global_branch.classifier.weight": 5.0,
        "spatial_branch.norm.weight": 1.0,
        "backbone.conv5.0.conv2.weight": 1.0,
    }
    for rate in (8.0, 1.0):
        model = build(spatial_lr=rate)
        names = {p: name for name, p in model.named_parameters()}
        groups = build_optimizer(recipe, model).param_groups
        found = {names[p]: group["factor"] for group in groups for p in group["params"]}
        assert found.keys() == set(names.values())
        assert {name: found[name] for name in own} == {
            name: rate if factor == 8 else factor for name, factor in own.items()
        }


def test_at_the_rate_0_the_spatial_branch_stays_a_pooling(tmp_path):
    """The control of equal size: kernels and transformer as they began, everything else trained."""
    town = {"domain": "a", "train_ids": 8, "test_ids": 4, "cameras": 2, "images": 2}
    short = {"ids_per_batch": 4, "images_per_id": 2, "steps": 2, "warmup": 0.0, "lr": 1e-2}
    still = vcn.RECIPE.but(
        dataset="synthetic", data_options={**town, "size": (64, 32)}, backbone="tiny", weights=None,
        size=SIZE, kernel_start="mean", stn_start="identity", spatial_lr=0.0, **short,
    )  # fmt: skip
    runs = [
        fit(still.but(spatial_lr=rate), device="cpu", store=tmp_path, progress=False)
        for rate in (0.0, 20.0)
    ]
    trained = [run.load_model() for run in runs]
    kernels = [model.spatial_head.kernels for model in trained]
    assert (kernels[0] == 1 / kernels[0].shape[2]).all()
    assert (kernels[1] - kernels[0]).abs().min() > 0
    images = torch.rand(4, 3, *SIZE)
    with evaluating(trained[0]), evaluating(trained[1]):
        thetas = [model.features(images)["theta"] for model in trained]
        assert torch.equal(thetas[0], identity(4))
        assert (thetas[1] - identity(4)).abs().max() > 0
    weights = [model.spatial_branch.classifier.weight for model in trained]
    assert weights[0].abs().mean() > 0.002, "classifiers begin at 0.001"


def test_controls_differ_from_the_full_model_in_one_thing():
    rows = vcn.controls()
    full = rows[f"Full Model{vcn.ALIKE}"]
    assert full.options["spatial_lr"] == vcn.SHORT_RATE
    assert rows[vcn.STILL].but(spatial_lr=vcn.SHORT_RATE) == full
    assert rows[vcn.ONE_RATE].but(spatial_lr=vcn.SHORT_RATE) == full
    assert rows[vcn.SORTED].but(spatial="vcn") == full
    assert rows[vcn.TWICE].but(spatial="vcn", stn="self") == rows[f"Full Model{vcn.EQUAL}"]
    assert rows[f"Baseline+VCN{vcn.ALIKE}"].but(stn="self", stn_start="identity") == full
    assert rows[f"Baseline+STN+VCN{vcn.ALIKE}"].but(stn="self") == full
    printed = [*vcn.rows().values(), rows[f"Full Model{vcn.EQUAL}"], rows[vcn.ONE_RATE]]
    assert not [row for row in printed if "spatial_lr" in row.options], "the paper has one rate"


def test_a_rate_of_its_own_is_at_least_0():
    with pytest.raises(ReidError, match="spatial_lr is -1"):
        build(spatial_lr=-1.0)


def test_without_a_branch_there_is_nothing():
    with pytest.raises(ReidError, match="no branch is left"):
        build(use_global=False, use_spatial=False)
