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


def rows() -> dict[str, Recipe]:
    """The one row."""
    return {"PCB": RECIPE}
