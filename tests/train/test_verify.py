"""``runs verify``: what is whole, old, cut off or damaged, each in words."""

import json

import pytest

from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.verify import verify
from reidlib.workbook import cli

DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA, backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2, steps=2
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLIB_RUNS", str(tmp_path))
    return fit(RECIPE, device="cpu", progress=False)


def state():
    (row,) = verify().itertuples(index=False)
    return row.state, row.problem


def test_every_kind_of_damage_is_named(run, capsys):
    assert run.metrics.num_queries
    assert state() == ("whole", "")
    assert cli.main(["runs", "verify"]) == 0
    assert capsys.readouterr().out == f"whole         {run.path.name}\n1 runs, 0 damaged\n"

    weights = run.path / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # a bit that flipped
    found, problem = state()
    assert found == "damaged"
    assert problem == (
        f"weights.safetensors is not what was written: python -m reidlib runs remove "
        f"{run.path.name}, then train it again"
    )
    assert cli.main(["runs", "verify"]) == 1
    weights.write_bytes(content[: len(content) // 2])
    assert state()[0] == "damaged"
    weights.write_bytes(content)

    table = next(run.path.glob("eval/*/per_query.csv"))
    kept = table.read_text()
    table.write_text(kept[:50])
    assert "no readable metrics" in state()[1]
    table.write_text(kept)

    info = json.loads((run.path / "run.json").read_text())
    del info["sha256"]
    (run.path / "run.json").write_text(json.dumps(info))
    assert state() == ("no checksums", "")
    (run.path / "run.json").unlink()
    assert state() == ("in training", "")
    (run.path / "recipe.json").write_text('{"recipe": {"flavour": 1}}')
    assert "cannot be read by this version of reidlib" in state()[1]
