"""The user's model folder: which networks are there, how files come in and go, and what `--model` stands for.

An imported network is one safetensors file called after it, float32 with all norms folded, whose metadata tells the network,
its licence and the hash of the file that it came from. The folder is that of the platform's user data, or
`DEOLDIFY_VIDEO_MODELS`.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import platformdirs

from deoldify_video.errors import DependencyError, InputError, OutputError, UsageError
from deoldify_video.media.files import hash_file
from deoldify_video.models.base import ModelSpec
from deoldify_video.models.registry import MODELS, find_model
from deoldify_video.models.weights import FOLDED_KEY, read_published, shipped_weights, write_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER_VARIABLE = "DEOLDIFY_VIDEO_MODELS"
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
HUB_PREFIX = "hf:"
NETWORK_KEY = "network"  # metadata entry that names the registry's network
_MEGABYTE = 1_000_000


def model_folder() -> Path:
    """The folder of imported networks; it need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_data_path("deoldify-video", appauthor=False) / "models"


def installed_weights(spec: ModelSpec) -> Path | None:
    """The weights file of a network, shipped or imported, or None where it is not installed."""
    path = shipped_weights(spec.weights) if spec.weights else model_folder() / f"{spec.name}.safetensors"
    return path if path.is_file() else None


def how_to_get(spec: ModelSpec) -> str:
    """Where a network's weights come from and how they are installed: the remedy where they are missing."""
    if spec.published is None:
        return "install the program again, which it is shipped with"
    hub = f" (or run `deoldify-video models import {HUB_PREFIX}{spec.published.hub}`)" if spec.published.hub else ""
    return (
        f"download {spec.published.filename} from {spec.published.page} and run "
        f"`deoldify-video models import --as {spec.name} {spec.published.filename}`{hub}"
    )


def weights_fingerprint(spec: ModelSpec, path: Path) -> str:
    """The name of a network and the hashes of all files that it is loaded from: with other ones it gives other colours."""
    return " ".join([spec.name, *(hash_file(file, "sha256")[:16] for file in (path, *spec.further_weights))])


def identify(path: Path, digest: str = "") -> ModelSpec:
    """The network that a weights file holds: by its own metadata, by the hash of the published file, else by its shapes.

    `digest` spares hashing where it is known already; without it only files of a published size are hashed. Networks of one
    shape cannot be told apart in a file of unknown hash; the first of them in the registry is taken then. Raises
    `DependencyError` for what is no weights file (it says what it is) and for a network that nobody knows.
    """
    tensors, metadata = read_published(path)
    if metadata.get(NETWORK_KEY) in MODELS:
        return MODELS[metadata[NETWORK_KEY]]
    published = {spec.published.sha256: spec for spec in MODELS.values() if spec.published and spec.published.sha256}
    sizes = {spec.published.megabytes for spec in published.values() if spec.published}
    if not digest and round(path.stat().st_size / _MEGABYTE) in sizes:
        digest = hash_file(path, "sha256")
    if digest in published:
        return published[digest]
    return _by_shape(tensors, path)


def _by_shape(tensors: dict[str, Tensor], path: Path) -> ModelSpec:
    for spec in MODELS.values():
        name, shape = spec.mark
        if name in tensors and shape in (None, tuple(tensors[name].shape)):
            return spec
    raise DependencyError("holds a network that this program does not know", path=path, remedy=f"known are {', '.join(MODELS)}")


@dataclass(frozen=True)
class Imported:
    """The result of an import: the network, its file, the source's hash, and whether that is the published one (None: not known)."""

    spec: ModelSpec
    path: Path
    sha256: str
    is_published: bool | None


def import_model(source: str, name: str | None = None) -> Imported:
    """Check a weights file and put it into the model folder as safetensors.

    `source` is a path or `hf:owner/name[/file]`; `name` says which network it is, where files of unknown hash could be several.
    Raises `InputError` for a missing source, `DependencyError` for a file that holds no known network or does not fit `name`,
    `UsageError` for a network that is not imported, `OutputError` when the folder cannot be written.
    """
    if source.startswith(HUB_PREFIX):
        path, hub_name = _from_hub(source.removeprefix(HUB_PREFIX))
        name = name or hub_name
    else:
        path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(
            "does not exist", path=path, remedy=f"give a downloaded weights file, or {HUB_PREFIX}owner/name for the hub"
        )
    digest = hash_file(path, "sha256")
    found = identify(path, digest)
    spec = found if name is None else find_model(name)
    if spec.published is None:
        raise UsageError(f"{spec.name} is no network to import", remedy="give its weights file to --model instead")
    if found.mark != spec.mark:
        raise DependencyError(f"holds {found.name}, which cannot be imported as {spec.name}", path=path)
    network = spec.load(path)
    target = model_folder() / f"{spec.name}.safetensors"
    card = {
        NETWORK_KEY: spec.name,
        FOLDED_KEY: "true",
        "title": spec.title,
        "licence": spec.license,
        "source": spec.published.page,
        "source_file": path.name,
        "source_sha256": digest,
    }
    try:
        write_weights(target, cast("nn.Module", network).state_dict(), card, half=False)
    except OutputError as error:
        error.remedy = f"set {FOLDER_VARIABLE} to a folder with room"
        raise
    return Imported(spec, target, digest, digest == spec.published.sha256 if spec.published.sha256 else None)


def remove_model(name: str) -> Path:
    """Delete an imported network; returns the file that was deleted.

    Raises `UsageError` for a network that ships with the program or is not installed, `OutputError` when it cannot be deleted.
    """
    spec = find_model(name)
    if spec.weights is not None:
        raise UsageError(f"{name} ships with the program and cannot be removed")
    path = installed_weights(spec)
    if path is None:
        raise UsageError(f"{name} is not installed and cannot be removed")
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"cannot be deleted: {error.strerror}", path=path) from error
    return path


def _from_hub(repository: str) -> tuple[Path, str | None]:
    """Download a file of the Hugging Face hub into that library's cache; `repository` is `owner/name` or `owner/name/file`.

    Returns its path, and the network's name where the registry knows the repository.
    """
    owner, _, rest = repository.partition("/")
    name, _, filename = rest.partition("/")
    hub = f"{owner}/{name}"
    spec = next((spec for spec in MODELS.values() if spec.published and spec.published.hub == hub), None)
    if spec is not None and spec.published is not None:
        filename = filename or spec.published.filename
    if not (owner and name and filename):
        raise UsageError(f"{HUB_PREFIX}{repository} names no known network", remedy=f"write {HUB_PREFIX}owner/name/file")
    manual = f"download {filename} from https://huggingface.co/{hub} and run `deoldify-video models import {filename}`"
    try:
        hub_library = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise DependencyError(
            "importing from the hub needs the huggingface_hub library", remedy=f"install deoldify-video[hub], or {manual}"
        ) from error
    try:
        return Path(hub_library.hf_hub_download(hub, filename)), spec.name if spec else None
    except (OSError, ValueError) as error:  # the library's own errors are of these two kinds
        raise DependencyError(f"the hub could not be reached ({type(error).__name__})", remedy=manual) from error
