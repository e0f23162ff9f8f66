"""Settings of the strong baseline (Luo et al. 2019, "Bag of Tricks", section III and IV).

With a ResNet-50 from ImageNet weights on Market-1501 at 256x128 its authors print rank-1 94.5 and
mAP 85.9. Not measured here yet: it needs the ImageNet weights and an accelerator.
"""

from reidlib.train.recipe import Recipe

RECIPE = Recipe(
    model="baseline",
    dataset="market1501",
    backbone="resnet50",
    weights="imagenet",
    size=(256, 128),
    ids_per_batch=16,
    images_per_id=4,
    mirror=0.5,
    pad_crop=10 / 256,  # 10 pixels at 256x128
    erasing=0.5,
    optimizer="adam",
    lr=3.5e-4,
    weight_decay=5e-4,
    epochs=120,
    warmup=10,  # epochs, from a hundredth of lr
    milestones=(40, 70),
    schedule="step",
)

# What other networks start from on a dataset of real people: a small network with ImageNet weights
# is trained once, in a third of the epochs, and its run is kept.
FINE_TUNED = RECIPE.but(epochs=40, warmup=4, lr=7e-4, schedule="cosine")


def rows() -> dict[str, Recipe]:
    """The one row."""
    return {"Baseline": RECIPE}
