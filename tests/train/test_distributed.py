"""Several processes of one run: the losses, gradients and weights of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes
from safetensors.torch import load_file
from two_processes import IN_DOUBLE, RECIPE, Net

from reidlib.data import ImageBank
from reidlib.errors import ReidError
from reidlib.system import parallel
from reidlib.system.parallel import GlobalBatchNorm
from reidlib.train import build
from reidlib.train import loop as train
from reidlib.train.store import Run

pytestmark = pytest.mark.slow  # all together


def torchrun(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "tests")])
    everything = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run([*start, *command], capture_output=True, text=True, env=everything)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the two processes of ``two_processes.py`` left behind."""
    folder = tmp_path_factory.mktemp("two")
    done = torchrun(two_processes.__file__, str(folder))
    assert f"Signal {signal.SIGKILL.value}" in done.stderr, done.stderr  # as it shall end
    assert (folder / "killed").is_dir(), done.stderr
    return folder


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict]:
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_gradients_losses_and_statistics_are_those_of_the_whole_batch(two):
    one = two_processes.found(Net())
    for other in two:
        assert other["loss"].item() == pytest.approx(one["loss"].item(), rel=1e-12)
        assert other["gradient"].pop("unused.weight") is None
        assert other["gradient"].pop("unused.bias") is None
        for kind in ("gradient", "state"):
            for key, value in other[kind].items():
                torch.testing.assert_close(value, one[kind][key], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(other["evaluated"], one["evaluated"], rtol=1e-9, atol=1e-12)


def test_process_0_decides(two):
    assert [other["agreed"] for other in two] == [(True, False)] * 2


def test_what_two_processes_cannot_do_is_said_in_one_sentence(two):
    for other in two:
        assert "a batch of 7 images cannot be shared out evenly among 2" in other["shares"]
        assert "leave out compile" in other["compiled"]


@pytest.mark.parametrize("name", IN_DOUBLE)
def test_a_run_of_two_processes_is_that_of_one(folder, tmp_path, monkeypatch, name):
    two_processes.in_double(monkeypatch)
    recipe = IN_DOUBLE[name]
    one = train.fit(recipe, device="cpu", store=tmp_path, progress=False)
    two = Run.of(recipe, folder / "double")
    for column in ("loss", "id", "triplet", "accuracy", "lr", "epoch"):
        expected = one.history[column].tolist()
        assert two.history[column].tolist() == pytest.approx(expected, abs=1e-5), column
    first, second = (load_file(run.path / "weights.safetensors") for run in (one, two))
    assert list(first) == list(second)
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-5, atol=1e-5)
    assert (one.info["processes"], two.info["processes"]) == (1, 2)
    assert two.info["batch"] == 8


def test_in_float32_the_first_losses_are_the_same(folder, tmp_path):
    one = train.fit(RECIPE.but(steps=1), device="cpu", store=tmp_path, progress=False)
    two = Run.of(RECIPE, folder / "whole")
    assert two.history.loss[0] == pytest.approx(one.history.loss[0], rel=1e-5)


def test_a_killed_job_ends_as_an_undisturbed_one(folder, tmp_path):
    whole, run = (Run.of(RECIPE, folder / name) for name in ("whole", "killed"))
    assert (run.path / "checkpoint.safetensors").is_file()
    assert not run.complete
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE.canonical()))
    command = ("-m", "reidlib", "train", str(recipe), "--device", "cpu")
    done = torchrun(*command, REIDLIB_RUNS=str(folder / "killed"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(run.path)], "only process 0 speaks"
    assert run.info["resumed_at"] == 4
    assert run.history.loss.tolist() == pytest.approx(whole.history.loss.tolist(), rel=1e-6)
    expected = load_file(whole.path / "weights.safetensors")
    for key, value in load_file(run.path / "weights.safetensors").items():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shifting", [0.0, 0.5])
def test_the_rows_of_a_batch_are_drawn_as_in_the_whole(shifting):
    recipe = RECIPE.but(shifting=shifting)
    bank = ImageBank.from_split(recipe.load_dataset().train, recipe.size)
    whole, part = (build.build_batches(recipe, bank) for _ in range(2))
    part.rows = slice(2, 4)
    for step in range(2):
        a, b = whole(step), part(step)
        for name, value in vars(b).items():
            torch.testing.assert_close(value, getattr(a, name)[2:4], rtol=0, atol=1e-6)


def test_alone_nothing_is_gathered():
    x = torch.ones(2)
    assert parallel.gather(x) is x
    assert parallel.mean(x) is x
    assert parallel.rows(7) == slice(0, 7)
    assert parallel.agreed(False) is False


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 4, 2)])
def test_the_own_batch_norm_is_that_of_torch(shape):
    x = torch.randn(shape, requires_grad=True)
    norms = [torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)]
    norms[0]._check_input_dim = norms[1]._check_input_dim = lambda x: None
    norms[1].__class__ = GlobalBatchNorm
    weight = torch.randn(shape)
    for _ in range(2):
        out, gradient = [], []
        for norm in norms:
            out.append(norm(x))
            gradient.append(torch.autograd.grad((out[-1] * weight).sum(), x)[0])
        torch.testing.assert_close(*out)
        torch.testing.assert_close(*gradient)
    for a, b in zip(norms[0].buffers(), norms[1].buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_RANK", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with (
        pytest.raises(ReidError, match=r"more processes than this machine has GPUs \(4\)"),
        parallel.joined(cuda=True),
    ):
        pass
