"""Training: finds, resumes, trains; exact to the bit; stops at a loss that is not finite."""

import subprocess
import sys
import textwrap

import pytest
import torch
from safetensors.torch import load_file

from reidlib.errors import ReidError
from reidlib.train import build
from reidlib.train import loop as train
from reidlib.train.checkpoint import load_checkpoint, save_checkpoint
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run

DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA,
    backbone="tiny",
    size=(64, 32),
    ids_per_batch=4,
    images_per_id=2,
    erasing=0.5,
    lr=1e-3,
    steps=12,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return fit(RECIPE, device="cpu", store=tmp_path_factory.mktemp("store"), progress=False)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


def assert_equal_bits(a: Run, b: Run) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert not different, different


def test_a_run_is_complete_and_says_how_it_was_made(run):
    assert run.complete
    assert not (run.path / "checkpoint.safetensors").exists()
    info = run.info
    assert info["steps"] == 12
    assert info["batch"] == 8
    assert set(info["share"]) == {"data", "forward", "backward", "optimiser"}
    assert sum(info["share"].values()) == pytest.approx(1)
    for key in ("seconds", "device", "commit", "torch", "threads"):
        assert info[key]


def test_history_has_a_row_an_interval(run):
    history = run.history
    assert history.step.tolist() == list(range(1, 13))
    assert {"loss", "id", "triplet", "accuracy", "lr", "images_per_s"} <= set(history.columns)
    assert history.loss.tolist() == pytest.approx((history.id + history.triplet).tolist())


def test_a_complete_run_is_found_not_trained(run):
    before = (run.path / "run.json").stat().st_mtime_ns
    again = fit(RECIPE, device="cpu", store=run.path.parent, progress=False)
    assert again.path == run.path
    assert (run.path / "run.json").stat().st_mtime_ns == before


def test_the_same_recipe_learns_the_same_and_another_seed_does_not(run, tmp_path):
    assert_equal_bits(run, fit(RECIPE, device="cpu", store=tmp_path, progress=False))
    other = fit(RECIPE.but(seed=1), device="cpu", store=tmp_path, progress=False)
    assert not torch.equal(weights(run)["classifier.weight"], weights(other)["classifier.weight"])


def killed_at(step: int, store) -> None:
    """Trains in another process, which dies by SIGKILL when it draws the batch of ``step``."""
    code = f"""
        import os, signal
        from pathlib import Path
        from reidlib.data import batches
        from reidlib.train.recipe import Recipe
        from reidlib.train import fit

        draw = batches.Batches.__call__
        def dying(self, step):
            if step == {step}:
                os.kill(os.getpid(), signal.SIGKILL)
            return draw(self, step)
        batches.Batches.__call__ = dying
        fit({RECIPE!r}, device="cpu", store=Path({str(store)!r}), checkpoint_seconds=0,
            progress=False)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert done.returncode == -9, done.stderr.decode()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_run_ends_as_an_undisturbed_one(optimizer, run, tmp_path, monkeypatch):
    recipe = RECIPE.but(optimizer=optimizer)
    monkeypatch.setitem(globals(), "RECIPE", recipe)
    expected = run
    if optimizer == "sgd":
        expected = fit(recipe, device="cpu", store=tmp_path / "whole", progress=False)
    store = tmp_path / "killed"
    for step in (5, 9) if optimizer == "adam" else (7,):
        killed_at(step, store)
        assert (Run.of(recipe, store).path / "checkpoint.safetensors").is_file()
    resumed = fit(recipe, device="cpu", store=store, progress=False)
    assert_equal_bits(expected, resumed)
    assert resumed.history.step.tolist() == expected.history.step.tolist()
    assert resumed.history.loss.tolist() == expected.history.loss.tolist()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(tmp_path):
    recipe = RECIPE.but(lr=1e30, warmup=0.0)
    for _ in range(2):  # resumed from the last good state, it stops again
        with pytest.raises(ReidError, match=r"at step \d+ of 12 .*lower lr"):
            fit(recipe, device="cpu", store=tmp_path, checkpoint_seconds=0, progress=False)
    run = Run.of(recipe, tmp_path)
    assert not run.complete
    state = load_file(run.path / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_weights_broken_by_the_last_step_are_no_result(tmp_path, monkeypatch):
    class Breaking(torch.optim.Adam):
        def step(self) -> None:
            self.param_groups[0]["params"][0].data.fill_(torch.nan)

    recipe = RECIPE.but(steps=1)  # no loss sees what the step does
    monkeypatch.setattr(train, "build_optimizer", lambda _, model: Breaking(model.parameters()))
    with pytest.raises(ReidError, match="a weight is not finite at step 1 of 1"):
        fit(recipe, device="cpu", store=tmp_path, progress=False)
    assert not Run.of(recipe, tmp_path).complete


@pytest.mark.parametrize("amsgrad", [False, True])
def test_restored_optimiser_states_lie_as_their_parameters(amsgrad, tmp_path):
    model = torch.nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 8, 8)

    def step(optimizer) -> None:
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()

    optimizer = torch.optim.Adam(model.parameters(), amsgrad=amsgrad)
    step(optimizer)
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, 1)
    restored = torch.optim.Adam(model.parameters(), amsgrad=amsgrad)
    assert load_checkpoint(tmp_path / "c.safetensors", model, restored) == 1
    for parameter in model.parameters():
        assert ("max_exp_avg_sq" in restored.state[parameter]) == amsgrad
        for key, value in optimizer.state[parameter].items():
            again = restored.state[parameter][key]
            assert torch.equal(again, value)
            assert again.stride() == value.stride()


def test_resume_false_trains_again(run, tmp_path):
    first = fit(RECIPE, device="cpu", store=tmp_path, progress=False)
    _ = first.metrics
    stamp = (first.path / "run.json").stat().st_mtime_ns
    again = fit(RECIPE, device="cpu", store=tmp_path, resume=False, progress=False)
    assert (again.path / "run.json").stat().st_mtime_ns > stamp
    assert not (again.path / "eval").exists(), "evaluations of the old weights"
    assert_equal_bits(first, again)


def test_progress_bar_shows_loss_accuracy_and_speed(tmp_path, capsys):
    fit(RECIPE.but(steps=2), device="cpu", store=tmp_path)
    shown = capsys.readouterr().err
    for word in ("loss=", "accuracy=", "images_per_s=", "2/2"):
        assert word in shown


def test_too_few_identities_for_a_batch(tmp_path):
    with pytest.raises(ReidError, match="needs 16 identities"):
        fit(RECIPE.but(ids_per_batch=16), store=tmp_path, progress=False)


def test_a_run_is_not_resumed_in_another_precision(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, model, optimizer, 1, "bf16")
    assert load_checkpoint(path, model, optimizer, "bf16") == 1
    with pytest.raises(ReidError, match="was trained in bf16 so far and would go on in float32"):
        load_checkpoint(path, model, optimizer, "float32")


def test_a_run_reports_its_throughput(run):
    info = run.info
    assert info["gmacs"] > 0
    expected = 6 * info["gmacs"] * info["images_per_s"] / 1e3
    assert info["tflops"] == pytest.approx(expected)
    assert info["share_of_peak"] == pytest.approx(info["tflops"] / info["peak_tflops"])
    assert info["peak_tflops"] > 0


def test_the_head_trains_at_a_rate_of_its_own():
    recipe = RECIPE.but(head_lr=10.0)
    model = build.build_model(recipe, 8)
    groups = {g["factor"]: g["params"] for g in build.build_optimizer(recipe, model).param_groups}
    head = {p.data_ptr() for n, p in model.named_parameters() if n.startswith("classifier.")}
    assert {p.data_ptr() for p in groups[10.0]} == head
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert len(groups[1.0]) + len(groups[10.0]) == len(trainable)
    plain = build.build_optimizer(RECIPE, model).param_groups
    assert [len(group["params"]) for group in plain] == [len(trainable)]


def test_a_step_of_the_head_is_ten_times_as_long(tmp_path):
    """One step of plain SGD, so that a change is rate times gradient."""
    one_step = {"steps": 1, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0}
    changes = []
    for factor in (1.0, 10.0):
        recipe = RECIPE.but(**one_step, lr=1e-2, head_lr=factor)
        before = build.build_model(recipe, recipe.load_dataset().num_ids).state_dict()
        after = fit(recipe, device="cpu", store=tmp_path, progress=False).load_model().state_dict()
        changes.append({k: after[k] - before[k] for k in after})
    first, second = changes
    for name in ("classifier.weight", "backbone.conv5.0.conv2.weight"):
        times = 10 if name.startswith("classifier") else 1
        torch.testing.assert_close(second[name], times * first[name], rtol=1e-3, atol=1e-7)
