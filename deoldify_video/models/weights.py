"""Weights files: safetensors with readable metadata, published `.pth` and `.bin` files, and strict loading of both.

Foreign files are only ever opened with `weights_only=True`, so that no code in them runs. Zip containers and safetensors are
mapped into memory instead of read, and a network is built without storage first; loading then peaks little above the size of
the weights.
"""

from __future__ import annotations

import json
import logging
import pickle
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deoldify_video.errors import DependencyError, OutputError
from deoldify_video.media.files import output_errors, output_file, remove_leftovers

if TYPE_CHECKING:
    from torch import Tensor, nn

    NetworkT = TypeVar("NetworkT", bound=nn.Module)

CONFIG_KEY = "config"  # metadata entry that holds the network's configuration as JSON
FOLDED_KEY = "folded"  # metadata entry of files whose norms are folded already
WRAPPERS = ("model", "params", "state_dict")  # keys under which published files keep their state dict
_LOG = logging.getLogger(__name__)
_ZIP_MAGIC = b"PK\x03\x04"
_HEAD_BYTES = 512


def shipped_weights(name: str) -> Path:
    """Path of a weights file that ships with the package."""
    return Path(str(resources.files("deoldify_video.models") / "weights" / name))


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a safetensors file: tensors by name (as stored, often float16) and its metadata with the JSON config decoded.

    Raises `DependencyError` when the file is missing or is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise DependencyError("does not exist", path=path) from error
    except (SafetensorError, OSError) as error:
        raise DependencyError(f"is no safetensors file or is damaged: {error}", path=path) from error
    if CONFIG_KEY in metadata:
        metadata[CONFIG_KEY] = json.loads(metadata[CONFIG_KEY])
    return tensors, metadata


def write_weights(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any], *, half: bool = True) -> None:
    """Write tensors as safetensors, with its folder; the file appears when it is whole. Metadata that are no strings become JSON.

    With `half` floating-point tensors are rounded to float16, otherwise every tensor keeps its type. Raises `OutputError`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = {
        key: (value.detach().half() if half and value.is_floating_point() else value.detach()).contiguous()
        for key, value in tensors.items()
    }
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        with output_file(path) as temporary:
            try:
                save_file(stored, temporary, metadata=text)
            except SafetensorError as error:  # of a full disk, for instance
                raise OutputError(f"cannot be written: {error}", path=path) from error
            temporary.chmod(0o644)  # safetensors makes files that only their owner can read


def read_published(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read any weights file that people own: `.pth`, `.pt` and `.bin` in the zip or the old container, or `.safetensors`.

    Returns the tensors by name, as stored, and the metadata (empty but for safetensors). A state dict may stand alone or under
    one of `WRAPPERS`. Raises `DependencyError` that says what the file is instead: missing, a saved web page, a Git LFS
    pointer, cut off, or something other than weights.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise DependencyError("does not exist", path=path) from error
    except OSError as error:
        raise DependencyError(f"cannot be read: {error.strerror}", path=path) from error
    if head.lstrip().startswith(b"<"):
        raise DependencyError("is a saved web page, not a weights file", path=path, remedy="download the file itself")
    if head.startswith(b"version https://git-lfs"):
        raise DependencyError("is a Git LFS pointer, not the weights themselves", path=path, remedy="download the file itself")
    if path.suffix == ".safetensors":
        return read_weights(path)
    return _state_dict(_unpickle(path, mapped=head.startswith(_ZIP_MAGIC)), path), {}


def _unpickle(path: Path, *, mapped: bool) -> object:
    import torch

    try:
        with torch.serialization.safe_globals([slice]):  # the optimiser part of fastai's files holds slices
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            raise DependencyError(
                "holds Python objects besides weights and is refused for safety", path=path, remedy="save its state dict alone"
            ) from error
        raise DependencyError("is no weights file or is damaged", path=path) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise DependencyError("is cut off or damaged", path=path, remedy="download it again") from error


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    import torch

    while isinstance(content, dict):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    if isinstance(content, dict) and content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return {str(key): value.detach() for key, value in content.items()}
    raise DependencyError(
        "holds no state dict", path=path, remedy=f"expected names and tensors, alone or under one of {', '.join(WRAPPERS)}"
    )


def load_strictly(
    network: NetworkT,
    tensors: dict[str, Tensor],
    path: Path,
    *,
    folded: bool = False,
    unused: tuple[str, ...] = (),
    extras: bool = False,
) -> NetworkT:
    """Give `network`, built on the meta device, its tensors; unless they are `folded` already, fold the norms on the way.

    Folding happens in the tensors' own memory, so that loading does not peak. Every name and shape must fit; names that start
    with one of `unused` are dropped first, and with `extras` unknown names are logged and dropped instead of refused. Returns
    the network in float32 and eval mode; raises `DependencyError` with the first few misfits.
    """
    from deoldify_video.models.folding import fold_norms

    for key in [key for key in tensors if unused and key.startswith(unused)]:
        del tensors[key]
    misfits = [] if folded else fold_norms(network, tensors)
    expected = network.state_dict()
    unknown = sorted(tensors.keys() - expected.keys())
    if extras and unknown:
        _LOG.warning("%s holds %d tensors that are not used here, such as %s", path.name, len(unknown), unknown[0])
        for key in unknown:
            del tensors[key]
    misfits += [f"{key} is missing" for key in expected.keys() - tensors.keys()]
    misfits += [f"{key} is unexpected" for key in tensors.keys() - expected.keys()]
    for key, value in tensors.items():
        if key in expected and value.shape != expected[key].shape:
            misfits.append(f"{key} is {tuple(value.shape)} instead of {tuple(expected[key].shape)}")
    if misfits:
        shown = "; ".join(sorted(misfits)[:3])
        raise DependencyError(f"does not fit {type(network).__name__}: {len(misfits)} misfits, such as {shown}", path=path)
    for key, value in tensors.items():
        tensors[key] = value.float() if value.is_floating_point() else value
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval()
