"""Weights files: safetensors with readable metadata, loaded strictly."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deoldify_video.errors import DependencyError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_KEY = "config"  # metadata entry that holds the network's configuration as JSON


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
        raise DependencyError(f"there is no weights file {path}.") from error
    except (SafetensorError, OSError) as error:
        raise DependencyError(f"{path} is no safetensors file or is damaged: {error}.") from error
    if CONFIG_KEY in metadata:
        metadata[CONFIG_KEY] = json.loads(metadata[CONFIG_KEY])
    return tensors, metadata


def write_weights(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors as float16 safetensors; metadata values that are no strings become JSON."""
    from safetensors.torch import save_file

    half = {key: value.detach().half().contiguous() if value.is_floating_point() else value for key, value in tensors.items()}
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    save_file(half, path, metadata=text)
