"""Tracklets scored in many ways from frames that are encoded once; boxes that get worse."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import score
from reidlib.evaluate.video import AUTHORS
from reidlib.papers.scr import misaligned, temporal
from reidlib.papers.scr.temporal import score_ways
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe

WALKS = {"train_ids": 4, "test_ids": 3, "cameras": 2, "images": 2, "size": (64, 32),
         "tracklets": True, "frames": 5, "distractors": 1, "junk": 1}  # fmt: skip
WAYS = [
    {"protocol": "tracklet", "frames": 3},
    {"protocol": "tracklet", "frames": 3, "groups": 3, "sampling": "starts", **AUTHORS},
]


def test_all_ways_are_stored_as_evaluate_would_score_them(tmp_path, monkeypatch):
    recipe = Recipe(data_options=WALKS, backbone="tiny", size=(64, 32), ids_per_batch=2,
                    images_per_id=2, steps=2)  # fmt: skip
    run = fit(recipe, device="cpu", store=tmp_path, progress=False)
    dataset = recipe.load_dataset()
    monkeypatch.setattr(temporal, "MOST", 10)
    score_ways([run], dataset, WAYS, flip=True)
    assert not run.evaluated(dataset, flip=True, **WAYS[0])  # too many frames: left to evaluate
    monkeypatch.undo()
    alone = [run.evaluate(dataset, flip=True, **way) for way in WAYS]
    for folder in (run.path / "eval").iterdir():
        (folder / "metrics.json").unlink()
    score_ways([run], dataset, WAYS, flip=True)
    assert all(run.evaluated(dataset, flip=True, **way) for way in WAYS)
    for way, expected in zip(WAYS, alone, strict=True):
        found = run.evaluate(dataset, flip=True, **way)
        assert found.as_dict() == pytest.approx(expected.as_dict())


def ranked(first: list[int]):
    """Queries of six people whose own image among six is found at these places."""
    distance = torch.arange(6.0).repeat(6, 1)
    for person, place in enumerate(first):
        order = [k for k in range(6) if k != person]
        order.insert(place, person)
        distance[person, order] = torch.arange(6.0)
    pids = np.arange(1, 7)
    return score(distance, pids, pids, np.zeros(6, int), np.ones(6, int))


def test_the_claim_is_a_difference_of_gains():
    places = {
        "rows": {"calm": [0] * 6, "harsh": [1] * 6},
        "groups": {"calm": [1] * 6, "harsh": [0] * 6},
    }
    runs = tuple(
        [SimpleNamespace(chance_share=0.1, evaluate=lambda d, of=of: ranked(of[d]))] * 2
        for of in places.values()
    )
    claim = misaligned.claim("s", "2.2", runs, "calm", "harsh", {})  # type: ignore[arg-type]
    assert claim.measured == pytest.approx(100)  # from -50 to +50
    assert claim.note == "-50.0 -> +50.0"
    assert (claim.verdict, claim.seeds, claim.people) == ("holds", 2, 6)
    turned = misaligned.claim("s", "2.2", runs, "harsh", "calm", {})  # type: ignore[arg-type]
    assert turned.verdict == "reversed"
    late = [SimpleNamespace(chance_share=0.9, evaluate=lambda d: ranked([0] * 6))] * 2
    both = (late, late)
    assert misaligned.claim("s", "2.2", both, "a", "b", {}).verdict == "too short to judge"  # type: ignore[arg-type]


def test_other_queries_are_refused():
    other = score(torch.eye(2), [7, 8], [7, 8], [0, 0], [1, 1])
    run = [SimpleNamespace(chance_share=0.1, evaluate=lambda d: other if d else ranked([0] * 6))]
    with pytest.raises(ReidError, match="not of the same queries"):
        misaligned.claim("s", "2.2", (run, run), 0, 1, {})  # type: ignore[arg-type]
