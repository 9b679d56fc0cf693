"""The queue of the device: one run at a time, places that can be asked for, runs that stop."""

from __future__ import annotations

import threading
import time

import pytest

from deoldify_video.errors import InputError, StoppedError, UsageError
from deoldify_video.web.limits import MAX_WAITING, MAX_WAITING_PER_ADDRESS


class Looping:
    """Runs until it is let go, and notes when it began."""

    def __init__(self, began):
        self.began, self.started, self.go_on = began, threading.Event(), threading.Event()

    def __call__(self, run):
        self.began.append(self)
        self.started.set()
        while not self.go_on.wait(0.002):
            run.tell("working", 0.5)
        return self


def test_jobs_run_one_after_the_other_in_the_order_in_which_they_came(queue):
    began = []
    loops = [Looping(began) for _ in range(3)]
    runs = [queue.submit(loop) for loop in loops]
    loops[0].started.wait(5)
    assert [queue.ahead_of(run) for run in runs] == [0, 1, 2]
    assert not loops[1].started.is_set()
    loops[0].go_on.set()
    loops[1].started.wait(5)
    assert runs[0].result() is loops[0]
    assert [queue.ahead_of(run) for run in runs] == [0, 0, 1]
    for loop in loops[1:]:
        loop.go_on.set()
    assert runs[2].result() is loops[2]
    assert began == loops


def test_a_running_job_that_is_stopped_frees_the_device(queue):
    first, second = Looping([]), Looping([])
    running, waiting = queue.submit(first), queue.submit(second)
    first.started.wait(5)
    running.stop()
    assert second.started.wait(5)
    with pytest.raises(StoppedError):
        running.result()
    second.go_on.set()
    assert waiting.result() is second


def test_a_waiting_job_that_is_stopped_never_begins_and_gives_up_its_place(queue):
    first, second, third = Looping([]), Looping([]), Looping([])
    queue.submit(first)
    stopped, last = queue.submit(second), queue.submit(third)
    first.started.wait(5)
    stopped.stop()
    assert stopped.ended
    assert queue.ahead_of(last) == 1
    first.go_on.set()
    third.go_on.set()
    last.result()
    assert not second.started.is_set()
    with pytest.raises(StoppedError):
        stopped.result()


def test_an_error_ends_its_own_job_only(queue):
    def fail(run):
        raise InputError("a.mp4 is empty.")

    failed, fine = queue.submit(fail), queue.submit(lambda run: 7)
    assert fine.result() == 7
    with pytest.raises(InputError, match=r"a\.mp4 is empty"):
        failed.result()


def test_a_job_tells_what_it_is_at(queue):
    loop = Looping([])
    run = queue.submit(loop)
    deadline = time.monotonic() + 5
    while run.doing != "working" and time.monotonic() < deadline:
        time.sleep(0.005)
    assert (run.doing, run.share) == ("working", 0.5)
    loop.go_on.set()


def test_the_queue_has_an_end(queue):
    loop = Looping([])
    queue.submit(loop)
    waiting = [queue.submit(lambda run: None, f"visitor {number}") for number in range(MAX_WAITING)]
    with pytest.raises(UsageError, match=f"{MAX_WAITING} others are waiting"):
        queue.submit(lambda run: None, "another")
    waiting[0].stop()
    queue.submit(lambda run: None, "another")
    loop.go_on.set()


def test_one_address_cannot_fill_the_queue(queue):
    loop = Looping([])
    queue.submit(loop, "first")
    waiting = [queue.submit(lambda run: None, "greedy") for _ in range(MAX_WAITING_PER_ADDRESS)]
    with pytest.raises(UsageError, match=f"{MAX_WAITING_PER_ADDRESS} files of yours"):
        queue.submit(lambda run: None, "greedy")
    queue.submit(lambda run: None, "another")
    waiting[0].stop()
    queue.submit(lambda run: None, "greedy")
    loop.go_on.set()
