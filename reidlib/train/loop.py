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
from safetensors.torch import load_file
from torch import nn
from tqdm import tqdm

from reidlib import models
from reidlib.data.bank import ImageBank, Tier
from reidlib.data.batches import Batches
from reidlib.data.sampler import IdentitySampler
from reidlib.errors import ReidError
from reidlib.evaluate import throughput
from reidlib.models.base import count_parameters
from reidlib.system import parallel
from reidlib.system.compute import check_mode, compiled, determinism, forget, full_precision
from reidlib.system.devices import pick_device
from reidlib.system.files import atomic_write
from reidlib.system.lock import claim
from reidlib.system.parallel import with_global_batch_norm
from reidlib.system.provenance import provenance
from reidlib.system.timing import Stopwatch, tracing
from reidlib.train.checkpoint import load_checkpoint, save_checkpoint, save_weights
from reidlib.train.recipe import Recipe, lr_at
from reidlib.train.store import Run, prepare


def build_model(
    recipe: Recipe, num_ids: int, weights: str | Path | None = None
) -> models.ReIDModel:
    """The recipe's model with its initial weights, which depend on its seed alone.

    weights: in place of the recipe's.
    """
    torch.manual_seed(recipe.seed)
    return models.build(
        recipe.model,
        num_ids,
        backbone=recipe.backbone,
        weights=str(weights) if weights else recipe.weights,
        size=recipe.size,
        **recipe.options,
    )


def started_model(run: Run) -> models.ReIDModel:
    """A run's model as its first step finds it: what its ``start`` names is taken over, in order.

    A backbone begins as that of the last run of the baseline among them, if there is one.
    """
    recipe, dataset = run.recipe, run.recipe.load_dataset()
    folders = [Run.of(earlier, run.path.parent).path for earlier in recipe.start]
    starts = [(r, p / "weights.safetensors") for r, p in zip(recipe.start, folders, strict=True)]
    baselines = [file for earlier, file in starts if earlier.model == "baseline"]
    model = build_model(recipe, dataset.num_ids, baselines[-1] if baselines else None)
    model.check_start([earlier.model for earlier in recipe.start])
    for earlier, file in starts:
        same_people = earlier.load_dataset().fingerprint == dataset.fingerprint
        model.load_start(load_file(file), earlier.model, same_people)
    return model


def build_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Adam, AMSGrad or SGD over all trainable parameters; the head's at ``head_lr`` times the rate.

    On CUDA one fused kernel updates all of them.
    """
    names = getattr(model, "head", ()) if recipe.head_lr != 1 else ()
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = recipe.head_lr if name.startswith(names) else 1.0
            groups.setdefault(factor, []).append(parameter)
    parameters = [{"params": group, "factor": factor} for factor, group in groups.items()]
    fused = all(p.is_cuda for group in groups.values() for p in group)
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": fused}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **common)
    amsgrad = recipe.optimizer == "amsgrad"  # Reddi et al. 2018
    return torch.optim.Adam(parameters, amsgrad=amsgrad, **common)


def build_batches(recipe: Recipe, bank: ImageBank) -> Batches:
    """The recipe's batches out of a bank of training images; of each, this process's rows."""
    sampler = IdentitySampler(
        bank.pid,
        recipe.ids_per_batch,
        recipe.images_per_id,
        seed=recipe.seed,
        cam=bank.cam if recipe.camera_balanced else None,
    )
    return Batches(
        bank,
        sampler,
        mirror=recipe.mirror,
        pad_crop=recipe.pad_crop,
        erasing=recipe.erasing,
        shifting=recipe.shifting,
        shifting_options=recipe.shifting_options,
        crop_resize_shift=recipe.crop_resize_shift,
        cropping=recipe.cropping,
        jitter=recipe.jitter,
        rows=parallel.rows(recipe.ids_per_batch * recipe.images_per_id),
    )


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
    torch.compile (see ``system.compiling``), deterministic: the same bits every time, or an error
    (see ``system.numerics``), trace: a file for a profiler's trace of four steps (see
    ``system.trace``). Among processes that torchrun started each computes its rows of every batch
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
        fit(earlier, device=device, store=store, tier=tier, progress=progress, compile=compile,
            deterministic=deterministic)  # fmt: skip
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

    dataset = recipe.load_dataset()
    bank = ImageBank.from_split(dataset.train, recipe.size, device, tier=tier)
    batches = build_batches(recipe, bank)
    sampler, batch_size = batches.sampler, recipe.ids_per_batch * recipe.images_per_id
    model = started_model(run)
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    with_global_batch_norm(model, device)
    optimizer = build_optimizer(recipe, model)
    loss_of = compiled(parallel.shared_loss(model), how["compile"])
    total = recipe.steps
    if total is None:
        total = max(1, round(recipe.epochs * sampler.steps_per_epoch))
    interval = max(1, total // 100)  # steps per row of the history
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "float32"

    step, seconds_before = 0, 0.0
    rows: list[dict[Any, Any]] = []
    if checkpoint.is_file():
        step = load_checkpoint(checkpoint, model, optimizer, precision)
        if step and history_file.is_file():  # before the first row it is empty
            history = pd.read_csv(history_file)
            rows = history[history.step <= step].to_dict("records")
        seconds_before = rows[-1]["seconds"] if rows else 0.0
    if len(parallel.gather(torch.tensor([step])).unique()) > 1:
        raise ReidError(f"not all processes see the same {run.path}: put it where all of them do")
    first = step

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
        save()
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=precision == "bf16")
    watch = Stopwatch(device)
    began = last_save = last_row = time.perf_counter()
    sums: dict[str, torch.Tensor] = {}
    count = 0
    shown_bar = tqdm(
        total=total, initial=step, desc=recipe.model, unit="step", disable=not progress,
        mininterval=1.0,
    )  # fmt: skip
    with shown_bar as bar, tracing(trace if lead else None, device, total - step) as traced:
        while step < total:
            lr = lr_at(recipe, step, total)
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)
            # for dropout and the like, other draws in each process
            torch.manual_seed(recipe.seed * 1_000_003 + step + (parallel.rank() << 40))
            with watch("data"):
                batch = batches(step)
            with watch("forward"), autocast():
                optimizer.zero_grad(set_to_none=True)
                losses = loss_of(batch)
            with watch("backward"):
                losses["loss"].backward()
            end_of_interval = (step + 1) % interval == 0 or step + 1 == total
            # on an accelerator reading the loss would make every step wait: once an interval
            look = device.type == "cpu" or end_of_interval
            if look and not bool(losses["loss"].isfinite()):
                raise diverged(f"the loss is {losses['loss'].item()}")
            with watch("optimiser"):
                optimizer.step()
            step += 1
            count += 1
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value.detach().to(device, torch.double)
            bar.update()
            traced()
            if not end_of_interval:
                continue

            now = time.perf_counter()
            totals = parallel.mean(torch.stack(list(sums.values())))
            means = dict(zip(sums, (totals / count).tolist(), strict=True))
            speed = count * batch_size / (now - last_row)
            epoch = step / sampler.steps_per_epoch
            seconds = seconds_before + now - began
            rows.append(
                {"step": step, "epoch": epoch, "lr": lr, **means, "images_per_s": speed,
                 "seconds": seconds}
            )  # fmt: skip
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
    devices, speed = parallel.processes(), statistics.median(speeds)
    info = {
        "seconds": seconds_before + time.perf_counter() - began,
        **throughput.report(model, speed, dtype, devices),
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
    }
    atomic_write(run.path / "run.json", json.dumps(info, indent=1))
    checkpoint.unlink(missing_ok=True)
