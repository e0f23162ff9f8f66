"""How a run is computed: compiled, deterministic, traced; what its run.json says of it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from reidlib.data import load
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.evaluate.encode import encode_split
from reidlib.evaluate.retrieval import evaluate
from reidlib.losses import batch_hard_triplet
from reidlib.models import ReIDModel
from reidlib.system.compute import compiled, determinism, full_precision
from reidlib.train import build
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run

DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA, backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2, steps=3
)
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler is installed"
)


def trained(store: Path, **options) -> Run:
    return fit(RECIPE, device="cpu", store=store, progress=False, **options)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Run:
    return trained(tmp_path_factory.mktemp("plain"))


def test_a_plain_run_says_so(plain):
    info = plain.info
    assert (info["compile"], info["deterministic"], info["tf32"]) == (None, False, False)
    assert (info["processes"], info["resumed_at"]) == (1, 0)
    assert plain.summary().value["computed"] == "as the recipe says"


# --- compiled


class Small(ReIDModel):
    """What takes seconds to compile: ``tiny`` takes most of a minute."""

    size = (64, 32)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 8, 5, 4), nn.BatchNorm2d(8)
        self.classifier = nn.Linear(8, 8)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return {"feature": self.norm(self.conv(images)).relu().mean((2, 3))}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        feature = self.encode(batch.images)["feature"]
        identity = F.cross_entropy(self.classifier(feature), batch.label)
        triplet = batch_hard_triplet(feature.float(), batch.label)
        return {"loss": identity + triplet, "id": identity}


@needs_compiler
def test_a_compiled_run_has_the_same_losses_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_model", lambda *_: Small())
    plain = trained(tmp_path / "plain")
    run = trained(tmp_path / "compiled", compile="default")
    assert run.info["compile"] == "default"
    assert run.path.name == plain.path.name, "the same recipe"
    assert run.summary().value["computed"] == "compiled (default)"
    for column in ("loss", "id"):
        assert run.history[column].tolist() == pytest.approx(plain.history[column], rel=1e-5)


@needs_compiler
def test_compiled_encodings_are_the_same_for_any_number_of_images():
    model = Small()
    dataset = load("synthetic", **DATA)
    as_it_is = evaluate(model, dataset, flip=True, batch_size=8)
    compiled_ = evaluate(model, dataset, flip=True, batch_size=8, compile="default")
    assert compiled_.mAP == pytest.approx(as_it_is.mAP, abs=1e-5)
    assert compiled_.cmc.tolist() == pytest.approx(as_it_is.cmc.tolist(), abs=1e-5)


def test_a_batch_is_filled_up_where_it_is_compiled(monkeypatch):
    """One shape is one compilation; the rows that fill it up are no result."""
    shapes = []

    def encode(images: torch.Tensor) -> dict[str, torch.Tensor]:
        shapes.append(tuple(images.shape))
        return {"feature": images[:, 0, 0]}

    class Bank:
        def __len__(self) -> int:
            return 5

        def images(self, rows: slice) -> torch.Tensor:
            return torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 3, 4, 2)[rows]

    monkeypatch.setattr("reidlib.evaluate.encode.compiled", lambda function, mode: encode)
    out = encode_split(Small(), Bank(), batch_size=3, compile="default")
    assert shapes == [(3, 3, 4, 2)] * 2
    assert out["feature"][:, 0].tolist() == [0, 1, 2, 3, 4]


def test_an_unknown_mode_is_refused_before_anything_is_done(tmp_path):
    with pytest.raises(
        ReidError, match='no mode "reduce_overhead", did you mean "reduce-overhead"'
    ):
        trained(tmp_path, compile="reduce_overhead")
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_fails_is_named(monkeypatch):
    from torch._dynamo.exc import BackendCompilerFailed

    def fails(function, **options):
        def call(*arguments):
            raise BackendCompilerFailed(lambda: None, RuntimeError("no g++"), None)

        return call

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.raises(ReidError, match=r"torch.compile failed \(BackendCompilerFailed.*no g\+\+"):
        compiled(torch.sin, "default")(torch.ones(1))


# --- exact


@pytest.fixture
def rounded(monkeypatch):
    """Products and convolutions may be rounded to TF32, whatever stood before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    yield
    torch.set_float32_matmul_precision(before)


def test_float32_is_float32_while_it_trains_and_afterwards_as_before(rounded):
    with full_precision():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "high"
    assert torch.backends.cudnn.allow_tf32


def test_float32_is_float32_until_the_last_of_two_threads_is_through(rounded):
    first, second = full_precision(), full_precision()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # the other still computes
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    second.__exit__(None, None, None)
    assert torch.get_float32_matmul_precision() == "high"
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("before", [False, True])
def test_cudnn_tries_its_algorithms_unless_bits_shall_be_the_same(monkeypatch, before):
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", before)
    with determinism(False):
        assert cudnn.benchmark
    assert cudnn.benchmark is before
    with determinism(True):
        assert not cudnn.benchmark
    assert cudnn.benchmark is before


def test_a_deterministic_run_is_the_same_and_leaves_everything_as_it_was(
    plain, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    adam = torch.optim.Adam.step

    def watched(self, closure=None):
        cudnn = torch.backends.cudnn
        on = torch.are_deterministic_algorithms_enabled()
        seen.append((on, cudnn.deterministic, os.environ["CUBLAS_WORKSPACE_CONFIG"]))
        return adam(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    run = trained(tmp_path, deterministic=True)
    assert set(seen) == {(True, True, ":4096:8")}
    assert run.info["deterministic"] is True
    assert run.summary().value["computed"] == "deterministic"
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    a, b = (load_file(run.path / "weights.safetensors") for run in (plain, run))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_an_operation_without_such_an_algorithm_is_named(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    reason = "put_ does not have a deterministic implementation. You can turn off ..."
    said = "put_ does not have a deterministic implementation: train this model without"
    with pytest.raises(ReidError, match=said), determinism(True):
        raise RuntimeError(reason)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    with pytest.raises(RuntimeError, match="another"), determinism(True):
        raise RuntimeError("another")
    assert not torch.are_deterministic_algorithms_enabled()


# --- traced


@pytest.mark.parametrize(("name", "steps", "traced"), [("t.json", 12, 4), ("t.json.gz", 2, 2)])
def test_a_trace_shows_a_few_steps_by_their_parts(tmp_path, capsys, name, steps, traced):
    path = tmp_path / "traces" / name
    recipe = RECIPE.but(steps=steps)
    fit(recipe, device="cpu", store=tmp_path, progress=False, trace=path)
    raw = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    events = json.loads(raw)["traceEvents"]
    for part in ("data", "forward", "backward", "optimiser"):
        assert sum(e.get("name") == part and e["ph"] == "X" for e in events) == traced, part
    assert [file.name for file in path.parent.iterdir()] == [name], "nothing half-written"
    printed = capsys.readouterr().out
    assert f"{traced} steps, traced in {path}" in printed
    assert "aten::" in printed
    assert "Self CPU time total" in printed
    with pytest.raises(ReidError, match="nothing is left to trace"):
        fit(recipe, device="cpu", store=tmp_path, progress=False, trace=path)
