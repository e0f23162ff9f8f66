"""Features in files: every format says the same, and what does not fit is named."""

import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from reidlib.errors import ReidError
from reidlib.evaluate import features as module
from reidlib.evaluate.features import read


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "path": [f"{i}.jpg" for i in range(30)],
            "pid": rng.integers(-1, 5, 30),
            "cam": rng.integers(0, 3, 30),
            "split": np.where(np.arange(30) % 3 == 0, "query", "gallery"),
        }
    )
    return rng.normal(size=(30, 4)).astype(np.float32), table


def same(found, features, table):
    for (part, own), side in zip(found.sides, ("query", "gallery"), strict=True):
        mask = (table.split == side).to_numpy()
        torch.testing.assert_close(part.tensor(), torch.from_numpy(features[mask]))
        assert own.pid.tolist() == table.pid[mask].tolist()
        assert own.cam.tolist() == table.cam[mask].tolist()


def test_one_array_and_a_csv(tmp_path, made):
    features, table = made
    table.to_csv(tmp_path / "mine.csv", index=False)
    np.save(tmp_path / "mine.npy", features)
    found = read(tmp_path / "mine.npy")
    same(found, features, table)
    assert found.q_table.row.tolist() == list(range(0, 30, 3))
    np.savez(tmp_path / "mine.npz", anything=features)
    same(read(tmp_path / "mine.npz"), features, table)
    for dtype in (torch.float32, torch.float64):
        save_file({"f": torch.from_numpy(features).to(dtype)}, tmp_path / "mine.safetensors")
        same(read(tmp_path / "mine.safetensors"), features, table)
    save_file({"f": torch.from_numpy(features).bfloat16()}, tmp_path / "mine.safetensors")
    rough = torch.from_numpy(features).bfloat16().float().numpy()
    same(read(tmp_path / "mine.safetensors"), rough, table)
    np.save(tmp_path / "big.npy", features.astype(">f4"))  # of another machine
    same(read(tmp_path / "big.npy", tmp_path / "mine.csv"), features, table)


def test_two_arrays_in_one_file(tmp_path, made):
    features, table = made
    query = (table.split == "query").to_numpy()
    table.to_csv(tmp_path / "two.csv", index=False)
    arrays = {"query": features[query], "gallery": features[~query]}
    np.savez(tmp_path / "two.npz", **arrays)
    same(read(tmp_path / "two.npz"), features, table)
    save_file({k: torch.from_numpy(v) for k, v in arrays.items()}, tmp_path / "two.safetensors")
    same(read(tmp_path / "two.safetensors"), features, table)


def test_a_folder(tmp_path, made):
    features, table = made
    for side in ("query", "gallery"):
        mask = (table.split == side).to_numpy()
        np.save(tmp_path / f"{side}.npy", features[mask])
        table[mask].drop(columns="split").to_csv(tmp_path / f"{side}.csv", index=False)
    same(read(tmp_path), features, table)
    (tmp_path / "gallery.npy").unlink()
    with pytest.raises(ReidError, match=r"holds no features of the gallery: expected one of gal"):
        read(tmp_path)


def test_scattered_rows_are_mapped_a_few_at_a_time(tmp_path, made, monkeypatch):
    """A mapping keeps what lies around each row that was read from it: megabytes."""
    features, table = made
    np.save(tmp_path / "a.npy", features)
    table.to_csv(tmp_path / "a.csv", index=False)
    query = read(tmp_path / "a.npy").query
    mapped, seen = module._mapped, []
    monkeypatch.setattr(module, "_mapped", lambda *file: seen.append(file) or mapped(*file))
    monkeypatch.setattr(module, "SCATTERED", 4)
    expected = torch.from_numpy(features[(table.split == "query").to_numpy()])
    torch.testing.assert_close(query.tensor(), expected, rtol=0, atol=0)
    assert len(seen) == 3  # ten rows
    assert query.take(np.arange(0)).tensor().shape == (0, 4)


def test_parquet(tmp_path, made):
    pytest.importorskip("pyarrow")
    features, table = made
    table.assign(feature=list(features)).to_parquet(tmp_path / "mine.parquet")
    same(read(tmp_path / "mine.parquet"), features, table)
    table.to_parquet(tmp_path / "none.parquet")
    with pytest.raises(ReidError, match=r'none.parquet has no column "feature"'):
        read(tmp_path / "none.parquet")
    ragged = [row[: 3 + (i == 5)] for i, row in enumerate(features)]
    table.assign(feature=ragged).to_parquet(tmp_path / "ragged.parquet")
    with pytest.raises(ReidError, match=r"its features have \[3, 4\] values: one length only"):
        read(tmp_path / "ragged.parquet")


class Bomb:
    def __reduce__(self):
        return (exec, ("open('executed', 'w').write('x')",))


def test_what_does_not_fit_is_named(tmp_path, made, monkeypatch):
    monkeypatch.chdir(tmp_path)
    features, table = made
    np.save("a.npy", features)
    with pytest.raises(ReidError, match=r"there is no a.csv for a.npy: write one with the columns"):
        read("a.npy")
    table.drop(columns="split").to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r'no column "split" \(its first line: .*\): add one that'):
        read("a.npy")
    table.assign(split="Query").to_csv("a.csv", index=False)
    with pytest.raises(
        ReidError, match=r'no query: its splits are "Query", give some rows "query"'
    ):
        read("a.npy")
    table.to_csv("a.csv", index=False, sep=";")
    with pytest.raises(
        ReidError, match=r'no column "pid" \(its first line: path;pid;cam;.*a comma betw'
    ):
        read("a.npy")
    table.to_csv("a.csv", index=False, encoding="utf-16")
    with pytest.raises(ReidError, match=r"a.csv is no readable CSV .*: save it as UTF-8"):
        read("a.npy")
    table.head(29).to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r"a.npy has 30 features, a.csv 29 rows"):
        read("a.npy")
    table.assign(pid=["x" if i == 4 else i for i in range(30)]).to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r"a.csv, row 5: pid is x, no integer"):
        read("a.npy")
    table.assign(cam=[np.nan if i == 4 else i for i in range(30)]).to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r"a.csv, row 5: cam is nan, no integer"):
        read("a.npy")
    table.assign(pid=[10**30 if i == 4 else i for i in range(30)]).to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r"a.csv, row 5: pid is 10+, no integer of up to fifteen"):
        read("a.npy")
    table.assign(pid=-2).to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r"a.csv, row 1: pid is below -1"):
        read("a.npy")
    with pytest.raises(ReidError, match=r"there is no file b.npy"):
        read("b.npy")
    with pytest.raises(
        ReidError, match=r"a.csv is no file of features, (choose from|did you mean)"
    ):
        read("a.csv")
    np.save("a.npy", features[0])
    with pytest.raises(ReidError, match=r"a has shape \(4,\): features are"):
        read("a.npy")
    np.savez("a.npz", one=features, other=features)
    table.to_csv("a.csv", index=False)
    with pytest.raises(ReidError, match=r"holds \['one', 'other'\]: name two arrays query and"):
        read("a.npz")
    np.savez("a.npz", query=features[:10], gallery=features[10:, :3])
    with pytest.raises(ReidError, match=r"query features have 4 values, gallery features 3"):
        read("a.npz")
    np.savez("a.npz", query=features[:9], gallery=features[10:])
    with pytest.raises(ReidError, match=r"there are 9 query features and 10 query rows in a.csv"):
        read("a.npz")


def test_nothing_is_executed(tmp_path, made, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made[1].to_csv("a.csv", index=False)
    np.save("a.npy", np.array([Bomb()] * 30), allow_pickle=True)
    np.savez("a.npz", np.array([Bomb()] * 30))
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "a.safetensors").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.npy", "a.npz", "b.npy", "a.safetensors"):
        with pytest.raises(ReidError, match=f"{name} is no readable .* objects are not read"):
            read(name, "a.csv")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("shape", [(10**13, 512), (-3, 512), (10**30, 512)])
def test_a_header_that_lies_is_refused(tmp_path, made, monkeypatch, shape):
    monkeypatch.chdir(tmp_path)
    made[1].to_csv("a.csv", index=False)
    with open("a.npy", "wb") as file:
        entries = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, entries)
        file.write(b"0" * 4096)
    with zipfile.ZipFile("a.npz", "w") as file:
        file.write("a.npy")
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ReidError, match=rf"{name} is no readable \{name[1:]} of plain numbers"):
            read(name)


def test_spaces_after_commas_are_no_part_of_a_name(tmp_path, made):
    features, table = made
    np.save(tmp_path / "a.npy", features)
    (tmp_path / "a.csv").write_text(table.to_csv(index=False).replace(",", ", "))
    spaced = read(tmp_path / "a.npy")
    table.to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(spaced.g_table, read(tmp_path / "a.npy").g_table)


def test_an_archive_beyond_memory_is_not_unpacked(tmp_path, made, monkeypatch):
    features, table = made
    np.savez_compressed(tmp_path / "a.npz", features)
    table.to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setattr("os.sysconf", lambda name: 16)
    with pytest.raises(ReidError, match=r"more than half of the memory: save its arrays as .npy"):
        read(tmp_path / "a.npz")
