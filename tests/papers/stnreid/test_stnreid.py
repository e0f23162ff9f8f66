"""STNReID: its start, its loss, its stages, pairs in blocks equal to pairs one by one."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from reidlib import geometry, models
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import adaptive_weighted_triplet
from reidlib.models.base import evaluating
from reidlib.papers.stnreid import model as module
from reidlib.papers.stnreid import recipe as stnreid
from reidlib.papers.stnreid.costs import localization_table
from reidlib.papers.stnreid.model import Localization
from reidlib.workbook.profile import Profile

SIZE = (64, 32)


def build(num_ids: int = 4, **options):
    torch.manual_seed(0)
    return models.build("stnreid", num_ids, backbone="tiny", size=SIZE, **options)


def moved(model):
    """The model with an STN that has left the identity."""
    rng = torch.Generator().manual_seed(1)
    for layer in (model.localization.fc4, model.localization.bn1):
        layer.weight.data.add_(0.1 * torch.randn(layer.weight.shape, generator=rng))
    model.localization.bn1.running_mean.normal_(generator=rng)
    model.localization.bn1.running_var.uniform_(0.5, 2.0, generator=rng)
    return model


@pytest.fixture
def batch() -> Batch:
    n = 8
    return Batch(
        images=torch.randn(n, 3, *SIZE, generator=torch.Generator().manual_seed(0)),
        label=torch.arange(4).repeat_interleave(2),
    )


def test_the_stn_starts_as_the_identity(batch):
    model = build().double().eval()  # float32 knows a pixel's place to 1e-6 only
    images = batch.images.double()
    with evaluating(model):
        affined, theta = model.affine(images.flip(0), images)
    torch.testing.assert_close(theta, geometry.identity(8).double(), rtol=0, atol=0)
    torch.testing.assert_close(affined, images, rtol=0, atol=1e-6)


def test_table_1_at_the_papers_size():
    """The printed output sizes and weights; only with padding 3, where 1 is printed."""
    table = localization_table(Localization((256, 128)))
    assert list(table["output"]) == list(table["output printed"])
    linear = table["parameters printed"].str.fullmatch(r"\d+x\d+") & table.layer.str.match("FC")
    printed = [math.prod(map(int, text.split("x"))) for text in table[linear]["parameters printed"]]
    assert printed == list(table[linear]["weights"])
    assert table[table.layer == "Conv1"]["padding"].item() == "(3,3)"
    assert table[table.layer == "Conv1"]["weights"].item() == 7 * 7 * 6 * 16


@pytest.mark.parametrize("size", [(96, 48), (50, 30), (384, 128)])
def test_other_sizes_fit(size):
    network = Localization(size).eval()
    image = torch.randn(2, 3, *size)
    assert network(image, image).shape == (2, 2, 3)
    with evaluating(network):
        halves = [network.halves(image, side) for side in ("partial", "holistic")]
        assert network.from_halves(*halves).shape == (2, 2, 3)


def test_an_image_that_cannot_be_halved():
    with pytest.raises(ReidError, match="too small to be halved four times"):
        Localization((64, 8))


def test_halves_are_for_evaluation():
    with pytest.raises(ReidError, match="call eval"):
        Localization(SIZE).train().halves(torch.zeros(1, 3, *SIZE), "partial")


def test_theta_from_halves_is_theta_of_the_pair(batch):
    network = moved(build()).localization.eval()
    partial, holistic = batch.images[:1], batch.images
    with evaluating(network):
        whole = network(partial.expand_as(holistic), holistic)
        split = network.from_halves(
            network.halves(partial, "partial"), network.halves(holistic, "holistic")
        )
    assert not torch.allclose(whole, geometry.identity(8), atol=1e-2)
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)


def naive_distance(model, query, gallery):
    """STNReID's affined distances [Q, G] pair by pair, as the text says it: every pair of images
    concatenated and taken through the whole network. What ``distance`` must equal."""
    with evaluating(model):
        rows = []
        for partial in query:
            pairs = partial.expand_as(gallery)
            affined, _ = model.affine(pairs, gallery)
            a, b = (model.features(x) for x in (partial[None], affined))
            rows.append(1 - torch.cosine_similarity(a, b))
        return torch.stack(rows)


@pytest.mark.parametrize("blocks", [(64, 512, 256), (2, 3, 2)])
def test_distances_in_blocks_equal_those_of_single_pairs(batch, monkeypatch, blocks):
    for name, value in zip(("QUERIES", "GALLERY", "PAIRS"), blocks, strict=True):
        monkeypatch.setattr(module, name, value)
    model = moved(build()).eval()
    query, gallery = batch.images[:3], batch.images[3:]
    with evaluating(model):
        distance = model.distance(model.encode(query), model.encode(gallery))
    assert distance.shape == (3, 5)
    torch.testing.assert_close(distance, naive_distance(model, query, gallery), rtol=0, atol=1e-5)


def test_half_precision_is_for_the_affined_images_alone(batch):
    """Under autocast the distances hardly change, and those of the holistic image not at all."""
    found = {}
    for match in ("affined", "holistic"):
        model = moved(build(match=match)).eval()
        with evaluating(model):
            encoding = model.encode(batch.images)
            found[match] = [model.distance(encoding, encoding)]
            with torch.autocast("cpu", torch.bfloat16):
                found[match].append(model.distance(encoding, encoding))
    assert torch.equal(*found["holistic"])
    assert not torch.equal(*found["affined"])
    torch.testing.assert_close(*found["affined"], rtol=0, atol=0.01)


def test_what_the_test_compares(batch):
    found = {}
    for match in ("affined", "holistic", "sum"):
        model = moved(build(match=match)).eval()
        with evaluating(model):
            encoding = model.encode(batch.images)
            found[match] = model.distance(encoding, encoding)
    feature = F.normalize(encoding["feature"])
    torch.testing.assert_close(found["holistic"], 1 - feature @ feature.T)
    torch.testing.assert_close(found["sum"], found["affined"] + found["holistic"])
    assert not torch.allclose(found["affined"], found["holistic"], atol=1e-3)


def test_what_the_test_compares_shares_a_run():
    rows = stnreid.rows()
    assert rows["Ep3 w/o STN"].training() == rows["Ep3 STNReID"].training()
    assert rows["Ep3 w/o STN"] != rows["Ep3 STNReID"]
    assert rows["STNReID(MM) w/o STN"].training() == rows["STNReID(MM)"].training()


@pytest.mark.parametrize("triplet", [0.0, 1.0])
def test_the_loss_is_equation_6(triplet, batch):
    model = moved(build(triplet=triplet, label_smoothing=0.1)).train()
    twin = copy.deepcopy(model)  # batch norm counts what it sees
    torch.manual_seed(5)
    losses = model.loss(batch)
    torch.manual_seed(5)
    partial, _ = twin.make_partial(batch.images)
    affined, _ = twin.affine(partial, batch.images)
    features = twin.reid.pooled(torch.cat([batch.images, partial, affined]))
    logits = twin.reid.classifier(twin.reid.neck(features))
    expected = torch.zeros(())
    for kind, f, p in zip("hpa", features.chunk(3), logits.chunk(3), strict=True):
        part = F.cross_entropy(p, batch.label, label_smoothing=0.1)
        part = part + triplet * adaptive_weighted_triplet(f, batch.label, 0.3)
        torch.testing.assert_close(losses[f"reid_{kind}"], part)
        expected = expected + part
    _, f_p, f_a = features.chunk(3)
    l_stn = (f_p - f_a).square().sum(1).mean()
    torch.testing.assert_close(losses["stn"], l_stn)
    torch.testing.assert_close(losses["loss"], expected + l_stn)


def trained(model, batch):
    """Names of the parameters with a gradient, with a zero one, and without."""
    model.train().loss(batch)["loss"].backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    zero = {n for n, g in grads.items() if g is not None and not g.any()}
    return {n for n, g in grads.items() if g is not None}, zero


def test_every_parameter_trains_in_stage_1(batch):
    some, zero = trained(moved(build()), batch)
    assert zero == set(), "no gradient is zero"
    frozen = {n for n, _ in build().named_parameters()} - some
    assert frozen == {"reid.neck.bias"}, "the neck has no shift"


def test_at_the_identity_the_last_layer_alone_of_the_stn_has_a_gradient(batch):
    some, zero = trained(build(), batch)
    assert {n for n in some - zero if n.startswith("localization.")} == {
        "localization.fc4.weight",
        "localization.fc4.bias",
    }


def test_a_frozen_stn_stays_as_it_is_and_the_rest_trains(batch):
    model = moved(build(frozen_stn=True))
    before = {k: v.clone() for k, v in model.localization.state_dict().items()}
    some, zero = trained(model, batch)
    assert zero == set()
    assert not [n for n in some if n.startswith("localization.")]
    assert {n for n, _ in model.reid.named_parameters()} - {n[5:] for n in some} == {"neck.bias"}
    assert not model.localization.training, "its batch norm too"
    after = model.localization.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert model.reid.training


def test_partial_images_follow_the_seed_of_the_step(batch):
    model = build()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model.make_partial(batch.images))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][1], drawn[2][1])
    torch.testing.assert_close(drawn[0][0], geometry.sample(batch.images, drawn[0][1]))


@pytest.mark.parametrize(
    ("partial", "low", "high", "sides"),
    [("remove", 0.4, 0.8, 4), ("keep", 0.2, 0.6, 4), ("vertical", 0.6, 0.9, 1)],
)
def test_the_three_recipes_of_partial_images(partial, low, high, sides):
    torch.manual_seed(0)
    _, theta = build(partial=partial).make_partial(torch.zeros(200, 3, *SIZE))
    box = geometry.theta_to_box(theta)
    kept = geometry.box_area(box) / 4
    assert low <= kept.min() < kept.max() <= high
    moved_edge = (box.abs() < 0.999).int().argmax(1)
    assert len(moved_edge.unique()) == sides


def test_what_is_taken_over(batch):
    base = models.build("baseline", 4, backbone="tiny", size=SIZE)
    stage1, stage2 = moved(build()), build(frozen_stn=True)
    for state, name in ((base.state_dict(), "baseline"), (stage1.state_dict(), "stnreid")):
        stage2.load_start(state, name, True)
    own = stage2.state_dict()
    for key, value in stage1.localization.state_dict().items():
        assert torch.equal(own[f"localization.{key}"], value)
    for key, value in base.state_dict().items():
        assert torch.equal(own[f"reid.{key}"], value)
    other = models.build("baseline", 4, backbone="tiny", size=SIZE)
    before = own["reid.classifier.weight"].clone()
    stage2.load_start(other.state_dict(), "baseline", False)
    assert torch.equal(stage2.reid.classifier.weight, before), "other people's classifier stays out"
    assert torch.equal(stage2.reid.backbone.stem.conv1.weight, other.backbone.stem.conv1.weight)
    weak = build(pretrained=False)
    before = {key: value.clone() for key, value in weak.state_dict().items()}
    weak.load_start(base.state_dict(), "baseline", True)
    assert all(torch.equal(before[key], value) for key, value in weak.state_dict().items()), "Ep1"
    with pytest.raises(ReidError, match="takes nothing over from a run of rmgl"):
        stage2.load_start({}, "rmgl", True)


def test_the_papers_settings():
    """Section 4, as DECISIONS reads it, and the columns of Table 2."""
    recipe = stnreid.EP5
    assert (recipe.size, recipe.backbone) == ((256, 128), "resnet50")
    assert (recipe.ids_per_batch, recipe.images_per_id) == (8, 4)
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay) == ("adam", 2e-4, 5e-4)
    assert (recipe.epochs, recipe.milestones, recipe.gamma) == (300, (150.0,), 0.1)
    on = {
        name: ("pretrained" not in r.options, "label_smoothing" not in r.options,
               "triplet" not in r.options)
        for name, r in stnreid.EP.items()
    }  # fmt: skip
    assert on == {
        "Ep1": (False, False, False),
        "Ep2": (True, False, False),
        "Ep3": (True, True, False),
        "Ep4": (True, False, True),
        "Ep5": (True, True, True),
    }


def test_the_rows_of_the_tables_start_where_the_paper_says():
    rows = stnreid.rows()
    assert rows["Ep5 STNReID"] == stnreid.EP5
    assert [r.model for r in rows["STNReID(PM)"].start] == ["stnreid"]
    assert [r.model for r in rows["STNReID(MM)"].start] == ["baseline", "stnreid"]
    assert rows["STNReID(MM)"].steps == 0
    assert rows["STNReID(PM)"].start[0] == rows["Ep1 STNReID"]
    assert rows["Ep1 STNReID"].start == rows["Ep2 STNReID"].start == ()


def test_a_short_training_has_another_stage_1_and_one_rate_for_all_rows_that_train_an_stn():
    rows, alone = stnreid.rows(7), stnreid.STAGE1
    assert stnreid.rows()["Ep1 STNReID"].head_lr == 1.0, "the paper's"
    assert stnreid.rows()[alone] == stnreid.rows()["Ep1 STNReID"] != rows[alone]
    names = [f"{ep} STNReID" for ep in stnreid.EP]
    assert {rows[name].head_lr for name in [*names, alone]} == {stnreid.SHORT_STN_RATE}
    assert rows["STNReID(PM)"].start == (rows[alone],)
    assert rows["STNReID(MM)"].start == (rows["Baseline"], rows[alone])
    assert rows["STNReID(PM)"].head_lr == rows["Baseline"].head_lr == 1.0, "its STN is frozen"
    own = Profile(name="x", title="x", dataset="synthetic", seeds=(0,), steps=7)
    steps = 7 * stnreid.SHORT_STAGE1
    assert own.apply(rows[alone]).steps == own.apply(rows["STNReID(PM)"]).start[0].steps == steps
    assert own.apply(rows["STNReID(PM)"]).steps == own.apply(rows["Baseline"]).steps == 7


def test_beside_a_frozen_reid_module_equation_5_alone_trains_the_stn_alone(batch):
    model = moved(build(frozen_reid=True))
    before = {key: value.clone() for key, value in model.reid.state_dict().items()}
    some, zero = trained(model, batch)
    assert zero == set()
    assert some == {name for name, _ in model.named_parameters() if name.startswith("localization")}
    assert not model.reid.training, "its batch norm too"
    assert all(torch.equal(before[key], value) for key, value in model.reid.state_dict().items())
    torch.manual_seed(0)
    losses = model.loss(batch)
    torch.manual_seed(0)
    partial, _ = model.make_partial(batch.images)
    affined, _ = model.affine(partial, batch.images)
    coarse = [model.pooled(module.blurred(x, SIZE[0] / 32)) for x in (partial, affined)]
    torch.testing.assert_close(losses["loss"], (coarse[0] - coarse[1]).pow(2).sum(1).mean())


def test_a_blur_keeps_what_is_flat_and_spreads_a_point_as_a_gaussian():
    flat = torch.full((1, 2, 20, 10), 3.0)
    torch.testing.assert_close(module.blurred(flat, 2.0), flat)
    point = torch.zeros(1, 1, 41, 31)
    point[..., 20, 15] = 1
    spread = module.blurred(point, 2.0)[0, 0]
    for line, place in (
        (spread.sum(1), torch.arange(41.0) - 20),
        (spread.sum(0), torch.arange(31.0) - 15),
    ):
        assert (line * place.square()).sum().sqrt().item() == pytest.approx(2, rel=0.01)


def test_the_control_differs_from_stage_2_in_its_stn_alone(batch):
    """The same recipe but for its start, whose STN it lacks; its affined images are the whole."""
    control = stnreid.WITHOUT_STN
    pm = stnreid.rows()["STNReID(PM) w/o STN"]
    assert control == pm.but(start=())
    model = build(frozen_stn=True).train()
    affined, _ = model.affine(batch.images.flip(0), batch.images)
    torch.testing.assert_close(affined, batch.images, rtol=0, atol=1e-4)


def test_all_rows_but_ep1_begin_as_a_profiles_baseline():
    """PM as well, whose start is the run that its STN is from."""
    own = Profile(name="x", title="x", dataset="synthetic", seeds=(0,), backbone="tiny", size=SIZE,
                  steps=2, start={"backbone": "tiny", "size": SIZE, "steps": 3})  # fmt: skip
    first = own.started()
    rows = {k: own.apply(r) for k, r in stnreid.rows(2, (first,)).items()}
    assert rows["Baseline"].start == rows["Ep5 STNReID"].start == (first,)
    assert own.apply(stnreid.WITHOUT_STN).start == (first,)
    assert rows["STNReID(PM)"].start == (first, rows[stnreid.STAGE1])
    assert rows["STNReID(MM)"].start == (rows["Baseline"], rows[stnreid.STAGE1])
    assert rows["DSR(Our)"].start == (rows["Baseline"],)


def test_teachers_differ_in_strength_alone():
    """What is taught, how long and at which rate is the same."""
    stage1 = stnreid.rows(steps=100)[stnreid.STAGE1]
    random, own, further = stnreid.taught(stage1).values()
    assert own == stage1
    assert random.but(pretrained=True) == own.but(pretrained=True)
    assert not random.options["pretrained"]
    assert further.start == (stnreid.BASELINE,)
    assert further.but(start=own.start) == own
