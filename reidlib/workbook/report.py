"""What one notebook holds on to: its profile, its figures and tables on disk, its rows of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from reidlib.data import EMBEDDED, Dataset, load
from reidlib.data.sets.check import missing
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.compare import Comparison, compare
from reidlib.evaluate.verdict import too_short
from reidlib.models import ReIDModel
from reidlib.system.files import atomic_write, root
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe, outline
from reidlib.train.store import Run
from reidlib.train.sweep import Evaluation, executor_for, fit_all
from reidlib.workbook import committed, tables
from reidlib.workbook import profile as profiles
from reidlib.workbook import published as printed_tables
from reidlib.workbook import rows as measuring
from reidlib.workbook import sweeps as sweeping
from reidlib.workbook.cells import WebTable
from reidlib.workbook.profile import Profile
from reidlib.workbook.rows import Measured, Row, as_row
from reidlib.workbook.words import DRAWN, NOTHING_TRAINED, REAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMBEDDED_NOTE = "Measured on embedded data (drawn people), not on a published dataset."
TESTED = ("rank1", "mAP")  # the metrics of a table that names none

Rows = Mapping[str, Recipe | Row]


class Report:
    """What a notebook holds on to.

    notebook: its name, such as ``"00_quickstart"``. profile: a name below ``notebooks/params/``
    (``REIDLIB_PROFILE`` wins). overrides: keys of that file with other values.
    """

    def __init__(
        self, notebook: str, profile: str = "demo", overrides: Mapping[str, Any] | None = None
    ) -> None:
        self.notebook = notebook
        self.profile: Profile = profiles.load(profile, notebook, overrides)
        self.device = self.profile.pick_device()
        self.figures = root() / "figures" / self.profile.folder
        self.tables = root() / "reports" / self.profile.folder / "tables"
        self.study = root() / "reports" / profiles.COMMITTED / "tables"

    # what is trained and tested on

    def dataset(self, **options: Any) -> Dataset:
        """The profile's dataset; ``options`` are added to the profile's (``partial=...``)."""
        return load(self.profile.dataset, **{**self.profile.data_options, **options})

    def domain(self, name: str) -> dict[str, Any]:
        """What stands in this profile for another dataset that a paper prints on: dataset and
        data_options, as changes of a recipe; empty if nothing does, or if it is not at hand.

        Another town of embedded people has the options of the first.
        """
        found = self.declared(name)
        return {} if not found or missing(found["dataset"]) else found

    def declared(self, name: str) -> dict[str, Any]:
        """The same, whether it is at hand or not."""
        found = dict(self.profile.domains.get(name, {}))
        if found.get("dataset") == self.profile.dataset:
            found["data_options"] = {**self.profile.data_options, **found.get("data_options", {})}
        return found

    def domain_dataset(self, name: str) -> Dataset | None:
        """That dataset, if there is one."""
        found = self.domain(name)
        return load(found["dataset"], **found.get("data_options", {})) if found else None

    # what is trained

    @property
    def all_rows(self) -> bool:
        """Whether this profile trains whole tables and sweeps, not their headline alone."""
        return self.profile.rows == "all"

    def rows(self, rows: Mapping[str, Any], headline: Sequence[str]) -> dict[str, Any]:
        """Of a table's rows those that this profile has time for: all, or those named."""
        if missing := [name for name in headline if name not in rows]:
            raise ReidError(f"no row {missing[0]!r}{nearest(missing[0], rows)}")
        return {k: v for k, v in rows.items() if self.all_rows or k in headline}

    def points(self, values: Sequence[Any], keep: Any) -> list[Any]:
        """The values of a sweep that this profile has time for (``points``), in their order.

        ``keep``, the paper's own value, is always among them, then the ends, then evenly spaced.
        Raises ReidError if it is none of ``values``.
        """
        return self.profile.thinned(values, keep)

    def recipe(self, recipe: Recipe, seed: int | None = None, **changes: Any) -> Recipe:
        """A recipe at this profile's scale; ``changes`` win over both."""
        return self.profile.apply(recipe, seed, **changes)

    def fit(self, recipe: Recipe, seed: int | None = None, **changes: Any) -> Run:
        """Trains (or finds) the recipe at this profile's scale."""
        return fit(self.recipe(recipe, seed, **changes), device=self.device)

    def fit_all(
        self,
        rows: Rows,
        evaluations: Sequence[Evaluation] = (),
        train_on: Mapping[str, Any] | None = None,
    ) -> dict[str, list[Run]]:
        """Every row with every seed of the profile, at its scale, in the order of the seeds.

        evaluations: made of each run where it was trained. train_on: another dataset than the
        profile's, as ``domain`` gives it. Trains on as many processes as the profile's ``workers``
        says, or on the Dask cluster at ``REIDLIB_SCHEDULER`` (see ``reidlib.train.sweep``).
        """
        jobs = [(name, as_row(row), seed) for name, row in rows.items() for seed in self.seeds]
        recipes = [
            self.recipe(row.recipe, seed, **{**(train_on or {}), **row.changes})
            for _, row, seed in jobs
        ]
        names = [f"{name}, seed {seed}" for name, _, seed in jobs]
        with executor_for(recipes, self.profile.workers, evaluations) as executor:
            found = fit_all(
                recipes,
                executor=executor,
                device=None if self.profile.device == "auto" else self.profile.device,
                names=names,
                evaluations=evaluations,
            )
        runs = iter(found)
        return {name: [next(runs) for _ in self.seeds] for name in rows}

    def model(self, of: Recipe | Run) -> ReIDModel:
        """The trained model of a run, or of a recipe at this profile's scale, on the device of this
        machine."""
        run = of if isinstance(of, Run) else self.fit(of)
        return run.load_model(self.device)

    @staticmethod
    def outline(recipe: Recipe) -> ReIDModel:
        """The model of a recipe as it stands, for 751 identities: shapes, no weights."""
        return outline(recipe)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The profile's."""
        return self.profile.seeds

    # what is measured

    @staticmethod
    def row(recipe: Recipe, changes: Mapping[str, Any] | None = None, **evaluate: Any) -> Row:
        """A row of a table that is scaled or tested otherwise than the others (``rows.Row``)."""
        return Row(recipe, evaluate, changes or {})

    def table(self, name: str, rows: Rows, *, title: str, **options: Any) -> WebTable | None:
        """A table of a paper: ``measure``, saved as ``<notebook>_<name>.csv`` and shown beside the
        printed rows, with what came of it below (``tables.results``).

        Where nothing is measured the printed values are shown alone, and nothing if none are.
        Where ``committed`` finds the study's table, its values of all rows stand beside, in columns
        of their own that are not saved.
        title: what it is; what it is printed on is added. options: of ``measure``.
        """
        tidy = self.measure(rows, **options)
        published, on = options.get("published"), options.get("on")
        metrics = options.get("metrics", TESTED)
        caption = f"{title}, printed on {on}" if on else title
        printed = None
        if published is not None:
            printed = printed_tables.table(published, on)
        study = self.committed(name)
        study = study[study["row"].isin([*rows]) & study["metric"].isin(metrics)]
        if tidy.empty and study.empty:
            return None if printed is None else tables.results(caption, {}, printed)
        self.save(tidy, name)
        if printed is not None:
            printed = printed[printed["metric"].isin(metrics)]
        measured = {} if tidy.empty else {self.people: tidy}
        if not study.empty:
            measured[tables.STUDY] = study
        shown = tables.results(caption, measured, printed, [*rows])
        notes = [shown.note, "" if tidy.empty else tables.departures_note(tidy)]
        notes.append("" if study.empty else f"{committed.note(study, tables.STUDY.capitalize())}.")
        shown.note = " ".join(filter(None, notes))
        return shown

    def measure(
        self,
        rows: Rows,
        *,
        published: str | None = None,
        on: str | None = None,
        trained: str | None = None,
        tested: str | Dataset | None = None,
        real: bool = False,
        headline: Sequence[str] | None = None,
        ours: Sequence[str] = (),
        against: str | Mapping[str, str] | None = None,
        metrics: Sequence[str] = TESTED,
        evaluate: Mapping[str, Any] | None = None,
        paper: Recipe | Mapping[str, Recipe] | None = None,
    ) -> pd.DataFrame:
        """Every row with every seed of the profile, beside the published values.

        rows: name (as printed) -> recipe, not yet scaled.
        published: a printed table's name; on: which of its datasets. The dataset that the rows'
        recipes name is the profile's; for each other one its stand-in (``domain``) is trained and
        tested on. ``"market1501->cuhk03"``: trained on the first, tested on the second.
        trained, tested: other datasets than ``on`` says, by name, or to test on as they are.
        real: True measures on no stand-in that is drawn.
        headline: the rows that a profile without time for all of them trains; default all, but
        none that are trained on a stand-in.
        ours: rows that the published table does not have.
        against: the row that gains are over, one for all or for each; default the first.
        metrics: some of ``rows.METRICS``. evaluate: options of ``Run.evaluate``.
        paper: the published settings, if the row's recipe departs from them itself; one recipe or
        one for each row.
        Returns ``rows.COLUMNS``, one row for each row and metric; empty where nothing is measured
        in this profile: no stand-in, dataset not at hand, or no time. Raises ReidError for an
        unknown table, dataset, row or metric before anything is trained.
        """
        measuring.check([*rows], metrics, published, on, ours)
        printed = printed_tables.values(published, on)
        place = self._place(rows, on, trained, tested, real)
        chosen = dict(rows)
        if not self.all_rows and place and headline is None and place[0]:
            headline = ()
        if headline is not None:
            chosen = self.rows(rows, headline)
        over = measuring.references([*chosen], against, [*rows])
        measured = self._measured(chosen, evaluate or {}, *place) if place else {}

        def settings(name: str) -> Recipe:
            known = paper.get(name) if isinstance(paper, Mapping) else paper
            return known or as_row(rows[name]).recipe

        return measuring.tidy(measured, metrics, over, printed, on, settings)

    sweep = sweeping.one
    sweeps = sweeping.several

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
        """What a metric gains from one recipe to another, over all seeds, paired by query; whether
        both have trained."""
        pair: Rows = {"before": before, "after": after}
        found = self._measured(pair, evaluate or {}, train_on or {}, dataset)
        shares = {name: [run.chance_share for run in row.runs] for name, row in found.items()}
        gain = compare(found["before"].scores, found["after"].scores, metric)
        return replace(gain, short=too_short(shares))

    def _place(
        self,
        rows: Rows,
        on: str | None,
        trained: str | None,
        tested: str | Dataset | None,
        real: bool,
    ) -> tuple[dict[str, Any], Dataset | None] | None:
        """What to train on (changes of a recipe) and to test on (None: the same), as ``measure``
        says; None if something of it is not there."""
        home = next((as_row(row).recipe.dataset for row in rows.values()), None)
        source, _, target = (on or "").partition("->")
        train_on = {}
        if trained or (tested is None and source not in ("", home)):
            train_on = self.domain(trained or source)
            if not train_on or (real and train_on["dataset"] in EMBEDDED):
                return None
        wanted = tested or target
        if not isinstance(wanted, str) or not wanted:
            return train_on, wanted or None
        dataset = self.dataset() if wanted == home else self.domain_dataset(wanted)
        if dataset is None or (real and dataset.embedded):
            return None
        return train_on, dataset

    def _measured(
        self,
        rows: Rows,
        evaluate: Mapping[str, Any],
        train_on: Mapping[str, Any],
        dataset: Dataset | None,
    ) -> dict[str, Measured]:
        """The runs of every row, and what each of its seeds scores."""
        options = {name: {**evaluate, **as_row(row).evaluate} for name, row in rows.items()}
        trained: dict[str, list[Run]] = {}
        for asked in options.values():  # rows that are tested alike are trained side by side
            some = {k: rows[k] for k in rows if options[k] == asked and k not in trained}
            if some:
                trained |= self.fit_all(some, [Evaluation(dataset, asked)], train_on)
        return {
            name: Measured(
                trained[name],
                [
                    run.evaluate(dataset, device=self.device, **options[name])
                    for run in trained[name]
                ],
                dataset or trained[name][0].recipe.load_dataset(),
                options[name],
            )
            for name in rows
        }

    # what is left behind

    def committed(self, name: str) -> pd.DataFrame:
        """The committed study's table ``<notebook>_<name>.csv``, tidy, to be shown beside what this
        profile measures: if it trains headline rows alone, on drawn people. Empty in every other
        profile, and if there is no such table."""
        study = self.profile.folder == profiles.COMMITTED
        if study or self.all_rows or self.profile.dataset not in EMBEDDED:
            return pd.DataFrame(columns=committed.NEEDED)
        return committed.table(self.study / f"{self.notebook}_{name}.csv")

    @property
    def conditions(self) -> str:
        """What a figure rests on: data, network, steps and seeds of the profile."""
        profile = self.profile
        size = f" at {profile.size[0]}x{profile.size[1]}" if profile.size else ""
        length = "the paper's schedule"
        if profile.steps or profile.epochs:
            length = f"{profile.steps:,} steps" if profile.steps else f"{profile.epochs:g} epochs"
        network = profile.backbone or "the paper's"
        return (
            f"{self.people.capitalize()} ({profile.dataset}). Trained networks: {network}{size}, "
            f"{length}, seeds {', '.join(map(str, self.seeds))}; where one network is shown, it is "
            f"that of seed {self.seeds[0]}."
        )

    @property
    def people(self) -> str:
        """What the profile measures on: drawn people or real ones."""
        return DRAWN if self.profile.dataset in EMBEDDED else REAL

    def figure(self, figure: Figure, name: str, *, measured: bool = True) -> Figure:
        """Saves a figure as ``figures/<profile>/<notebook>_<name>.png`` and ``.svg``, with a line
        below it: ``conditions``, or, if nothing was ``measured``, that it is read off modules and
        recipes.

        Raises ReidError if it would put real people into a committed folder.
        """
        import matplotlib.pyplot as plt

        from reidlib.visualize.style import file_of, has_note, note

        if self.profile.folder == profiles.COMMITTED and self.profile.dataset not in EMBEDDED:
            raise ReidError(
                f"figures/{self.profile.folder} is committed and may not show the real people of "
                f"{self.profile.dataset}: use another profile"
            )
        if not has_note(figure):
            note(figure, self.conditions if measured else NOTHING_TRAINED)
        for suffix in ("png", "svg"):
            picture = file_of(figure, suffix)
            atomic_write(self.figures / f"{self.notebook}_{name}.{suffix}", picture)
        plt.close(figure)  # it is displayed once, as what its cell returns
        return figure

    def save(self, frame: pd.DataFrame, name: str) -> None:
        """Writes a frame to ``reports/<folder>/tables/<notebook>_<name>.csv``, unless it is empty.

        A profile that shares another's folder (``market1501_cpu``) adds its name: ``...-cpu.csv``.
        """
        if frame.empty:
            return
        shared = self.profile.name.removeprefix(self.profile.folder).lstrip("_")
        name = f"{self.notebook}_{name}-{shared}" if shared else f"{self.notebook}_{name}"
        text = frame.to_csv(index=tables.has_index(frame), float_format="%.6g")
        atomic_write(self.tables / f"{name}.csv", text)

    def show(
        self, frame: pd.DataFrame, title: str, digits: int = 1, *, measured: bool = True
    ) -> WebTable:
        """A frame for display; ``measured``: on people, which its title then names.

        digits: the most that stand after a point.
        """
        shown = tables.plain(title, frame, self.people if measured else "", digits)
        if measured:
            embedded = self.profile.dataset in EMBEDDED
            shown.note = EMBEDDED_NOTE if embedded else f"Measured on {self.profile.dataset}."
        return shown

    def frame(
        self, frame: pd.DataFrame, name: str, title: str, digits: int = 1, *, measured: bool = True
    ) -> WebTable:
        """``save`` and ``show`` at once."""
        self.save(frame, name)
        return self.show(frame, title, digits, measured=measured)
