"""The cluster: how it is reached, which nodes it has, how many workers each of them has room for, and whether all see the storage."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from deoldify_video import __version__
from deoldify_video.errors import DeoldifyVideoError, DependencyError, InputError, OutputError, UsageError
from deoldify_video.media.files import output_errors

log = logging.getLogger(__name__)

INSTALL = "pip install 'deoldify-video[cluster]'"
_ANSWER_S = 120.0  # a node that cannot run a small task for so long is taken for broken
_TOKEN = ".deoldify-video-"
_NAMES = 5  # entries of a folder by which it is recognised


def connected(address: str | None) -> ModuleType:
    """Ray, connected: to `address`, to the cluster that this machine belongs to, or to one that is started here and now.

    Raises `DependencyError` when Ray is not installed or the cluster does not answer, `UsageError` for the address of a Ray client.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault(
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
    )  # what it does from some version on, and warns of till then
    try:
        import ray
    except ImportError as error:
        raise DependencyError("--engine ray needs Ray", remedy=f"install it with {INSTALL}") from error
    if address is not None and address.startswith("ray://"):
        raise UsageError(
            f"--ray-address {address} is a Ray client's, who sees none of the storage",
            remedy="start the batch on a node of the cluster, and give host:port or auto",
        )
    if not ray.is_initialized():
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
                namespace="deoldify-video",
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"at {address} " if address else ""
            raise DependencyError(
                f"the Ray cluster {where}cannot be reached: {reason_of(error)}", remedy="see `ray status`"
            ) from error
    # Ray tells of processes that end on standard output, which is for results here; it has no option for it.
    ray._private.worker._worker_logs_enabled = False
    return ray


@dataclass(frozen=True)
class Slot:
    """Room for one worker: its node, its name, and what it takes of the node."""

    node: str
    name: str
    gpus: float
    cpus: float


def living_nodes(ray: Any) -> list[dict[str, Any]]:
    """The nodes that are there, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def slots(ray: Any, *, gpus_per_task: float | None, use_gpus: bool, most: int | None) -> list[Slot]:
    """Room for workers: as many on a GPU as `gpus_per_task` (None: one) says; where there is no GPU or none is to be used, one on
    every node. `most` limits their number.

    A worker computes on all the processors that are its share; tasks without a network run beside it and ask for none.
    """
    nodes = living_nodes(ray)
    each = 1.0 if gpus_per_task is None else gpus_per_task
    has_gpus = use_gpus and each > 0 and any(node["Resources"].get("GPU", 0) > 0 for node in nodes)
    found: list[Slot] = []
    counts: dict[str, int] = {}
    for node in sorted(nodes, key=lambda node: (not _is_head(node), node["NodeID"])):
        cpus, gpus = node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)
        number = int(gpus / each + 1e-6) if has_gpus else int(cpus > 0)
        host = node.get("NodeManagerHostname") or node["NodeManagerAddress"]
        for _ in range(number):
            counts[host] = counts.get(host, 0) + 1
            share = cpus / number
            found.append(
                Slot(node["NodeID"], f"{host} {counts[host]}", each if has_gpus else 0.0, share // 1 if share >= 1 else share)
            )
    return found[:most]


def _is_head(node: dict[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]


def pinned(node: str) -> Any:
    """For tasks and workers that belong on one node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def check_storage(ray: Any, sources: Sequence[Path], out: Path, *, version: str = __version__) -> None:
    """Raise where a node has another `version` of this program, cannot read one of `sources`, or sees another folder than `out`."""
    try:
        wanted = [(str(source.absolute()), _marks(source)) for source in sources]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=Path(error.filename)) from error
    check = ray.remote(num_cpus=0, max_retries=1)(problems_here)
    with _token(out) as token:
        asked = {
            check.options(scheduling_strategy=pinned(node["NodeID"])).remote(version, wanted, str(token)): node
            for node in living_nodes(ray)
        }
        for answer, node in asked.items():
            name = node.get("NodeManagerHostname") or node["NodeManagerAddress"]
            try:
                problem = ray.get(answer, timeout=_ANSWER_S)
            except ray.exceptions.RayError as error:
                raise DependencyError(
                    f"node {name} cannot run deoldify-video {version}: {reason_of(error)}",
                    remedy="install the same version on every node",
                ) from error
            if problem is not None:
                raise type(problem)(f"node {name} {problem.reason}", remedy=problem.remedy)


def problems_here(version: str, sources: Sequence[tuple[str, list[str]]], token: str) -> DeoldifyVideoError | None:
    """On a node: what is wrong with it, if anything; `sources` are paths with their marks, `token` a file in the output."""
    if version != __version__:
        return DependencyError(
            f"has deoldify-video {__version__}, the driver {version}", remedy="install the same version on every node"
        )
    for source, marks in sources:
        if not _has_marks(Path(source), marks):
            return InputError(
                f"does not see {source} as the driver does", remedy="put it on storage that all nodes have at the same path"
            )
    out = Path(token).parent
    shared = "put the output on storage that all nodes have at the same path"
    try:
        if Path(token).read_text() != Path(token).name:
            return OutputError(f"sees another {out} than the driver", remedy=shared)
        with _token(out):
            pass
    except FileNotFoundError:
        return OutputError(f"does not see what the driver writes to {out}", remedy=shared)
    except (OSError, OutputError) as error:
        return OutputError(f"cannot write to {out} ({getattr(error, 'strerror', None) or error})", remedy=shared)
    return None


def _marks(source: Path) -> list[str]:
    """By what a file or folder is recognised elsewhere: the size of the one, some names in the other."""
    if source.is_dir():
        with os.scandir(source) as entries:
            return [entry.name for entry in islice((e for e in entries if not e.name.startswith(_TOKEN)), _NAMES)]
    return [str(source.stat().st_size)]


def _has_marks(source: Path, marks: Sequence[str]) -> bool:
    try:
        if source.is_dir():
            return all((source / name).exists() for name in marks)
        return [str(source.stat().st_size)] == list(marks)
    except OSError:
        return False


@contextmanager
def _token(out: Path) -> Iterator[Path]:
    """A file in `out` that holds its own name, for a moment."""
    token = out.absolute() / f"{_TOKEN}{secrets.token_hex(8)}"
    try:
        with output_errors(token):
            token.write_text(token.name)
        yield token
    finally:
        with suppress(OSError):
            token.unlink(missing_ok=True)


def reason_of(error: BaseException) -> str:
    """The line of an error of Ray's that says what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].split(". ")[0].rstrip(".") if lines else type(error).__name__
