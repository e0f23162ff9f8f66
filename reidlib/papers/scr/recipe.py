"""Settings of SCR (Chen et al. 2020, section 4.1); what the text leaves open is marked.

With a ResNet-50 from ImageNet weights on Market-1501 its authors print rank-1 95.7 and mAP 89.0
(Table 3), in about 6 hours on a GTX 1080 Ti. They evaluate with the mirror image: ``flip=True``.
"""

from collections.abc import Mapping

import pandas as pd

from reidlib.evaluate.cost import in_classifiers
from reidlib.models.base import count_parameters
from reidlib.papers.scr.model import SCR
from reidlib.train.recipe import Recipe, outline

RECIPE = Recipe(
    model="scr",
    options={"classifiers": "fan-out"},  # as in the authors' code; the text gives no start
    dataset="market1501",
    backbone="resnet50",
    weights="imagenet",
    size=(384, 192),  # the authors resize bicubically, we bilinearly as everywhere
    ids_per_batch=8,  # the text; the default of the authors' code is 4
    images_per_id=4,
    mirror=0.5,
    pad_crop=0.0,
    erasing=0.5,  # with the mean colour, as the authors' code; the text names the mirror alone
    optimizer="amsgrad",
    lr=2e-4,
    weight_decay=5e-4,
    epochs=500,
    epoch_of="identities",  # in the authors' code: 93 steps on Market-1501; their six hours agree
    warmup=0,
    milestones=(300, 400),
    gamma=0.1,
)


# As many heads, losses and values as p2(s2c2), and nothing cut: what those alone do.
CONTROL = "p2(w4): five heads, nothing cut"


def rows() -> dict[str, Recipe]:
    """The rows of Tables 1 to 4, by their printed names, and residual attention, which the paper
    only pictures, and the control."""
    full = RECIPE
    branches = ("p1", "p2(s2c2)", "p3(s3c3)", "p1+p2(s2c2)", "p1+p2(s2c2)+p3(s3c3)")
    kinds = (
        "Spatial p1+p2(s2)+p3(s3)",
        "Channel p1+p2(c2)+p3(c3)",
        f"Spatial-Channel {branches[4]}",
    )
    return {
        **{name: full.but(branches=name) for name in branches},
        "ResNet-50": full.but(branches="p1"),
        "ResNet-50 + channel attention (SENet)": full.but(branches="p1", attention="se"),
        "ResNet-50 + spatial-channel partition": full.but(branches="p2(s2c2)"),
        "ResNet-50 + residual attention": full.but(branches="p1", attention="residual"),
        **{name: full.but(branches=name.split()[1]) for name in kinds},
        CONTROL: full.but(branches="p2(w4)"),
        "w/o L_triplet": full.but(triplet=False),
        **{f"lambda={k}": full.but(lambda_=float(k)) for k in (1, 2, 3)},
    }


def sizes(rows: Mapping[str, Recipe], printed: pd.DataFrame) -> pd.DataFrame:
    """What Table 3 prints beside its scores, read off the built networks with 751 identities.

    rows: by name. printed: of the published table, with n_branches and representation_dim. Columns:
    branches, representation (as the paper writes it, "256*(1+5)"), each also as printed; dimension,
    parameters (M, without the classifiers).
    """
    said = printed.drop_duplicates("row").set_index("row").to_dict("index")
    lines = {}
    for name, recipe in rows.items():
        model = outline(recipe)
        assert isinstance(model, SCR)
        parts = [len(partition.parts) for partition in model.partitions]
        width, sum_of = model.width, "+".join(map(str, parts))
        lines[name] = {
            "branches": len(parts),
            "branches, printed": said[name]["n_branches"],
            "representation": f"{width}*({sum_of})" if len(parts) > 1 else f"{width}*{sum_of}",
            "representation, printed": said[name]["representation_dim"],
            "dimension": width * sum(parts),
            "parameters (M)": (count_parameters(model) - in_classifiers(model)) / 1e6,
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("row")
