"""``python -m reidlib data check``: its text, its verdict, its exit code."""

import shutil

import numpy as np
import pytest
from PIL import Image

from reidlib.data.sets import check, market
from reidlib.workbook.cli import main

PARTS = {"bounding_box_train": 2, "query": 5, "bounding_box_test": 5}


@pytest.fixture
def root(tmp_path, draw, monkeypatch):
    """A whole Market-1501 of three images a part, two ids, one of them for training."""
    for part, pid in PARTS.items():
        for cam in (1, 2, 3):
            name = f"{pid:04}_c{cam}s1_000451_03.jpg"
            draw(tmp_path / "Market-1501-v15.09.15" / part / name, seed=cam)
    monkeypatch.setattr(
        market.Market1501, "COUNTS", dict.fromkeys(("train", "query", "gallery"), 3)
    )
    return tmp_path


def run(root, capsys) -> tuple[str, int]:
    code = main(["data", "check", "market1501", "--root", str(root)])
    printed = capsys.readouterr()
    assert printed.err == ""
    text, well = check.report("market1501", root)
    assert (text, well) == (printed.out[:-1], code == 0)  # the function and the command agree
    return text, code


def test_all_is_well(root, capsys):
    text, code = run(root, capsys)
    assert code == 0
    assert "OK       all counts are the official ones; every file decodes" in text
    assert "PROBLEM" not in text
    assert "Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}" in text
    assert [line.split() for line in text.splitlines() if line.startswith("query")] == [
        ["query", "3", "1", "3", "0", "0"]
    ]


def test_a_missing_image_is_a_problem_that_names_both_counts(root, capsys):
    next((root / "Market-1501-v15.09.15" / "query").iterdir()).unlink()
    text, code = run(root, capsys)
    assert code == 1
    assert "PROBLEM  Market-1501: query has 2 images, officially 3" in text
    assert "OK  " not in text


def test_a_missing_folder_shows_the_layout(root, capsys):
    shutil.rmtree(root / "Market-1501-v15.09.15" / "bounding_box_test")
    text, code = run(root, capsys)
    assert code == 1
    assert "PROBLEM  Market-1501 lacks the folder" in text
    assert "Layout: " in text


def test_nothing_there(tmp_path, capsys):
    text, code = run(tmp_path, capsys)
    assert code == 1
    assert "PROBLEM  no Market-1501 below" in text


def test_a_name_that_does_not_parse(root, capsys):
    (root / "Market-1501-v15.09.15" / "query" / "copy.jpg").write_bytes(b"")
    text, code = run(root, capsys)
    assert code == 1
    assert "query/copy.jpg is not named as" in text


def test_files_that_do_not_decode_are_named(root, capsys):
    path = root / "Market-1501-v15.09.15" / "bounding_box_train" / "0002_c2s1_000451_03.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    text, code = run(root, capsys)
    assert code == 1
    assert f"PROBLEM  {path}: image file is truncated" in text
    text, well = check.report("market1501", root, decode=False)
    assert well
    assert "every file decodes" not in text


def test_ids_in_training_and_test(root, capsys):
    folder = root / "Market-1501-v15.09.15" / "query"
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("0005", "0002"))
    text, code = run(root, capsys)
    assert code == 1
    assert "PROBLEM  1 ids stand in training and in test: [2]" in text


def test_only_persons_count_as_overlap(root):
    dataset = market.Market1501.load(root)
    mixed = dataset.gallery.assign(pid=[-1, 0, 9])
    assert check.overlap(dataset.but(train=mixed, gallery=mixed)) == [9]
    assert check.overlap(dataset) == []


def test_damaged_files_of_any_kind_are_reported_up_to_a_limit(tmp_path):
    good = np.random.default_rng(0).integers(0, 256, (20, 10, 3), np.uint8)
    paths = []
    rng = np.random.default_rng(1)
    for i in range(60):
        path = tmp_path / f"{i}.png"
        Image.fromarray(good).save(path)
        content = bytearray(path.read_bytes())
        for _ in range(3):
            content[rng.integers(8, 60)] = rng.integers(256)
        path.write_bytes(content)
        paths.append(str(path))
    whole = tmp_path / "whole.png"
    Image.fromarray(good).save(whole)
    found, sizes = check.scan([str(whole), *paths])
    assert len(found) > 40
    assert not any("whole.png" in line for line in found)
    assert len(found) + len(sizes) == len(paths) + 1
    assert check.scan([str(tmp_path / "gone.png")])[0][0].startswith(str(tmp_path / "gone.png"))


def test_an_unknown_dataset_is_one_sentence_and_exit_code_2(capsys):
    assert main(["data", "check", "market"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == 'error: unknown dataset "market", did you mean "market1501"?\n'


@pytest.mark.real_data
def test_the_real_set_is_well(market1501_root):
    text, well = check.report("market1501", market1501_root, decode=False)
    assert well, text
    assert "all counts are the official ones" in text
