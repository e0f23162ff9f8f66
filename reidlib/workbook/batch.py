"""Runs the notebooks: all is checked first, then each has a kernel of its own."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from reidlib.errors import ReidError, nearest
from reidlib.system.devices import cores
from reidlib.system.files import environment_kept, root
from reidlib.system.types import Option, check_options, check_type
from reidlib.train.processes import THREADS
from reidlib.workbook import profile as profiles
from reidlib.workbook.execute import Execution, Outcome
from reidlib.workbook.profile import Profile

PATH_VARIABLES = ("REIDLIB_DATA", "REIDLIB_RUNS", "REIDLIB_CACHE", "REIDLIB_WEIGHTS_DIR")
FILES = ("csv", "weights")  # keys of a profile that name a file
LAST = "90"  # notebooks numbered so and above collect what the others wrote


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
    jobs: int | None = None,
) -> list[Outcome]:
    """Executes notebooks at a profile into ``reports/<folder>/``; one that fails stops no other.

    ``overrides`` change the profile, ``parameters`` are other parameters of the notebooks. ``jobs``
    is how many run side by side. Where each trains in its own process on the CPU it is by default
    the number of cores, and each has one thread, whatever jobs is, so that the same bits come out;
    else it is 1, and each has its share of the cores.
    Raises ReidError, before anything runs, for whatever can be known to be wrong.
    """
    if jobs is not None and jobs < 1:
        raise ReidError(f"--jobs is {jobs}, must be at least 1")
    for name in {"profile", "overrides"} & set(parameters or {}):
        raise ReidError(
            f'parameter "{name}" is set by {"--profile" if name == "profile" else "--set"}'
        )
    overrides = _typed_here(overrides or {})
    with _environment():
        wanted = {p: profiles.load(profile, p.stem, overrides) for p in find_notebooks(only)}
        jobs, own = _shared_out(jobs, list(wanted.values()))
        executions = {}
        for path, found in wanted.items():
            given = {"profile": profile, "overrides": {**own, **overrides}, **(parameters or {})}
            executions[path] = Execution(path, _report_folder(found), given)
            _check_parameters(path, given)
        for line in sorted({x for path in wanted for x in _read_all(path, profile, overrides)}):
            tqdm.write(line)
        for folder in {found.folder for found in wanted.values()}:
            _check_writable(root() / "reports" / folder)
            _check_writable(root() / "figures" / folder)
        return _run_all(executions, jobs)


def _shared_out(jobs: int | None, wanted: Sequence[Profile]) -> tuple[int, dict[str, Any]]:
    """How many notebooks run side by side, and what changes of the profile that asks for. Sets the
    number of threads that kernels inherit, unless it is set."""
    on_cpu = all(found.pick_device().type == "cpu" for found in wanted)
    alone = on_cpu and all(found.workers == 1 for found in wanted)
    jobs = min(jobs or (cores() if alone else 1), len(wanted))
    share = 1 if alone else max(1, cores() // jobs)
    if alone or jobs > 1:
        for name in THREADS:
            os.environ.setdefault(name, str(share))
    return jobs, {"workers": share} if on_cpu and jobs > 1 and not alone else {}


def _typed_here(value: Any, key: str = "") -> Any:
    """``value`` with the paths of files that lie where the command was typed made absolute: a
    kernel works in another folder."""
    if isinstance(value, Mapping):
        return {k: _typed_here(v, k) for k, v in value.items()}
    if key in FILES and isinstance(value, str) and Path(value).is_file():
        return os.path.abspath(value)
    return value


def _order(paths: Sequence[Path]) -> list[list[Path]]:
    """What may run side by side, the notebooks with most cells first; then those numbered from 90
    on, which collect what others wrote."""

    def cells(path: Path) -> int:
        return sum(cell["cell_type"] == "code" for cell in json.loads(path.read_text())["cells"])

    long = sorted(paths, key=cells, reverse=True)
    return [[p for p in long if p.stem < LAST], [p for p in long if p.stem >= LAST]]


def _run_all(executions: Mapping[Path, Execution], jobs: int) -> list[Outcome]:
    """Runs them, ``jobs`` at a time. Ctrl-C stops those that run; the others never start."""
    ended: dict[Path, Future[Outcome]] = {}
    bar = tqdm(total=len(executions), desc="notebooks", unit="notebook", disable=None)
    with bar, ThreadPoolExecutor(jobs) as pool:
        try:
            for paths in _order(list(executions)) if jobs > 1 else [list(executions)]:
                ended |= {path: pool.submit(_run, executions[path], bar) for path in paths}
                wait(ended.values())
        except KeyboardInterrupt:
            for execution in executions.values():
                execution.stop()
    return [ended[p].result() if p in ended else Outcome(p.stem) for p in executions]


def _run(execution: Execution, bar: tqdm[Any]) -> Outcome:
    """Runs one, under a bar of its cells."""
    with tqdm(desc=execution.path.stem, unit="cell", leave=False, disable=None) as cells:

        def told(done: int, total: int) -> None:
            cells.total = total
            cells.update(done - cells.n)

        outcome = execution.run(told)
    if outcome.status != "not run":
        bar.update()
        tqdm.write(f"{outcome.notebook}: {outcome.status} after {outcome.seconds:.0f} s")
    return outcome


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


def _report_folder(wanted: Profile) -> Path:
    """Where a notebook's report goes. Raises ReidError if its dataset, backbone or weights are not
    right."""
    from reidlib.data import data_options, load
    from reidlib.data.sets.check import missing
    from reidlib.models.backbone import check_backbone
    from reidlib.models.weights import NAMED, start_file

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
