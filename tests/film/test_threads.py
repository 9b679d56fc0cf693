"""Threads and queues: order, errors, early ends, and that no thread is left."""

from __future__ import annotations

import threading
import time

import pytest

from deoldify_video.film.threads import Background, Stages
from deoldify_video.temporal.late import through


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def chain(stages, count, *, fail_at=None, failing="middle"):
    """Three stages; the one called `failing` raises at item `fail_at`."""

    def step(items, name):
        for number, item in enumerate(items):
            if name == failing and number == fail_at:
                raise ValueError(f"{name} at {number}")
            yield item

    first = stages.background(step(range(count), "first"), depth=2, name="first")
    middle = stages.background(step(first, "middle"), depth=2, name="middle")
    return stages.background(step(middle, "last"), depth=2, name="last")


def test_items_come_out_once_and_in_order():
    with Stages() as stages:
        assert list(chain(stages, 200)) == list(range(200))


def test_nothing_comes_of_nothing():
    with Stages() as stages:
        assert list(chain(stages, 0)) == []


@pytest.mark.parametrize("failing", ["first", "middle", "last"])
@pytest.mark.parametrize("fail_at", [0, 1, 17])
def test_an_error_in_any_stage_reaches_the_caller_after_the_items_before_it(failing, fail_at):
    with Stages() as stages:
        collected = Collect(chain(stages, 50, fail_at=fail_at, failing=failing))
        with pytest.raises(ValueError, match=f"{failing} at {fail_at}"):
            list(collected)
    assert collected.seen == list(range(fail_at))


class Collect:
    """Remembers what an iterator gave before it failed."""

    def __init__(self, items):
        self.items, self.seen = items, []

    def __iter__(self):
        for item in self.items:
            self.seen.append(item)
            yield item


@pytest.mark.parametrize("taken", [0, 1, 10])
def test_leaving_early_ends_all_threads(taken):
    with Stages() as stages:
        items = chain(stages, 1_000_000)
        assert [next(items) for _ in range(taken)] == list(range(taken))


def test_an_error_in_the_consumer_ends_all_threads():
    def consume():
        with Stages() as stages:
            for item in chain(stages, 1_000_000):
                if item == 5:
                    raise KeyError(item)

    with pytest.raises(KeyError):
        consume()


def test_an_interrupt_in_a_stage_reaches_the_caller():
    def interrupted():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Stages() as stages:
        list(stages.background(interrupted(), depth=1, name="interrupted"))


def test_a_stage_runs_ahead_but_no_further_than_its_depth():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    with Stages() as stages:
        taken = stages.background(items(), depth=3, name="ahead")
        assert next(taken) == 0
        deadline = time.monotonic() + 60
        while len(made) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(made) == 5  # one taken, three in the queue, one waiting for a place


def test_closing_a_stage_closes_its_generator():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    stage = Background(items(), depth=1, name="endless")
    assert next(iter(stage)) == 0
    stage.close()
    stage.close()
    assert closed.is_set()


def test_through_gives_what_is_ready_and_then_the_rest():
    held = []

    def push(item):
        held.append(item)
        return [held.pop(0)] if len(held) > 3 else []

    assert list(through(range(10), push, lambda: held)) == [(number, number) for number in range(10)]
