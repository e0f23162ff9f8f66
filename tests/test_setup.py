"""pyproject.toml, requirements.lock, environment.yml, Makefile and CI hold together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import reidlib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.11.0", "3.11.9", "3.12.4", "3.13.1", "3.14.0")


def requirements() -> list[Requirement]:
    """Of the environment that make sets up; timm and parquet are extras that a user asks for."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    lists = [project["dependencies"], extras["workbook"], extras["dev"]]
    return [Requirement(text) for texts in lists for text in texts]


def locked(python: str) -> dict[str, str]:
    """Name and version of what the lock installs on Linux with that Python."""
    where = {
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    versions: dict[str, str] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        entry = Requirement(line)
        if entry.marker is None or Marker(str(entry.marker)).evaluate(where):
            name = canonicalize_name(entry.name)
            assert name not in versions, f"{name} is locked twice for Python {python}"
            (pin,) = entry.specifier
            assert pin.operator == "==", line
            versions[name] = pin.version
    return versions


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_dependency(python: str) -> None:
    versions = locked(python)
    for wanted in requirements():
        name = canonicalize_name(wanted.name)
        assert name in versions, f"{name} is not in requirements.lock: make lock"
        assert wanted.specifier.contains(versions[name]), f"{wanted} but {versions[name]} is locked"


def test_torch_and_torchvision_match() -> None:
    versions = locked("3.11.9")
    assert (versions["torch"], versions["torchvision"]) == ("2.14.1", "0.29.1")
    held = {str(Requirement(text)) for text in PROJECT["tool"]["uv"]["constraint-dependencies"]}
    assert held == {"torch==2.14.1", "torchvision==0.29.1"}


def test_the_editable_install_needs_no_download() -> None:
    """``--no-build-isolation``: what builds the package is in the lock."""
    versions = locked("3.11.9")
    for text in PROJECT["build-system"]["requires"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(versions[wanted.name])


def test_the_lock_names_no_host() -> None:
    for name in ("requirements.lock", "environment.yml", "Makefile", "pyproject.toml"):
        text = (ROOT / name).read_text().replace("--no-emit-index-url", "")
        assert not re.search(r"://|index-url|find-links|trusted-host", text), name


def test_conda_and_make_use_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert pip == "pip"
    assert packages == {"pip": ["-r requirements.lock", "-e ."]}
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    assert supported.contains(python.removeprefix("python=") + ".0")
    assert "pip install -q --disable-pip-version-check -r requirements.lock" in makefile()


def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def test_make_without_a_target_helps() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^make (\w+) +\S", printed, re.MULTILINE))
    assert targets == {"help", "workbook", "smoke", "test", "lab", "site", "summary",
                       "bench", "lock", "clean", "endure", "official"}  # fmt: skip


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("exit 1", "is missing or older than Python 3.11; name another: make PYTHON=python3.12"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "has no venv or ensurepip module; install it"),
    ],
)
def test_a_python_that_does_not_do_is_told(tmp_path: Path, python: str, sentence: str) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{python}\nexit 0\n")
    fake.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    command = ["make", f"PYTHON={fake}", "workbook"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_versions_and_licence_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"] == reidlib.__version__
    assert citation["license"] == PROJECT["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_workflow_calls_the_same_script() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_pre_commit_keeps_what_the_tests_want_kept() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert entries == [
        ".venv/bin/ruff check --fix",
        ".venv/bin/ruff format",
        ".venv/bin/nbstripout --keep-id",
    ]


def test_the_core_imports_without_the_workbook() -> None:
    """Plotting, papermill and Grad-CAM are imported where they are used."""
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'seaborn', 'papermill', 'nbconvert', 'pytorch_grad_cam', "
        "'scipy', 'IPython', 'jupyterlab', 'dask'):\n"
        "    sys.modules[name] = None\n"
        "import reidlib.workbook.cli, reidlib.data, reidlib.evaluate, reidlib.geometry\n"
        "import reidlib.losses, reidlib.models, reidlib.rerank, reidlib.train\n"
        "import reidlib.workbook.profile, reidlib.workbook.batch\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
