"""The files of a training, written so that a kill or a full disk never costs the last good state.

A run folder holds:

    run.json             what was asked for: recipe, seed, data, version
    state.pt             everything needed to go on (networks, averages, optimisers, counters); one file, replaced whole
    last.safetensors     the averaged weights of the last save, best.safetensors those of the best validation
    checkpoints/         the averaged weights of each check, in phases that keep them
    log.jsonl, events*   losses and scores over the steps
    sheets/              pictures: grey, ours, truth

`export` also reads `evaluation.json` (what `evaluate --json` printed) and `notes.md` there, for the model card.
"""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deoldify_video.errors import InputError, UsageError
from deoldify_video.media.files import write_file
from deoldify_video.models.compact import Compact, CompactConfig
from deoldify_video.models.store import NETWORK_KEY
from deoldify_video.models.weights import CONFIG_KEY, read_weights, write_weights
from deoldify_video.training.card import card_markdown, make_card

STATE, RUN, BEST, LAST = "state.pt", "run.json", "best.safetensors", "last.safetensors"


def write_network(path: Path, network: Compact, card: dict[str, Any]) -> None:
    """Write weights as float16 safetensors that `colorize --model` takes; `card` becomes readable metadata."""
    tensors = {key: value.cpu() for key, value in network.state_dict().items()}
    write_weights(path, tensors, {**card, NETWORK_KEY: "compact", CONFIG_KEY: asdict(network.config)})


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training's state. It is serialised in memory first, so that a full disk shows as a plain `OutputError`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_file(path, buffer.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read a state written by `save_state`, on the CPU; raises `InputError` when it is missing or damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is nothing to resume: {path} does not exist; start without --resume.") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is no training state or is damaged: {str(error).splitlines()[0]}.") from error
    return state


def weights_of_run(folder: Path) -> Path:
    """The best weights of a run folder, else its last; raises `InputError` when it has neither."""
    found = next((folder / name for name in (BEST, LAST) if (folder / name).is_file()), None)
    if found is None:
        raise InputError(f"{folder} is no run folder of a training: it holds neither {BEST} nor {LAST}.")
    return found


def load_trainable(path: Path) -> Compact:
    """The network of a weights file with its norms, so that it can be trained on: float32, on the CPU.

    Raises `InputError` when it holds another network, `DependencyError` when it is missing or damaged.
    """
    tensors, metadata = read_weights(path)
    config = {key: tuple(value) if isinstance(value, list) else value for key, value in metadata.get(CONFIG_KEY, {}).items()}
    return _build(config, tensors, path)


def _build(config: dict[str, Any], tensors: dict[str, Tensor] | None, path: Path) -> Compact:
    try:
        network = Compact(CompactConfig(**config))
        network.load_state_dict(tensors or {})
    except (TypeError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} holds no `compact` network that can be trained: {str(error).splitlines()[0]}") from error
    return network.float()


def load_initial(path: Path) -> Compact:
    """The network to start from: a safetensors file, a run folder (its best weights, else its last), or a training state (`.pt`;
    its average).

    Raises as `load_trainable`, and `InputError` for a folder without weights.
    """
    if path.is_dir():
        return load_trainable(weights_of_run(path))
    if path.suffix == ".safetensors":
        return load_trainable(path)
    state = load_state(path)
    return _build(state.get(CONFIG_KEY, {}), state.get("ema"), path)


def read_run(folder: Path) -> dict[str, Any]:
    """The content of a run folder's `run.json`; raises `InputError` when there is none or it is damaged."""
    try:
        run: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no run folder: it has no {RUN}.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {folder / RUN}: {error}.") from error
    return run


def export(run: Path, output: Path) -> Path:
    """Write the best weights of a run folder as float16 safetensors, with a model card beside them (`.json` and `.md`).

    Returns `output`. Raises `UsageError` for another suffix, `InputError` when `run` is no run folder, `OutputError` when the
    files cannot be written.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"{output} does not end in .safetensors; weights are written in that format only.")
    source = weights_of_run(run)
    network = load_trainable(source)
    _, metadata = read_weights(source)
    card = make_card(output.stem, read_run(run), metadata, run)
    facts = {key: value for key, value in metadata.items() if key not in (CONFIG_KEY, NETWORK_KEY)}
    write_network(output, network, {**facts, "card": card})
    write_file(output.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    write_file(output.with_suffix(".md"), card_markdown(card).encode())
    return output
