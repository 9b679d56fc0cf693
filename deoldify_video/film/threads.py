"""Threads joined by bounded queues: each stage of the pipeline is a generator; `background` lets it run ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_S = 0.1  # how often a waiting thread looks whether it should stop


class _End:
    """Closes a queue; carries the error that ended the stage, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Background(Generic[T]):
    """Iterates over `items` in a thread of its own, at most `depth` items ahead of whoever iterates over this.

    An error in the thread is raised in the consumer. `close` stops the thread, closes `items` there, and joins it.
    """

    def __init__(self, items: Iterable[T], depth: int, name: str) -> None:
        self._items = items
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                self._thread.join()
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stop and join; safe to call more than once."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        iterator = iter(self._items)
        try:
            for item in iterator:
                if not self._put(item):
                    break
        except BaseException as caught:  # whatever it is, it belongs to the consumer
            error = caught
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
        self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


class Stages:
    """A context in which stages run in the background; leaving it, by whatever way, stops and joins them all."""

    def __init__(self) -> None:
        self._running: list[Background[object]] = []

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        for stage in reversed(self._running):
            stage._stop.set()
        for stage in self._running:
            stage.close()

    def background(self, items: Iterable[T], *, depth: int, name: str) -> Iterator[T]:
        """Run `items` in a thread, at most `depth` items ahead."""
        stage = Background(items, depth, name)
        self._running.append(stage)  # type: ignore[arg-type]
        return iter(stage)
