"""``python -m reidlib run --plan``: what a run needs, whether it is there, and what it takes.

Trainings and tests are those that the notebooks ask for (``noted``). Their operations are counted
(``train.footprint``); how fast the machine is comes from a trial of some seconds, or from ``CARD``
where a profile is for a GPU and there is none. So hours are right within a factor of about two.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from tqdm import tqdm

from reidlib.data.sampler import IdentitySampler
from reidlib.data.sets.check import missing
from reidlib.errors import ReidError
from reidlib.models.backbone import imagenet_file
from reidlib.models.weights import start_file
from reidlib.papers.comparators import baseline
from reidlib.system.compute import full_precision
from reidlib.system.devices import auto_precision, cores
from reidlib.train import footprint
from reidlib.train.footprint import shape, work
from reidlib.train.recipe import Recipe, outline
from reidlib.train.store import Run
from reidlib.train.sweep import together
from reidlib.workbook import profile as profiles
from reidlib.workbook.noted import NotingReport, Test, blank, note

GIB = 2**30
CONTEXT = 0.7 * GIB  # what CUDA and its libraries take of a GPU's memory, for each process


class Machine(NamedTuple):
    """train, exact: floating-point operations a second that training (in bf16, if there is) and
    encoding in float32 reach. kernel: seconds between two operations that the host asks for.
    memory: bytes, cores: of the CPU."""

    name: str
    train: float
    exact: float
    kernel: float
    memory: float
    cores: int


# Assumed, not measured: about a third of what makers print for GPUs of 24 GB (2020 to 2023).
CARD = Machine("a GPU of 24 GB and 8 cores, its speed assumed", 20e12, 10e12, 12e-6, 24e9, 8)


class Needs(NamedTuple):
    """Of one notebook: all its trainings, those that this machine has the data for, and those of
    them that are stored; hours for all and for what is left; memory (of runs that train at once
    together; on a GPU its own) and disk in GiB."""

    trainings: int
    here: int
    stored: int
    hours: float
    left: float
    memory: float
    disk: float


def trial(device: torch.device) -> Machine:
    """How fast this machine trains and encodes; some seconds."""
    cuda = device.type == "cuda"
    recipe = baseline.RECIPE if cuda else baseline.RECIPE.but(backbone="tiny", size=(128, 64))
    bf16 = auto_precision(device) == "bf16"

    def seconds(one: Recipe, run: Callable[[Any, torch.Tensor], object]) -> float:
        model = outline(one).to_empty(device=device)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.01)
        model = model.to(memory_format=torch.channels_last)
        images = torch.randn(one.ids_per_batch * one.images_per_id, 3, *one.size, device=device)
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            run(model, images)
            if cuda:
                torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - began)
        return best

    def trained(model: Any, images: torch.Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            feature = model.train().pooled(images)
        feature.float().square().mean().backward()

    def encoded(model: Any, images: torch.Tensor) -> None:
        with torch.inference_mode(), full_precision():
            model.eval().encode(images)

    few = recipe.but(ids_per_batch=2, images_per_id=2)
    large, small = (footprint.step(one, bf16=bf16) for one in (recipe, few))
    images = recipe.ids_per_batch * recipe.images_per_id
    exact = footprint.encoding(recipe).flops * images / seconds(recipe, encoded)
    train, launched = large.flops / seconds(recipe, trained), seconds(few, trained)
    launch = launched / small.kernels if cuda else 0.0
    if cuda:
        free, _ = torch.cuda.mem_get_info(device)
        return Machine(torch.cuda.get_device_name(device), train, exact, launch, free, cores())
    return Machine("this CPU", train, exact, launch, float("inf"), cores())


@cache
def steps(recipe: Recipe) -> int:
    """The steps of a training, on a dataset of official size."""
    if recipe.steps is not None:
        return recipe.steps
    people = blank(recipe.dataset, recipe.data_options).train["pid"].to_numpy()
    p, k = recipe.ids_per_batch, recipe.images_per_id
    sampler = IdentitySampler(people, p, k, epoch=recipe.epoch_of)
    return max(1, round(recipe.epochs * sampler.steps_per_epoch))


def asked(
    path: Path, profile: str, overrides: Mapping[str, Any]
) -> tuple[NotingReport, NotingReport]:
    """What the notebook at ``path`` asks for at a profile: everything, and what of it this machine
    has the data for."""
    every = note(path, profile, overrides)
    domains = every.profile.domains.values()
    if not any(missing(domain["dataset"]) for domain in domains):
        return every, every
    return every, note(path, profile, overrides, everything=False)


def needs(every: NotingReport, there: NotingReport, machine: Machine) -> Needs:
    """What a notebook needs that asks for ``every`` training, and can have those ``there``."""
    if not every.recipes:
        return Needs(0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    here = {key: r for key, r in there.recipes.items() if not any(map(missing, _datasets(r)))}
    stored = {key for key, recipe in here.items() if Run.of(recipe).complete}
    at_once = every.profile.workers or _at_once(every, machine)
    seconds = {key: _trained(r, machine, at_once) for key, r in every.recipes.items()}
    tested = {key: _tested(test, machine) for key, test in every.tests.items()}
    left = sum(seconds[key] for key in here if key not in stored)
    left += sum(s for key, s in tested.items() if key in there.tests and _run(there, key) in here)
    weights = [_parameters(shape(recipe)) for recipe in every.recipes.values()]
    return Needs(
        len(every.recipes),
        len(here),
        len(stored),
        (sum(seconds.values()) + sum(tested.values())) / 3600,
        left / 3600,
        memory(every, machine, at_once) / GIB,
        4 * sum(weights) / GIB,
    )


def _weights(backbone: str, source: str) -> str:
    """Whether the weights that a backbone begins at are there."""
    if source == "imagenet":
        file = imagenet_file(backbone)
        state = "there" if file and file.is_file() else "downloaded when a run begins"
        return f"ImageNet weights of {backbone}: {state}"
    file = start_file(backbone) if source == "start" else Path(source)
    return f"weights {file.name}: {'there' if file.is_file() else f'no file {file}'}"


def _datasets(recipe: Recipe) -> set[str]:
    return {recipe.dataset}.union(*map(_datasets, recipe.start))


def _run(report: NotingReport, test: str) -> str:
    """What names the training that a test is of."""
    recipe = report.tests[test].recipe.training()
    return json.dumps(recipe.canonical(), sort_keys=True)


_step = cache(footprint.step)
_encoding = cache(footprint.encoding)
_matching = cache(footprint.matching)
_parameters = cache(lambda shape: sum(p.numel() for p in outline(shape).parameters()))


def _trained(recipe: Recipe, machine: Machine, at_once: int) -> float:
    """Seconds of a training: its operations, or the host's asking for them, which runs at once
    share."""
    number = steps(recipe)
    if not number:
        return 0.0
    one = work(shape(recipe))
    return number * max(one.flops / machine.train, one.kernels * machine.kernel / at_once)


def _tested(test: Test, machine: Machine) -> float:
    """Seconds of an evaluation: encoding (twice with the mirror image) and, where a model has a
    distance of its own, all pairs."""
    one, (q, g) = shape(test.recipe), _sizes(test)
    flops = _encoding(one).flops * (q + g) * (2 if test.options.get("flip") else 1)
    if _encoding(one).own:
        flops += _matching(one) * q * g
    return flops / machine.exact


def _sizes(test: Test) -> tuple[int, int]:
    q, g = len(test.dataset.query), len(test.dataset.gallery)
    if frames := test.options.get("frames"):  # of a tracklet; MARS's have 56 on average
        return q * frames // 56, g * frames // 56
    return q, g


def _at_once(report: NotingReport, machine: Machine) -> int:
    """How many runs train at once: on the CPU one for each core, as ``executor_for`` has it."""
    if math.isinf(machine.memory):
        return machine.cores
    shapes = [shape(recipe) for recipe in report.recipes.values() if steps(recipe)]
    tests = [_sizes(test) for test in report.tests.values()]
    return together(shapes, machine.memory, machine.cores, tests)


def memory(report: NotingReport, machine: Machine, at_once: int = 1) -> float:
    """The most bytes that ``at_once`` runs of a notebook hold: the heaviest training or test, the
    images, which lie on the device as far as ``choose_tier`` would put them there, and CUDA."""
    trained = [recipe for recipe in report.recipes.values() if steps(recipe)]
    heaviest = max(trained, key=lambda recipe: work(shape(recipe)).flops)
    share = machine.memory / at_once

    def images(number: int, size: tuple[int, int], held: float = 0.0) -> float:
        taken = float(number * 3 * size[0] * size[1])
        return taken if taken < (share - held) / 2 else 0.0

    number = max(len(blank(recipe.dataset, recipe.data_options).train) for recipe in trained)
    found = [_step(shape(heaviest)).bytes + images(number, heaviest.size)]
    for test in report.tests.values():
        size, (q, g) = test.recipe.size, _sizes(test)
        queries = images(q, size)
        banks = queries + images(g, size, queries)
        found.append(footprint.held_in_test(_encoding(shape(test.recipe)), q, g) + banks)
    return at_once * (max(found) + CONTEXT)


def text(profile: str, paths: Sequence[Path], overrides: Mapping[str, Any]) -> str:
    """What ``run --plan`` prints."""
    wanted = [profiles.load(profile, path.stem, overrides) for path in paths]
    try:
        machine = trial(wanted[0].pick_device())
    except ReidError:
        machine = CARD
    rows: dict[str, Needs] = {}
    begun = set[str]()
    for path in tqdm(paths, desc="plan", unit="notebook", disable=None):
        every, there = asked(path, profile, overrides)
        rows[path.stem] = needs(every, there, machine)
        begun |= {_weights(r.backbone, r.weights) for r in every.recipes.values() if r.weights}
    frame = pd.DataFrame([*rows.values()], [*rows], Needs._fields)
    total = frame.sum()
    total["memory"] = frame["memory"].max()
    frame.loc["together"] = total
    frame = frame.astype({"trainings": int, "here": int, "stored": int})
    frame.columns = ["trainings", "data here", "stored", "hours", "hours left", "memory (GiB)",
                     "disk (GiB)"]  # fmt: skip
    names = {p.dataset for p in wanted} | {
        domain["dataset"] for p in wanted for domain in p.domains.values()
    }
    lines = [wanted[0].title, "", frame.to_string(float_format="{:.1f}".format), ""]
    lines += [f"{name}: {missing(name) or 'there'}" for name in sorted(names)]
    lines += sorted(begun)
    speeds = f"{machine.train / 1e12:.3g} TFLOP/s in training, {machine.exact / 1e12:.3g} in tests"
    lines.append(f"counted for {machine.name}: {speeds}; right within a factor of about two")
    return "\n".join(lines)
