"""Memory that is lent: never more than there is, in the order of asking."""

from __future__ import annotations

import threading
import time

import pytest

from deoldify_video.web.memory import MemoryBudget


def borrow(budget, wanted, log, name):
    """A borrower in a thread of its own; it gives back when its event is set."""
    give_back = threading.Event()

    def run():
        with budget.lend(wanted):
            log.append(name)
            give_back.wait(10)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, give_back


def settle(log, length):
    deadline = time.monotonic() + 5
    while len(log) < length and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.02)
    return list(log)


def test_who_needs_more_than_is_free_waits_and_nobody_passes_by():
    budget, log = MemoryBudget(100), []
    first, let_first = borrow(budget, 60, log, "first")
    assert settle(log, 1) == ["first"]
    second, let_second = borrow(budget, 90, log, "second")
    time.sleep(0.05)
    third, let_third = borrow(budget, 10, log, "third")
    assert settle(log, 1) == ["first"], "the third would fit, and comes after the second"
    let_first.set()
    assert settle(log, 3) == ["first", "second", "third"]
    for let in (let_second, let_third):
        let.set()
    for thread in (first, second, third):
        thread.join(5)


def test_who_wants_more_than_all_is_alone():
    budget, log = MemoryBudget(100), []
    first, let_first = borrow(budget, 1000, log, "first")
    assert settle(log, 1) == ["first"]
    second, let_second = borrow(budget, 1, log, "second")
    assert settle(log, 1) == ["first"]
    let_first.set()
    assert settle(log, 2) == ["first", "second"]
    let_second.set()
    for thread in (first, second):
        thread.join(5)


def test_an_error_gives_the_memory_back():
    budget = MemoryBudget(100)
    with pytest.raises(ValueError), budget.lend(100):  # noqa: PT011
        raise ValueError
    lent = False
    with budget.lend(100):
        lent = True
    assert lent
