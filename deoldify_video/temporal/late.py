"""Stages that answer late: the shot detector and the smoother look some frames ahead before they decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
AnswerT = TypeVar("AnswerT")


def through(
    items: Iterable[T], push: Callable[[T], Iterable[AnswerT]], flush: Callable[[], Iterable[AnswerT]]
) -> Iterator[tuple[T, AnswerT]]:
    """Send items through a stage: each with its answer, in order. `push` takes an item and gives the answers that are ready, `flush`
    the rest.
    """
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        for answer in push(item):
            yield waiting.popleft(), answer
    for answer in flush():
        yield waiting.popleft(), answer
