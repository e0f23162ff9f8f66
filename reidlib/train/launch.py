"""``python -m reidlib train``: one recipe from a file, on one device or as one of torchrun's
processes (see ``reidlib.system.parallel``)."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from reidlib.errors import ReidError, nearest
from reidlib.system.devices import pick_device
from reidlib.system.parallel import joined, processes, rank
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run


def read_recipe(path: str | Path) -> Recipe:
    """The recipe of a JSON file: its fields, or a run's ``recipe.json``, which holds them too.

    What is not in it has its default. Raises ReidError for a file that is not there or is not such
    an object, for unknown names and wrong types, and for a ``recipe.json`` of other data than are
    here.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(), object_pairs_hook=_once)
    except OSError as error:
        raise ReidError(f"cannot read {path}: {(error.strerror or '').lower()}") from error
    except ValueError as error:  # not JSON, not text, or a ReidError of ours
        raise ReidError(f"{path} is not the JSON of a recipe: {error}") from error
    if not isinstance(content, dict):
        raise ReidError(f"{path} is not the JSON of a recipe: no object with a recipe's fields")
    data = None
    if "recipe" in content:
        for key in content.keys() - {"recipe", "dataset_fingerprint"}:
            raise ReidError(f'{path}: unknown "{key}" beside "recipe"')
        data, content = content.get("dataset_fingerprint"), content["recipe"]
    if not isinstance(content, dict):
        raise ReidError(f'{path}: "recipe" is no object with a recipe\'s fields')
    known = [field.name for field in fields(Recipe)]
    for key in content:
        if key not in known:
            raise ReidError(f'{path}: a recipe has no "{key}"{nearest(key, known)}')
    recipe = Recipe(**content)
    if data not in (None, recipe.load_dataset().fingerprint):
        raise ReidError(
            f"{path} was made with other {recipe.dataset} data than are here: leave out its "
            "dataset_fingerprint to train on these"
        )
    return recipe


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name comes twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ReidError(f'"{key}" is given twice')
        found[key] = value
    return found


def train(path: str | Path, device: str | None = None, **options: Any) -> Run:
    """The run of the recipe in ``path``. options: of ``fit``.

    Raises ReidError for the number of a GPU where each of torchrun's processes takes its own.
    """
    recipe = read_recipe(path)
    with joined(cuda=pick_device(device).type == "cuda"):
        if processes() > 1 and device not in (None, "cpu", "cuda"):
            raise ReidError(
                f"--device {device} is one device for {processes()} processes: leave it out, or "
                'use "cpu" or "cuda"'
            )
        run = fit(recipe, device=device, **options)
        if rank() == 0:
            print(run.path)
    return run
