"""The commit that a run names."""

import subprocess

from reidlib.system import provenance


def test_what_runs_write_does_not_make_a_commit_dirty(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)
    assert provenance.commit() == "unknown"
    for name in ("reidlib/a.py", "reports/table.csv"):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    clean = provenance.commit()
    assert "dirty" not in clean
    assert len(clean) == 40
    (tmp_path / "reports/table.csv").write_text("2")
    assert provenance.commit() == clean
    (tmp_path / "reidlib/a.py").write_text("2")
    assert provenance.commit() == f"{clean}-dirty"
