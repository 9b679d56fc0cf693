"""A film on a cluster: prepared, divided where that pays, made by whatever workers are free, and at last put together.

The driver alone writes its journal: an entry comes in as soon as its part is on the disk, so that nothing that is finished is made
twice, whoever dies.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deoldify_video.errors import DeoldifyVideoError, StoppedError
from deoldify_video.executors.base import Advanced, Event, Failed, Finished, Started, Stopped, Work
from deoldify_video.executors.cluster.remote import Prepared
from deoldify_video.executors.cluster.tasks import Dispatch, Errand, failed
from deoldify_video.film import cut_search
from deoldify_video.film.cut_search import Glance
from deoldify_video.film.job import NetworkFacts
from deoldify_video.film.journal import Journal
from deoldify_video.film.partition import planned_stretch
from deoldify_video.film.segments import Stretch, rest_of_film
from deoldify_video.media.decode import DecodeStats

if TYPE_CHECKING:
    from deoldify_video.executors.cluster.pool import RemoteWorker


class Film:
    """A film from its preparation to its end. Its errands share its journal and its fate."""

    def __init__(self, dispatch: Dispatch, work: Work, network: NetworkFacts) -> None:
        self.dispatch, self.work, self._network = dispatch, work, network
        self.worker_name = ""
        self.journal: Journal | None = None
        self.ready: Prepared | None = None
        self.stats: DecodeStats | None = None
        self.waiting_for_stretches = True  # being prepared or divided: more to do will come
        self._began = time.monotonic()
        self._notes: list[str] = []
        self._made_frames = 0
        self._open = 0  # errands that have not ended
        self._outcome: Failed | Stopped | None = None  # what comes of it when all errands have ended
        self._finishing = False
        self._glances: list[Glance | None] = []
        self._reading: list[Errand] = []

    def start(self) -> None:
        """Send the first errand."""
        if self.work.auto_factor:
            self.queue(_Choice(self))
        else:
            self._send(_Preparation(self), "prepare", self.work, self._network)

    def chosen(self, options: Any, reason: str) -> None:
        """The render factor is chosen."""
        self.work = replace(self.work, options=options)
        self._notes.append(reason)
        self._send(_Preparation(self), "prepare", self.work, self._network)

    def prepared(self, ready: Prepared) -> None:
        """The film can be done: open its journal, and divide it or send it as it is."""
        self.ready = ready
        self.journal = Journal(ready.job.output, ready.fingerprint, gaps=True, checked=True)
        room = self.dispatch.room
        if ready.divisible and room > 1:
            count = min(room, ready.job.expected_frames // cut_search.GLANCE_FRAMES)
            if count < 2:
                self._divide([])
                return
            self._glances = [None] * count
            for number in range(count):
                self._read(_Looking(self, number), "glance", ready.job, number, count)
            return
        self.waiting_for_stretches = False
        self.add(rest_of_film(self.journal.segments))

    def seen(self, number: int, what: Glance) -> None:
        """Something was seen of the film; when all of it was, it can be divided."""
        self._glances[number] = what
        glances = [one for one in self._glances if one is not None]
        if len(glances) == len(self._glances) and not self.is_ending:
            self._divide(glances)

    def add(self, stretch: Stretch) -> None:
        """Have a stretch made, unless the film has failed already."""
        if self._outcome is None:
            self.queue(_Making(self, stretch))

    def begun(self, worker_name: str) -> Iterator[Event]:
        """A worker has taken something of it; with the first the clock starts."""
        if not self.worker_name:
            self._began = time.monotonic()
            yield Started(self.work.key, worker_name)
        self.worker_name = worker_name

    def made(self, number: int, segment: Any) -> Iterator[Event]:
        """A segment is on the disk."""
        assert self.journal is not None
        assert self.ready is not None
        self.journal.add(number, segment)
        self._made_frames += len(segment.pts)
        yield Advanced(self.work.key, self.worker_name, self.journal.frames, self.ready.job.expected_frames)

    def fail(self, error: DeoldifyVideoError | str, *, crashed: bool = False) -> None:
        """Nothing more of this film is begun; what others are making of it comes to its end and is kept."""
        if isinstance(error, StoppedError):
            self._give_up(Stopped(self.work.key, self.worker_name))
        else:
            self._give_up(failed(self.work, self.worker_name, error, crashed=crashed))

    def stop(self) -> None:
        """The user wants to stop. A film that is being put together is not left."""
        if not self._finishing:
            self._give_up(Stopped(self.work.key, self.worker_name))

    def _give_up(self, outcome: Failed | Stopped) -> None:
        self._outcome = self._outcome or outcome
        for errand in self._reading:
            self.dispatch.call_off(errand)

    @property
    def is_ending(self) -> bool:
        """Whether it has failed or is to stop."""
        return self._outcome is not None

    def finished(self, report: Any, appraisal: Any) -> Iterator[Event]:
        """It has its name."""
        assert self.journal is not None
        self.journal.close(remove=True)
        self.journal = None
        yield Finished(self.work.key, self.worker_name, report, appraisal)

    def settle(self) -> Iterator[Event]:
        """An errand has ended: when it was the last, the film is put together, or given up."""
        self._open -= 1
        if self._open:
            return
        if self._outcome is not None:
            self.close()
            yield self._outcome
        elif not self._finishing and self.journal is not None:
            assert self.ready is not None
            self._finishing = True
            seconds = time.monotonic() - self._began
            segments = self.journal.segments
            resumed = sum(len(segment.pts) for segment in segments) - self._made_frames
            self._send(_Finish(self), "finish", self.ready.job, segments, self.stats, max(0, resumed), seconds, self._notes)

    def close(self) -> None:
        """Keep what is finished for another run."""
        if self.journal is not None:
            self.journal.close(remove=not self.journal.finished)
            self.journal = None

    def queue(self, errand: Errand, *, first: bool = False) -> None:
        """Have a worker do something for the film."""
        self._open += 1
        self.dispatch.queue(errand, first=first)

    def _divide(self, glances: list[Glance]) -> None:
        assert self.ready is not None
        assert self.journal is not None
        self._read(_Scan(self), "divide", self.ready.job, dict(self.journal.finished), glances)

    def _read(self, errand: Errand, function: str, *arguments: Any) -> None:
        """Send what takes long, and is called off when the film is given up."""
        self._reading.append(errand)
        self._send(errand, function, *arguments)

    def _send(self, errand: Errand, function: str, *arguments: Any) -> None:
        self._open += 1
        self.dispatch.send(errand, function, *arguments)


class _FilmErrand(Errand):
    """What errands of a film have in common: an error is the film's, and so is the end."""

    def __init__(self, film: Film) -> None:
        self.film = film

    @property
    def is_off(self) -> bool:
        return self.film.is_ending

    def started(self, worker: RemoteWorker) -> Iterator[Event]:
        yield from self.film.begun(worker.name)

    def take(self, item: Any, worker: RemoteWorker | None) -> Iterator[Event]:
        if worker is not None:
            self.film.worker_name = worker.name
        if isinstance(item, DeoldifyVideoError):
            self.film.fail(item)
            return
        try:
            yield from self.answered(item)
        except DeoldifyVideoError as error:  # the driver's own: the journal's disk, say
            self.film.fail(error)

    @abstractmethod
    def answered(self, item: Any) -> Iterator[Event]:
        """An item has come that is no error."""

    def end(self) -> Iterator[Event]:
        yield from self.film.settle()

    def again(self) -> None:
        """Its node died: have it done elsewhere."""

    def lose(self, error: str, worker: RemoteWorker | None, *, node_died: bool, crashed: bool) -> Iterator[Event]:
        if node_died:
            self.again()
        else:
            self.film.fail(error, crashed=crashed)
        yield from self.film.settle()

    def leave(self) -> Iterator[Event]:
        self.film.stop()
        yield from self.film.settle()


class _Choice(_FilmErrand):
    """A worker chooses the render factor."""

    def begin(self, worker: RemoteWorker) -> Any:
        return worker.handle.choose.options(num_returns="streaming").remote(self.film.work)

    def answered(self, item: Any) -> Iterator[Event]:
        self.film.chosen(*item)
        return iter(())

    def again(self) -> None:
        self.film.start()


class _Preparation(_FilmErrand):
    def answered(self, item: Any) -> Iterator[Event]:
        self.film.prepared(item)
        return iter(())

    def end(self) -> Iterator[Event]:
        if self.film.is_ending:
            self.film.waiting_for_stretches = False
        yield from super().end()


class _Looking(_FilmErrand):
    def __init__(self, film: Film, number: int) -> None:
        super().__init__(film)
        self._number = number

    def answered(self, item: Any) -> Iterator[Event]:
        self.film.seen(self._number, item)
        return iter(())


class _Scan(_FilmErrand):
    def answered(self, item: Any) -> Iterator[Event]:
        if isinstance(item, DecodeStats):
            self.film.stats = item
        else:
            self.film.add(item)
        return iter(())

    def end(self) -> Iterator[Event]:
        self.film.waiting_for_stretches = False
        yield from super().end()


class _Making(_FilmErrand):
    """A worker makes a stretch."""

    def __init__(self, film: Film, stretch: Stretch) -> None:
        super().__init__(film)
        self._stretch = stretch

    def begin(self, worker: RemoteWorker) -> Any:
        assert self.film.ready is not None
        return worker.handle.make.options(num_returns="streaming").remote(self.film.ready.job, self._stretch)

    def answered(self, item: Any) -> Iterator[Event]:
        if not isinstance(item, DecodeStats):
            yield from self.film.made(*item)
        elif not self._stretch.plan:
            self.film.stats = item

    def again(self) -> None:
        rest = self._rest()
        if rest is not None:
            self._stretch = rest
            self.film.queue(self, first=True)

    def _rest(self) -> Stretch | None:
        """What of the stretch has still to be made."""
        journal = self.film.journal
        assert journal is not None
        if not self._stretch.plan:
            return rest_of_film(journal.segments)
        missing = [segment for segment in self._stretch.plan if segment.number not in journal.finished]
        if not missing:
            return None
        before = journal.finished.get(missing[0].number - 1)
        return planned_stretch(missing, before, seekable=self._stretch.begin.pts is not None)


class _Finish(_FilmErrand):
    def answered(self, item: Any) -> Iterator[Event]:
        yield from self.film.finished(*item)
