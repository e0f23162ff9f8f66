"""Processes of this machine: one that dies costs one call, and Ctrl-C ends all at once."""

from __future__ import annotations

import math
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from reidlib.data.bank import SHARED_BY
from reidlib.errors import ReidError, how_it_ended
from reidlib.system.devices import cores, gpus

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
P = ParamSpec("P")
T = TypeVar("T")


class Processes(ThreadPoolExecutor):
    """An executor of processes, each minded by a thread of this one; end it with ``with``.

    Against ``ProcessPoolExecutor``: a process that dies fails its own call only, and another takes
    its place; threads and GPU are set before the process imports torch; the caller's script is not
    imported again, so it needs no ``if __name__ == "__main__"`` and may be a notebook; leaving the
    ``with`` by an exception (Ctrl-C) ends the processes at once.
    """

    def __init__(self, environments: Sequence[Mapping[str, str]]) -> None:
        super().__init__(len(environments), thread_name_prefix="reidlib")
        self._free: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()
        for environment in environments:
            self._free.put(environment)
        self._own = threading.local()  # of each thread: its environment, its process
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._ended = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return super().submit(self._call, fn, args, kwargs)

    def _call(self, *call: Any) -> Any:
        child = getattr(self._own, "child", None) or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        message = pickle.dumps(call)
        try:
            child.stdin.write(message)
            child.stdin.flush()
            well, value = pickle.load(child.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            self._own.child = None
            raise ReidError(f"its process ended {how_it_ended(child.wait())}") from None
        if well:
            return value
        raise value

    def _start(self) -> subprocess.Popen[bytes]:
        if not hasattr(self._own, "environment"):
            self._own.environment = self._free.get_nowait()
        code = f"import sys; sys.path[:] = {sys.path!r}; "
        code += "from reidlib.train.processes import serve; serve()"
        with self._lock:
            if self._ended:
                raise ReidError("the processes were ended")
            # Ctrl-C goes to all processes of a terminal or kernel: only this one shall answer it
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._own.child = subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, **self._own.environment},
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._children.append(self._own.child)
        child: subprocess.Popen[bytes] = self._own.child
        return child

    def end(self) -> None:
        """Cancels what has not started and kills the processes; runs keep their checkpoints."""
        with self._lock:
            self._ended = True
            super().shutdown(wait=False, cancel_futures=True)
            for child in self._children:
                child.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for child in self._children:
                for pipe in (child.stdin, child.stdout):
                    with suppress(OSError):  # it is gone already
                        pipe.close()  # type: ignore[union-attr]
                child.wait()  # it has read the end of its input and leaves

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.end()
        self.shutdown()


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
    common |= dict.fromkeys(THREADS, str(threads))
    if not there:
        return [dict(common) for _ in range(n)]
    common[SHARED_BY] = str(math.ceil(n / len(there)))
    return [common | {"CUDA_VISIBLE_DEVICES": there[i % len(there)]} for i in range(n)]


def processes(n: int | None = None, threads: int | None = None) -> Processes:
    """Processes of this machine: one for each GPU, or one single-threaded for each core.

    ``with processes() as executor: fit_all(recipes, executor=executor)``. Two of one thread train
    small runs 1.4 times as fast as one of two threads (``benchmarks/sweep.py``). The number of
    threads changes the last bits of what is learned (``tiny``: in each of 12 runs); ``run.json``
    has it.
    """
    return Processes(environments(n, threads))


def serve() -> None:
    """What a process does: calls come in through stdin, results go out through stdout."""
    calls, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the results
    try:
        while True:
            try:
                function, args, kwargs = pickle.load(calls)
                answer = (True, function(*args, **kwargs))
            except EOFError:
                return
            except Exception as error:
                answer = (False, _portable(error))
            pickle.dump(answer, results)
            results.flush()
    except BrokenPipeError:  # nobody is left who waits for it
        return


def _portable(error: Exception) -> Exception:
    """The error itself, or its text if it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
