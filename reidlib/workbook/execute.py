"""Executes one notebook by papermill, here or in a process of its own.

Such a process says how far it is. When its standard input closes it ends as by Ctrl-C: so it is
stopped, and so it ends when whoever started it dies.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reidlib.errors import ReidError, how_it_ended
from reidlib.system.files import atomic_write

STOPPED = '<span style="color:red; font-size:2em;">Interrupted: this notebook did not end.</span>'

BY_HAND = "stopped by hand"
STARTS = 3  # of a kernel that dies before any cell has run

Told = Callable[[int, int], None]  # the cells that are through, and how many there are


@dataclass(frozen=True)
class Outcome:
    """How one notebook ended: status is "ok", "failed", "interrupted" or "not run"."""

    notebook: str
    seconds: float = 0.0
    status: str = "not run"
    error: str = ""  # the first line of it


class Execution:
    """One notebook in a process of its own, with ``execute``'s arguments."""

    def __init__(self, path: Path, folder: Path, parameters: Mapping[str, Any]) -> None:
        self.path, self.folder, self.parameters = path, folder, dict(parameters)
        self._child: subprocess.Popen[str] | None = None
        self._stopped = False
        self._lock = threading.Lock()  # it is started and stopped by two threads

    def run(self, told: Told) -> Outcome:
        """Starts it, and waits until it has ended."""
        code = f"import sys; sys.path[:] = {sys.path!r}; import {__name__} as it; it.serve()"
        job = json.dumps([str(self.path), str(self.folder), self.parameters])
        began, outcome = time.perf_counter(), None
        with self._lock:
            if self._stopped:
                return Outcome(self.path.stem)
            self._child = child = subprocess.Popen(
                [sys.executable, "-c", code, job],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C goes to who started it alone
            )
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                said = json.loads(line)
                if isinstance(said, dict):
                    outcome = Outcome(**said)
                else:
                    told(*said)
        status, error = "interrupted", BY_HAND
        if not self._stopped:
            status, error = "failed", f"its process ended {how_it_ended(child.wait())}"
            self.stop()
        child.wait()
        return outcome or Outcome(self.path.stem, time.perf_counter() - began, status, error)

    def stop(self) -> None:
        """Interrupts it; what it has by then is written, marked. It can be called again."""
        with self._lock:
            self._stopped = True
            if self._child and self._child.stdin:
                self._child.stdin.close()


def serve() -> None:
    """What such a process does: the job is its argument, each line that it prints is JSON."""
    told = os.dup(1)
    os.dup2(2, 1)  # what a library or a kernel prints must not get between the lines

    def say(*what: Any) -> None:
        line = json.dumps(what[0] if len(what) == 1 else what) + "\n"
        with suppress(BrokenPipeError):  # nobody is left who listens
            os.write(told, line.encode())

    def listen() -> None:
        os.read(0, 1)
        signal.pthread_kill(main, signal.SIGINT)

    # who starts a job in the background may have it ignore interrupts; this one ends by one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.get_ident()
    path, folder, parameters = json.loads(sys.argv[1])
    threading.Thread(target=listen, daemon=True).start()
    try:
        say(asdict(execute(Path(path), Path(folder), parameters, say)))
    except KeyboardInterrupt:  # while nothing ran yet, or what came out was written
        sys.exit(130)


def execute(path: Path, folder: Path, parameters: Mapping[str, Any], told: Told) -> Outcome:
    """Runs one notebook; writes it and its HTML to ``folder`` however it ends, whole files only."""
    start, status, error = time.perf_counter(), "ok", ""
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=folder) as scratch:
        part = Path(scratch) / path.name
        try:
            _run(path, part, parameters, told)
        except KeyboardInterrupt:
            status, error = "interrupted", BY_HAND
        except Exception as exception:  # the others shall still run
            status, error = "failed", _first_line(exception)
        seconds = time.perf_counter() - start
        if part.is_file():
            try:
                _publish(part, folder, path.parent, interrupted=status == "interrupted")
            except (ReidError, OSError) as unwritable:
                status, error = "failed", error or str(unwritable)
    return Outcome(path.stem, seconds, status, error)


def _run(path: Path, part: Path, parameters: Mapping[str, Any], told: Told) -> None:
    """Executes the notebook into ``part``, which is written after every cell."""
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    class Telling(NBClientEngine):
        """papermill's own engine, which says what it has done."""

        @classmethod
        def execute_managed_notebook(cls, notebook: Any, *args: Any, **options: Any) -> Any:
            complete = notebook.cell_complete

            def completed(cell: Any, cell_index: int | None = None, **others: Any) -> None:
                complete(cell, cell_index=cell_index, **others)
                told((cell_index or 0) + 1, len(notebook.nb.cells))

            notebook.cell_complete = completed
            return super().execute_managed_notebook(notebook, *args, **options)

    papermill_engines.register("telling", Telling)
    until_a_kernel_lives(
        papermill.execute_notebook,
        path,
        part,
        dict(parameters),
        engine_name="telling",
        kernel_name="python3",
        cwd=path.parent,
        extra_arguments=["--log-level=ERROR"],  # of the kernel: no notes on transport
        shutdown_kernel="immediate",  # at Ctrl-C no traceback of a kernel that is closing
        progress_bar=False,
    )


def until_a_kernel_lives(run: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """``run(*args, **options)``, which starts a kernel; again if that dies before it ran a cell.

    Its ports are chosen before it starts, and where many programs start side by side another may
    take one of them first. Raises RuntimeError when ``STARTS`` kernels died.
    """
    for left in reversed(range(STARTS)):
        try:
            return run(*args, **options)
        except RuntimeError as died:
            if not left or "died before replying" not in str(died):
                raise


def _publish(part: Path, folder: Path, notebooks: Path, *, interrupted: bool) -> None:
    """Writes the executed notebook and its HTML, marked if it was cut off."""
    import nbformat
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    notebook = nbformat.read(part, as_version=4)
    for i, cell in enumerate(notebook.cells):  # of a progress bar only its last state stays
        CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, i)
    notebook.metadata.papermill["input_path"] = f"notebooks/{part.name}"
    notebook.metadata.papermill["output_path"] = part.name
    if interrupted:
        notebook.metadata.papermill["exception"] = True
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(STOPPED))
    html, _ = HTMLExporter(embed_images=True).from_notebook_node(
        notebook, {"metadata": {"name": part.stem, "path": str(notebooks)}}
    )
    atomic_write(folder / part.name, nbformat.writes(notebook))
    atomic_write(folder / f"{part.stem}.html", html)


def _first_line(exception: Exception) -> str:
    """The sentence of a ReidError raised in a kernel; kind and first line of any other error."""
    kind = getattr(exception, "ename", type(exception).__name__)
    text = getattr(exception, "evalue", str(exception)).strip()
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")[0]
    if kind == "DeadKernelError":
        return "the kernel died: often the machine ran out of memory"
    return text if kind == "ReidError" else f"{kind}: {text}"
