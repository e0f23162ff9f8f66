"""Sweeps: the loop's results through any executor, once each, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reidlib.data.bank import SHARED_BY
from reidlib.errors import ReidError
from reidlib.system.lock import claim, claimed, lock_file
from reidlib.train import build, sweep
from reidlib.train import loop as train
from reidlib.train import processes as pool
from reidlib.train import store as runs
from reidlib.train.processes import Processes, environments, processes
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run
from reidlib.train.sweep import Evaluation, dask, executor_for, fit_all

distributed = pytest.importorskip("distributed")
dask_config = pytest.importorskip("dask.config")

pytestmark = pytest.mark.slow  # all together
DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA, backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2, steps=6
)
ROWS = [RECIPE.but(seed=seed, margin=margin) for seed in range(6) for margin in (0.2, 0.4)]
DIVERGES = RECIPE.but(lr=1e30, warmup=0.0)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """ROWS one after the other in this process, with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = tmp_path_factory.mktemp("loop")
    found = [train.fit(row, device="cpu", store=store, progress=False) for row in ROWS]
    torch.set_num_threads(threads)
    assert {run.info["threads"] for run in found} == {1}
    return found


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    with processes(2) as executor:
        yield executor


def assert_equal_bits(found: list[Run], expected: list[Run]) -> None:
    assert [run.path.name for run in found] == [run.path.name for run in expected]
    for a, b in zip(found, expected, strict=True):
        first, second = (load_file(run.path / "weights.safetensors") for run in (a, b))
        assert all(torch.equal(first[key], second[key]) for key in second), a.path.name


def sweep_all(recipes: list[Recipe], store: Path, **options: Any) -> list[Run]:
    return fit_all(recipes, store=store, device="cpu", progress=False, **options)


def test_processes_give_the_results_of_the_loop_in_the_order_of_the_rows(two, loop, tmp_path):
    order = [3, 0, 2, 1, 0]
    found = sweep_all([ROWS[i] for i in order], tmp_path, executor=two)
    assert_equal_bits(found, [loop[i] for i in order])
    assert len(list(tmp_path.glob("*/run.json"))) == 4  # equal rows share a run
    assert {run.info["threads"] for run in found} == {1}


def test_other_executors_do_too(loop, tmp_path):
    before = torch.get_num_threads()
    with ThreadPoolExecutor(2) as threads:  # one at a time: the random state is the process's
        torch.set_num_threads(1)
        found = sweep_all(ROWS[:2], tmp_path / "threads", executor=threads)
        torch.set_num_threads(before)
    assert_equal_bits(found, loop[:2])
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        assert sweep_all(ROWS[:1], tmp_path / "pool", executor=other)[0].complete


def test_what_is_stored_is_not_submitted(loop, tmp_path):
    class Nothing(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:  # type: ignore[override]
            raise AssertionError("submitted")

    assert sweep_all(ROWS, loop[0].path.parent, executor=Nothing(1)) == loop


def test_a_row_that_fails_twice_is_named_when_all_others_are_complete(two, tmp_path):
    rows = [DIVERGES, ROWS[0], DIVERGES.but(seed=1), ROWS[1]]
    with pytest.raises(ReidError, match="2 of 4 runs failed, the others are stored") as caught:
        sweep_all(rows, tmp_path, executor=two, names=["wild", "a", "wilder", "b"])
    lines = str(caught.value).split("\n")
    assert len(lines) == 2
    for name in ("wild", "wilder"):
        assert any(f"{name}: " in line and "lower lr or lengthen" in line for line in lines)
    assert [Run.of(row, tmp_path).complete for row in rows] == [False, True, False, True]


def test_a_row_that_fails_once_is_tried_again_and_others_are_not(tmp_path, monkeypatch):
    tries: Counter[int] = Counter()

    def shaky(recipe: Recipe, **options: Any) -> Run:
        tries[recipe.seed] += 1
        if recipe.seed == 1 and tries[1] == 1:
            raise OSError("the disk was away for a moment")
        return train.fit(recipe, **options)

    monkeypatch.setattr(sweep, "fit", shaky)
    rows = [RECIPE.but(seed=seed, steps=2) for seed in range(3)]
    assert all(run.complete for run in sweep_all(rows, tmp_path))
    assert tries == {0: 1, 1: 2, 2: 1}
    tries.clear()
    with pytest.raises(ReidError, match="row: OSError: the disk was away for a moment"):
        sweep_all([RECIPE.but(seed=1)], tmp_path, retries=0, names=["row"])


@pytest.mark.parametrize("where", ["here", "thread"])
def test_a_failed_row_leaves_nothing_in_memory(tmp_path, monkeypatch, where):
    """Neither while the next row trains nor when it is tried again."""
    models: list[weakref.ref[torch.nn.Module]] = []
    alive: list[int] = []
    make = build.build_model

    def noted(*given: Any) -> torch.nn.Module:
        alive.append(sum(model() is not None for model in models))
        model = make(*given)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(build, "build_model", noted)
    executor = ThreadPoolExecutor(1) if where == "thread" else None
    with pytest.raises(ReidError, match="1 of 2 runs failed"):
        sweep_all([DIVERGES, RECIPE.but(steps=1)], tmp_path, executor=executor)
    assert alive == [0, 0, 0]  # of the first try, of the other row, of the second try


def test_a_process_that_dies_fails_its_own_call_only(two):
    dead, alive = two.submit(signal.raise_signal, signal.SIGKILL), two.submit(os.getpid)
    with pytest.raises(ReidError, match=r"ended by SIGKILL: often the machine ran out of memory"):
        dead.result()
    assert alive.result() != os.getpid()
    pids = {two.submit(os.getpid).result() for _ in range(4)}
    assert os.getpid() not in pids
    with pytest.raises(ZeroDivisionError):
        two.submit(divmod, 1, 0).result()


def test_the_workers_of_a_scheduler_train(loop, tmp_path):
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    )
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with cluster, dask(cluster.scheduler_address) as executor:
        found = sweep_all(ROWS[:2], tmp_path, executor=executor)
    torch.set_num_threads(before)
    assert_equal_bits(found, loop[:2])


def test_no_scheduler_answers():
    with (
        dask_config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ReidError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"),
        dask("tcp://127.0.0.1:9"),
    ):
        pass


def script(text: str) -> list[str]:
    """A Python command; no ``if __name__ == "__main__"`` is needed in it."""
    head = f"""
        import sys, time
        from pathlib import Path
        from reidlib.train import loop as train
        from reidlib.train.recipe import Recipe
        from reidlib.train.sweep import fit_all, processes
        RECIPE = {RECIPE!r}
    """
    return [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(text)]


def test_of_two_processes_one_trains_and_the_other_waits_for_the_same_run(tmp_path):
    text = f"""
        store, learn = Path({str(tmp_path)!r}), train._train
        def slow(run, *options):
            print("trains", flush=True)
            time.sleep(2)
            learn(run, *options)
        train._train = slow
        (store / f"ready-{{sys.argv[1]}}").touch()
        while len(list(store.glob("ready-*"))) < 2:
            time.sleep(0.01)
        run = train.fit(RECIPE, device="cpu", store=store, progress=False)
        print(run.complete, run.path.name)
    """
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen([*script(text), str(i)], stdout=pipe, stderr=pipe, text=True)
        for i in (1, 2)
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    printed, notes = ("".join(parts) for parts in zip(*outputs, strict=True))
    name = f"baseline-{RECIPE.fingerprint()}"
    assert printed.count("trains\n") == 1, notes
    assert printed.count(f"True {name}") == 2, notes
    assert any(f"{name}: waiting, process {p.pid} on " in notes for p in both)


def test_ctrl_c_ends_the_processes_and_starts_nothing_more(tmp_path):
    text = f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
        rows = [RECIPE.but(seed=seed, steps=100_000) for seed in range(6)]
        with processes(2) as executor:
            fit_all(rows, executor=executor, store=Path({str(tmp_path)!r}), device="cpu")
    """
    group = subprocess.Popen(script(text), stderr=subprocess.PIPE, start_new_session=True)
    until = time.monotonic() + 60
    while len(held := [f for f in tmp_path.glob("*.lock") if claimed(f.with_suffix(""))]) < 2:
        assert time.monotonic() < until, "no two runs were started"
        time.sleep(0.1)
    began = time.monotonic()
    os.killpg(group.pid, signal.SIGINT)
    _, errors = group.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert errors.decode().strip().endswith("KeyboardInterrupt")
    assert errors.decode().count("Traceback") == 1  # the processes leave without a word
    assert sorted(tmp_path.glob("*.lock")) == sorted(held)
    assert not any(claimed(file.with_suffix("")) for file in held)
    with pytest.raises(ProcessLookupError):
        os.killpg(group.pid, 0)


def test_a_claimed_run_is_not_removed(tmp_path):
    run = train.fit(RECIPE.but(steps=1), device="cpu", store=tmp_path, progress=False)
    assert not claimed(run.path)
    with claim(run.path):
        assert claimed(run.path)
        with pytest.raises(ReidError, match=f"is being made by process {os.getpid()} on .*: wa"):
            runs.remove(run.path.name, tmp_path)
        assert run.complete
    assert not claimed(run.path)
    runs.remove(run.path.name, tmp_path)
    assert not lock_file(run.path).exists()


def test_a_claim_survives_that_its_file_is_removed_while_others_wait(tmp_path):
    held: list[int] = []

    def take(i: int) -> None:
        with claim(tmp_path / "run"):
            held.append(i)
            assert len(held) == 1
            time.sleep(0.02)
            lock_file(tmp_path / "run").unlink()
            held.remove(i)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(take, range(12)))


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(ReidError, match=r"run.lock cannot be locked .*REIDLIB_RUNS"),
        claim(tmp_path / "run"),
    ):
        pass


def test_a_worker_with_another_store_or_other_data_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep.time, "monotonic", iter([0, 61]).__next__)
    run, future = Run.of(RECIPE, tmp_path), Future[str]()
    future.set_result(run.path.name)
    assert "workers need the same run store" in str(sweep._error(future, run))
    other = Future[str]()
    other.set_result("baseline-0123")
    assert "data or weights are others than here" in str(sweep._error(other, run))


def test_environments_share_out_gpus_and_cores(monkeypatch):
    monkeypatch.setattr(pool, "cores", lambda: 8)
    monkeypatch.setattr(pool, "gpus", lambda: [])
    assert len(environments()) == 8
    assert {e["OMP_NUM_THREADS"] for e in environments()} == {"1"}
    assert len(environments(threads=4)) == 2
    monkeypatch.setattr(pool, "gpus", lambda: ["4", "6"])
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments(3)] == ["4", "6", "4"]
    assert {e[SHARED_BY] for e in environments(3)} == {"2"}
    assert {e["NUMBA_NUM_THREADS"] for e in environments()} == {"4"}
    with pytest.raises(ReidError, match="both must be at least 1"):
        environments(0)


def test_the_executor_suits_what_is_left_to_train(loop, monkeypatch, tmp_path):
    monkeypatch.setattr(sweep, "gpus", lambda: [])
    monkeypatch.setattr(sweep, "cores", lambda: 6)
    chosen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(sweep, "processes", lambda *a: chosen.append(a))
    monkeypatch.setattr(sweep, "dask", lambda *a: chosen.append(a))
    monkeypatch.setenv("REIDLIB_RUNS", str(tmp_path))
    for rows, given in ((ROWS, None), (ROWS[:3], None), (ROWS[:3], 2)):
        executor_for(rows, given)
    assert chosen == [(6, 1), (3, 2), (2, 3)]
    for rows, given in ((ROWS[:1], None), (ROWS[:1] * 2, 8), (ROWS, 1)):
        with executor_for(rows, given) as executor:
            assert executor is None
    monkeypatch.setenv("REIDLIB_SCHEDULER", "tcp://node:8786")
    executor_for(ROWS)
    assert chosen[3:] == [("tcp://node:8786",)]
    monkeypatch.setenv("REIDLIB_RUNS", str(loop[0].path.parent))  # nothing is left
    with executor_for(ROWS) as executor:
        assert executor is None


def test_the_bar_counts_rows_and_failures(tmp_path, capsys):
    rows = [RECIPE.but(steps=1), DIVERGES]
    with pytest.raises(ReidError, match="1 of 2 runs failed"):
        fit_all(rows, device="cpu", store=tmp_path)
    shown = capsys.readouterr().err
    assert "1/2" in shown
    assert "failed=1" in shown
    assert "loss=" not in shown  # no bar of a single run


def test_evaluations_are_made_where_a_run_was_trained(two, tmp_path, monkeypatch):
    partial = RECIPE.load_dataset().but(protocol="partial")
    wanted = [Evaluation(), Evaluation(partial, {"flip": True})]
    row = ROWS[0].but(steps=1)
    (found,) = sweep_all([row], tmp_path, executor=two, evaluations=wanted)
    assert found.evaluated()
    assert found.evaluated(partial, flip=True)
    assert not found.evaluated(partial)
    monkeypatch.setattr(runs, "evaluate", lambda *_, **__: pytest.fail("evaluated here"))
    assert found.evaluate(partial, flip=True).num_queries == 12
    monkeypatch.setattr(sweep, "_row", lambda *_: pytest.fail("sent again"))
    sweep_all([row], tmp_path, executor=two, evaluations=wanted)
    assert executor_for([row], 2, wanted) is not None


def test_a_complete_run_is_sent_for_an_evaluation_that_it_lacks(tmp_path):
    row = ROWS[0].but(steps=1)
    (run,) = sweep_all([row], tmp_path)
    assert not run.evaluated(flip=True)
    (run,) = sweep_all([row], tmp_path, evaluations=[Evaluation(None, {"flip": True})])
    assert run.evaluated(flip=True)


def test_recipes_that_share_their_training_go_to_one_worker(two, tmp_path):
    shared = RECIPE.but(model="rmgl", options={}, size=(96, 32), steps=1)
    recipes = [shared, shared.but(abp=False), shared]
    found = sweep_all(recipes, tmp_path, executor=two, evaluations=[Evaluation()])
    assert len({run.path for run in found}) == 1
    assert len(list(found[0].path.glob("eval/*/metrics.json"))) == 2
    assert [run.recipe for run in found] == recipes
    assert found[0].recipe.load_dataset() is not None
    assert runs.find(found[0].path.name, tmp_path).recipe == shared.training()
