"""Files made to do harm: refused by name, memory bounded."""

import struct
import tracemalloc

import pytest
from PIL import Image

from reidlib.data import load
from reidlib.data.decode import decode
from reidlib.errors import ReidError


@pytest.mark.parametrize("up", ["../secret.png", "images/../../secret.png"])
def test_a_csv_does_not_reach_out_of_its_folder(tmp_path, up):
    inside = tmp_path / "mine"
    (inside / "images").mkdir(parents=True)
    for file in (tmp_path / "secret.png", inside / "images" / "a.png"):
        Image.new("RGB", (4, 8)).save(file)
    (inside / "mine.csv").write_text(f"path,pid,cam\nimages/a.png,1,1\n{up},2,1\n")
    with pytest.raises(ReidError, match=r"mine.csv, row 2: there is no image .*secret.png' below"):
        load("folder", csv=str(inside / "mine.csv"))
    (inside / "mine.csv").write_text("path,pid,cam\nimages/../images/a.png,1,1\n")
    assert len(load("folder", csv=str(inside / "mine.csv")).train) == 1


def test_a_jpeg_that_claims_3_600_million_pixels_is_not_unpacked(tmp_path):
    file = tmp_path / "huge.jpg"
    Image.new("RGB", (8, 16)).save(file)
    content = file.read_bytes()
    at = content.index(b"\xff\xc0") + 5  # height and width in the frame's header
    assert struct.unpack(">HH", content[at : at + 4]) == (16, 8)
    file.write_bytes(content[:at] + struct.pack(">HH", 60_000, 60_000) + content[at + 4 :])
    tracemalloc.start()
    with pytest.raises(ReidError, match=r"huge.jpg does not decode .*: replace it"):
        decode(str(file), (64, 32))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
