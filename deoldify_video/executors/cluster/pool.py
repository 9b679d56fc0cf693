"""The workers of a cluster: one in every slot, started when a node comes, forgotten when it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deoldify_video.errors import DependencyError
from deoldify_video.executors.cluster.nodes import Slot, living_nodes, pinned
from deoldify_video.executors.cluster.remote import Worker
from deoldify_video.film.job import NetworkFacts
from deoldify_video.options import ColorOptions

log = logging.getLogger(__name__)

_DISCOVERY_S = 5.0  # how often new nodes are looked for
_PATIENCE_S = 300.0  # in which the first worker must be ready
_MAX_FAILED_STARTS = 3  # workers of one slot that end before they are ready: no more are tried there


@dataclass(eq=False)
class RemoteWorker:
    """A worker as the driver sees it: `busy` from its start until it is ready, and while it has something to do."""

    slot: Slot
    handle: Any
    busy: bool = True

    @property
    def name(self) -> str:
        """Its name in events."""
        return self.slot.name


class Pool:
    """Keeps one worker in every slot of the cluster. `facts` is what they say of their network; None until one is ready."""

    def __init__(self, ray: Any, options: ColorOptions, find_slots: Callable[[], list[Slot]]) -> None:
        self._ray, self._options, self._find_slots = ray, options, find_slots
        ray.method(concurrency_group="control")(Worker.stop)  # which is heard while the worker does something else
        self._actor = ray.remote(concurrency_groups={"control": 1})(Worker)
        self._by_slot: dict[Slot, RemoteWorker] = {}
        self._failed_starts: dict[Slot, int] = {}
        self._reason = "see `ray status`"
        self._searched_at = 0.0
        self._began = time.monotonic()
        self.facts: NetworkFacts | None = None

    def slots(self) -> list[Slot]:
        """Where workers are, or could be."""
        return [slot for slot in self._find_slots() if self._failed_starts.get(slot, 0) < _MAX_FAILED_STARTS]

    def grow(self) -> Iterator[RemoteWorker]:
        """Start a worker in every slot that has none; gives those that were started. Raises `DependencyError` when there are no slots,
        or no worker gets ready.
        """
        now = time.monotonic()
        if self.facts is None and now - self._began > _PATIENCE_S:
            raise DependencyError(
                "no worker of the cluster gets ready", remedy="see in `ray status` whether others have taken it"
            )
        if self._searched_at and now - self._searched_at < _DISCOVERY_S:
            return
        self._searched_at = now
        wanted = self.slots()
        if not wanted and not self._by_slot:
            raise DependencyError(f"the Ray cluster has no node on which a worker can run; {self._reason}")
        for slot in wanted:
            if slot not in self._by_slot:
                handle = self._actor.options(
                    num_cpus=slot.cpus, num_gpus=slot.gpus, max_restarts=0, scheduling_strategy=pinned(slot.node)
                ).remote(slot.name, self._options)
                self._by_slot[slot] = worker = RemoteWorker(slot, handle)
                yield worker

    def on_model_loaded(self, worker: RemoteWorker, facts: NetworkFacts) -> None:
        """A worker is ready, if its network is the others'; one with another is sent away."""
        self.facts = self.facts or facts
        if (facts.weights, facts.precision) != (self.facts.weights, self.facts.precision):
            self.exclude(worker, f"it has {facts.weights} in {facts.precision}, the others {self.facts.weights}")
            return
        worker.busy = False

    def idle(self) -> list[RemoteWorker]:
        """Workers that wait for something to do."""
        return [worker for worker in self._by_slot.values() if not worker.busy]

    def exclude(self, worker: RemoteWorker, reason: str) -> None:
        """Send a worker away, and start none in its slot again."""
        log.warning("%s is left out: %s.", worker.name, reason)
        self._failed_starts[worker.slot] = _MAX_FAILED_STARTS
        self.remove(worker)

    def remove(self, worker: RemoteWorker, *, failed_start: str = "") -> None:
        """End a worker and forget it; another one may be started in its slot. `failed_start`: why it never got ready, if so."""
        self._by_slot.pop(worker.slot, None)
        self._ray.kill(worker.handle, no_restart=True)
        if failed_start and self.node_is_there(worker):
            self._failed_starts[worker.slot] = self._failed_starts.get(worker.slot, 0) + 1
            self._reason = f"{worker.name}: {failed_start}"
        self._searched_at = 0.0

    def node_is_there(self, worker: RemoteWorker) -> bool:
        """Whether the worker's node lives, so that only the worker itself has died."""
        return any(node["NodeID"] == worker.slot.node for node in living_nodes(self._ray))

    def stop(self) -> None:
        """Have all workers leave what they do after their segment."""
        for worker in self._by_slot.values():
            worker.handle.stop.remote()

    def end(self) -> None:
        """End all workers at once."""
        for worker in self._by_slot.values():
            self._ray.kill(worker.handle, no_restart=True)
        self._by_slot.clear()
