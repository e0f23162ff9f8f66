"""Settings of STNReID (Luo et al. 2019, section 4); what the text leaves open is marked.

With a ResNet-50 its authors print rank-1 66.7 on Partial-REID and 54.6 on Partial-iLIDS (Table 4).
"""

from collections.abc import Mapping

from reidlib.recipe import Recipe
from reidlib.recipes import baseline

BASELINE = Recipe(
    model="baseline",
    dataset="market1501",
    backbone="resnet50",
    weights="imagenet",
    size=(256, 128),
    ids_per_batch=8,
    images_per_id=4,
    mirror=0.5,
    pad_crop=10 / 256,  # "cropping", without a value
    cropping=0.5,  # "as augmentation to train strong baselines", without a share
    optimizer="adam",
    lr=2e-4,
    weight_decay=5e-4,
    epochs=300,
    warmup=0,
    milestones=(150,),
    gamma=0.1,
)

# One stage, all losses: Ep5 of Table 2. Its partial images are made in the model.
EP5 = BASELINE.but(model="stnreid", options={}, cropping=0.0)
EP = {
    "Ep1": EP5.but(pretrained=False, label_smoothing=0.0, triplet=0.0),
    "Ep2": EP5.but(label_smoothing=0.0, triplet=0.0),
    "Ep3": EP5.but(triplet=0.0),
    "Ep4": EP5.but(label_smoothing=0.0),
    "Ep5": EP5,
}

# What stands in for ImageNet weights where there are none: a baseline trained on drawn people of
# another town, without a partial image.
ELSEWHERE = baseline.SCRATCH.but(
    dataset="synthetic", data_options={"domain": "b"}, ids_per_batch=8, size=(256, 128)
)

# From random weights and in hundreds of steps, not the paper's 120,000, its rate moves nothing.
SHORT: Mapping[str, object] = {
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 15.0,  # of 300 epochs
}


# Of the ReID module's input where an STN is learned in that few steps. A blur makes the gradient of
# theta point to the true patch: with 3 pixels at 64x32 its mean cosine with that direction, halfway
# from the identity, is about 0.4, without 0.06 to 0.2 (an Ep1 of 200 steps).
SMOOTH = 3.0


def rows(weights: str | None) -> dict[str, Recipe]:
    """Every row of Tables 2 to 4 that is ours, by its printed name, for a profile's weights.

    Without weights, pre-training (PT) is ``ELSEWHERE``, the schedule ``SHORT``, and the ReID
    module of Ep1 to Ep5 sees blurred images.
    """
    change = {} if weights else dict(SHORT)
    start = () if weights else (ELSEWHERE,)
    ours = {name: recipe.but(**change) for name, recipe in {"Baseline": BASELINE, **EP}.items()}
    ours = {k: r if k == "Ep1" else r.but(start=start) for k, r in ours.items()}
    if not weights:
        ours |= {ep: ours[ep].but(smooth=SMOOTH) for ep in EP}
    base, first, last = ours["Baseline"], ours["Ep1"], ours["Ep5"]
    stage2 = last.but(frozen_stn=True, smooth=0.0)
    dsr = base.but(model="dsr", steps=0, start=(base,))  # its features, matched otherwise
    named = {"Baseline": base, "DSR(Our)": dsr}
    for name, recipe in {
        **{key: ours[key] for key in EP},
        "STNReID(MM)": stage2.but(steps=0, start=(base, first)),
        "STNReID(PM)": stage2.but(start=(*start, first)),
    }.items():
        full = f"{name} STNReID" if name in EP else name
        named |= {f"{name} w/o STN": recipe.but(match="holistic"), full: recipe}
    return named
