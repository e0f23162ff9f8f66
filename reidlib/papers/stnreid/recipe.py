"""Settings of STNReID (Luo et al. 2019, section 4); what the text leaves open is marked.

With a ResNet-50 its authors print rank-1 66.7 on Partial-REID and 54.6 on Partial-iLIDS (Table 4).
"""

from collections.abc import Mapping

from reidlib.papers.comparators import baseline
from reidlib.train.recipe import Recipe

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

# From random weights and in hundreds of steps, not the paper's 120,000: for rows without a new STN
# a higher rate, for Ep1 to Ep5 what lets an STN learn. Measured on drawn people at 64x32, Ep1, as
# the mean IoU with the true patch of new people (the identity transform has 0.60):
# - theta learns through differences of neighbouring pixels, and in small, sharp images they point
#   nowhere: without a blur it was 0.58 to 0.59 after 550 steps, at each of the two rates tried;
# - with a blur of 3 pixels and one rate of 5e-4 for all, 0.62 after 250 steps, then 0.60, as the
#   ReID module got stronger (the paper's "confrontation");
# - with the blur and a tenth of the STN's rate for the ReID module, 0.69 after 500 steps.
SCHEDULE: Mapping[str, object] = {"schedule": "cosine", "warmup": 15.0}  # of 300 epochs
SHORT: Mapping[str, object] = {**SCHEDULE, "lr": 1e-3}
SHORT_STN: Mapping[str, object] = {**SCHEDULE, "lr": 1e-4, "head_lr": 10.0, "smooth": 3.0}


def rows(weights: str | None) -> dict[str, Recipe]:
    """Every row of Tables 2 to 4 that is ours, by its printed name, for a profile's weights.

    Without weights, pre-training (PT) is ``ELSEWHERE``, and the schedules are ``SHORT`` ones.
    """
    start = () if weights else (ELSEWHERE,)
    frozen, learning = ({}, {}) if weights else (SHORT, SHORT_STN)
    eps = {k: r.but(**learning, start=() if k == "Ep1" else start) for k, r in EP.items()}
    base, first = BASELINE.but(**frozen, start=start), eps["Ep1"]
    stage2 = EP5.but(**frozen, frozen_stn=True)
    dsr = base.but(model="dsr", steps=0, start=(base,))  # its features, matched otherwise
    named = {"Baseline": base, "DSR(Our)": dsr}
    for name, recipe in {
        **eps,
        "STNReID(MM)": stage2.but(steps=0, start=(base, first)),
        "STNReID(PM)": stage2.but(start=(*start, first)),
    }.items():
        full = f"{name} STNReID" if name in EP else name
        named |= {f"{name} w/o STN": recipe.but(match="holistic"), full: recipe}
    return named
