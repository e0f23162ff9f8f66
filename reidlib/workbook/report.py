"""What one notebook holds on to: its profile, its figures and tables on disk, its rows of runs."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from reidlib.data import Dataset, load
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.compare import Comparison, compare, interval
from reidlib.evaluate.metrics import Metrics
from reidlib.evaluate.verdict import too_short
from reidlib.system.files import atomic_write, root
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe, departures
from reidlib.train.store import Run
from reidlib.train.sweep import Evaluation, executor_for, fit_all
from reidlib.workbook import profile as profiles
from reidlib.workbook import published as printed_tables
from reidlib.workbook import tables
from reidlib.workbook.profile import Profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas.io.formats.style import Styler

METRICS = ("rank1", "rank3", "rank5", "rank10", "mAP", "mAP_trapezoidal", "mINP")
EMBEDDED_NOTE = "measured on embedded data (drawn people), not on a published dataset"


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
        self.figures = root() / "figures" / self.profile.folder
        self.tables = root() / "reports" / self.profile.folder / "tables"

    def dataset(self, **options: Any) -> Dataset:
        """The profile's dataset; ``options`` are added to the profile's (``partial=...``)."""
        return load(self.profile.dataset, **{**self.profile.data_options, **options})

    def domain(self, name: str) -> dict[str, Any]:
        """What stands in this profile for another dataset that a paper prints on: dataset and
        data_options, for ``train_on``; empty if nothing does.

        Another town of embedded people has the options of the first.
        """
        found = dict(self.profile.domains.get(name, {}))
        if found.get("dataset") == self.profile.dataset:
            found["data_options"] = {**self.profile.data_options, **found.get("data_options", {})}
        return found

    def domain_dataset(self, name: str) -> Dataset | None:
        """That dataset, if there is one."""
        found = self.domain(name)
        return load(found["dataset"], **found.get("data_options", {})) if found else None

    def rows(self, rows: Mapping[str, Recipe], headline: Sequence[str]) -> dict[str, Recipe]:
        """Of a table's rows those that this profile has time for: all, or those named."""
        if missing := [name for name in headline if name not in rows]:
            raise ReidError(f"no row {missing[0]!r}{nearest(missing[0], rows)}")
        return {k: v for k, v in rows.items() if self.all_rows or k in headline}

    @property
    def all_rows(self) -> bool:
        """Whether this profile trains whole tables and sweeps, not their headline alone."""
        return self.profile.rows == "all"

    def recipe(self, recipe: Recipe, seed: int | None = None, **changes: Any) -> Recipe:
        """A recipe at this profile's scale; ``changes`` win over both."""
        return self.profile.apply(recipe, seed, **changes)

    def fit(self, recipe: Recipe, seed: int | None = None, **changes: Any) -> Run:
        """Trains (or finds) the recipe at this profile's scale."""
        return fit(self.recipe(recipe, seed, **changes))

    def points(self, values: Sequence[Any], keep: Any) -> list[Any]:
        """The values of a sweep that this profile has time for (``points``), in their order.

        ``keep``, the paper's own value, is always among them, then the ends, then evenly spaced.
        Raises ReidError if it is none of ``values``.
        """
        return self.profile.thinned(values, keep)

    def fit_all(
        self,
        rows: Mapping[str, Recipe],
        evaluations: Sequence[Evaluation] = (),
        train_on: Mapping[str, Any] | None = None,
    ) -> dict[str, list[Run]]:
        """Every row with every seed of the profile, at its scale, in the order of the seeds.

        evaluations: made of each run where it was trained. train_on: another dataset than the
        profile's, as ``domain`` gives it. Trains on as many processes as the profile's ``workers``
        says, or on the Dask cluster at ``REIDLIB_SCHEDULER`` (see ``reidlib.train.sweep``).
        """
        jobs = [(name, seed) for name in rows for seed in self.profile.seeds]
        recipes = [self.recipe(rows[name], seed, **(train_on or {})) for name, seed in jobs]
        names = [f"{name}, seed {seed}" for name, seed in jobs]
        with executor_for(recipes, self.profile.workers, evaluations) as executor:
            runs = iter(fit_all(recipes, executor=executor, names=names, evaluations=evaluations))
        return {name: [next(runs) for _ in self.profile.seeds] for name in rows}

    def title(self, text: str, on: str = "") -> str:
        """``text`` with what it was measured ``on``, by default the profile's dataset."""
        embedded = self.profile.dataset in profiles.EMBEDDED
        return f"{text} ({EMBEDDED_NOTE if embedded else on or self.profile.dataset})"

    def figure(self, figure: Figure, name: str) -> Figure:
        """Saves a figure as ``figures/<profile>/<notebook>_<name>.png`` and ``.svg``.

        Raises ReidError if it would put real people into a committed folder.
        """
        import matplotlib.pyplot as plt

        from reidlib.visualize.style import file_of

        if (
            self.profile.folder == profiles.COMMITTED
            and self.profile.dataset not in profiles.EMBEDDED
        ):
            raise ReidError(
                f"figures/{self.profile.folder} is committed and may not show the real people of "
                f"{self.profile.dataset}: use another profile"
            )
        for suffix in ("png", "svg"):
            picture = file_of(figure, suffix)
            atomic_write(self.figures / f"{self.notebook}_{name}.{suffix}", picture)
        plt.close(figure)  # it is displayed once, as what its cell returns
        return figure

    def save(self, frame: pd.DataFrame, name: str) -> None:
        """Writes a frame to ``reports/<folder>/tables/<notebook>_<name>.csv``.

        A profile that shares another's folder (``market1501_cpu``) adds its name: ``...-cpu.csv``.
        """
        shared = self.profile.name.removeprefix(self.profile.folder).lstrip("_")
        name = f"{self.notebook}_{name}-{shared}" if shared else f"{self.notebook}_{name}"
        text = frame.to_csv(index=tables.has_index(frame), float_format="%.6g")
        atomic_write(self.tables / f"{name}.csv", text)

    def show(self, frame: pd.DataFrame, title: str, digits: int = 1, on: str = "") -> Styler:
        """A frame for display, under a title that says what it was measured ``on``."""
        style = frame.style.set_caption(self.title(title, on)).format(precision=digits, na_rep="–")
        words: list[Hashable] = [
            column for column in frame.columns if frame[column].dtype.kind not in "fiub"
        ]
        style = style.set_properties(subset=words, **{"text-align": "left"})
        return style if tables.has_index(frame) else style.hide(axis="index")

    def table(self, frame: pd.DataFrame, name: str, title: str, digits: int = 1) -> Styler:
        """``save`` and ``show`` at once."""
        self.save(frame, name)
        return self.show(frame, title, digits)

    def results(
        self,
        tidy: pd.DataFrame | None,
        name: str,
        title: str,
        *,
        published: str | None = None,
        published_dataset: str | None = None,
    ) -> Styler:
        """Saves what ``reproduce`` returned and shows it in one line a row (``tables.wide``).

        tidy: None, where this profile measures nothing, shows the printed rows alone.
        """
        if tidy is None:
            frame = tables.printed_only(str(published), published_dataset)
            return frame.style.set_caption(f"{title}: as printed, not measured here").hide()
        self.save(tidy, name)
        note = tables.departures_note(tidy)
        caption = f"{title}, in percent; {tables.SIGNS_NOTE}" + (f"; {note}" if note else "")
        on = "; ".join(dict.fromkeys(tidy["measured_on"]))
        return self.show(tables.wide(tidy, published, published_dataset), caption, on=on)

    def reproduce(
        self,
        rows: Mapping[str, Recipe],
        *,
        published: str | None = None,
        published_dataset: str | None = None,
        metrics: Sequence[str] = ("rank1", "mAP"),
        evaluate: Mapping[str, Any] | None = None,
        dataset: Dataset | None = None,
        train_on: Mapping[str, Any] | None = None,
        paper: Recipe | Mapping[str, Recipe] | None = None,
    ) -> pd.DataFrame:
        """Runs every row with every seed of the profile and sets it beside the published values.

        rows: name (as printed) -> recipe, not yet scaled. published: a table below
        ``notebooks/published/``, without ``.csv``; published_dataset picks one of its datasets.
        metrics: some of METRICS. evaluate: options of ``Run.evaluate``; dataset: another one to
        evaluate on; train_on: another one to train on (see ``domain``).
        paper: the published settings, if the row's recipe departs from them itself; one recipe or
        one for each row.
        Returns one row for each row and metric, values in percent: row, metric, published,
        published_on, measured_on, mean, sd (over seeds, NaN for one), n (seeds), low and high (95 %
        interval over queries), gain over the first row with gain_low and gain_high (the same,
        paired: more than chance if 0 is outside), protocol, differs (from the published
        settings), seconds (of training, mean), device, commit, data, runs, recipe (of the first
        seed, what differs from the defaults).
        """
        printed = printed_tables.values(published, published_dataset)
        for metric in metrics:
            if metric not in METRICS:
                raise ReidError(f'unknown metric "{metric}"{nearest(metric, METRICS)}')
        trained, scores = self._scores(rows, evaluate, dataset, train_on)
        result: list[dict[str, Any]] = []
        first: list[Metrics] = []
        for name, recipe in rows.items():
            runs, measured = trained[name], scores[name]
            first = first or measured
            on = dataset or runs[0].recipe.load_dataset()
            for metric in metrics:
                values = pd.Series([100 * score.as_dict()[metric] for score in measured])
                low, high = interval(measured, metric)
                gain = compare(first, measured, metric)
                result.append(
                    {
                        "row": name,
                        "metric": metric,
                        "published": printed.get((name, metric), float("nan")),
                        "published_on": published_dataset or "",
                        "measured_on": on.name,
                        "mean": values.mean(),
                        "sd": values.std(ddof=1),
                        "n": len(values),
                        "low": 100 * low,
                        "high": 100 * high,
                        "gain": 100 * gain.difference,
                        "gain_low": 100 * gain.low,
                        "gain_high": 100 * gain.high,
                        "protocol": _protocol(on, evaluate or {}),
                        "differs": departures(
                            runs[0].recipe,
                            (paper[name] if isinstance(paper, Mapping) else paper) or recipe,
                        ),
                        "seconds": sum(run.info["seconds"] for run in runs) / len(runs),
                        "device": runs[0].info["device"],
                        "commit": runs[0].info["commit"],
                        "data": on.fingerprint,
                        "runs": " ".join(run.fingerprint for run in runs),
                        "recipe": json.dumps(runs[0].recipe.canonical(), sort_keys=True),
                    }
                )
        return pd.DataFrame(result)

    def curve(self, rows: Mapping[Any, Recipe], **options: Any) -> pd.DataFrame:
        """``reproduce`` for a sweep: recipes by a value, which becomes the column ``x``."""
        tidy = self.reproduce({str(value): recipe for value, recipe in rows.items()}, **options)
        return tidy.assign(x=tidy["row"].map({str(value): value for value in rows}))

    def gain(
        self,
        before: Recipe,
        after: Recipe,
        metric: str = "mAP",
        *,
        evaluate: Mapping[str, Any] | None = None,
        dataset: Dataset | None = None,
        train_on: Mapping[str, Any] | None = None,
    ) -> Comparison:
        """What a metric gains from one recipe to another, over all seeds, paired by query; whether
        both have trained."""
        rows = {"before": before, "after": after}
        trained, scores = self._scores(rows, evaluate, dataset, train_on)
        short = too_short({name: [r.chance_share for r in runs] for name, runs in trained.items()})
        return replace(compare(scores["before"], scores["after"], metric), short=short)

    def _scores(
        self,
        rows: Mapping[str, Recipe],
        evaluate: Mapping[str, Any] | None,
        dataset: Dataset | None,
        train_on: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, list[Run]], dict[str, list[Metrics]]]:
        """The runs of every row, and what each of its seeds scores."""
        wanted = Evaluation(dataset, evaluate or {})
        trained = self.fit_all(rows, [wanted], train_on)
        return trained, {
            name: [run.evaluate(dataset, **wanted.options) for run in runs]
            for name, runs in trained.items()
        }


def _protocol(dataset: Dataset, options: Mapping[str, Any]) -> str:
    """The protocol, and what else an evaluation was asked for: ``"market1501, rerank True"``."""
    others = [f"{k} {v}" for k, v in options.items() if k not in ("protocol", "device")]
    return ", ".join([options.get("protocol") or dataset.protocol, *others])
