"""Settings of PCB (Sun et al. 2018, section 4.2); what the text leaves open is marked.

With a ResNet-50 from ImageNet weights on Market-1501 its authors print rank-1 92.3 and mAP 77.4
without refined pooling (Table 2).
"""

from reidlib.train.recipe import Recipe

RECIPE = Recipe(
    model="pcb",
    dataset="market1501",
    backbone="resnet50",
    weights="imagenet",
    size=(384, 128),
    ids_per_batch=16,  # 64 images; they draw images, not identities
    images_per_id=4,
    mirror=0.5,
    pad_crop=0.0,
    optimizer="sgd",
    lr=0.01,  # of the pre-trained layers
    head_lr=10.0,
    momentum=0.9,  # not given
    weight_decay=5e-4,  # not given
    epochs=60,
    warmup=0,
    milestones=(40,),
    gamma=0.1,
)

# From random weights and in short runs: `tiny`, 96x48, 200 steps of 32 on drawn people, 64 people
# at test with their mirror images, one seed: rank-1 / mAP 56.8 / 45.6.
SCRATCH = RECIPE.but(
    weights=None,
    optimizer="adam",
    lr=1e-3,
    head_lr=1.0,
    schedule="cosine",
    warmup=3,
)


def rows(weights: str | None) -> dict[str, Recipe]:
    """The one row, for a start: ``SCRATCH`` from random weights, else ``RECIPE``."""
    return {"PCB": SCRATCH if weights is None else RECIPE}
