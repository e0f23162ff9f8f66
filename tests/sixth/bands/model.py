"""The baseline with a second feature: the mean of the map's lowest rows."""

from torch import Tensor

from reidlib.models.base import Encoding
from reidlib.models.baseline import Baseline


class Bands(Baseline):
    """``bands`` scales the feature at test, which no cosine sees: trained as the baseline is."""

    def __init__(self, num_ids: int, *, bands: int = 2, **options: object) -> None:
        super().__init__(num_ids, **options)
        self.bands = bands

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": super().encode(images)["feature"] * self.bands}
