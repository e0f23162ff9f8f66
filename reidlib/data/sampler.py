"""Batches of P identities x K images, each a pure function of (seed, step)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from reidlib.errors import ReidError


def generator(seed: int, *stream: int) -> np.random.Generator:
    """The generator of one (seed, step, purpose): every draw of a batch comes from such a one.

    numpy's streams are the same on every platform and do not depend on torch or the device.
    """
    return np.random.default_rng([seed, *stream])


Epoch = Literal["images", "identities"]  # what an epoch counts


class IdentitySampler:
    """P identities x K images (Hermans et al. 2017, section 2).

    Identities come in rounds: a round is a shuffle of all of them, cut into batches of P, so that
    no batch holds an identity twice; the fewer than P left over sit out that round. An identity's
    K images are drawn without replacement; one with fewer than K images shows all, some repeatedly.
    With ``cam`` [N] given, they come from as many of its cameras as there are, in turns.

    ``steps_per_epoch``: how many batches show as many images as there are (``epoch`` "images"), or
    each identity once ("identities", a round).
    """

    def __init__(
        self,
        pid: np.ndarray,
        ids_per_batch: int,
        images_per_id: int,
        seed: int = 0,
        cam: np.ndarray | None = None,
        epoch: Epoch = "images",
    ) -> None:
        self.ids, counts = np.unique(pid, return_counts=True)
        if not len(pid):
            raise ReidError(
                "there is nothing to train on: the dataset has no rows of split train "
                "(in a CSV: write train in the column split)"
            )
        if len(self.ids) < ids_per_batch:
            raise ReidError(
                f"a batch needs {ids_per_batch} identities and the training set has "
                f"{len(self.ids)}: lower ids_per_batch"
            )
        order = np.argsort(pid, kind="stable")
        self._images = np.split(order, np.cumsum(counts)[:-1])
        self._cam = cam
        self.ids_per_batch, self.images_per_id, self.seed = ids_per_batch, images_per_id, seed
        self.batches_per_round = len(self.ids) // ids_per_batch
        images = max(1, round(len(pid) / (ids_per_batch * images_per_id)))
        self.steps_per_epoch = self.batches_per_round if epoch == "identities" else images

    def __call__(self, step: int) -> np.ndarray:
        """The image indices [P * K] of a step; an identity's K images stand together."""
        round_, slot = divmod(step, self.batches_per_round)
        shuffled = generator(self.seed, 1, round_).permutation(len(self.ids))
        chosen = shuffled[slot * self.ids_per_batch : (slot + 1) * self.ids_per_batch]
        rng = generator(self.seed, 2, step)
        return np.concatenate([self._draw(self._images[i], rng) for i in chosen])

    def _draw(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        k, n = self.images_per_id, len(images)
        shuffled = images[rng.permutation(n)]
        if self._cam is not None:
            shuffled = shuffled[self._turns(self._cam[shuffled])]
        if n >= k:
            return shuffled[:k]
        return np.concatenate([shuffled, shuffled[rng.integers(0, n, k - n)]])

    @staticmethod
    def _turns(cam: np.ndarray) -> np.ndarray:
        """An order in which cameras take turns, each with its images in the order given."""
        _, first, camera = np.unique(cam, return_index=True, return_inverse=True)
        turn = np.zeros(len(cam), np.int64)  # how many of the same camera came before
        for c in range(len(first)):
            turn[camera == c] = np.arange((camera == c).sum())
        return np.lexsort((first[camera], turn))
