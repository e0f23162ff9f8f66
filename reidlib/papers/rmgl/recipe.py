"""Settings of RMGL (Wang et al. 2021, section IV-A); what the text leaves open is marked.

With a ResNet-50 from ImageNet weights on Market-1501 its authors print rank-1 96.2 and mAP 90.0
(Table I), in about 3 hours on two TITAN Xp.
"""

from typing import Any

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

STRIPES = {"2-stripe": (2,), "3-stripe": (3,), "2+3-stripe": (2, 3)}
PLAIN = RECIPE.but(rp=False, abp=False, shifting=0.0)  # the baselines of Tables V and VI


def rows() -> dict[str, Recipe]:
    """The rows of Table V, by their printed names, and those that it leaves out: 3-stripe with
    RP+RSA, RP's control, and random shifting of every second image."""
    parts: dict[str, dict[str, Any]] = {
        " (BL)": {},
        "+RP": {"rp": True},
        " only RP": {"rp": True, "op": False},
        "+RSA": {"shifting": 1.0},
        "+RP+RSA": {"rp": True, "shifting": 1.0},
        "+ABP": {"abp": True},
        "+RP+ABP+RSA": {"rp": True, "shifting": 1.0, "abp": True},
    }
    named = {
        f"{n}{part}": PLAIN.but(stripes=stripes, **options)
        for part, options in parts.items()
        for n, stripes in STRIPES.items()
    }
    # as many heads and losses as RP has, nothing cut before the end: what doubling them alone does
    named["2-stripe+two equal paths"] = named["2-stripe+RP"].but(split="conv5")
    named["2-stripe+RSA, p = 0.5"] = named["2-stripe+RSA"].but(shifting=0.5)
    three = {"RMGL (1+2+3)": (1, 2, 3), "RMGL (2+3+4)": (2, 3, 4)}
    return named | {name: RECIPE.but(stripes=stripes) for name, stripes in three.items()}


def baselines() -> dict[str, str]:
    """Of each row of Table V the baseline of as many stripes, which its gain is over."""
    return {row: f"{row.split('-stripe')[0]}-stripe (BL)" for row in rows() if "-stripe" in row}


def cuts(branches: str = "2-stripe") -> dict[str, Recipe]:
    """One training, tested with every way to cut and pool its stripes."""
    plain = PLAIN.but(stripes=STRIPES[branches])
    balanced = plain.but(abp=True)
    return {
        "equal stripes, maxima (as trained)": plain,
        "equal stripes, means": plain.but(equal_pooling="avg"),
        "balanced (nearest border), means": balanced,
        "balanced (nearest border), maxima": balanced.but(abp_pooling="max"),
        "balanced (rounded down), means": balanced.but(abp_rounding="floor"),
        "balanced (rounded up), means": balanced.but(abp_rounding="ceil"),
    }


def augmentations(branches: str) -> dict[str, Recipe]:
    """The rows of Table VI for ``"2-stripe"`` or ``"2+3-stripe"``; the values of each augmentation
    are the usual ones (``reidlib.data.augment``)."""
    kinds: dict[str, dict[str, Any]] = {
        " (BL)": {},
        "+RCJ": {"jitter": 0.2},
        "+RC": {"pad_crop": 10 / 256},
        "+RE": {"erasing": 0.5},
        "+RCRS": {"crop_resize_shift": True},
        "+RSA": {"shifting": 1.0},
        "+RSA+RE": {"shifting": 1.0, "erasing": 0.5},
    }
    return {f"{branches}{k}": PLAIN.but(stripes=STRIPES[branches], **kinds[k]) for k in kinds}
