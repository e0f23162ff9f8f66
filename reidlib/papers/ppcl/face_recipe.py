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
    start=ppcl.GLREC.but(**_SAME),
)

# Without weights, on drawn faces. On synthetic-faces (64 ids to train, 64 to test, 8 images
# of each), 300 steps of 32, `vgg_tiny` at 64x64, one seed, two to four minutes on a shared core.
# Rank-1 and rank-5 of 448 partial probes (chance: 1.6 and 7.8), rank-1 of the same probes whole:
# - VGGFace: 31.5, 69.4, 61.8; trained with half of its faces partial: 32.1, 81.5, 45.5;
# - PPCL, its rectifier too trained for 300 steps: 34.8, 81.2, 46.4.
# So few probes cannot tell these rank-1 from each other; the paper prints 20.9 and 52.9.
# Partial, whole, found and negative regions each pass the descriptor's batch norms by themselves:
# all in one pass PPCL had rank-1 13.5 (profile study, three seeds), with one pass each 26.3, both
# while the two constraints trained F too.
# a profile's own network and size are for people
TINY: Mapping[str, Any] = {"backbone": "vgg_tiny", "size": (64, 64)}
SHORT: Mapping[str, Any] = {
    **TINY,
    "weights": None,
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 15.0,  # of 300 epochs
}


def rows(weights: str | None) -> dict[str, Recipe]:
    """The rows of Table 4 that are ours, for a profile's weights.

    Without weights the networks and the schedule are those of ``SHORT``; a profile that scales them
    must not change network and size: ``train_on={**domain, **faces.train_on(weights)}``.
    """
    if weights:
        return {"VGGFace": VGGFACE, "PPCL": PPCL}
    rectifier = PPCL.start[0].but(**SHORT)
    return {
        "VGGFace": VGGFACE.but(**SHORT, width=512, last_stride=1),  # maps of 4 x 4, both rows'
        "PPCL": PPCL.but(**SHORT, width=512, last_stride=1, start=rectifier),
    }


def train_on(weights: str | None) -> dict[str, Any]:
    """What a profile for people must not change: network and size, where there are no weights."""
    return {} if weights else dict(TINY)
