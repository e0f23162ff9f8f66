"""Every dataset from its fixture: what is found, and what is said when something is wrong."""

import os
import shutil
import warnings

import pytest
from fixtures import CASES, Case

from reidlib.data import EMBEDDED, LOADERS, ImageBank, load, reader
from reidlib.data.sets import check
from reidlib.errors import ReidError
from reidlib.workbook.cli import main


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("fixtures")


def label(case: Case) -> str:
    return case.make.__name__


every = pytest.mark.parametrize("case", CASES, ids=label)
official = pytest.mark.parametrize("case", [c for c in CASES if c.official], ids=label)
with_files = pytest.mark.parametrize("case", [c for c in CASES if c.image], ids=label)


@pytest.fixture(autouse=True)
def quiet():
    """Tiny fixtures never have the official counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def error(case: Case, root) -> str:
    """The sentence with which loading ends."""
    with pytest.raises(ReidError) as caught:
        case.load(root)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_dataset_has_a_fixture():
    assert {case.name for case in CASES} == set(LOADERS) - set(EMBEDDED)


@every
def test_the_fixture_loads(case, store):
    dataset = case.load(case.pristine(store))
    tables = list(dataset.splits.values())
    assert tuple(table.pid.tolist() for table in tables) == case.pids
    assert tuple(table.cam.tolist() for table in tables) == case.cams
    assert (dataset.name, dataset.protocol) == (case.name, case.protocol)
    assert not dataset.embedded
    for table in tables:
        assert [str(kind) for kind in table.dtypes[["pid", "cam"]]] == ["int64", "int64"]
        if len(table):
            bank = ImageBank.from_split(table, (32, 16))
            assert bank.pid.tolist() == table.pid.tolist()
    assert str(dataset.summary())


@every
def test_it_is_the_same_wherever_it_lies_and_in_whatever_order(case, store, tmp_path):
    there = case.pristine(store)
    other = tmp_path / "other"
    # copied back to front, so that the disk lists the files in another order
    for path in sorted((p for p in there.rglob("*") if p.is_file()), reverse=True):
        target = other / path.relative_to(there)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    first, second = case.load(there), case.load(other)
    assert first.fingerprint == second.fingerprint
    for one, two in zip(first.splits.values(), second.splits.values(), strict=True):
        drop = one.drop(columns="path"), two.drop(columns="path")
        assert drop[0].equals(drop[1])


@every
def test_an_empty_root_says_what_was_expected(case, tmp_path):
    text = error(case, tmp_path)
    assert str(tmp_path) in text or "list.csv" in text
    if case.official:
        assert "expected " in text


@every
def test_a_missing_folder_or_list_is_named(case, store, tmp_path):
    root = case.copy(store, tmp_path / "root")
    part = root / case.part
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    assert part.name in error(case, root)


@with_files
def test_a_truncated_image_is_named_by_the_bank_and_by_check(case, store, tmp_path):
    root = case.copy(store, tmp_path / "root")
    image = root / case.image
    image.write_bytes(image.read_bytes()[:-150])
    dataset = case.load(root)
    table = next(t for t in dataset.splits.values() if str(image) in set(t.path))
    with pytest.raises(ReidError, match=rf"{image.name} does not decode .*: replace it"):
        ImageBank.from_split(table, (32, 16))
    text, well = check.report(case.name, root, options=case.options)
    assert not well
    assert f"PROBLEM  {image}: " in text


@pytest.mark.parametrize("case", [c for c in CASES if c.extra], ids=label)
def test_an_unknown_file_is_named(case, store, tmp_path):
    root = case.copy(store, tmp_path / "root")
    extra = root / case.extra
    extra.parent.mkdir(parents=True, exist_ok=True)
    extra.write_bytes(b"")
    text = error(case, root)
    assert extra.name in text
    assert "move it" in text


@with_files
def test_what_operating_systems_leave_is_no_unknown_file(case, store, tmp_path):
    root = case.copy(store, tmp_path / "root")
    before = case.load(root).fingerprint
    for name in (".DS_Store", "Thumbs.db"):
        (root / case.image).with_name(name).write_bytes(b"")
    assert case.load(root).fingerprint == before


@official
def test_another_count_is_a_warning_that_names_both(case, store, monkeypatch):
    root = case.pristine(store)
    module = reader(case.name)
    counts = {
        split: len(t) for split, t in case.load(root).splits.items() if split in module.COUNTS
    }
    others = {"IMAGES": 8, "TRACKLETS": {"train": 3, "query": 2, "gallery": 5}}
    for name, value in others.items():
        if hasattr(module, name) and case.name in ("lfw", "mars"):
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "COUNTS", counts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        case.load(root)
    for split, count in counts.items():
        monkeypatch.setattr(module, "COUNTS", {**counts, split: 12345})
        with pytest.warns(UserWarning, match="officially") as caught:
            case.load(root)
        (warning,) = caught
        assert str(warning.message).endswith(f": {split} has {count:,} images, officially 12,345")


@pytest.mark.parametrize("case", [c for c in CASES if c.emptied], ids=label)
def test_an_empty_split_is_named(case, store, tmp_path):
    root = case.copy(store, tmp_path / "root")
    place = root / case.emptied
    if place.is_dir():
        for path in place.iterdir():
            path.unlink()
    else:
        place.write_bytes(b"")
    text = error(case, root)
    assert place.name in text
    assert "holds no images" in text or "is empty" in text or "no readable CSV" in text


@with_files
def test_a_link_to_nothing_is_named(case, store, tmp_path):
    root = case.copy(store, tmp_path / "root")
    image = root / case.image
    image.unlink()
    image.symlink_to(tmp_path / "nothing")
    assert image.name in error(case, root)


@every
def test_an_unknown_option_is_refused(case, store):
    with pytest.raises(ReidError, match=f'dataset {case.name} has no option "views"'):
        load(case.name, case.pristine(store), views=3)


@every
def test_check_says_the_card_the_sizes_and_the_cameras(case, store):
    text, well = check.report(case.name, case.pristine(store), options=case.options)
    assert well != case.official  # a fixture never has the official counts
    assert check.card(case.name) in text
    assert "image sizes (least/median/most): height 64/64/64, width 32/32/32" in text
    assert "cameras per id (least/median/most): " in text
    assert ("official images: " in text) == case.official


@every
def test_the_card_says_licence_or_notice_protocol_and_layout(case):
    card = check.card(case.name)
    for word in ("Licence", "NOTICE"):
        if word in card:
            break
    else:
        raise AssertionError("no licence")
    assert "Protocol: " in card
    assert "Layout" in card or "Columns" in card


def test_what_its_authors_withdrew_says_so(store, capsys):
    case = next(c for c in CASES if c.name == "dukemtmcreid")
    main(["data", "check", case.name, "--root", str(case.pristine(store))])
    assert "withdrew DukeMTMC in 2019" in capsys.readouterr().out


def test_list_says_what_is_there(store, tmp_path, capsys, monkeypatch):
    for name in ("viper", "mars", "lfw"):
        next(c for c in CASES if c.name == name).make(tmp_path)
    assert main(["data", "list", "--root", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1] for line in printed.splitlines()[: len(LOADERS)]}
    assert set(rows) == set(LOADERS)
    assert {name for name, state in rows.items() if state == "found"} == {"viper", "mars", "lfw"}
    assert {name for name, state in rows.items() if state == "embedded"} == set(EMBEDDED)
    assert str(tmp_path) in printed
    monkeypatch.delenv("REIDLIB_DATA", raising=False)
    assert main(["data", "list"]) == 0
    assert "set REIDLIB_DATA" in capsys.readouterr().out


def test_check_takes_options_and_can_be_quick(store, capsys):
    case = next(c for c in CASES if c.name == "lfw")
    arguments = ["data", "check", "lfw", "--root", str(case.pristine(store))]
    assert main([*arguments, "--set", "ids=2", "--quick"]) == 1
    printed = capsys.readouterr().out
    assert "found lfw" in printed
    assert "image sizes" not in printed
    assert "gallery has 2 images, officially 1,000" in printed
    assert main([*arguments, "--set", "people=2"]) == 1
    assert 'dataset lfw has no option "people"' in capsys.readouterr().out


def test_options_are_typed(store):
    case = next(c for c in CASES if c.name == "lfw")
    with pytest.raises(ReidError, match="dataset lfw: option ids is '2'"):
        load("lfw", case.pristine(store), ids="2")


@every
def test_simulated_partial_images_of_it(case, store):
    root = case.pristine(store)
    options = {"ratio": (0.2, 0.8), "role": "gallery", "seed": 0}
    dataset = load(case.name, root, partial=options, **case.options)
    assert "box" in dataset.gallery.columns
    assert dataset.fingerprint != case.load(root).fingerprint


@pytest.mark.parametrize("name", [b"a\nb\x1b[31m.jpg", b"\xff\xfe.jpg", "é日.jpg".encode()])
def test_names_of_any_bytes_are_printed_in_one_line(store, tmp_path, capsys, name):
    case = next(c for c in CASES if c.name == "viper")
    root = case.copy(store, tmp_path / "root")
    with open(os.path.join(os.fsencode(root / "VIPeR" / "cam_a"), name), "wb"):
        pass
    assert main(["data", "check", "viper", "--root", str(root)]) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("PROBLEM")]
    assert "is not named as VIPeR names its images" in line
    assert line.isprintable()
