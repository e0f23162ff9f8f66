"""Where a sweep's runs are trained: processes of this machine, or the workers of a Dask cluster.

A Slurm cluster through dask-jobqueue (``pip install dask-jobqueue``; ten lines, kept running)::

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(
        queue="gpu", cores=1, processes=1, memory="32GB", walltime="04:00:00",
        job_extra_directives=["--gres=gpu:1"],
        job_script_prologue=["export REIDLIB_DATA=/shared/reid REIDLIB_CACHE=/tmp/reidlib"],
    )
    cluster.scale(jobs=16)  # 16 workers of one GPU each
    print(cluster.scheduler_address)  # export it as REIDLIB_SCHEDULER for notebooks and batch
    input("enter ends the cluster ")

Give a worker one thread: torch's random state is its process's, so a worker trains one run at a
time. All workers must see the run store under the same path. A job that its walltime ends is
resumed by the next worker from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from reidlib.errors import ReidError
from reidlib.system.devices import cores, gpus
from reidlib.system.files import environment_kept
from reidlib.train.processes import Processes

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def environments(n: int | None = None, threads: int | None = None) -> list[dict[str, str]]:
    """What each of ``n`` workers finds in its environment: its number of threads, and its GPU.

    Where there are GPUs, n is by default their number; else the number of cores. ``threads`` is by
    default 1 on the CPU, and a GPU's share of the cores beside one.
    """
    if any(number is not None and number < 1 for number in (n, threads)):
        raise ReidError(f"{n} workers of {threads} threads: both must be at least 1")
    there = gpus()
    n = n or len(there) or max(1, cores() // (threads or 1))
    threads = threads or (max(1, cores() // n) if there else 1)
    # threads that spin while they wait take the cores of the others
    common = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    common |= dict.fromkeys(_THREADS, str(threads))
    own = [{"CUDA_VISIBLE_DEVICES": there[i % len(there)]} if there else {} for i in range(n)]
    return [common | gpu for gpu in own]


def processes(n: int | None = None, threads: int | None = None) -> Processes:
    """Processes of this machine: one for each GPU, or one single-threaded for each core.

    ``with processes() as executor: fit_all(recipes, executor=executor)``. Two of one thread train
    small runs 1.4 times as fast as one of two threads (``benchmarks/sweep.py``). The number of
    threads changes the last bits of what is learned (``tiny``: in each of 12 runs); ``run.json``
    has it.
    """
    return Processes(environments(n, threads))


@contextmanager
def dask(
    address: str | None = None, workers: int | None = None, threads: int | None = None
) -> Iterator[Executor]:
    """The workers of the Dask scheduler at ``address``, or of a cluster started on this machine.

    Without an address: one process for each GPU, or ``workers`` processes (default: one for each
    core) with ``threads`` threads (default: 1) on the CPU; a script that does so needs
    ``if __name__ == "__main__"``. A worker that dies is replaced and its run goes on in another.
    Raises ReidError if distributed is not installed or the scheduler does not answer.
    """
    try:
        import dask as dask_
        from distributed import Client, Nanny, Scheduler, SpecCluster
    except ImportError as error:
        raise ReidError(
            f'a Dask cluster needs the package {error.name}: pip install "reidlib[workbook]"'
        ) from error
    if address:
        try:
            client = Client(address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ReidError(f"no Dask scheduler answers at {address}: {error}") from error
        with client:
            yield client.get_executor(pure=False)
        return
    places = environments(workers, threads)
    # no memory limit: Dask would end a worker, whose memory it takes for data that it could spill
    shared = {"nthreads": 1, "memory_limit": 0, "dashboard": False, "host": "127.0.0.1"}
    shared["silence_logs"] = logging.ERROR
    specification = {
        i: {"cls": Nanny, "options": {**shared, "env": place}} for i, place in enumerate(places)
    }
    only_here = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": {"dashboard": False, **only_here}}
    # what is common to all must be there before a worker imports torch
    early = {k: v for k, v in places[0].items() if k != "CUDA_VISIBLE_DEVICES"}
    with (
        environment_kept(),  # a Nanny writes it into this process, and leaves it there
        dask_.config.set({"distributed.nanny.pre-spawn-environ": early}),
        SpecCluster(specification, scheduler, silence_logs=logging.ERROR) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client.get_executor(pure=False)
