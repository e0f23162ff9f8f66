"""The command line. Bad input ends with one sentence and exit code 2, failed notebooks with 1."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import reidlib
from reidlib.errors import ReidError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code. ``REIDLIB_DEBUG=1`` lets tracebacks through."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "command"):
        parser.print_help()
        return 0
    try:
        command: Callable[[argparse.Namespace], int] = given.command
        return command(given)
    except ReidError as error:
        if os.environ.get("REIDLIB_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if os.environ.get("REIDLIB_DEBUG") == "1" or (error.name or "reidlib").startswith(
            "reidlib"
        ):
            raise
        print(
            f'error: this needs the package {error.name}: pip install "reidlib[workbook]"',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("stopped by hand", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(given: argparse.Namespace) -> int:
    from reidlib.workbook import batch

    overrides = _nested(_pairs(given.set, "--set"))
    parameters = _pairs(given.parameter, "-p")
    if given.plan:
        from reidlib.workbook import plan

        print(plan.text(given.profile, batch.find_notebooks(given.only), overrides))
        return 0
    outcomes = batch.run(given.profile, given.only, overrides, parameters, given.jobs)
    print(f"\n{batch.table(outcomes)}")
    states = {outcome.status for outcome in outcomes}
    if "interrupted" in states:
        print("stopped by hand: what did not end is marked as interrupted", file=sys.stderr)
        return 130
    return 0 if states == {"ok"} else 1


def _train(given: argparse.Namespace) -> int:
    from reidlib.train import launch

    launch.train(
        given.recipe,
        given.device,
        resume=not given.again,
        compile=given.compile,
        deterministic=given.deterministic,
        trace=given.trace,
    )
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    from reidlib.system.devices import pick_device
    from reidlib.workbook import evaluation

    common = {"rerank": given.rerank, "device": str(pick_device(given.device))}
    if given.features and not given.model and not given.data:
        options = common | {"protocol": given.protocol or "market1501", "distance": given.distance}
        found = evaluation.of_features(given.features, given.labels, **options)
        others = [evaluation.of_features(x, given.labels, **options) for x in given.compare]
    elif given.model and given.data and not given.features:
        network = {"size": given.size, "mean": given.mean, "std": given.std, "trust": given.trust}
        network = {k: tuple(v) if isinstance(v, list) else v for k, v in network.items() if v}
        options = common | {"protocol": given.protocol, "flip": given.flip} | network
        found = evaluation.of_model(given.model, given.data, given.root, **options)
        others = [evaluation.of_model(x, given.data, given.root, **options) for x in given.compare]
    else:
        raise ReidError("name a file or folder of features, or --model and --data")
    if given.out:  # before a reader such as `head` closes the pipe
        evaluation.save(given.out, found, others)
    print(evaluation.text(found, others))
    if given.out:
        print(f"\nwritten to {given.out}")
    return 0


def _new(given: argparse.Namespace) -> int:
    from reidlib.workbook.new import new

    folder, notebook = new(given.name, given.notebook)
    print(f"{folder}\n{notebook}")
    print(f"\npython -m reidlib run --profile smoke --only {notebook.stem}   # runs it")
    return 0


def _data_list(given: argparse.Namespace) -> int:
    from reidlib.data.sets import check

    print(check.listing(given.root))
    return 0


def _data_check(given: argparse.Namespace) -> int:
    from reidlib.data.sets import check

    options = _pairs(given.set, "--set")
    text, well = check.report(given.name, given.root, decode=not given.quick, options=options)
    print(text)
    return 0 if well else 1


def _runs_list(given: argparse.Namespace) -> int:
    from reidlib.train import store as runs

    table = runs.list_runs()
    print(table.to_string() if len(table) else "no runs are stored")
    return 0


def _runs_show(given: argparse.Namespace) -> int:
    from reidlib.evaluate.metrics import Metrics
    from reidlib.train import store as runs

    run = runs.find(given.run)
    print(f"folder    {run.path}")
    print(f"recipe    {json.dumps(run.recipe.canonical())}")
    print(f"state     {json.dumps(run.info) if run.complete else 'not complete'}")
    for file in sorted(run.path.glob("eval/*/what.json")):
        print(f"evaluated {json.dumps(json.loads(file.read_text()))}")
        scores = Metrics.load(file.parent).as_dict()
        print("  " + "  ".join(f"{name} {value:.4g}" for name, value in scores.items()))
    if (run.path / "history.csv").is_file():
        print(run.history.tail(5).to_string(index=False))
    return 0


def _runs_export(given: argparse.Namespace) -> int:
    from reidlib.train import store as runs

    print(runs.export_start(runs.find(given.run), given.file))
    return 0


def _runs_verify(given: argparse.Namespace) -> int:
    from reidlib.train.verify import verify

    table = verify()
    for run, state, problem in table.itertuples(index=False):
        print(f"{state:<13} {run}{'  ' + problem if problem else ''}")
    print(f"{len(table)} runs, {(table['state'] == 'damaged').sum()} damaged")
    return 1 if (table["state"] == "damaged").any() else 0


def _runs_remove(given: argparse.Namespace) -> int:
    from reidlib.train import store as runs

    for prefix in given.run:
        print(f"removed {runs.remove(prefix)}")
    return 0


def _pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    """``["a=1"]`` as ``{"a": 1}``; values are read as YAML."""
    from reidlib.workbook.profile import parse

    pairs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ReidError(f"{option} {text}: write {option} name=value")
        if key in pairs:
            raise ReidError(f"{option} {key} is given twice")
        pairs[key] = parse(value, f"{option} {key}")
    return pairs


def _nested(pairs: dict[str, Any]) -> dict[str, Any]:
    """``{"data_options.images": 2}`` as ``{"data_options": {"images": 2}}``."""
    nested: dict[str, Any] = {}
    for key, value in pairs.items():
        outer, _, inner = key.partition(".")
        if not inner:
            nested[key] = value
        elif isinstance(nested.setdefault(outer, {}), dict):
            nested[outer][inner] = value
        else:
            raise ReidError(f"--set {key}: {outer} is given as a whole already")
    return nested


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reidlib", description=reidlib.__doc__)
    parser.add_argument("--version", action="version", version=f"reidlib {reidlib.__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="")

    run = verbs.add_parser("run", help="execute the notebooks at a profile into reports/")
    run.add_argument("--profile", default="demo", help="a file of notebooks/params (default: demo)")
    run.add_argument(
        "--plan", action="store_true", help="only say what is needed, and how long it would take"
    )
    run.add_argument("--only", nargs="+", metavar="NOTEBOOK", help="such as 00_quickstart")
    run.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="so many side by side (default: one a core where a notebook is one process, else 1)",
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the profile, such as steps=600 or data_options.images=2",
    )
    run.add_argument(
        "-p",
        dest="parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set another parameter of the notebooks",
    )
    run.set_defaults(command=_run)

    train = verbs.add_parser("train", help="train one recipe, on several devices by torchrun")
    train.add_argument("recipe", help="a JSON file of its fields, or a stored run's recipe.json")
    train.add_argument("--device", help="cpu, cuda or cuda:1 (default: CUDA if there is one)")
    train.add_argument("--again", action="store_true", help="also if it is stored, from the start")
    train.add_argument(
        "--compile",
        metavar="MODE",
        help="torch.compile: default, reduce-overhead (CUDA graphs) or max-autotune",
    )
    train.add_argument(
        "--deterministic", action="store_true", help="the same bits every time, or an error"
    )
    train.add_argument("--trace", metavar="PATH", help="a profiler's trace of four steps, as JSON")
    train.set_defaults(command=_train)

    _evaluate_options(verbs.add_parser("evaluate", help="score your features, or a network"))

    made = verbs.add_parser("new", help="a paper of your own: a folder and a notebook that run")
    made.add_argument("name", help="short, such as rmgl")
    made.add_argument("--notebook", help="its name (default: the next free number and the name)")
    made.set_defaults(command=_new)

    data = verbs.add_parser("data", help="look at datasets").add_subparsers(
        required=True, metavar="list|check"
    )
    root_help = "the folder that holds datasets (default: REIDLIB_DATA)"
    everything = data.add_parser("list", help="all datasets, and which are there")
    everything.add_argument("--root", help=root_help)
    everything.set_defaults(command=_data_list)
    check = data.add_parser("check", help="counts, missing parts, files that do not decode")
    check.add_argument("name", help="a dataset, such as market1501")
    check.add_argument("--root", help=root_help)
    check.add_argument("--quick", action="store_true", help="do not decode the images")
    check.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the dataset, such as csv=mine.csv or version=v2",
    )
    check.set_defaults(command=_data_check)

    runs = verbs.add_parser("runs", help="look at stored runs").add_subparsers(
        required=True, metavar="list|show|export|remove"
    )
    runs.add_parser("list", help="all of them").set_defaults(command=_runs_list)
    show = runs.add_parser("show", help="one of them: folder, metrics, last steps")
    show.add_argument("run", help="the beginning of its fingerprint")
    show.set_defaults(command=_runs_show)
    export = runs.add_parser("export", help="write a baseline's backbone as start weights")
    export.add_argument("run", help="the beginning of its fingerprint")
    export.add_argument("file", help="such as reidlib/models/starts/tiny.safetensors")
    export.set_defaults(command=_runs_export)
    verify = runs.add_parser("verify", help="is every file still what was written?")
    verify.set_defaults(command=_runs_verify)
    remove = runs.add_parser("remove", help="delete some")
    remove.add_argument("run", nargs="+", help="the beginning of a fingerprint")
    remove.set_defaults(command=_runs_remove)
    return parser


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("features", nargs="?", help=".npy, .npz, .safetensors, .parquet, or a folder of two")
    add("--labels", metavar="CSV", help="pid,cam,split, one row a feature (default: beside them)")
    add("--distance", default="cosine", choices=["cosine", "euclidean"], help="between features")
    add("--model", help="a stored run, or a TorchScript or exported network (.pt, .pt2)")
    add("--data", help="what it is evaluated on: a dataset's name, or a CSV path,pid,cam,split")
    add("--root", help="the folder that holds datasets (default: REIDLIB_DATA)")
    add("--size", type=int, nargs=2, metavar=("H", "W"), help="of a network's images (256 128)")
    add("--mean", type=float, nargs=3, help="of a network's input (default: ImageNet's)")
    add("--std", type=float, nargs=3, help="of a network's input (default: ImageNet's)")
    add("--trust", action="store_true", help="a .pt2 of your own: reading it can execute code")
    add("--flip", action="store_true", help="average with the mirror image")
    add("--protocol", help="market1501, cuhk03, partial or tracklet")
    add("--rerank", action="store_true", help="k-reciprocal re-ranking")
    add("--compare", nargs="+", default=[], metavar="OTHER", help="paired with these")
    add("--out", metavar="FOLDER", help="write metrics.json, per_query.csv, hardest.csv there")
    add("--device", help="cpu, cuda or cuda:1 (default: CUDA if there is one)")
    parser.set_defaults(command=_evaluate)
