"""Settings of STNReID (Luo et al. 2019, section 4); what the text leaves open is marked.

With a ResNet-50 its authors print rank-1 66.7 on Partial-REID and 54.6 on Partial-iLIDS (Table 4).
"""

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

# A control of stage 2: the same training of the same ReID module, with the identity in place of the
# STN, so that the affined image is the holistic one again; tested without an STN.
WITHOUT_STN = EP5.but(frozen_stn=True, match="holistic")

# The STN's rate, times the ReID module's, where a profile gives a few hundred steps instead of the
# paper's 120,000: theta moves from the identity by what the rate allows. Not tuned.
SHORT_STN_RATE = 5.0


def rows(
    stn_rate: float = 1.0, begin: tuple[Recipe, ...] = (), stage1: str = "Ep1"
) -> dict[str, Recipe]:
    """Every row of Tables 2 to 4 that is ours, by its printed name.

    begin: the run that all of a profile's runs begin as, if it has one (``Profile.started``). PM
    takes its STN from another run and would not get it by itself. stage1: the row whose STN stage 2
    takes over, Ep1 in the paper.

    stn_rate: of the STN, times the ReID module's. The paper has one rate for both, in 120,000
    steps; in a few hundred an STN that starts as the identity would hardly leave it.
    """
    dsr = BASELINE.but(model="dsr", steps=0, start=(BASELINE,))  # its features, matched otherwise
    named = {"Baseline": BASELINE, "DSR(Our)": dsr}
    ep = {name: recipe.but(head_lr=stn_rate) for name, recipe in EP.items()}
    stage2 = EP5.but(frozen_stn=True)
    for name, recipe in {
        **ep,
        "STNReID(MM)": stage2.but(steps=0, start=(BASELINE, ep[stage1])),
        "STNReID(PM)": stage2.but(start=(*begin, ep[stage1])),
    }.items():
        full = f"{name} STNReID" if name in EP else name
        named |= {f"{name} w/o STN": recipe.but(match="holistic"), full: recipe}
    return named
