"""PPCL: Algorithm 1, what trains and what is frozen, pairs in blocks equal to pairs one by one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidlib import geometry, models
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.base import evaluating
from reidlib.papers.ppcl import model as module
from reidlib.papers.ppcl import recipe as ppcl
from reidlib.papers.ppcl.constraints import cycle_error, negative_regions, part_triplet
from reidlib.papers.ppcl.model import PPCL, in_image, is_partial
from reidlib.papers.ppcl.pooling import cell_weights
from reidlib.papers.ppcl.rectifier import cut_boxes
from reidlib.train.build import build_optimizer
from reidlib.train.loop import fit
from reidlib.train.store import Run
from reidlib.workbook import profile, published

SIZE = (64, 32)


def build(**options) -> PPCL:
    torch.manual_seed(0)
    model = models.build("ppcl", 4, backbone="tiny", size=SIZE, **options)
    assert isinstance(model, PPCL)
    return model


def moved(model: PPCL) -> PPCL:
    """A rectifier and a locator that have left their start; the gate is open for some."""
    if model.rectifier is not None:
        nn.init.normal_(model.rectifier.fc.weight, std=0.03)
        model.rectifier.fc.bias.data.copy_(torch.tensor([0.7, 0.6, 0.1, -0.2, 0.2]))
    if model.locator is not None:
        nn.init.normal_(model.locator.fc.weight, std=0.1)
        nn.init.normal_(model.locator.fc.bias, std=0.2)
    if isinstance(model.reid.neck, nn.BatchNorm1d):
        model.reid.neck.running_mean.normal_(std=0.1)
        model.reid.neck.weight.data.uniform_(0.5, 2)
    return model


def naive(model: PPCL, query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Pair by pair, each image and each map taken whole, the region resampled."""
    rows = []
    for q in query.split(1):
        for g in gallery.split(1):
            (x, region), (y, place) = model.rectify(q), model.rectify(g)
            if is_partial(place) and not is_partial(region):  # the region is the partial image's
                x, region, y = y, place, x
            h_x, h_y = model.reid.backbone(x), model.reid.backbone(y)
            found = model.locator(h_x, region, h_y)
            if not is_partial(region):  # nor is the other: whole images are compared whole
                found = region
            read = [
                model.reid.neck(geometry.sample(h, geometry.box_to_theta(b)).mean((2, 3)))
                for h, b in ((h_x, region), (h_y, found))
            ]
            rows.append(1 - F.cosine_similarity(*read))
    return torch.cat(rows).view(len(query), len(gallery))


@pytest.mark.parametrize(
    "options",
    [{}, {"neck": True, "coarse": 2}, {"correlation": "printed", "coordinates": "absolute"},
     {"rectify": "resize"}, {"last_stride": 2}],
    ids=lambda o: "-".join(o) or "default",
)  # fmt: skip
@pytest.mark.parametrize("block", [2, 64])
def test_distances_in_blocks_equal_those_of_single_pairs(batch, options, block, monkeypatch):
    monkeypatch.setattr(module, "GALLERY", block)
    model = moved(build(**options)).eval()
    query, gallery = batch.images[:3], batch.images[3:]
    with evaluating(model):
        found = model.distance(model.encode(query), model.encode(gallery))
        torch.testing.assert_close(found, naive(model, query, gallery), rtol=0, atol=1e-5)
    assert found.shape == (3, 5)
    assert found.std() > 1e-3


def test_products_in_bf16_find_nearly_the_same_regions(batch):
    """With equal weights; what else a pair computes stays in float32."""
    exact = moved(build()).eval()
    rough = build(product="bf16").eval()
    rough.load_state_dict(exact.state_dict())
    with evaluating(exact), evaluating(rough):
        encoding = exact.encode(batch.images)
        columns = exact.locator.columns(encoding["maps"])
        one, other = (
            model.locator.pairs(model.locator.asked(encoding["maps"], encoding["box"]), columns)
            for model in (exact, rough)
        )
    assert one.dtype == other.dtype == torch.float32
    assert 0 < (one - other).abs().max() < 0.02


def test_the_partial_image_asks_on_whichever_side_it_is(batch):
    model = moved(build()).eval()
    with evaluating(model):
        partial = model.encode(batch.images[:3])
        model.rectifier.fc.bias.data[4] = -50
        whole = model.encode(batch.images[3:])
        partial["box"] = torch.tensor([[-1.0, -1, 1, 0.2], [-0.4, -1, 1, 1], [-1, 0, 1, 1]])
        found = model.distance(whole, partial)
        torch.testing.assert_close(found, model.distance(partial, whole).T)
        assert is_partial(partial["box"]).all()
        assert not is_partial(whole["box"]).any()


def test_a_fixed_region_is_where_the_rectifier_put_the_image(batch):
    model = moved(build(match="fixed")).eval()
    with evaluating(model):
        encoding = model.encode(batch.images)
        query, gallery = ({k: v[some] for k, v in encoding.items()} for some in (
            is_partial(encoding["box"]), slice(None)))  # fmt: skip
        found = model.distance(query, gallery)
        theta = [geometry.box_to_theta(box).expand(8, 2, 3) for box in query["box"].split(1)]
        read = [F.normalize(geometry.sample(gallery["maps"], t).mean((2, 3))) for t in theta]
        wanted = torch.stack([1 - r @ F.normalize(q, dim=0)
                              for r, q in zip(read, query["region"], strict=True)])  # fmt: skip
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert len(found)
    assert models.option_defaults("ppcl")["match"] == "located"


def test_regions_end_with_the_frame(batch, monkeypatch):
    """Of an image that is placed nine tenths beyond it a tenth is left, not nine of zeros."""
    model = moved(build()).eval()
    place = torch.tensor([[-1.0, -1, 1, 1]]).repeat(8, 1)
    place[3] = torch.tensor([0.9, -1, 1.9, 1])
    rectify = model.rectifier.rectify
    monkeypatch.setattr(
        model.rectifier,
        "rectify",
        lambda x: (x, geometry.placement(place[: len(x)]), rectify(x)[2]),
    )
    with evaluating(model):
        encoding = model.encode(batch.images)
        torch.testing.assert_close(encoding["place"], place)
        shown = torch.tensor([0.9, -1, 1, 1])
        torch.testing.assert_close(encoding["box"][3], shown)
        assert model.rectify(batch.images)[1][3].equal(encoding["box"][3])
        weights = cell_weights(encoding["box"][3], *model.locator.cells).sum()
        assert weights > 3 * cell_weights(place[3], *model.locator.cells).sum()


def test_a_box_of_a_placed_image_is_one_of_the_image():
    place = torch.tensor([[-1.0, -1, 1, 0]])  # the image fills the upper half of the frame
    found = in_image(torch.tensor([[-0.5, -1, 1, -0.5]]), place)
    torch.testing.assert_close(found, torch.tensor([[-0.5, -1, 1, 0]]))
    whole = torch.tensor([[-1.0, -1, 1, 1]])
    torch.testing.assert_close(in_image(found, whole), found)


def test_kinds_of_regions_pass_the_batch_norms_of_faces_one_by_one(batch):
    """Partial and whole ones; those found and negative ones where pooled regions are compared."""
    for compare, kinds in (("maps", 2), ("pooled", 4)):
        options = {"pool": "depthwise", "width": 8, "metric": "euclidean", "compare": compare}
        model = build(**options).train()
        model.loss(batch)
        assert model.reid.pool.norm.num_batches_tracked == kinds


def test_without_a_locator_it_is_the_plain_cosine(batch):
    model = moved(build(locate=False)).eval()
    with evaluating(model):
        encoding = model.encode(batch.images)
        rectified, _ = model.rectify(batch.images)
        feature = F.normalize(model.reid.backbone(rectified).mean((2, 3)))
        assert set(encoding) == {"feature"}
        torch.testing.assert_close(model.distance(encoding, encoding), 1 - feature @ feature.T)
    with pytest.raises(ReidError, match="no locator"):
        model.regions(encoding, encoding)


def test_a_whole_image_is_its_own_region(batch):
    model = moved(build()).eval()
    model.rectifier.fc.bias.data[4] = -50
    with evaluating(model):
        found = model.encode(batch.images)
    torch.testing.assert_close(found["box"], torch.tensor([[-1.0, -1, 1, 1]]).expand(8, 4))
    torch.testing.assert_close(found["region"], found["feature"])


def test_an_untrained_locator_looks_where_the_rectifier_put_the_image(batch):
    model = moved(build())
    nn.init.zeros_(model.locator.fc.weight)
    nn.init.zeros_(model.locator.fc.bias)
    with evaluating(model):
        encoding = model.encode(batch.images)
        torch.testing.assert_close(model.regions(encoding, encoding), encoding["box"])


@pytest.mark.parametrize(("cycle", "triplet"), [(10.0, 1.0), (0.0, 2.0), (3.0, 0.0)])
@pytest.mark.parametrize("compare", ["maps", "pooled"])
def test_the_loss_is_algorithm_1(cycle, triplet, compare, batch):
    model = build(cycle=cycle, triplet=triplet, compare=compare, label_smoothing=0.1)
    model = moved(model).train()
    twin = copy.deepcopy(model)  # batch norm counts what it sees
    torch.manual_seed(5)
    losses = model.loss(batch)
    torch.manual_seed(5)
    x = batch.images
    partial = geometry.sample(x, geometry.box_to_theta(cut_boxes(8)))
    rectified, region = twin.rectify(partial)
    maps = twin.reid.backbone(torch.cat([rectified, x]))
    own = geometry.sample(maps[:8], geometry.box_to_theta(region))  # of a partial image its region
    feature, label = torch.cat([own, maps[8:]]).mean((2, 3)), batch.label.repeat(2)
    l_f = F.cross_entropy(twin.reid.classifier(feature), label, label_smoothing=0.1)
    l_f = l_f + batch_hard_triplet(feature, label, 0.3)
    h_r, h_x = maps.chunk(2)
    h_y = h_x[torch.randperm(8)]
    there = twin.locator(h_r, region, h_y)
    back = twin.locator(h_y, there, h_x)
    other, legal = negative_regions(there)
    l_cycle = cycle_error(back, region).mean()
    read = [
        geometry.sample(h, geometry.box_to_theta(b))
        for h, b in ((h_r, region), (h_y, there), (h_y, other))
    ]
    read = [x.mean((2, 3)) if compare == "pooled" else x.flatten(1) for x in read]
    anchor, positive, negative = (F.normalize(x) for x in read)
    near, far = ((anchor - x).square().sum(1) for x in (positive, negative))
    l_triplet = part_triplet(near, far, legal, 0.3)
    torch.testing.assert_close(losses["pp_cycle"], l_cycle)
    torch.testing.assert_close(losses["pp_triplet"], l_triplet)
    torch.testing.assert_close(losses["loss"], l_f + cycle * l_cycle + triplet * l_triplet)


@pytest.mark.parametrize(
    "options", [{}, {"pool": "depthwise", "width": 8, "compare": "pooled"}], ids=["maps", "faces"]
)
def test_the_constraints_train_f_only_if_asked(options, batch):
    def gradients(**more) -> dict[str, torch.Tensor]:
        model = moved(build(**options, **more)).train()
        torch.manual_seed(5)
        model.loss(batch)["loss"].backward()
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    alone, without, joint = gradients(), gradients(cycle=0.1, triplet=0.01), gradients(joint=True)
    for name in alone:
        same = torch.allclose(alone[name], without[name], rtol=1e-4, atol=1e-7)
        assert same == (not name.startswith("locator.")), name
    assert not torch.allclose(joint["reid.backbone.stem.conv1.weight"],
                              alone["reid.backbone.stem.conv1.weight"], rtol=1e-2)  # fmt: skip


def trained(model: PPCL, batch: Batch) -> tuple[set[str], set[str]]:
    """Names of the parameters with a gradient, and with a zero one."""
    model.train().loss(batch)["loss"].backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return set(grads), {n for n, g in grads.items() if not g.any()}


@pytest.mark.parametrize(
    "options",
    [{}, {"cycle": 0.0}, {"triplet": 0.0}, {"locate": False}, {"rectify": "resize", "neck": True},
     {"rectify": "pad", "coordinates": "absolute"}],
    ids=lambda o: "-".join(o) or "default",
)  # fmt: skip
def test_every_parameter_trains_but_the_rectifier(options, batch):
    some, zero = trained(moved(build(**options)), batch)
    assert zero == set()
    still = {n for n, _ in build(**options).named_parameters()} - some
    assert {n for n in still if not n.startswith("rectifier.")} <= {"reid.neck.bias"}
    assert not [n for n in some if n.startswith("rectifier.")]


def test_the_rectifier_stays_as_it_is(batch):
    model = moved(build())
    before = {k: v.clone() for k, v in model.rectifier.state_dict().items()}
    trained(model, batch)
    assert not model.rectifier.training, "its batch norm too"
    after = model.rectifier.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert model.reid.training
    assert model.locator.training


def test_padded_images_keep_their_proportions():
    box = torch.tensor([[-1.0, -1, 1, 0], [0.2, -1, 1, 1], [-0.5, -0.8, 0.3, 0.8]])
    image = torch.ones(3, 3, *SIZE)
    padded, window = build(rectify="pad", locate=False).rectify_cut(image, box)
    kept, shown = box[:, 2:] - box[:, :2], window[:, 2:] - window[:, :2]
    torch.testing.assert_close(kept[:, 0] / kept[:, 1], shown[:, 0] / shown[:, 1])
    torch.testing.assert_close(shown.amax(1), torch.full((3,), 2.0))
    torch.testing.assert_close(
        padded.mean((1, 2, 3)), geometry.box_area(window) / 4, atol=0.02, rtol=0
    )


def test_what_is_taken_over():
    rectifier = models.build("glrec", 4, backbone="tiny", size=SIZE)
    nn.init.normal_(rectifier.fc.weight)
    base = models.build("baseline", 4, backbone="tiny", size=SIZE, neck=False)
    model = build()
    model.load_start(rectifier.state_dict(), "glrec", True)
    model.load_start(base.state_dict(), "baseline", True)
    own = model.state_dict()
    for part, other in (("rectifier", rectifier), ("reid", base)):
        for key, value in other.state_dict().items():
            assert torch.equal(own[f"{part}.{key}"], value)
    build(rectify="resize").load_start(rectifier.state_dict(), "glrec", True)  # has no use for it
    with pytest.raises(ReidError, match="takes nothing over from a run of rmgl"):
        model.load_start({}, "rmgl", True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cycle": 0.0, "triplet": 0.0}, "cycle and triplet are both 0"),
        ({"ratio": (0.9, 0.3)}, "ratio is"),
        ({"rectify": "rezise"}, 'did you mean "resize"'),
        ({"coarse": 3}, "no squares of 3 cells"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ReidError, match=message):
        build(**options)


def test_the_papers_settings():
    """Section 4.2; what it leaves open is STNReID's, as DECISIONS says."""
    recipe, first = ppcl.RECIPE, ppcl.GLREC
    assert recipe.start == (first,)
    assert (first.model, first.backbone, recipe.backbone) == ("glrec", "resnet18", "resnet50")
    for own in (recipe, first):
        assert (own.size, own.ids_per_batch, own.images_per_id) == ((256, 128), 8, 4)
        assert (own.optimizer, own.lr, own.epochs, own.milestones) == ("adam", 2e-4, 300, (150.0,))
        assert own.cropping == 0, "partial images are made in the model"
    options = models.option_defaults("ppcl") | recipe.options
    assert (options["cycle"], options["triplet"], options["beta"]) == (10, 1, 0.5)


def test_the_rows_of_table_1a():
    rows = ppcl.rows()
    printed = published.table("ppcl_table1a")["row"].unique()
    assert [*printed, "PPCL+"] == list(rows)
    for name in ("Pad", "Resize"):
        assert rows[name].start == ()
        assert rows[name].options["locate"] is False
    located = [name for name, r in rows.items() if r.options.get("locate", True)]
    assert located == ["+R+L w/ L_pp-triplet", "+R+L w/ L_pp-cycle", "PPCL", "PPCL+"]
    assert len({r.start for r in rows.values() if r.start}) == 1, "one rectifier for all rows"
    assert rows["PPCL"] == ppcl.RECIPE
    assert rows["PPCL+"].erasing == 0.5
    assert rows["PPCL+"].options["neck"]
    assert (rows["PPCL+"].warmup, rows["PPCL"].warmup) == (10, 0)
    short = ppcl.rows(short=True)
    assert all(recipe.options["neck"] for recipe in short.values())
    for name, recipe in short.items():
        assert recipe.but(neck=False, head_lr=1.0) == rows[name].but(neck=False)


def test_the_faster_head_is_the_classifier_alone():
    model = build()
    groups = build_optimizer(ppcl.RECIPE.but(head_lr=10.0), model).param_groups
    fast = [p for group in groups if group["factor"] == 10 for p in group["params"]]
    assert len(fast) == 1
    assert fast[0] is model.reid.classifier.weight


def test_a_rectifier_must_have_been_trained():
    build().check_start(["baseline", "glrec"])
    build(rectify="resize").check_start([])
    with pytest.raises(ReidError, match="start names no run of the model glrec"):
        build().check_start(["baseline"])


def test_every_row_begins_as_the_baseline_of_the_profile():
    """With and without a rectifier: F has the same start, whatever else a row takes over."""
    own = profile.load("market1501_cpu", "20_ppcl")
    rows = ppcl.rows(short=True, begin=own.begin)
    starts = {name: own.apply(recipe).start for name, recipe in rows.items()}
    assert {start[0] for start in starts.values()} == {own.started()}
    assert [name for name, start in starts.items() if start[-1].model == "glrec"] == [*rows][2:]


def test_two_stages_train(tmp_path):
    """The rectifier by itself, then frozen inside; a profile's tiny backbone serves both."""
    data = {"train_ids": 6, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
    tiny = {"dataset": "synthetic", "data_options": data, "weights": None, "backbone": "tiny",
            "size": SIZE, "steps": 2, "ids_per_batch": 2, "images_per_id": 2}  # fmt: skip
    recipe = ppcl.RECIPE.but(**tiny, start=ppcl.GLREC.but(**tiny))
    run = fit(recipe, device="cpu", store=tmp_path, progress=False)
    model, first = run.load_model(), Run.of(recipe.start[0], tmp_path).load_model()
    for key, value in first.state_dict().items():
        assert torch.equal(model.rectifier.state_dict()[key], value)
    assert {"pp_cycle", "pp_triplet", "iou", "accuracy"} <= set(run.history.columns)
    assert run.metrics.num_valid > 0
