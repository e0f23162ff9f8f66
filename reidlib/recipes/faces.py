"""Settings of PPCL's extension to faces (He et al. 2021, section 5): the row "VGGFace" of Table 4.

Trained on CASIA-WebFace, tested on Partial-LFW, where its authors quote rank-1 20.9. Of the
training only data, size (224x224) and network are given; the rest is that of STNReID, as PPCL's.
"""

from collections.abc import Mapping
from typing import Any

from reidlib.recipe import Recipe
from reidlib.recipes import stnreid

VGGFACE = stnreid.BASELINE.but(
    model="vggface",
    dataset="casia-webface",
    backbone="vgg16",
    size=(224, 224),
    pad_crop=0.0,  # the faces are aligned
    cropping=0.0,  # trained on whole faces
)
# Without weights and on drawn faces. Measured on synthetic-faces (64 ids to train, 64 to test, 8
# images of each), steps of 32, `vgg_tiny`, 64x64, rank-1 of partial probes (chance: 1.6) and of the
# same probes whole, one seed, three minutes on a shared core:
# - half of the training faces partial: 32.1 and 45.5 (rank-5 of partial probes 81.5);
# - all of them whole: 31.5 and 61.8 (rank-5 69.4).
# So SHORT keeps what the paper does.
TINY = {"backbone": "vgg_tiny", "size": (64, 64)}  # a profile's own are for people
SHORT: Mapping[str, object] = {
    **TINY,
    "width": 512,
    "last_stride": 1,  # a map of 4 x 4
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 15.0,  # of 300 epochs
}


def rows(weights: str | None) -> dict[str, Recipe]:
    """The row of Table 4 that is ours and has no locator, for a profile's weights.

    Without weights with the options and schedule of ``SHORT``; its backbone and size have to be
    given once more where a profile scales it: ``train_on={**domain, **faces.train_on(weights)}``.
    """
    return {"VGGFace": VGGFACE if weights else VGGFACE.but(weights=None, **SHORT)}


def train_on(weights: str | None) -> dict[str, Any]:
    """What a profile for people must not change: backbone and size, where there are no weights."""
    return {} if weights else dict(TINY)
