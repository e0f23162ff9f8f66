"""Runs the notebooks by papermill: all is checked first, then each runs in a kernel of its own."""

from __future__ import annotations

import ast
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from reidlib.errors import ReidError, nearest
from reidlib.system.files import atomic_write, environment_kept, root
from reidlib.system.types import Option, check_options, check_type
from reidlib.workbook import profile as profiles

PATH_VARIABLES = ("REIDLIB_DATA", "REIDLIB_RUNS", "REIDLIB_CACHE", "REIDLIB_WEIGHTS_DIR")
FILES = ("csv", "weights")  # keys of a profile that name a file
STOPPED = '<span style="color:red; font-size:2em;">Interrupted: this notebook did not end.</span>'


@dataclass(frozen=True)
class Outcome:
    """How one notebook ended: status is "ok", "failed", "interrupted" or "not run"."""

    notebook: str
    seconds: float = 0.0
    status: str = "not run"
    error: str = ""  # the first line of it


def find_notebooks(only: Sequence[str] | None = None) -> list[Path]:
    """The numbered notebooks in order, or those of ``only`` (names, with or without suffix).

    Raises ReidError if there is none, or none of that name.
    """
    folder = root() / "notebooks"
    found = {path.stem: path for path in sorted(folder.glob("[0-9]*.ipynb"))}
    if not found:
        raise ReidError(f"no notebook in {folder}: run this from a checkout of the repository")
    wanted = [Path(name).name.removesuffix(".ipynb") for name in only or found]
    for name in wanted:
        if name not in found:
            raise ReidError(f'"{name}" is not a notebook in {folder}{nearest(name, found)}')
    return [found[name] for name in sorted(set(wanted))]


def run(
    profile: str = "demo",
    only: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Executes notebooks at a profile into ``reports/<folder>/``; one that fails stops no other.

    ``overrides`` change the profile, ``parameters`` are other parameters of the notebooks.
    Raises ReidError, before anything runs, for whatever can be known to be wrong.
    """
    for name in {"profile", "overrides"} & set(parameters or {}):
        raise ReidError(
            f'parameter "{name}" is set by {"--profile" if name == "profile" else "--set"}'
        )
    overrides = _typed_here(overrides or {})
    with _environment():
        jobs = []
        for path in find_notebooks(only):
            given = {"profile": profile, "overrides": overrides, **(parameters or {})}
            jobs.append((path, _report_folder(path.stem, profile, overrides), given))
            _check_parameters(path, given)
        for line in sorted({x for path, *_ in jobs for x in _read_all(path, profile, overrides)}):
            tqdm.write(line)
        for folder in {folder for _, folder, _ in jobs}:
            _check_writable(folder)
            _check_writable(root() / "figures" / folder.name)
        return _run_all(jobs)


def _typed_here(value: Any, key: str = "") -> Any:
    """``value`` with the paths of files that lie where the command was typed made absolute: a
    kernel works in another folder."""
    if isinstance(value, Mapping):
        return {k: _typed_here(v, k) for k, v in value.items()}
    if key in FILES and isinstance(value, str) and Path(value).is_file():
        return os.path.abspath(value)
    return value


def _run_all(jobs: Sequence[tuple[Path, Path, dict[str, Any]]]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with tqdm(total=len(jobs), desc="notebooks", unit="notebook", disable=None) as bar:
        for path, folder, given in jobs:
            outcome = execute(path, folder, given)
            outcomes.append(outcome)
            bar.update()
            tqdm.write(f"{outcome.notebook}: {outcome.status} after {outcome.seconds:.0f} s")
            if outcome.status == "interrupted":
                break
    return outcomes + [Outcome(path.stem) for path, _, _ in jobs[len(outcomes) :]]


def execute(path: Path, folder: Path, parameters: Mapping[str, Any]) -> Outcome:
    """Runs one notebook; writes it and its HTML to ``folder`` however it ends, whole files only."""
    import papermill

    start, status, error = time.perf_counter(), "ok", ""
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=folder) as scratch:
        part = Path(scratch) / path.name
        try:
            papermill.execute_notebook(
                path,
                part,
                dict(parameters),
                kernel_name="python3",
                cwd=path.parent,
                extra_arguments=["--log-level=ERROR"],  # of the kernel: no notes on transport
                shutdown_kernel="immediate",  # at Ctrl-C no traceback of a kernel that is closing
                progress_bar={"desc": path.stem, "position": 1, "leave": False, "disable": None},
            )
        except KeyboardInterrupt:
            status, error = "interrupted", "stopped by hand"
        except Exception as exception:  # the others shall still run
            status, error = "failed", _first_line(exception)
        seconds = time.perf_counter() - start
        if part.is_file():
            try:
                _publish(part, folder, interrupted=status == "interrupted")
            except (ReidError, OSError) as unwritable:
                status, error = "failed", error or str(unwritable)
    return Outcome(path.stem, seconds, status, error)


def _publish(part: Path, folder: Path, *, interrupted: bool) -> None:
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
        notebook, {"metadata": {"name": part.stem, "path": str(root() / "notebooks")}}
    )
    atomic_write(folder / part.name, nbformat.writes(notebook))
    atomic_write(folder / f"{part.stem}.html", html)


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a notebook: its name, seconds, status and first error line."""
    width = max(len(outcome.notebook) for outcome in outcomes)
    lines = [f"{'notebook':{width}}  seconds  {'status':11}  error"]
    for outcome in outcomes:
        lines.append(
            f"{outcome.notebook:{width}}  {outcome.seconds:7.1f}  {outcome.status:11}  "
            f"{outcome.error}".rstrip()
        )
    return "\n".join(lines)


def _first_line(exception: Exception) -> str:
    """The sentence of a ReidError raised in a kernel; kind and first line of any other error."""
    kind = getattr(exception, "ename", type(exception).__name__)
    text = getattr(exception, "evalue", str(exception)).strip()
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")[0]
    if kind == "DeadKernelError":
        return "the kernel died: often the machine ran out of memory"
    return text if kind == "ReidError" else f"{kind}: {text}"


def _report_folder(notebook: str, profile: str, overrides: Mapping[str, Any]) -> Path:
    """Where a notebook's report goes. Raises ReidError if its profile, dataset, backbone or weights
    are not right."""
    from reidlib.data import data_options, load
    from reidlib.data.sets.check import missing
    from reidlib.models.backbone import check_backbone
    from reidlib.models.weights import NAMED, start_file

    wanted = profiles.load(profile, notebook, overrides)
    wanted.pick_device()
    if wanted.backbone is not None:
        check_backbone(wanted.backbone)
    if wanted.weights == "start":
        start_file(wanted.backbone or "resnet50")  # refuses a backbone that has none
    elif wanted.weights not in (None, *NAMED) and not Path(wanted.weights).is_file():
        raise ReidError(
            f'weights file {wanted.weights} is not there: give another, "imagenet", "start" or null'
        )
    if reason := missing(wanted.dataset):
        raise ReidError(f"profile {wanted.name} trains on {wanted.dataset}, and {reason}")
    known = data_options(wanted.dataset) | {"partial": Option(dict, None)}
    check_options(wanted.data_options, known, f"dataset {wanted.dataset}")
    if wanted.dataset == "folder":  # one's own images: what is wrong with them is said at once
        load("folder", **wanted.data_options)
    return root() / "reports" / wanted.folder


def _read_all(path: Path, profile: str, overrides: Mapping[str, Any]) -> list[str]:
    """Reads the tables of all datasets and fetches all weights that a notebook needs, so that
    nothing turns out to be broken after hours. Returns a line for each dataset that is not there
    and is only one of others."""
    from reidlib.data import EMBEDDED
    from reidlib.data.sets.check import missing
    from reidlib.models.backbone import fetch_imagenet
    from reidlib.train.recipe import Recipe
    from reidlib.workbook.noted import note

    wanted, absent = profiles.load(profile, path.stem, overrides), []
    own = {"dataset": wanted.dataset, "data_options": wanted.data_options}
    for domain in (own, *wanted.domains.values()):
        name = domain["dataset"]
        if reason := missing(name):
            absent.append(f"{name} is not here, its tables show what is printed: {reason}")
        elif name not in EMBEDDED:
            options = domain.get("data_options", {})
            Recipe(dataset=name, data_options=options).load_dataset()  # kept for all notebooks
    if wanted.weights == "imagenet":
        backbones = {wanted.backbone} if wanted.backbone else set()
        if not backbones:
            every = note(path, profile, overrides).recipes.values()
            backbones = {recipe.backbone for recipe in every if recipe.weights == "imagenet"}
        for backbone in backbones:
            fetch_imagenet(backbone)
    return absent


def _check_parameters(path: Path, given: Mapping[str, Any]) -> None:
    """Raises ReidError for a parameter that the notebook does not declare, or of another type."""
    import papermill

    try:
        declared = papermill.inspect_notebook(path)
        defaults = {name: ast.literal_eval(found["default"]) for name, found in declared.items()}
    except (ValueError, SyntaxError) as error:
        reason = str(error).split("\n")[0]
        raise ReidError(
            f"{path.name} cannot be run: {reason}; a notebook names its kernel, and its cell "
            "tagged parameters holds plain values only"
        ) from error
    for name, value in given.items():
        if name not in defaults:
            raise ReidError(f'{path.name} has no parameter "{name}"{nearest(name, defaults)}')
        if defaults[name] is not None:
            check_type(value, type(defaults[name]), f"{path.name}: parameter {name}")


def _check_writable(folder: Path) -> None:
    """Raises ReidError if no file can be made in ``folder``; makes the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ReidError(
            f"cannot write to the folder {folder} ({error.strerror}): free it or make it writable"
        ) from error


@contextmanager
def _environment() -> Iterator[None]:
    """What kernels inherit: no ``REIDLIB_PROFILE``, absolute paths, this environment's kernel."""
    with environment_kept():
        os.environ.pop("REIDLIB_PROFILE", None)
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
        os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
        # threads that spin while they wait make training 4 times slower beside other work
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        for name in PATH_VARIABLES:
            if os.environ.get(name):
                os.environ[name] = os.path.abspath(os.environ[name])
        yield
