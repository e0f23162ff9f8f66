"""What a notebook trains and tests, found without training.

Of its statements those are executed that a training depends on, with a report that only notes down.
Datasets are blank: as many people and images as the official ones have, no picture. What only a
training would show is ``NOTHING``, and a statement that cannot do without it is left out.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pandas as pd

from reidlib.data import EMBEDDED, Dataset, data_options, load, reader
from reidlib.data.partial import make_partial
from reidlib.data.sets.layout import table
from reidlib.evaluate.compare import Comparison
from reidlib.models import ReIDModel
from reidlib.train.recipe import Recipe, outline
from reidlib.workbook import profile as profiles
from reidlib.workbook.report import Report, Rows
from reidlib.workbook.rows import Measured, Row, as_row

TRAINS = {"fit", "fit_all", "gain", "measure", "model", "sweep", "sweeps", "table"}  # of ``Report``
IDS = 750  # people of a blank test set, as Market-1501 has


class Nothing(float):
    """What is not known before training: every part of it, and every answer, is nothing too; where
    a recipe wants a number, a half."""

    def __new__(cls) -> Nothing:
        return super().__new__(cls, 0.5)

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> Nothing:
        return self

    def __getitem__(self, key: object) -> Nothing:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False


NOTHING = Nothing()
# where images are measured or drawn: not tried with NOTHING, it might take for ever
MEASURES = {"attributes", "costs", "data", "decorrelation", "evaluate", "figures", "measure",
            "receptive", "response", "visualize"}  # fmt: skip
BUILDS = {"build_model", "kernel_change"}  # networks with their weights


class Test(NamedTuple):
    """An evaluation: of which recipe, on what, with which options of ``Run.evaluate``."""

    recipe: Recipe
    dataset: Dataset
    options: Mapping[str, Any]


class NotedRun:
    """A run that was not trained: it knows its recipe and what it is tested on."""

    def __init__(self, report: NotingReport, recipe: Recipe) -> None:
        self.report, self.recipe = report, recipe

    def __getattr__(self, name: str) -> Nothing:
        found: Nothing = getattr(NOTHING, name)
        return found

    def load_model(self, *_: object) -> ReIDModel:
        return self.report.model(self)

    @property
    def metrics(self) -> Nothing:
        return self.evaluate()

    def evaluate(self, dataset: Dataset | None = None, **options: Any) -> Nothing:
        return self.report.test(self.recipe, dataset, options)


class NotingReport(Report):
    """A report that trains nothing and saves nothing: ``recipes`` and ``tests`` hold what it was
    asked for, by what names them. everything: also what the machine has no dataset for."""

    def __init__(
        self,
        notebook: str,
        profile: str,
        overrides: Mapping[str, Any] | None = None,
        everything: bool = True,
    ) -> None:
        self.notebook, self.everything = notebook, everything
        self.profile = profiles.load(profile, notebook, overrides)
        self.recipes: dict[str, Recipe] = {}
        self.tests: dict[str, Test] = {}

    def note(self, recipe: Recipe) -> NotedRun:
        """Notes a recipe and those that it starts from."""
        for start in recipe.start:
            self.note(start)
        self.recipes.setdefault(_key(recipe.training()), recipe.training())
        return NotedRun(self, recipe)

    def test(self, recipe: Recipe, dataset: Dataset | None, options: Mapping[str, Any]) -> Nothing:
        """Notes an evaluation."""
        on = dataset or blank(recipe.dataset, recipe.data_options)
        if isinstance(on, Dataset):
            what = {"on": on.name, "cut": on.fingerprint, "sizes": _sizes(on), **options}
            key = _key(recipe) + json.dumps(what, sort_keys=True, default=str)
            self.tests.setdefault(key, Test(recipe, on, options))
        return NOTHING

    def dataset(self, **options: Any) -> Dataset:
        return blank(self.profile.dataset, {**self.profile.data_options, **options})

    def domain(self, name: str) -> dict[str, Any]:
        return self.declared(name) if self.everything else super().domain(name)

    def domain_dataset(self, name: str) -> Dataset | None:
        found = self.domain(name)
        return blank(found["dataset"], found.get("data_options", {})) if found else None

    def fit(self, recipe: Recipe, seed: int | None = None, **changes: Any) -> Any:
        return self.note(self.recipe(recipe, seed, **changes))

    def fit_all(
        self, rows: Rows, evaluations: Sequence[Any] = (), train_on: Mapping[str, Any] | None = None
    ) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for name, row in rows.items():
            one = as_row(row)
            changes = {**(train_on or {}), **one.changes}
            runs = [self.fit(one.recipe, seed, **changes) for seed in self.seeds]
            for run in runs:
                for dataset, options in evaluations:
                    run.evaluate(dataset, **options)
            found[name] = runs
        return found

    def _measured(
        self,
        rows: Rows,
        evaluate: Mapping[str, Any],
        train_on: Mapping[str, Any],
        dataset: Dataset | None,
    ) -> dict[str, Measured]:
        for name, row in rows.items():
            options = {**evaluate, **as_row(row).evaluate}
            self.fit_all({name: row}, [(dataset, options)], train_on)
        return {}

    def gain(
        self,
        before: Recipe | Row,
        after: Recipe | Row,
        metric: str = "mAP",
        *,
        evaluate: Mapping[str, Any] | None = None,
        dataset: Dataset | None = None,
        train_on: Mapping[str, Any] | None = None,
    ) -> Comparison:
        self._measured({"before": before, "after": after}, evaluate or {}, train_on or {}, dataset)
        return Comparison(metric, 0.0, 0.0, 0.0, 0.0, 0.0, 0, pd.DataFrame())

    def model(self, of: Recipe | Any) -> ReIDModel:
        run = of if isinstance(of, NotedRun) else self.fit(of)
        return _outline(_key(run.recipe.but(seed=0)))

    def save(self, frame: pd.DataFrame, name: str) -> None:
        pass

    def figure(self, figure: Any, name: str, *, measured: bool = True) -> Any:
        return NOTHING


@cache
def _outline(key: str) -> ReIDModel:
    return outline(Recipe(**json.loads(key)))


def _key(recipe: Recipe) -> str:
    return json.dumps(recipe.canonical(), sort_keys=True)


def _sizes(dataset: Dataset) -> tuple[int, int]:
    return len(dataset.query), len(dataset.gallery)


def blank(name: str, options: Mapping[str, Any]) -> Dataset:
    """A dataset of the size of the one of that name, without a picture.

    Sizes are the official ones; of drawn people they follow from the options. Images of one's own
    (``folder``) are read.
    """
    if name == "folder":
        return load(name, **options)
    return _sized(name, json.dumps(options, sort_keys=True))


@cache
def _sized(name: str, given: str) -> Dataset:
    defaults = {k: option.default for k, option in data_options(name).items()}
    options = defaults | json.loads(given)
    cut = options.pop("partial", None)
    counts = dict(getattr(reader(name), "COUNTS", {}))
    people, trained = IDS, IDS
    if name in EMBEDDED:
        people, trained = options["test_ids"], options["train_ids"]
        each, cameras = options["images"], options.get("cameras", 1)
        frames = options.get("frames", 1) if options.get("tracklets") else 1
        counts = {
            "train": trained * cameras * each * frames,
            "query": people * (cameras if name == "synthetic" else each - 1) * frames,
            "gallery": people * cameras * max(each - 1, 1) * frames,
        }
    elif name == "lfw":
        people = options["ids"]
        counts["query"] = reader(name).IMAGES - people
    elif name == "mars":
        counts["query"] = counts["gallery"] // 6
    sizes = {"train": trained, "query": people, "gallery": people}
    tables = {split: _blank(counts.get(split, 0), number) for split, number in sizes.items()}
    protocol = "partial" if name in ("lfw", "partial-reid", "partial-ilids") else "market1501"
    made = Dataset(name, **tables, fingerprint=name, protocol=protocol, embedded=name in EMBEDDED)
    return make_partial(made, **cut) if cut else made


def _blank(images: int, people: int) -> pd.DataFrame:
    rows = ((f"{i}.jpg", 1 + i % max(1, min(people, images)), 1 + i % 6) for i in range(images))
    return table(rows)


def note(
    path: Path,
    profile: str,
    overrides: Mapping[str, Any] | None = None,
    everything: bool = True,
) -> NotingReport:
    """What the notebook at ``path`` trains and tests at a profile."""
    report = NotingReport(path.stem, profile, overrides, everything)
    cells = nbformat.read(path, as_version=4).cells
    code = [c for c in cells if c.cell_type == "code"]
    code = [c for c in code if "parameters" not in c.metadata.get("tags", [])]
    space: dict[str, Any] = {"report": report} | dict.fromkeys(("display", "print"), _silent)
    for statement in needed([s for c in code for s in ast.parse(c.source).body]):
        _execute(statement, space)
    return report


def _silent(*_: object) -> None:
    """What shows something in a notebook, in a plan."""


def needed(statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Those that train, and those whose names they use; in order."""
    wanted: set[str] = set()
    kept = []
    for statement in reversed(statements):
        if "report" in _bound(statement):
            continue
        if _trains(statement) or wanted & (_bound(statement) | _changed(statement)):
            kept.append(statement)
            if isinstance(statement, ast.Assign):  # what its names were before is not asked for
                wanted -= _bound(statement)
            wanted |= _names(statement, ast.Load) - {"report"}
    return kept[::-1]


def _trains(statement: ast.stmt) -> bool:
    """Whether a training method of the report is called, or the report is handed on."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and node.attr in TRAINS and _is_report(node.value):
            return True
        if isinstance(node, ast.Call) and any(map(_is_report, node.args)):
            return True
    return False


def _is_report(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "report"


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a value."""
    names = _names(statement, ast.Store)
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


def _names(statement: ast.stmt, use: type[ast.expr_context]) -> set[str]:
    nodes = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, use)}


def _changed(statement: ast.stmt) -> set[str]:
    """The names whose value a statement changes: ``x[k] = 1``, ``x.append(1)``."""
    found = set()
    for node in ast.walk(statement):
        base: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            base = node.value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            base = called.value if isinstance(called, ast.Attribute) else None
        if isinstance(base, ast.Name):
            found.add(base.id)
    return found


def _execute(statement: ast.stmt, space: dict[str, Any]) -> None:
    """Executes a statement, or what of it can be: the others' names are ``NOTHING``.

    One that would measure ``NOTHING`` is not tried: it might do so for ever; nor one that builds a
    network: its weights might be downloaded.
    """
    names = _names(statement, ast.Load)
    parts = names | {n.attr for n in ast.walk(statement) if isinstance(n, ast.Attribute)}
    unknown = parts & MEASURES and any(space.get(name) is NOTHING for name in names)
    unknown = unknown or parts & BUILDS
    try:
        if unknown and not _trains(statement):
            raise NotImplementedError
        if isinstance(statement, ast.If):
            test = compile(ast.Expression(statement.test), "<plan>", "eval")
            for part in statement.body if eval(test, space) else statement.orelse:
                _execute(part, space)
        else:
            exec(compile(ast.Module([statement], []), "<plan>", "exec"), space)
    except Exception:
        space |= dict.fromkeys(_bound(statement), NOTHING)
