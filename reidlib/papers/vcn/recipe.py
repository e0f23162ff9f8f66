"""Settings of SC-STN + VCN (section 4.2); what the text leaves open is marked.

With ResNet-50 (O) from ImageNet weights on Market-1501 its authors print rank-1 96.1 and mAP 88.6
for the fused feature (Table 1).
"""

from reidlib.train.recipe import Recipe

RECIPE = Recipe(
    model="vcn",
    dataset="market1501",
    backbone="resnet50",  # (O); "resnet50_m" is (M)
    weights="imagenet",
    size=(384, 128),
    ids_per_batch=16,
    images_per_id=6,
    mirror=0.5,
    erasing=0.5,  # the probability is not given: that of the bag of tricks, which it follows
    pad_crop=10 / 256,  # "random cropping", the same
    optimizer="adam",
    lr=5e-4,
    weight_decay=5e-4,  # not given: that of the bag of tricks
    epochs=300,
    warmup=30,  # linear
    warmup_start=0.01,  # not given
    milestones=(80, 160, 240),  # "dropped by 0.1 every 80 epochs"
    gamma=0.1,
)

# Without ImageNet weights and in short runs the printed schedule has lost nine tenths of its rate
# before anything is learned: as for the baseline (see ``recipes.baseline.SCRATCH``). The spatial
# feature has 6,144 values with `tiny`: a classifier that learns it at the full rate moves each
# logit so far in a step that the backbone learns nothing. 450 steps of 32 on drawn people, one
# seed, mAP of baseline / full: 74.4 / 32.3 (three seeds) with lr 1.5e-3 and head_lr 1, 78.8 / 79.0
# with 0.15, 77.5 / 82.4 with 3e-3 and 0.05.
SCRATCH = RECIPE.but(
    weights=None,
    lr=3e-3,
    head_lr=0.05,  # the classifiers'
    schedule="cosine",  # no plateau to wait for in a short run
    warmup=15,
    erasing=0.0,  # underfits short runs
)


def for_weights(weights: str | None) -> Recipe:
    """The recipe that suits a start: ``SCRATCH`` from random weights, else ``RECIPE``."""
    return SCRATCH if weights is None else RECIPE
