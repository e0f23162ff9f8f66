"""Training: ``fit(recipe)`` returns the stored run, resumes it, or trains it. One flat loop."""

from __future__ import annotations

import json
import statistics
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from reidlib.data.bank import ImageBank, Tier
from reidlib.errors import ReidError
from reidlib.models.base import count_parameters
from reidlib.system import parallel
from reidlib.system.compute import check_mode, compiled, determinism, forget, full_precision
from reidlib.system.devices import auto_precision, pick_device
from reidlib.system.files import atomic_write
from reidlib.system.lock import claim
from reidlib.system.parallel import with_global_batch_norm
from reidlib.system.provenance import provenance
from reidlib.system.timing import Stopwatch, tracing
from reidlib.train.build import build_batches, build_optimizer, started_model
from reidlib.train.checkpoint import load_checkpoint, save_checkpoint, save_weights
from reidlib.train.recipe import Recipe, lr_at
from reidlib.train.speed import speed_report
from reidlib.train.store import Run, prepare
from reidlib.train.verify import checksums


def fit(
    recipe: Recipe,
    *,
    device: str | torch.device | None = None,
    resume: bool = True,
    store: Path | None = None,
    tier: Tier | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = True,
    compile: str | None = None,
    deterministic: bool = False,
    trace: str | Path | None = None,
) -> Run:
    """The run of a recipe: returned if it is complete, resumed if it was cut off, else trained.

    resume: ``False`` trains again whatever is stored. store: the run store, default
    ``REIDLIB_RUNS``. tier: where the images lie, default by size (see ``ImageBank``).

    How a run is computed is no part of its recipe; ``run.json`` says it. compile: a mode of
    torch.compile (see ``system.compute``), deterministic: the same bits every time, or an error
    (see ``system.compute``), trace: a file for a profiler's trace of four steps (see
    ``system.timing``). Among processes that torchrun started each computes its rows of every batch
    (see ``system.parallel``).

    Raises ReidError, and keeps the last good state, if the loss is not finite.
    A recipe that another process trains is waited for, so none is ever trained twice at once (see
    ``system.lock``).
    A run that was cut off at any step ends, on the CPU, with weights equal bit for bit to an
    undisturbed one with as many threads, because a batch is a function of (seed, step).
    """
    check_mode(compile)
    lead, alone = parallel.rank() == 0, parallel.processes() == 1
    if compile and not alone:
        raise ReidError("a run of several processes is not compiled: leave out compile")
    run = Run.of(recipe, store)
    if parallel.agreed(resume and run.complete):
        if trace:
            raise ReidError(f"{run.path} is complete, nothing is left to trace: see resume=False")
        return run
    device = pick_device(device)
    for earlier in recipe.start:
        fit(
            earlier,
            device=device,
            store=store,
            tier=tier,
            progress=progress,
            compile=compile,
            deterministic=deterministic,
        )
    # other processes wait for process 0, which torch permits for some minutes only
    with claim(run.path, float("inf") if alone else 120) if lead else nullcontext():
        if not parallel.agreed(resume and run.complete):  # else another process was faster
            if compile:
                forget()
            how = {"compile": compile, "deterministic": deterministic}
            with full_precision(), determinism(deterministic):
                _train(run, device, resume, tier, checkpoint_seconds, progress and lead, trace, how)
    parallel.agreed(True)  # process 0 has written what the others shall see
    return run


def _train(
    run: Run,
    device: torch.device,
    resume: bool,
    tier: Tier | None,
    checkpoint_seconds: float,
    progress: bool,
    trace: str | Path | None,
    how: dict[str, Any],
) -> None:
    """The loop of ``fit``, in the one process that holds the claim and in those that help it."""
    recipe, lead = run.recipe, parallel.rank() == 0
    checkpoint, history_file = run.path / "checkpoint.safetensors", run.path / "history.csv"
    if lead:
        prepare(run, resume)
    parallel.agreed(True)  # only now do the others look for a checkpoint

    # Everything that a step needs. The model is built first on the CPU, so that its initial
    # weights are the same wherever it is trained.
    bank = ImageBank.from_split(recipe.load_dataset().train, recipe.size, device, tier=tier)
    batches = build_batches(recipe, bank)
    model = started_model(run)
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    with_global_batch_norm(model, device)
    optimizer = build_optimizer(recipe, model)
    loss_of = compiled(parallel.shared_loss(model), how["compile"])

    # The schedule counts in epochs, the loop in steps.
    steps_per_epoch = batches.sampler.steps_per_epoch
    batch_size = recipe.ids_per_batch * recipe.images_per_id
    total = recipe.steps
    if total is None:
        total = max(1, round(recipe.epochs * steps_per_epoch))
    interval = max(1, total // 100)  # steps per row of the history
    precision = auto_precision(device) if recipe.precision == "auto" else recipe.precision
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=precision == "bf16")

    # Where an earlier call was cut off. Rows of the history that are later than the checkpoint
    # belong to steps that are done again.
    step, rows = 0, list[dict[Any, Any]]()
    if checkpoint.is_file():
        step = load_checkpoint(checkpoint, model, optimizer, precision)
        if step and history_file.is_file():  # before the first row it is empty
            history = pd.read_csv(history_file)
            rows = history[history.step <= step].to_dict("records")
    if len(parallel.gather(torch.tensor([step])).unique()) > 1:
        raise ReidError(f"not all processes see the same {run.path}: put it where all of them do")
    first, seconds_before = step, rows[-1]["seconds"] if rows else 0.0

    def diverged(what: str) -> ReidError:
        return ReidError(
            f"{what} at step {step} of {total} (lr {lr_at(recipe, step, total):.2g}): the last "
            f"good state is kept in {run.path}; lower lr or lengthen warmup"
        )

    def refuse_broken_weights() -> None:
        if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
            raise diverged("a weight is not finite")

    def save() -> None:
        """Makes the state of this moment, if it is finite, the one that a later call resumes."""
        refuse_broken_weights()
        atomic_write(history_file, pd.DataFrame(rows).to_csv(index=False))
        save_checkpoint(checkpoint, model, optimizer, step, precision)

    if step == 0 and lead:
        save()  # a run that diverges at once leaves its initial weights to look at
    watch = Stopwatch(device)
    began = last_save = last_row = time.perf_counter()
    sums: dict[str, torch.Tensor] = {}
    count = 0  # steps since the last row
    bar = tqdm(
        total=total,
        initial=step,
        desc=recipe.model,
        unit="step",
        disable=not progress,
        mininterval=1.0,
    )
    with bar, tracing(trace if lead else None, device, total - step) as traced:
        while step < total:
            # A step depends on (seed, step) alone, not on how it was reached: so a resumed run
            # ends as an undisturbed one. Models draw from torch's generator (dropout, cuts), each
            # process its own.
            torch.manual_seed(recipe.seed * 1_000_003 + step + (parallel.rank() << 40))
            lr = lr_at(recipe, step, total)
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)
            with watch("data"):
                batch = batches(step)
            with watch("forward"), autocast():
                optimizer.zero_grad(set_to_none=True)
                losses = loss_of(batch)
            with watch("backward"):
                losses["loss"].backward()
            # Before the update, which would carry what is not finite into every weight. On an
            # accelerator reading the loss makes the host wait for the step: once an interval.
            end_of_interval = (step + 1) % interval == 0 or step + 1 == total
            look = device.type == "cpu" or end_of_interval
            if look and not bool(losses["loss"].isfinite()):
                raise diverged(f"the loss is {losses['loss'].item()}")
            with watch("optimiser"):
                optimizer.step()
            step += 1
            count += 1
            for key, value in losses.items():  # summed where they are, for the same reason
                sums[key] = sums.get(key, 0.0) + value.detach().to(device, torch.double)
            bar.update()
            traced()
            if not end_of_interval:
                continue

            now = time.perf_counter()
            totals = parallel.mean(torch.stack(list(sums.values())))
            means = dict(zip(sums, (totals / count).tolist(), strict=True))
            speed = count * batch_size / (now - last_row)
            row = {"step": step, "epoch": step / steps_per_epoch, "lr": lr, **means}
            seconds = seconds_before + now - began
            rows.append({**row, "images_per_s": speed, "seconds": seconds})
            shown: dict[str, str] = {
                key: f"{means[key]:.3g}" for key in ("loss", "accuracy") if key in means
            }
            bar.set_postfix({**shown, "images_per_s": f"{speed:.0f}"}, refresh=False)
            sums, count, last_row = {}, 0, now
            if lead and now - last_save > checkpoint_seconds:
                save()
                last_save = time.perf_counter()

    refuse_broken_weights()  # the last step's gradient may have broken what no loss has seen
    if not lead:
        return
    columns = None if rows else ["step", "epoch", "lr", "images_per_s", "seconds"]
    atomic_write(history_file, pd.DataFrame(rows, columns=columns).to_csv(index=False))
    save_weights(run.path / "weights.safetensors", model)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    speeds = [row["images_per_s"] for row in rows] or [0.0]  # no step: only weights taken over
    devices = parallel.processes()
    info = {
        "seconds": seconds_before + time.perf_counter() - began,
        **speed_report(model, statistics.median(speeds), dtype, devices),
        "steps": total,
        "batch": batch_size,
        "parameters": count_parameters(model),
        "share": watch.shares(),
        "tier": bank.tier,
        "precision": precision,
        "processes": devices,
        **how,
        "resumed_at": first,  # how the steps before were computed is not known
        **provenance(device),
        "sha256": checksums(run.path),
    }
    # Last of all: a run with this file is complete.
    atomic_write(run.path / "run.json", json.dumps(info, indent=1))
    checkpoint.unlink(missing_ok=True)
