"""Evaluation and re-ranking of features run where there is torch, NumPy and pandas alone."""

import subprocess
import sys

BARE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {DENIED}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Refuse())
import numpy as np
from reidlib.evaluate import score
from reidlib.rerank import k_reciprocal
from reidlib.workbook import cli

rng = np.random.default_rng(0)
x = rng.normal(size=(12, 4)).astype("float32")
pid, cam = np.arange(12) % 3 + 1, np.arange(12) // 6
print(score(k_reciprocal(x[:6], x[6:]), pid[:6], pid[6:], cam[:6], cam[6:]).num_valid)
np.save("mine.npy", x)
rows = [f"{p},{c},{'gallery' if c else 'query'}" for p, c in zip(pid, cam)]
open("mine.csv", "w").write("\\n".join(["pid,cam,split", *rows]))
assert cli.main(["data", "list"]) == 2
sys.exit(cli.main(["evaluate", "mine.npy", "--rerank", "--out", "result"]))
"""
DENIED = {
    "torchvision", "PIL", "yaml", "safetensors", "tqdm", "matplotlib", "sklearn", "scipy", "numba",
    "seaborn", "distributed", "dask", "papermill", "h5py", "timm", "pyarrow",
}  # fmt: skip


def test_torch_numpy_and_pandas_are_enough(tmp_path):
    code = BARE.replace("{DENIED}", repr(DENIED))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = 'error: this needs the package PIL: pip install "reidlib[workbook]"\n'
    assert done.stderr == said  # of `data list`, which reads images
    assert done.stdout.splitlines()[0] == "6"
    assert (tmp_path / "result" / "metrics.json").is_file()
