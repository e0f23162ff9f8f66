"""Pre-trained weights: from torchvision or a local file, checked key by key."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision.models as tv
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from reidlib.errors import ReidError

HEADS = ("fc.", "classifier.")  # of the ImageNet classifier, which is not used
NAMED = ("imagenet", "start")  # weights by name; all else is the path of a file
STARTS = Path(__file__).parent / "starts"


def start_file(backbone: str) -> Path:
    """The package's own start weights for a backbone: of people (or faces) drawn elsewhere.

    Raises ReidError for a backbone that has none.
    """
    path = STARTS / f"{backbone}.safetensors"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in STARTS.glob("*.safetensors"))) or "none"
        raise ReidError(
            f'weights "start": there are none for the backbone "{backbone}" (there are: {there}): '
            'use "imagenet", the path of a file, or None'
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` or ``.pth`` file (the latter without running pickled code).

    Raises ReidError if the file is not there or is not such a file.
    """
    if not path.is_file():
        raise ReidError(f'weights file {path} is not there: give another, "imagenet" or None')
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = (str(error) or "it ends too soon").splitlines()[0][:120]
        raise ReidError(f"weights file {path} cannot be read ({reason})") from error
    except Exception as error:  # pickle errors have no common base
        raise ReidError(f"weights file {path} is not a plain dictionary of tensors") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ReidError(f"weights file {path} is not a plain dictionary of tensors")
    return state


def imagenet_state(name: str, enum: str | None) -> dict[str, Tensor]:
    """torchvision's weights of that name, downloaded once. Raises ReidError if there are none."""
    if enum is None:
        raise ReidError(f'backbone "{name}" has no ImageNet weights: use weights=None')
    try:
        return tv.get_weight(enum).get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ReidError(
            f"the ImageNet weights of {name} are not cached and could not be downloaded "
            f"({error}): give the path of a local weights file, or weights=None"
        ) from error


def load_weights(
    net: nn.Module,
    source: str,
    name: str,
    imagenet: str | None = None,
    stages: nn.Module | None = None,
) -> None:
    """Loads ``source`` (one of ``NAMED`` or a path) into ``net``, all of it or nothing.

    The classifier may lack or be there; every other key must match in name and shape. stages:
    ``net`` cut into a ``Backbone``, for a file that has this names: that of a run of the baseline.
    """
    if source == "imagenet":
        state = imagenet_state(name, imagenet)
    else:
        state = read_weights(start_file(name) if source == "start" else Path(source))
    prefix = "backbone."
    trained = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if stages is not None and trained:
        net, state = stages, trained
    own = net.state_dict()
    given = {k: v for k, v in state.items() if not k.startswith(HEADS)}
    needed = {k: v for k, v in own.items() if not k.startswith(HEADS)}
    # batch-norm counters were added to torch later than some files were written
    missing = [k for k in needed if k not in given and not k.endswith("num_batches_tracked")]
    unknown = [k for k in given if k not in needed]
    wrong = [k for k in given if k in needed and given[k].shape != needed[k].shape]
    for what, keys in (("lacks", missing), ("has unknown", unknown), ("has misshapen", wrong)):
        if keys:
            raise ReidError(
                f"weights {source} do not fit {name}: the file {what} {len(keys)} of "
                f"{len(needed)} tensors, first {keys[0]}"
            )
    net.load_state_dict({**own, **given})
