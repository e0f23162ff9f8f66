"""Settings of PPCL (He et al. 2021, section 4.2).

With a ResNet-50 its authors print rank-1 79.0 on Partial-REID and 69.7 on Partial-iLIDS (Table 2),
83.7 and 71.4 with the bag of tricks (PPCL+). Optimiser, batch and schedule are not given: those of
STNReID.
"""

from collections.abc import Mapping

from reidlib.papers.stnreid import recipe as stnreid
from reidlib.train.recipe import Recipe

# The rectifier, trained before all else and by itself. Its partial images are made in the model.
GLREC = stnreid.BASELINE.but(model="glrec", options={}, backbone="resnet18", cropping=0.0)
RECIPE = stnreid.BASELINE.but(model="ppcl", options={}, cropping=0.0, start=GLREC)
# The bag of tricks' values where the text only says that they were used.
TRICKS: Mapping[str, object] = {
    "neck": True,
    "label_smoothing": 0.1,
    "erasing": 0.5,
    "warmup": 10.0,  # epochs, of the bag of tricks' 120
}
PLUS = RECIPE.but(**TRICKS)

# From random weights and in hundreds of steps. Measured on drawn people at 64x32 (`tiny`, 400 steps
# of 32 images, one seed), 20 to 80 % kept: mean IoU of new people's rectified box with the truth
# (the whole frame has 0.50), and the gate's accuracy on partial and on whole images:
# - without a blur 0.56, 79 and 95 %: on cuts made of the small images, as training makes them, it
#   had 0.65 and 98 %. It learns that what was enlarged is less sharp;
# - with a blur of 1 pixel 0.60, 84 and 87 %; of 2 pixels 0.57, 85 and 78 %;
# - without a blur at a rate of 3e-4 0.53, 80 and 89 %; with colour jitter of 0.3 0.59, 78 and 97 %.
# At 96x48, where the whole frame has 0.60, with 250 steps of 16 images IoU 0.65 and gate 80 %, with
# 300 of 32 0.71 and 86 %, with 300 of 48 0.72 and 88 %.
# PPCL at 96x48, 300 steps of 24 images (one seed, 225 probes with 40 to 80 % kept), rank-1 / mAP,
# the two constraints training F too:
# - without a neck the identity loss stays at chance: 24.0 / 22.7 for +R, 28.9 / 24.3 with CRLoc;
# - with a neck and lr 3e-3 56.0 / 51.8 for +R, 53.3 / 49.1 for PPCL (50.7 / 45.0 if the losses of
#   F read whole maps of partial images, too).
# If the two constraints train F too (``joint``), PP-Triplet, which pulls parts of different people
# together, takes identity out of it: on Market-1501 (1,000 steps of 24, 120 probes) rank-1 5.8 and
# 17.5 (two runs that differ in rounding) instead of 44.2; after the study's 300 steps on drawn
# people there is no difference yet.
# PP-Cycle, ten times PP-Triplet, holds a locator that starts at GLRec's region there: IoU 0.638
# with the true region of the same person, GLRec's 0.637, the whole frame's 0.504. Started at the
# whole frame the cycle closes (0.02) over wrong regions: 0.38, and 48.9 / 44.1.
SHORT: Mapping[str, object] = {
    "schedule": "cosine",
    "warmup": 15.0,  # of 300 epochs
    "lr": 3e-3,
    "neck": True,
}
SHORT_GLREC: Mapping[str, object] = {
    "schedule": "cosine",
    "warmup": 15.0,
    "lr": 1e-3,
    "smooth": 1.0,
    "images_per_id": 12,  # identities do not matter to it, the number of images does
}


def rows(weights: str | None) -> dict[str, Recipe]:
    """The rows of Table 1a and PPCL+, by their printed names, for a profile's weights.

    Without weights the schedules are ``SHORT`` ones, which have a neck and a warm-up in all rows.
    """
    short, rectifier = ({}, {}) if weights else (SHORT, SHORT_GLREC)
    own = RECIPE.but(**short, **({} if weights else {"smooth": 1.0}))
    own = own.but(start=GLREC.but(**rectifier))
    tricks = {name: value for name, value in TRICKS.items() if name not in short}
    bare = RECIPE.but(**short, start=(), locate=False)
    return {
        "Pad": bare.but(rectify="pad"),
        "Resize": bare.but(rectify="resize"),
        "+R": own.but(locate=False),
        "+R+L w/ L_pp-triplet": own.but(cycle=0.0),
        "+R+L w/ L_pp-cycle": own.but(triplet=0.0),
        "PPCL": own,
        "PPCL+": own.but(**tricks),
    }
