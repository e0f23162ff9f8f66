"""Tiny datasets in the exact official layout, made from synthetic people. No real person in them.

Every maker writes below a folder (the root) and returns nothing; ``CASES`` says what a loader must
find there.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from reidlib.data import load

_people: list[Image.Image] = []


def people() -> list[Image.Image]:
    """36 pictures of synthetic people, 64x32, drawn once."""
    if not _people:
        drawn = load(
            "synthetic", train_ids=4, test_ids=4, cameras=2, images=2, size=(64, 32), distractors=2
        )
        for table in drawn.splits.values():
            _people.extend(Image.open(path).convert("RGB") for path in table.path)
    return _people


def draw(path: Path, number: int) -> None:
    """One picture as a file, in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP"}[path.suffix[1:]]
    buffer = io.BytesIO()
    people()[number % len(people())].save(buffer, kind)
    path.write_bytes(buffer.getvalue())


def draw_all(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        draw(folder / name, number)


def _three_parts(folder: Path, train: list[str], query: list[str], gallery: list[str]) -> None:
    draw_all(folder / "bounding_box_train", train)
    draw_all(folder / "query", query)
    draw_all(folder / "bounding_box_test", gallery)


def market1501(root: Path) -> None:
    _three_parts(
        root / "Market-1501-v15.09.15",
        ["0002_c1s1_000451_03.jpg", "0002_c2s1_000776_01.jpg", "0007_c3s3_077419_03.jpg"],
        ["0001_c1s1_001051_00.jpg"],
        ["-1_c1s1_000401_03.jpg", "0000_c1s1_000151_01.jpg", "0001_c2s1_009876_12.jpg.jpg"],
    )


def dukemtmcreid(root: Path) -> None:
    _three_parts(
        root / "DukeMTMC-reID",
        ["0001_c2_f0046182.jpg", "0001_c3_f0046302.jpg"],
        ["0005_c2_f0046985.jpg", "0005_c8_f0052868.jpg"],
        ["0005_c2_f0047105.jpg", "0005_c8_f0052988.jpg", "7140_c8_f0159936.jpg"],
    )


def cuhk03_subset(root: Path) -> None:
    _three_parts(
        root / "CUHK03-subset",
        ["1061_c1_000000_00.jpg", "1061_c2_000005_00.jpg"],
        ["0001_c1_000000_00.jpg"],
        ["0001_c1_000001_00.jpg", "0001_c2_000006_00.jpg"],
    )


def cuhk03_np(root: Path, kind: str = "labeled") -> None:
    _three_parts(
        root / "cuhk03-np" / kind,
        ["0001_c1_1.png", "0001_c2_6.png"],
        ["0003_c1_22.png"],
        ["0003_c1_21.png", "0003_c2_27.png", "1467_c2_14666.png"],
    )


CUHK03_NAMES = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "5_001_2_06.png"]


def cuhk03_split(root: Path, kind: str) -> None:
    """The published split's format: 1-based indices into a cell array of names."""
    names = np.empty((len(CUHK03_NAMES), 1), dtype=object)
    names[:, 0] = CUHK03_NAMES
    content = {
        "filelist": names,
        "labels": np.array([[1], [1], [2], [2]], np.uint16),
        "camId": np.array([[1], [2], [1], [2]], np.uint8),
        "train_idx": np.array([[1], [2]], np.uint16),
        "query_idx": np.array([[3]], np.uint16),
        "gallery_idx": np.array([[4]], np.uint16),
    }
    path = root / "cuhk03" / f"cuhk03_new_protocol_config_{kind}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content)


def cuhk03_images(root: Path, kind: str = "detected") -> None:
    cuhk03_split(root, kind)
    draw_all(root / "cuhk03" / f"images_{kind}", CUHK03_NAMES)


def cuhk03_original(root: Path, kind: str = "detected") -> None:
    """``cuhk-03.mat``: MATLAB 7.3, so references to cell arrays, all of it transposed."""
    cuhk03_split(root, kind)
    path = root / "cuhk03" / "cuhk03_release" / "cuhk-03.mat"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w", userblock_size=512) as store:
        empty = store.create_dataset("#refs#/empty", data=np.zeros(2, np.uint64))
        pairs = np.empty((1, 5), dtype=h5py.ref_dtype)
        for pair in range(5):
            count = 2 if pair == 0 else 1
            cells = np.full((10, count), empty.ref, dtype=h5py.ref_dtype)
            for number, name in enumerate(CUHK03_NAMES):
                own, person, _, image = (int(part) for part in name[:-4].split("_"))
                if own == pair + 1:
                    pixels = np.asarray(people()[number]).T
                    place = store.create_dataset(f"#refs#/{name}", data=pixels)
                    cells[image - 1, person - 1] = place.ref
            pairs[0, pair] = store.create_dataset(f"#refs#/pair{pair}", data=cells).ref
        store.create_dataset(kind, data=pairs)
    content = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + content[512:])


def msmt17(root: Path, version: int = 1) -> None:
    folder = root / f"MSMT17_V{version}"
    train, test = ("train", "test") if version == 1 else ("mask_train_v2", "mask_test_v2")
    content = {
        "train": (train, ["0000/0000_000_01_0303morning_0008_0.jpg 0"]),
        "val": (train, ["0000/0000_001_05_0303noon_0008_0_ex.jpg 0"]),
        "query": (test, ["0000/0000_002_14_0113afternoon_0008_1.jpg 0"]),
        "gallery": (
            test,
            ["0001/0001_000_15_0302morning_0010_2.jpg 1", "0000/0000_003_02_0303noon_0017_0.jpg 0"],
        ),
    }
    for name, (part, lines) in content.items():
        draw_all(folder / part, [line.split()[0] for line in lines])
        (folder / f"list_{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def _tracklets(folder: Path, half: str, tracklets: list[tuple[str, int, int]]) -> None:
    """Two frames for each (folder, camera, number), with MARS's lists of them."""
    names, rows = [], []
    for person, cam, number in tracklets:
        pid = -1 if person == "00-1" else int(person)
        rows.append([len(names) + 1, len(names) + 2, pid, cam])
        names += [f"{person}C{cam}T{number:04}F{frame:03}.jpg" for frame in (1, 7)]
    draw_all(folder / f"bbox_{half}", [f"{name[:4]}/{name}" for name in names])
    info = folder / "info"
    info.mkdir(exist_ok=True)
    (info / f"{half}_name.txt").write_text("".join(f"{name}\n" for name in names))
    savemat(info / f"tracks_{half}_info.mat", {f"track_{half}_info": np.array(rows, np.int32)})


def mars(root: Path) -> None:
    folder = root / "MARS"
    _tracklets(folder, "train", [("0001", 1, 1), ("0001", 2, 1), ("0065", 1, 2)])
    test = [("00-1", 1, 1), ("0000", 3, 4), ("0002", 1, 1), ("0002", 1, 2), ("0002", 6, 1)]
    _tracklets(folder, "test", test)
    savemat(folder / "info" / "query_IDX.mat", {"query_IDX": np.array([[5, 3]], np.uint16)})


def partial_reid(root: Path) -> None:
    names = ["001_001.jpg", "001_002.jpg", "002_001.jpg"]
    for side in ("partial", "whole", "occluded"):
        draw_all(root / "PartialREID" / f"{side}_body_images", names)


def partial_ilids(root: Path) -> None:
    for side in ("Probe", "Gallery"):
        draw_all(root / "Partial_iLIDS" / side, ["000.jpg", "001.jpg", "118.jpg"])


def viper(root: Path) -> None:
    draw_all(root / "VIPeR" / "cam_a", ["000_45.bmp", "001_45.bmp", "003_0.bmp", "872_90.bmp"])
    draw_all(root / "VIPeR" / "cam_b", ["000_90.bmp", "001_90.bmp", "003_135.bmp", "872_180.bmp"])


def lfw(root: Path) -> None:
    counts = {"Aaron_Eckhart": 1, "Abdullah_Gul": 3, "Zico": 2, "Al_Gore": 2}
    for name, count in counts.items():
        draw_all(root / "lfw" / name, [f"{name}_{i:04}.jpg" for i in range(1, count + 1)])


def casia_webface(root: Path) -> None:
    draw_all(root / "CASIA-WebFace" / "0000045", ["001.jpg", "002.jpg"])
    draw_all(root / "CASIA-WebFace" / "0000099", ["001.jpg"])


def folder(root: Path) -> None:
    names = ["b.jpg", "a.jpg", "sub/c.png", "d.jpg"]
    draw_all(root / "mine", names)
    lines = ["path,pid,cam,split", "mine/b.jpg,5,1,train", "mine/a.jpg,5,2,train"]
    lines += ["mine/sub/c.png,9,1,query", "mine/d.jpg,9,2,gallery"]
    (root / "mine" / "list.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Case:
    """What a loader must find in a fixture, and where the fixture can be damaged.

    counts, pids, cams: of train, query, gallery, in order. image: one that is read. part: a folder
    or list file without which nothing works. extra: a file that does not belong. lists: files that
    say what there is (text or .mat). emptied: what has to go for a split to be empty.
    """

    name: str
    make: Callable[[Path], None]
    pids: tuple[list[int], list[int], list[int]]
    cams: tuple[list[int], list[int], list[int]]
    image: str
    part: str
    extra: str
    emptied: str
    lists: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = "market1501"
    official: bool = True  # its authors published counts

    def pristine(self, store: Path) -> Path:
        """A root that holds the fixture, made once below ``store``; not to be changed."""
        root = store / self.make.__name__
        if not root.is_dir():
            root.mkdir(parents=True)
            self.make(root)
        return root

    def copy(self, store: Path, root: Path) -> Path:
        """A copy that may be damaged."""
        return Path(shutil.copytree(self.pristine(store), root))

    def load(self, root: Path) -> Any:
        return load(self.name, root, **self.options)


M, D, S = "Market-1501-v15.09.15", "DukeMTMC-reID", "CUHK03-subset"
NP, TOOLS = "cuhk03-np/labeled", "cuhk03"
_CUHK03_PIDS, _CUHK03_CAMS = ([1, 1], [2], [2]), ([1, 2], [1], [2])

CASES = [
    Case(
        name="market1501",
        make=market1501,
        pids=([2, 2, 7], [1], [-1, 0, 1]),
        cams=([1, 2, 3], [1], [1, 1, 2]),
        image=f"{M}/query/0001_c1s1_001051_00.jpg",
        part=f"{M}/query",
        extra=f"{M}/query/notes.txt",
        emptied=f"{M}/query",
    ),
    Case(
        name="dukemtmcreid",
        make=dukemtmcreid,
        pids=([1, 1], [5, 5], [5, 5, 7140]),
        cams=([2, 3], [2, 8], [2, 8, 8]),
        image=f"{D}/bounding_box_train/0001_c2_f0046182.jpg",
        part=f"{D}/bounding_box_test",
        extra=f"{D}/bounding_box_test/0005_c9_f0047105.jpg",
        emptied=f"{D}/bounding_box_train",
    ),
    Case(
        name="cuhk03-subset",
        make=cuhk03_subset,
        pids=([1061, 1061], [1], [1, 1]),
        cams=([1, 2], [1], [1, 2]),
        image=f"{S}/bounding_box_test/0001_c1_000001_00.jpg",
        part=f"{S}/bounding_box_train",
        extra=f"{S}/query/0001_c1s1_000001_00.jpg",
        emptied=f"{S}/query",
    ),
    Case(
        name="cuhk03-labeled",
        make=cuhk03_np,
        pids=([1, 1], [3], [3, 3, 1467]),
        cams=([1, 2], [1], [1, 2, 2]),
        image=f"{NP}/query/0003_c1_22.png",
        part=f"{NP}/query",
        extra=f"{NP}/query/0003_c3_22.png",
        emptied=f"{NP}/bounding_box_test",
    ),
    Case(
        name="cuhk03-detected",
        make=cuhk03_images,
        pids=_CUHK03_PIDS,
        cams=_CUHK03_CAMS,
        image=f"{TOOLS}/images_detected/1_001_1_01.png",
        part=f"{TOOLS}/cuhk03_new_protocol_config_detected.mat",
        extra=f"{TOOLS}/images_detected/5_999_2_06.png",
        emptied=f"{TOOLS}/images_detected",
        lists=(f"{TOOLS}/cuhk03_new_protocol_config_detected.mat",),
    ),
    Case(
        name="cuhk03-detected",
        make=cuhk03_original,
        pids=_CUHK03_PIDS,
        cams=_CUHK03_CAMS,
        image="",  # in the cache
        part=f"{TOOLS}/cuhk03_release",
        extra="",
        emptied="",
        lists=(f"{TOOLS}/cuhk03_new_protocol_config_detected.mat",),
    ),
    Case(
        name="msmt17",
        make=msmt17,
        pids=([1, 1], [5001], [5001, 5002]),
        cams=([1, 5], [14], [2, 15]),
        image="MSMT17_V1/train/0000/0000_000_01_0303morning_0008_0.jpg",
        part="MSMT17_V1/list_val.txt",
        extra="MSMT17_V1/test/0000/0000_009_14_0113afternoon_0008_1.jpg",
        emptied="MSMT17_V1/list_query.txt",
        lists=("MSMT17_V1/list_train.txt", "MSMT17_V1/list_query.txt"),
    ),
    Case(
        name="mars",
        make=mars,
        pids=([1] * 4 + [65] * 2, [2] * 4, [-1, -1, 0, 0] + [2] * 6),
        cams=([1, 1, 2, 2, 1, 1], [1, 1, 6, 6], [1, 1, 3, 3, 1, 1, 1, 1, 6, 6]),
        image="MARS/bbox_test/0002/0002C1T0001F007.jpg",
        part="MARS/info/query_IDX.mat",
        extra="MARS/bbox_train/0065/0065C1T0002F003.jpg",
        emptied="MARS/info/train_name.txt",
        lists=(
            "MARS/info/train_name.txt",
            "MARS/info/tracks_test_info.mat",
            "MARS/info/query_IDX.mat",
        ),
    ),
    Case(
        name="partial-reid",
        make=partial_reid,
        pids=([], [1, 1, 2], [1, 1, 2]),
        cams=([], [0, 0, 0], [1, 1, 1]),
        image="PartialREID/whole_body_images/001_001.jpg",
        part="PartialREID/whole_body_images",
        extra="PartialREID/partial_body_images/000_001.jpg",
        emptied="PartialREID/partial_body_images",
        protocol="partial",
    ),
    Case(
        name="partial-ilids",
        make=partial_ilids,
        pids=([], [1, 2, 119], [1, 2, 119]),
        cams=([], [0, 0, 0], [1, 1, 1]),
        image="Partial_iLIDS/Probe/118.jpg",
        part="Partial_iLIDS/Gallery",
        extra="Partial_iLIDS/Probe/a.jpg",
        emptied="Partial_iLIDS/Gallery",
        protocol="partial",
    ),
    Case(
        name="viper",
        make=viper,
        pids=([4, 873, 4, 873], [1, 2], [1, 2]),
        cams=([1, 1, 2, 2], [1, 1], [2, 2]),
        image="VIPeR/cam_a/000_45.bmp",
        part="VIPeR/cam_b",
        extra="VIPeR/cam_b/Thumbs.txt",
        emptied="VIPeR/cam_a",
    ),
    Case(
        name="lfw",
        make=lfw,
        pids=([], [1, 1, 2], [1, 2]),
        cams=([], [0, 0, 0], [1, 1]),
        image="lfw/Abdullah_Gul/Abdullah_Gul_0002.jpg",
        part="lfw",
        extra="lfw/Abdullah_Gul/Zico_0001.jpg",
        emptied="lfw/Zico",
        options={"ids": 2},
        protocol="partial",
    ),
    Case(
        name="casia-webface",
        make=casia_webface,
        pids=([1, 1, 2], [], []),
        cams=([0, 0, 0], [], []),
        image="CASIA-WebFace/0000045/001.jpg",
        part="CASIA-WebFace",
        extra="CASIA-WebFace/0000045/list.txt",
        emptied="CASIA-WebFace/0000099",
    ),
    Case(
        name="folder",
        make=folder,
        pids=([5, 5], [9], [9]),
        cams=([2, 1], [1], [2]),
        image="mine/b.jpg",
        part="mine/list.csv",
        extra="",
        emptied="mine/list.csv",
        lists=("mine/list.csv",),
        options={"csv": "mine/list.csv"},
        official=False,
    ),
]
