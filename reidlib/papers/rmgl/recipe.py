"""Settings of RMGL (Wang et al. 2021, section IV-A); what the text leaves open is marked.

With a ResNet-50 from ImageNet weights on Market-1501 its authors print rank-1 96.2 and mAP 90.0
(Table I), in about 3 hours on two TITAN Xp.
"""

from reidlib.train.recipe import Recipe

RECIPE = Recipe(
    model="rmgl",
    options={"stripes": (2, 3), "rp": True, "abp": True, "margin": 0.6},
    dataset="market1501",
    backbone="resnet50",
    weights="imagenet",
    size=(384, 128),
    ids_per_batch=12,
    images_per_id=4,
    mirror=0.5,
    pad_crop=0.0,
    shifting=1.0,  # the probability p of III-D has no value in the text
    shifting_options={"p_crop": 0.5, "crop": 0.7, "height": 0.5, "width": 0.5},
    optimizer="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=1e-3,
    head_lr=10.0,  # 1x1 convolutions (here with their batch norm) and classifiers
    epochs=60,  # not stated: the last decay is after 50
    warmup=3,
    warmup_start=1e-3,  # 1e-5 of 1e-2
    warmup_shape="exponential",
    milestones=(30, 50),
    gamma=0.1,
)

# The 2+3-stripe baseline of Table V: no receptive path, no balanced pooling, no shifting.
BASELINE = RECIPE.but(rp=False, abp=False, shifting=0.0)
