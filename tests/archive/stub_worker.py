"""A worker around a network that costs nothing, which may be told to die. Takes the place of `jobs.worker.serve` in processes.

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
from pathlib import Path

from deoldify_video.jobs import worker

TESTS = Path(__file__).resolve().parents[1]


def serve(*args, **kwargs):
    """As `jobs.worker.serve`."""
    prepare()
    worker.serve(*args, **kwargs)


def prepare():
    """Put the stub in the place of the default network, make segments short, and faults where they are asked for."""
    import torch

    sys.path[:0] = [str(TESTS)]
    found = importlib.util.spec_from_file_location("nursery", TESTS / "faults" / "nursery.py")
    nursery = importlib.util.module_from_spec(found)
    sys.modules["nursery"] = nursery
    found.loader.exec_module(nursery)
    nursery.stub()  # also enters it
    torch.set_num_threads(1)
    from deoldify_video import pipeline
    from deoldify_video.jobs import item, photos

    pipeline.MIN_SEGMENT_FRAMES, pipeline.MAX_SEGMENT_FRAMES = 8, 12
    if folder := os.environ.get("WORKER_PIDS"):
        (Path(folder) / str(os.getpid())).touch()
    if slow := float(os.environ.get("SLOW_S", "0")):
        _slow_down(slow)
    item.colorize_item = _poisoned(item.colorize_item)
    photos.OpenPhoto = _poisoned(photos.OpenPhoto)


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
    from deoldify_video.media.encode import PartWriter

    write = PartWriter.write

    def slowly(self, *args):
        time.sleep(seconds)
        write(self, *args)

    PartWriter.write = slowly
