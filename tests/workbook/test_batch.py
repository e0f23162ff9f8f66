"""The batch: checks before anything runs, keeps going, says how each notebook ended."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from reidlib.errors import ReidError
from reidlib.system.files import environment_kept
from reidlib.workbook import batch, cli, profile
from reidlib.workbook.execute import Execution

pytestmark = pytest.mark.slow  # all together
PARAMETERS = 'profile = "demo"\noverrides = {}\nrate = 0.5'
GOOD = """
import os, sys
print(profile, overrides, rate, os.environ.get("REIDLIB_PROFILE"), os.path.basename(os.getcwd()))
print(sys.executable)
print(os.environ["REIDLIB_DATA"])
"""
KERNEL = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
BAR = r"""
import sys
for i in range(3):
    print(f"\rstep {i}", end="", file=sys.stderr, flush=True)
"""
BAD = """
from reidlib.errors import ReidError
from reidlib.system.files import environment_kept
raise ReidError("no folder of datasets is known: set REIDLIB_DATA")
"""


def store(root: Path, name: str, *cells: str) -> None:
    first = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[first, *map(new_code_cell, cells)], metadata=KERNEL)
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def text_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout with three notebooks, of which the second fails, and one profile."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "notebooks" / "params").mkdir(parents=True)
    text = "title: Ours.\ndataset: synthetic\nseeds: [0]\n"
    (root / "notebooks" / "params" / "own.yaml").write_text(text)
    store(root, "00_good", GOOD)
    store(root, "10_bad", BAD, "print('never')")
    store(root, "20_odd", BAR, "print('still runs')", "{}['some key']")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "root", lambda: root)
        patch.setattr(profile, "root", lambda: root)
        yield root


@pytest.fixture(scope="module")
def outcomes(checkout: Path) -> list[batch.Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLIB_PROFILE", "none")
        patch.setenv("REIDLIB_DATA", "relative/data")
        found = batch.run("own", overrides={"steps": 3}, parameters={"rate": 0.25})
        assert os.environ["REIDLIB_PROFILE"] == "none"
        assert os.environ["REIDLIB_DATA"] == "relative/data"
    return found


def test_one_failure_stops_no_other(outcomes: list[batch.Outcome]) -> None:
    assert [outcome.status for outcome in outcomes] == ["ok", "failed", "failed"]
    assert [outcome.error for outcome in outcomes] == [
        "",
        "no folder of datasets is known: set REIDLIB_DATA",
        "KeyError: 'some key'",
    ]
    assert all(outcome.seconds > 0 for outcome in outcomes)


def test_table_has_a_line_for_each(outcomes: list[batch.Outcome]) -> None:
    lines = batch.table(outcomes).splitlines()
    assert lines[0].split() == ["notebook", "seconds", "status", "error"]
    assert lines[2].split()[0] == "10_bad"
    assert lines[2].endswith("failed       no folder of datasets is known: set REIDLIB_DATA")


def test_kernel_gets_parameters_and_a_clean_environment(
    checkout: Path, outcomes: list[batch.Outcome]
) -> None:
    lines = text_of(checkout / "reports" / "own" / "00_good.ipynb").splitlines()
    assert lines[0] == "own {'steps': 3} 0.25 None notebooks"
    assert Path(lines[1]) == Path(sys.executable)
    assert Path(lines[2]) == Path("relative/data").absolute()


def test_of_a_progress_bar_only_the_last_state_stays(
    checkout: Path, outcomes: list[batch.Outcome]
) -> None:
    text = text_of(checkout / "reports" / "own" / "20_odd.ipynb")
    assert "step 2" in text
    assert "step 1" not in text


def test_reports_are_whole(checkout: Path, outcomes: list[batch.Outcome]) -> None:
    folder = checkout / "reports" / "own"
    names = [f"{n}{s}" for n in ("00_good", "10_bad", "20_odd") for s in (".html", ".ipynb")]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert "still runs" in (folder / "20_odd.html").read_text()
    bad = (folder / "10_bad.ipynb").read_text()
    assert "An Exception was encountered" in bad
    assert str(checkout) not in bad


def test_interrupted_are_marked(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Those that run side by side; the one that waits never starts."""
    for name in ("30_long", "31_long"):
        cell = f"print('began'); open({str(tmp_path / name)!r}, 'w').close()"
        store(checkout, name, f"{cell}; import time; time.sleep(120)", "1", "2")
    store(checkout, "40_after", "print('never')")
    monkeypatch.setattr(batch, "PATH_VARIABLES", ())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    names = ("30_long", "31_long", "40_after")
    try:
        code = cli.main(["run", "--profile", "own", "--jobs", "2", "--only", *names])
    finally:
        signal.signal(signal.SIGINT, before)
        for name in names:
            (checkout / "notebooks" / f"{name}.ipynb").unlink()
    printed = capsys.readouterr()
    assert code == 130
    assert "what did not end is marked as interrupted" in printed.err
    assert "40_after      0.0  not run" in printed.out
    folder = checkout / "reports" / "own"
    for name in names[:2]:
        for suffix in (".ipynb", ".html"):
            said = (folder / f"{name}{suffix}").read_text()
            assert "Interrupted: this notebook did not end." in said
        assert "began" in text_of(folder / f"{name}.ipynb")
    assert not list(folder.glob("40_after*"))
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(("deaths", "status"), [(2, "ok"), (3, "failed")])
def test_a_kernel_that_dies_at_its_start_is_started_again(
    deaths: int, status: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does where another program has taken one of its ports."""
    launcher = f"""
import os, runpy, sys
died = len([name for name in os.listdir({str(tmp_path)!r}) if name.startswith("died")])
if died < {deaths}:
    open(os.path.join({str(tmp_path)!r}, f"died{{died}}"), "w").close()
    sys.exit("Address already in use")
sys.path = [folder for folder in sys.path if folder != {str(tmp_path)!r}]
runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
"""
    (tmp_path / "ipykernel_launcher.py").write_text(launcher)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (outcome,) = batch.run("own", ["00_good"], {"steps": 1})
    assert outcome.status == status
    assert ("died" in outcome.error) == (status == "failed")
    assert len(list(tmp_path.glob("died*"))) == deaths


def test_side_by_side(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Two meet, a third takes the place of one that died, the last sees what all have made."""
    for name in batch.THREADS:
        monkeypatch.delenv(name, raising=False)
    wait = f"import os, pathlib, time\nplace = pathlib.Path({str(tmp_path)!r})\n"
    meet = wait + "(place / {!r}).touch()\nwhile not (place / {!r}).exists(): time.sleep(0.05)"
    die = "\nos.kill(os.getppid(), 9); time.sleep(60)"
    store(checkout, "30_dies", meet.format("a", "b") + die, "1", "2")
    store(checkout, "31_meets", meet.format("b", "a"), "1")
    store(checkout, "32_third", meet.format("c", "c"), "print(os.environ['OMP_NUM_THREADS'])")
    store(checkout, "90_last", wait + "print(*sorted(p.name for p in place.iterdir()))")
    names = ["30_dies", "31_meets", "32_third", "90_last"]
    try:
        found = batch.run("own", names, {"workers": 1}, jobs=2)
    finally:
        for name in names:
            (checkout / "notebooks" / f"{name}.ipynb").unlink()
    assert [outcome.notebook for outcome in found] == names
    assert [outcome.status for outcome in found] == ["failed", "ok", "ok", "ok"]
    assert found[0].error.startswith("its process ended by SIGKILL: often the machine ran out")
    folder = checkout / "reports" / "own"
    assert text_of(folder / "32_third.ipynb") == "1\n"
    assert text_of(folder / "90_last.ipynb") == "a b c\n"
    assert "31_meets: ok after" in capsys.readouterr().out
    for left in folder.glob("[!0-2]*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


@pytest.mark.parametrize(
    ("given", "jobs", "expected", "threads"),
    [
        ({"workers": 1}, None, (3, {}), "1"),  # cores enough for all three
        ({"workers": 1}, 1, (1, {}), "1"),  # the same bits
        ({}, None, (1, {}), None),  # one notebook has all cores
        ({}, 2, (2, {"workers": 4}), "4"),
    ],
)
def test_cores_are_shared_out(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, given, jobs, expected, threads
) -> None:
    monkeypatch.setattr(batch, "cores", lambda: 8)
    wanted = [profile.load("own", overrides={"device": "cpu", **given})] * 3
    with environment_kept():
        for name in batch.THREADS:
            os.environ.pop(name, None)
        assert batch._shared_out(jobs, wanted) == expected
        assert {os.environ.get(name) for name in batch.THREADS} == {threads}
        assert os.environ.get("OMP_NUM_THREADS") == threads
        os.environ["OMP_NUM_THREADS"] = "5"
        batch._shared_out(jobs, wanted)
        assert os.environ["OMP_NUM_THREADS"] == "5"  # the user's own wins


def test_a_notebook_ends_when_who_started_it_dies(checkout: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    cell = f"open({str(begun)!r}, 'w').close(); import time; time.sleep(600)"
    store(checkout, "30_long", cell)
    job = (checkout / "notebooks" / "30_long.ipynb", tmp_path, {"profile": "own"})
    code = "import pickle, sys; from reidlib.workbook.execute import Execution\n"
    code += f"Execution(*pickle.loads({pickle.dumps(job)!r})).run(print)"
    # as a shell begins what it runs in the background: interrupts are ignored, by its children too
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {code}"
    starter = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 300  # on a machine that has much else to do
    while not begun.exists() and time.monotonic() < until:
        time.sleep(0.05)
    starter.kill()
    starter.wait()
    while not (tmp_path / "30_long.html").exists() and time.monotonic() < until:
        time.sleep(0.05)
    (checkout / "notebooks" / "30_long.ipynb").unlink()
    assert "Interrupted: this notebook did not end." in (tmp_path / "30_long.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--profile", "onw"], '"onw" is not a profile in'),
        (["--only", "00_god"], 'did you mean "00_good"?'),
        (["--set", "step=3"], 'overrides has the unknown key "step", did you mean "steps"?'),
        (["--set", "epochs=1e-4"], "write 1.0e-4"),
        (["--set", "steps"], "write --set name=value"),
        (["--set", "steps=1", "--set", "steps=2"], "--set steps is given twice"),
        (["--set", "dataset=sinthetic"], 'unknown dataset "sinthetic", did you mean "synthetic"?'),
        (["--set", "data_options.imagse=2"], 'no option "imagse", did you mean "images"?'),
        (["--set", "data_options.images=two"], "option images is 'two' (str), not int"),
        (["-p", "raet=0.1"], '00_good.ipynb has no parameter "raet", did you mean "rate"?'),
        (["-p", "rate=1e-4"], "parameter rate is '1e-4' (str), not float"),
        (["-p", "rate=[1]"], "parameter rate is [1] (list), not float"),
        (["--jobs", "0"], "--jobs is 0, must be at least 1"),
        (["-p", "profile=own"], 'parameter "profile" is set by --profile'),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    checkout: Path,
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(Execution, "run", lambda *_: pytest.fail("a notebook was run"))
    profile_given = [] if "--profile" in arguments else ["--profile", "own"]
    assert cli.main(["run", *profile_given, *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("kind", ["reports", "figures"])
def test_unwritable_folder(checkout: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Execution, "run", lambda *_: pytest.fail("a notebook was run"))
    (checkout / kind).mkdir(exist_ok=True)
    (checkout / kind / "taken").write_text("a file, not a folder")
    with pytest.raises(ReidError, match=rf"cannot write to the folder .*{kind}.taken"):
        batch.run("own", overrides={"folder": "taken"})
    (checkout / kind / "taken").unlink()


def test_a_notebook_without_parameters_is_refused(checkout: Path) -> None:
    path = checkout / "notebooks" / "50_plain.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1")], metadata=KERNEL), path)
    with pytest.raises(ReidError, match=r'50_plain.ipynb has no parameter "profile"'):
        batch.run("own", ["50_plain"])
    store(checkout, "50_plain")
    path.write_text(path.read_text().replace("rate = 0.5", "rate = 1 / 2"))
    with pytest.raises(ReidError, match=r"50_plain.ipynb cannot be run: malformed"):
        batch.run("own", ["50_plain"])
    path.write_text("{")
    with pytest.raises(ReidError, match=r"50_plain.ipynb cannot be run: Notebook does not"):
        batch.run("own", ["50_plain"])
    path.unlink()


def test_no_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "root", lambda: tmp_path)
    with pytest.raises(ReidError, match="no notebook in"):
        batch.run("demo")


def test_only_takes_names_and_paths(checkout: Path) -> None:
    wanted = ["notebooks/20_odd.ipynb", "00_good", "00_good"]
    assert [path.stem for path in batch.find_notebooks(wanted)] == ["00_good", "20_odd"]


def test_debug_lets_the_traceback_through(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REIDLIB_DEBUG", "1")
    with pytest.raises(ReidError, match="is not a profile"):
        cli.main(["run", "--profile", "onw"])


def test_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    for status, code in (("ok", 0), ("failed", 1), ("interrupted", 130)):
        outcome = batch.Outcome("00_good", 1.0, status)
        monkeypatch.setattr(batch, "run", lambda *_, found=outcome: [found])
        assert cli.main(["run"]) == code
    assert cli.main([]) == 0
    assert "execute the notebooks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"backbone": "tinny"}, 'unknown backbone "tinny", did you mean "tiny"'),
        ({"weights": "none.pth"}, r"weights file .*none\.pth is not there"),
        ({"weights": "start", "backbone": "resnet18"}, 'none for the backbone "resnet18"'),
    ],
)
def test_backbone_and_weights_are_checked_before_anything_runs(checkout, overrides, message):
    with pytest.raises(ReidError, match=message):
        batch.run("own", overrides=overrides)


def test_datasets_and_weights_are_read_before_anything_runs(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One of others that is not there is said, one that is broken stops the run."""
    monkeypatch.setattr(Execution, "run", lambda *_: batch.Outcome("00_good", 1.0, "ok"))
    monkeypatch.setenv("REIDLIB_DATA", str(tmp_path))
    domains = {"viper": {"dataset": "viper"}, "lfw": {"dataset": "lfw"}}
    assert batch.run("own", ["00_good"], {"domains": domains})[0].status == "ok"
    printed = capsys.readouterr().out
    for name, title in (("viper", "VIPeR"), ("lfw", "LFW")):
        assert f"{name} is not here, its tables show what is printed: no {title} below" in printed
    (tmp_path / "VIPeR" / "cam_a").mkdir(parents=True)
    with pytest.raises(ReidError, match="VIPeR"):
        batch.run("own", ["00_good"], {"domains": domains})
    with pytest.raises(ReidError, match='"tiny" has no ImageNet weights'):
        batch.run("own", ["00_good"], {"weights": "imagenet", "backbone": "tiny"})
