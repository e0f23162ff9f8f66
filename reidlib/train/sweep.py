"""Many runs through any ``concurrent.futures`` executor: ``fit_all`` maps recipes over it.

``processes`` of one machine, or the workers of a ``dask`` cluster. Every run is stored as soon as
it is complete, so a sweep that was stopped loses nothing.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from reidlib.data import Dataset
from reidlib.errors import ReidError
from reidlib.system.devices import cores, gpus
from reidlib.system.files import runs_dir
from reidlib.system.lock import claimed
from reidlib.train.footprint import encoding, held_in_test, shape, step, work
from reidlib.train.loop import fit
from reidlib.train.processes import processes
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run

__all__ = ["Evaluation", "dask", "executor_for", "fit_all", "processes"]


class Evaluation(NamedTuple):
    """What ``Run.evaluate`` is asked for."""

    dataset: Dataset | None = None  # default: the recipe's own
    options: Mapping[str, Any] = {}


_ALONE = threading.Lock()  # torch's random state is the process's: it trains one run at a time


def fit_all(
    recipes: Sequence[Recipe],
    *,
    executor: Executor | None = None,
    retries: int = 1,
    device: str | torch.device | None = None,
    store: Path | None = None,
    progress: bool = True,
    names: Sequence[str] | None = None,
    evaluations: Sequence[Evaluation] = (),
) -> list[Run]:
    """The complete runs of ``recipes``, in their order; what is stored already is not trained.

    executor: any of ``concurrent.futures``, ``client.get_executor()`` of Dask; ``None`` trains one
    after the other in this process. Equal recipes are trained once, also against other sweeps (see
    ``system.lock``). A row that fails goes to the end of the queue ``retries`` times, and resumes
    from its checkpoint. names: what rows are called in messages, default their folders.
    evaluations: made of every run where it was trained, and stored with it.
    Raises ReidError with the first line of each failed row's error, when all others are complete.
    Ctrl-C cancels what has not started.

    With one thread the results equal, bit for bit, those of a loop with one thread.
    """
    store = (store or runs_dir()).absolute()
    runs = [Run.of(recipe, store) for recipe in recipes]
    called = {run.path: run.path.name for run in runs}
    if names is not None:
        called = {r.path: name for r, name in reversed(list(zip(runs, names, strict=True)))}
    rows: dict[Path, list[Run]] = {}  # those that share weights and differ in their test: together
    for run in runs:
        if not _done(run, evaluations) and run not in rows.setdefault(run.path, []):
            rows[run.path].append(run)
    rows = {path: group for path, group in rows.items() if group}
    alone = len(rows) == 1 and executor is None  # its own bar says more
    waiting, failures, errors = deque(rows.values()), Counter[Path](), dict[Path, str]()
    pending: dict[Future[str], list[Run]] = {}
    shown = progress and len(rows) > 0 and not alone
    bar = tqdm(total=len(rows), desc="sweep", unit="run", disable=not shown)
    try:
        while waiting or pending:
            while waiting and (executor or not pending):
                group = waiting.popleft()
                recipes = [run.recipe for run in group]
                call = (recipes, evaluations, device, store, progress and alone, uuid.uuid4().hex)
                pending[_submit(executor, _row, *call)] = group
            for future in wait(pending, timeout=1, return_when=FIRST_COMPLETED).done:
                group = pending.pop(future)
                run = group[0]
                error = _error(future, run)
                if error is None:
                    bar.update()
                elif failures[run.path] < retries:
                    failures[run.path] += 1
                    waiting.append(group)
                else:
                    errors[run.path] = error
            running = sum(claimed(group[0].path) for group in pending.values())
            bar.set_postfix({"failed": len(errors), "running": running})
    finally:
        for future in pending:
            future.cancel()
        bar.close()
    if errors:
        lines = "\n".join(f"{called[path]}: {line}" for path, line in errors.items())
        raise ReidError(
            f"{len(errors)} of {len(called)} runs failed, the others are stored: {lines}"
        )
    return runs


def _done(run: Run, evaluations: Sequence[Evaluation]) -> bool:
    return run.complete and all(run.evaluated(e.dataset, **e.options) for e in evaluations)


def _row(
    recipes: Sequence[Recipe],
    evaluations: Sequence[Evaluation],
    device: str | torch.device | None,
    store: Path,
    progress: bool,
    token: str,
) -> str:
    """In the worker: trains what the recipes share, evaluates each, and returns the folder's name.

    token: makes the call unlike any other, since Dask answers an equal one with its old result.
    """
    with _ALONE:
        try:
            for recipe in recipes:
                run = fit(recipe, device=device, store=store, progress=progress)
                for dataset, options in evaluations:
                    run.evaluate(dataset, device=device, **options)
        except Exception as error:
            _forget_frames(error)
            raise
    return run.path.name


def _forget_frames(error: BaseException) -> None:
    """Keeps an error's text and drops where it was raised, also of those it followed from.

    A traceback holds the variables of all its functions. Kept with a failed row's error, model,
    images and graph would fill the memory that the next rows need.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


def _submit(executor: Executor | None, function: Callable[..., str], *args: Any) -> Future[str]:
    try:
        if executor:
            return executor.submit(function, *args)
        future = Future[str]()
        future.set_result(function(*args))
    except Exception as error:  # of the training itself, or of an executor that is broken
        future = Future[str]()
        future.set_exception(error)
    return future


def _error(future: Future[str], run: Run) -> str | None:
    """Why a row failed, in one line; None if its run is complete here."""
    try:
        name = future.result()
    except Exception as error:  # also that it was cancelled
        lines = str(error).strip().split("\n")
        return lines[0] if isinstance(error, ReidError) else f"{type(error).__name__}: {lines[0]}"
    if name != run.path.name:
        return f"the worker's data or weights are others than here: it trained {name}"
    until = time.monotonic() + 60  # a network's file system may show a new file that late
    while not run.complete:
        if time.monotonic() > until:
            return f"trained, but not in {run.path}: workers need the same run store (REIDLIB_RUNS)"
        time.sleep(0.5)
    return None


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of the Dask scheduler at ``address``.

    Give a worker one thread: torch's random state is its process's, so a worker trains one run at a
    time. All must see the run store under the same path. A job that its walltime ends is resumed by
    the next worker from the last checkpoint. On Slurm (``pip install dask-jobqueue``; kept
    running)::

        from dask_jobqueue import SLURMCluster
        cluster = SLURMCluster(
            queue="gpu", cores=1, processes=1, memory="32GB", walltime="04:00:00",
            job_extra_directives=["--gres=gpu:1"],
            job_script_prologue=["export REIDLIB_DATA=/shared/reid REIDLIB_CACHE=/tmp/reidlib"],
        )
        cluster.scale(jobs=16)  # 16 workers of one GPU each
        print(cluster.scheduler_address)  # export it as REIDLIB_SCHEDULER for notebooks and batch
        input("enter ends the cluster ")

    Raises ReidError if distributed is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ReidError(
            f'a Dask cluster needs the package {error.name}: pip install "reidlib[workbook]"'
        ) from error
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ReidError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        yield client.get_executor(pure=False)


def executor_for(
    recipes: Sequence[Recipe],
    workers: int | None = None,
    evaluations: Sequence[Evaluation] = (),
) -> AbstractContextManager[Executor | None]:
    """What trains (and evaluates) those of ``recipes`` that are not stored yet; None: this process.

    The Dask cluster at ``REIDLIB_SCHEDULER`` if that is set. Else ``workers`` processes, by default
    one for each CPU core, or on each GPU as many as ``together`` says, but no more than there are
    runs; the cores are shared out evenly. One run needs no other process.
    """
    todo = len({run.path for run in map(Run.of, recipes) if not _done(run, evaluations)})
    address = os.environ.get("REIDLIB_SCHEDULER")
    if todo and address:
        return dask(address)
    number = workers or cores()
    if todo > 1 and not workers and gpus():
        free, _ = torch.cuda.mem_get_info()
        sets = [e.dataset or recipes[0].load_dataset() for e in evaluations]
        tests = [(len(some.query), len(some.gallery)) for some in sets]
        number = len(gpus()) * together(recipes, free, cores() // len(gpus()), tests)
    n = min(todo, number)
    if n <= 1:
        return nullcontext(None)
    return processes(n, max(1, cores() // n))


TOGETHER = 4  # runs on one GPU: more gain little, since by then it is never idle
RESERVED = 2**30  # bytes of each process: CUDA, and what its memory is scattered over


def together(
    recipes: Sequence[Recipe], memory: float, cores: int, tests: Sequence[tuple[int, int]] = ()
) -> int:
    """How many of the runs train on one GPU at once: batches of 32 images keep it waiting for the
    host, so several share it, as far as its ``memory`` (bytes) and a core for each suffice.

    Counted is the recipe with the largest batch of the largest network, in training and in
    ``tests`` (queries, gallery images). Half of the memory is for the images, of which every
    process holds its own copy where they fit (``data.bank.choose_tier``).
    """
    distinct = {shape(recipe) for recipe in recipes if recipe.steps != 0}
    shapes = {  # of each such network the heaviest
        (r.model, r.backbone, r.size, r.ids_per_batch): r
        for r in sorted(distinct, key=lambda one: work(one).flops)
    }
    needed = max((step(r, gradients=True).bytes for r in shapes.values()), default=0)
    if tests:
        encoded = map(encoding, shapes.values())
        held = (held_in_test(one, q, g) for one in encoded for q, g in set(tests))
        needed = max(needed, *held)
    return max(1, int(min(TOGETHER, cores, memory / 2 / (needed + RESERVED))))
