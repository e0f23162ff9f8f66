"""Settings of PPCL's extension to faces (He et al. 2021, section 5): two rows of Table 4.

Trained on CASIA-WebFace, tested on Partial-LFW, where its authors quote rank-1 20.9 for VGGFace and
print 52.9 for PPCL. Of the training only data, size (224x224) and network are given; the rest is
that of STNReID, as PPCL's.
"""

from collections.abc import Mapping
from typing import Any

from reidlib.papers.ppcl import recipe as ppcl
from reidlib.papers.stnreid import recipe as stnreid
from reidlib.train.recipe import Recipe

VGGFACE = stnreid.BASELINE.but(
    model="vggface",
    dataset="casia-webface",
    backbone="vgg16",
    size=(224, 224),
    pad_crop=0.0,  # the paper aligns faces by MTCNN; here files are read as they are
    cropping=0.0,  # trained on whole faces
)
_SAME: Mapping[str, Any] = {"dataset": "casia-webface", "size": (224, 224), "pad_crop": 0.0}
PPCL = ppcl.RECIPE.but(
    **_SAME,
    backbone="vgg16",
    last_stride=2,  # VGG-16's own, so that both rows have maps of 7 x 7
    pool="depthwise",  # in place of the mean over a region
    metric="euclidean",
    cut="box",  # as its test cuts faces
    start=ppcl.GLREC.but(**_SAME, cut="box"),
)

# On drawn faces: a network, random weights and a size of their own, which a profile for people
# must not change.
TINY: Mapping[str, Any] = {"backbone": "vgg_tiny", "weights": None, "size": (64, 64)}


CUT = "VGGFace, half of its faces cut"  # a control: trained on partial faces, as PPCL is


def rows(weights: str | None) -> dict[str, Recipe]:
    """The rows of Table 4 that are ours, and ``CUT``. Without ImageNet weights, for drawn faces,
    they have narrower descriptors and maps of 4x4; network and size are then kept by
    ``train_on={**domain, **faces.train_on(weights)}``."""
    named = {"VGGFace": VGGFACE, CUT: VGGFACE.but(cropping=0.5), "PPCL": PPCL}
    if weights not in (None, "start"):
        return named
    # The classifier's rate was chosen by the loss of 400 steps of ``CUT``: 49 % of chance, 64 %
    # with all of the network at 1e-3 instead.
    small: Mapping[str, Any] = {**TINY, "width": 512, "last_stride": 1, "head_lr": 10.0}
    rectifier = PPCL.start[0].but(**TINY)
    return {
        name: recipe.but(**small, **({"start": rectifier} if name == "PPCL" else {}))
        for name, recipe in named.items()
    }


def train_on(weights: str | None, steps: int | None = None) -> dict[str, Any]:
    """What a profile for people must not change, where the faces are drawn: nothing has learned
    there before, and a step costs a third of one on people, so there are twice its ``steps``."""
    if weights not in (None, "start"):
        return {}
    return {**TINY, **({"steps": 2 * steps} if steps else {})}
