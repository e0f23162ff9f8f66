"""A store under violence: SIGKILL at any moment, a full disk, a read-only one. `make endure`."""

import multiprocessing
import random
import shutil
import subprocess
import time
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from reidlib.errors import ReidError
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run
from reidlib.train.verify import verify

pytestmark = [pytest.mark.endure, pytest.mark.slow]
KILLS = 50
RECIPE = Recipe(
    data_options={"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)},
    backbone="tiny",
    size=(64, 32),
    ids_per_batch=4,
    images_per_id=2,
    erasing=0.5,
    lr=1e-3,
    steps=40,  # a row of the history, and here a checkpoint, every step
)
train = partial(fit, RECIPE, device="cpu", checkpoint_seconds=0, progress=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train(store=tmp_path_factory.mktemp("whole"))


def assert_equal_bits(a: Run, b: Run) -> None:
    first, second = (load_file(run.path / "weights.safetensors") for run in (a, b))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert a.history.loss.tolist() == b.history.loss.tolist()


def step_of(run: Run) -> int:
    """How many steps the checkpoint of a run has done; -1: there is none."""
    file = run.path / "checkpoint.safetensors"
    if not file.is_file():
        return -1
    load_file(file)  # it is whole
    with safe_open(file, "pt") as opened:
        return int(opened.metadata()["step"])


def test_killed_at_random_moments(undisturbed, tmp_path):
    """Each process resumes what the last one left and dies at a random moment of its work."""
    processes = multiprocessing.get_context("forkserver")  # no process trained before it forks
    processes.set_forkserver_preload(["reidlib.train.loop"])
    run, moment = Run.of(RECIPE, tmp_path), random.Random(0)
    seconds = undisturbed.history.seconds.iloc[-1]
    kills = writing = whole = 0
    while kills < KILLS:
        child = processes.Process(target=train, kwargs={"store": tmp_path})
        before = step_of(run)
        child.start()
        while child.is_alive() and not run.path.exists():
            time.sleep(0.001)  # what came before is imports alone
        child.join(moment.uniform(0, seconds))
        child.kill()
        child.join()
        if child.exitcode == 0:
            assert_equal_bits(undisturbed, run)
            shutil.rmtree(run.path)
            whole += 1
            continue
        assert child.exitcode == -9
        kills += 1
        print(kills, end=" ", flush=True)
        writing += bool(list(run.path.glob(".*.part*")))
        assert step_of(run) >= before
    assert_equal_bits(undisturbed, train(store=tmp_path))
    assert not list(run.path.glob(".*"))
    print(f"{kills} kills, {writing} of them while a file was written, {whole + 1} runs completed")
    assert writing


@pytest.fixture
def disk(tmp_path):
    """A function that mounts, or mounts again, a small disk in memory with some options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mount("size=256k"):
        pytest.skip("mounting a disk in memory needs root")
    yield place, lambda *options: mount("remount", *options)
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing(undisturbed, disk):
    """A disk that grows little by little: the run goes on each time until it is full again."""
    place, remount = disk
    run, steps, said, size = Run.of(RECIPE, place), [], [], 256
    while size < 2**17:
        size = size * 4 // 3
        try:
            train(store=place)
            break
        except ReidError as error:
            said.append(str(error))
        steps.append(step_of(run))
        assert not list(run.path.glob(".*.part*"))
        assert remount(f"size={size}k")
    assert all("no space left on device" in text and "\n" not in text for text in said), said
    assert steps == sorted(steps)
    assert len(set(steps)) > 2, steps  # before the first checkpoint, after it, at the end
    assert_equal_bits(undisturbed, run)


def test_a_read_only_store_loses_nothing(undisturbed, disk):
    place, remount = disk
    assert remount("size=12m")
    with pytest.raises(ReidError):
        train(store=place)
    run = Run.of(RECIPE, place)
    assert step_of(run) >= 0
    kept = {file: file.read_bytes() for file in run.path.iterdir()}
    assert remount("size=64m", "ro")
    with pytest.raises(ReidError, match="read-only file system"):
        train(store=place)
    assert {file: file.read_bytes() for file in run.path.iterdir()} == kept
    assert remount("rw")
    assert_equal_bits(undisturbed, train(store=place))
    assert remount("ro")
    assert train(store=place).complete
    assert verify(place).state.tolist() == ["whole"]
    with pytest.raises(ReidError, match="read-only file system"):
        run.evaluate(device="cpu")
