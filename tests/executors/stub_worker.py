"""A worker around a network that costs nothing, which may be told to die. It stands in for `executors.worker.run_worker`.

What goes wrong stands in the environment: `POISON` is a part of the names of files that kill whatever worker begins them,
`POISON_ONCE` a file whose making marks that it has happened and need not happen again, `WORKER_PIDS` a folder in which workers leave
their number, `SLOW_S` what every frame takes.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from deoldify_video.executors import worker

TESTS = Path(__file__).resolve().parents[1]


def run_worker(*args, **kwargs):
    """As `executors.worker.run_worker`."""
    prepare()
    worker.run_worker(*args, **kwargs)


def dead_on_arrival(*_, **__):
    """A worker that ends before it can say anything."""
    sys.exit(3)


def prepare():
    """Put the stub in the place of the default network, make segments short, and faults where they are asked for."""
    import torch

    sys.path[:0] = [str(TESTS)]
    found = importlib.util.spec_from_file_location("fork_server", TESTS / "faults" / "fork_server.py")
    fork_server = importlib.util.module_from_spec(found)
    sys.modules["fork_server"] = fork_server
    found.loader.exec_module(fork_server)
    fork_server.stub()  # also enters it
    torch.set_num_threads(1)
    from deoldify_video import colorize, photo

    if folder := os.environ.get("WORKER_PIDS"):
        (Path(folder) / str(os.getpid())).touch()
    if slow := float(os.environ.get("SLOW_S", "0")):
        _slow_down(slow)
    colorize.colorize_item = _poisoned(_in_short_segments(colorize.colorize_item))
    photo.OpenPhoto = _poisoned(photo.OpenPhoto)


def _in_short_segments(make):
    from synth import SHORT

    def in_short_segments(source, target, options, **others):
        return make(source, target, replace(options, segments=SHORT), **others)

    return in_short_segments


def _poisoned(make):
    def poisoned(source, *args, **kwargs):
        name = os.environ.get("POISON")
        once = os.environ.get("POISON_ONCE")
        if name and name in source.name and not (once and Path(once).exists()):
            if once:
                Path(once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return make(source, *args, **kwargs)

    return poisoned


def _slow_down(seconds):
    from deoldify_video.media.encode import SegmentWriter

    write = SegmentWriter.write

    def slowly(self, *args):
        time.sleep(seconds)
        write(self, *args)

    SegmentWriter.write = slowly
