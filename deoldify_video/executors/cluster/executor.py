"""The executor that spreads tasks over a Ray cluster: photos go to its workers as they are, films are divided among them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from deoldify_video.errors import DependencyError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Task
from deoldify_video.executors.cluster.calls import Calls, RayWorker
from deoldify_video.executors.cluster.film import ClusterFilm
from deoldify_video.executors.cluster.nodes import Slot, check_storage, connected, slots
from deoldify_video.executors.scheduler import Scheduler
from deoldify_video.film.job import NetworkFacts
from deoldify_video.options import FilmOptions

_DISCOVERY_S = 5.0  # how often new nodes are looked for


class RayExecutor:
    """Spreads tasks over the Ray cluster at `address` (None: the one this machine belongs to, or one that is started for it).

    `gpus_per_task` is the share of a GPU that a worker gets (None: a whole one), `max_workers` the largest number of workers (None: as
    many as there is room for). Raises `DependencyError` when Ray is not installed or does not answer.
    """

    eager = True  # a film may want all of them at any time, and they take a while to come
    patience_s = 300.0

    def __init__(self, address: str | None, gpus_per_task: float | None, max_workers: int | None, options: FilmOptions) -> None:
        self._ray = connected(address)
        self._options = options.color
        use_gpus = self._options.device in ("auto", "cuda")
        self._find_slots = partial(slots, self._ray, gpus_per_task=gpus_per_task, use_gpus=use_gpus, most=max_workers)
        self._slots: list[Slot] = []
        self._looked_at: float | None = None
        self._network: NetworkFacts | None = None  # of the first worker that is ready

    def check(self, sources: list[Path], out: Path) -> None:
        """Whether all nodes have this version, see `sources` and can write to `out`; raises the error that says which does not."""
        check_storage(self._ray, sources, out)

    def run(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `tasks`; see `executors.base.Executor`."""
        given: dict[int, Task] = {}

        def absolute(task: Task | None) -> Task | None:
            if task is None:
                return None
            given[task.key] = task
            return replace(task, source=task.source.absolute(), target=task.target.absolute())

        def as_given(event: Event) -> Event:
            if not isinstance(event, Finished | Failed | Stopped):
                return event
            task = given.pop(event.key)
            if not isinstance(event, Finished):
                return event
            return replace(event, report=replace(event.report, source=str(task.source), output=str(task.target)))

        scheduler = Scheduler(self, self._do_film)
        self._calls = Calls(self._ray, lambda: scheduler.capacity, self._look_again)
        # A worker elsewhere has another working directory.
        with closing(scheduler.events(map(absolute, tasks), should_stop)) as events:  # type: ignore[type-var]
            yield from map(as_given, events)

    def slots(self) -> Sequence[Slot]:
        """Where workers are, or could be."""
        now = time.monotonic()
        if self._looked_at is None or now - self._looked_at > _DISCOVERY_S:
            self._slots, self._looked_at = self._find_slots(), now
        return self._slots

    def start(self, slot: Slot) -> RayWorker:
        """Start a worker."""
        return RayWorker(slot, self._options, self._calls)

    async def load(self, worker: RayWorker) -> None:
        """Wait until a worker is ready. Raises `DependencyError` where its network is not that of the others."""
        facts = await worker.load_model()
        known = self._network = self._network or facts
        if (facts.weights, facts.precision) != (known.weights, known.precision):
            raise DependencyError(f"it has {facts.weights} in {facts.precision}, the others {known.weights}")

    def no_workers(self, why: str) -> DependencyError:
        """The error for a cluster without room, or all of whose workers fail."""
        if not why and self.slots():
            remedy = "see in `ray status` whether others have taken it"
            return DependencyError("no worker of the cluster gets ready", remedy=remedy)
        reason = "the Ray cluster has no node on which a worker can run"
        return DependencyError(f"{reason} ({why})" if why else reason, remedy="see `ray status`")

    def _look_again(self) -> None:
        self._looked_at = None

    async def _do_film(self, scheduler: Scheduler[RayWorker], task: Task) -> None:
        await ClusterFilm(scheduler, self._calls, task, lambda: self._network).run()
