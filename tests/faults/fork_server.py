"""Runs colorize_film in child processes that may hang, be killed or run out of disk, without paying for an import each time.

`ForkServer` starts one process that imports the program and does nothing else; it forks a child for every case. Started as a script
this file is that process: it reads cases as JSON lines and answers with outcomes.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """The task of a child: colorize `source` into `output`.

    `options` by group (decode, encode, job, smooth, segments); `kill_at` is the number of the event (a frame done, a sync, a
    rename, a removal) at which it is killed, `interrupt_at` the frames after which it gets a Ctrl-C, `file_limit_bytes` the largest
    file that it may write.
    """

    source: str
    output: str
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    kill_at: int | None = None
    interrupt_at: tuple[int, ...] = ()
    file_limit_bytes: int | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """How a child ended: `ok`, `error` (a foreseen one, with its exit code), `interrupted`, `crash` (any other), `killed` or `hang`;
    `threads` are the names of stages that still run then.
    """

    kind: str
    exit_code: int = 0
    message: str = ""
    report: dict[str, Any] | None = None
    events: int = 0
    seconds: float = 0.0
    peak_kib: int = 0
    threads: list[str] = field(default_factory=list)


class ForkServer:
    """A context that runs cases, one after the other."""

    def __enter__(self) -> ForkServer:
        root = HERE.parents[1]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(HERE.parent), str(HERE)])}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, case: Case) -> Outcome:
        """Run a case to its end, or until its time is up."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(case)) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


def serve() -> None:
    """Answer cases until standard input ends."""
    import deoldify_video.film.colorize  # noqa: F401  (imported here, so that children need not)

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print goes to standard error
    for line in sys.stdin:
        values = json.loads(line)
        case = Case(**{**values, "interrupt_at": tuple(values["interrupt_at"])})
        answers.write(json.dumps(asdict(_fork(case))) + "\n")
        answers.flush()


def _fork(case: Case) -> Outcome:
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with contextlib.suppress(BaseException), os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(asdict(_work(case))))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ended, _, _ = select.select([pipe], [], [], case.timeout_s)
        if not ended:
            os.kill(child, signal.SIGKILL)
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - began
    if not ended:
        return Outcome("hang", seconds=seconds)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        wanted = case.kill_at is not None and number == signal.SIGKILL
        return Outcome("killed" if wanted else "crash", message=f"signal {number}", seconds=seconds)
    return Outcome(**{**json.loads(answer or b'{"kind": "crash", "message": "no answer"}'), "seconds": seconds})


def _work(case: Case) -> Outcome:
    """In the child: everything that may go wrong happens here."""
    import torch
    from rich.console import Console

    from deoldify_video.cli.console import stop_on_interrupt
    from deoldify_video.errors import DeoldifyVideoError
    from deoldify_video.film.colorize import colorize_film

    torch.set_num_threads(1)
    events = 0

    def event(*_: object) -> None:
        nonlocal events
        events += 1
        if events == case.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_progress(progress: Any) -> None:
        event()
        if progress.frames in case.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)

    if case.file_limit_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.file_limit_bytes, case.file_limit_bytes))
    _count_calls(event)
    options = film_options(case.options)
    try:
        with stop_on_interrupt(Console(stderr=True)) as should_stop:
            report = colorize_film(
                case.source, case.output, options, on_progress=on_progress, should_stop=should_stop, colorizer=stub()
            )
    except DeoldifyVideoError as error:
        return Outcome("error", error.exit_code, str(error), events=events, threads=stages_left())
    except KeyboardInterrupt:
        return Outcome("interrupted", 130, events=events, threads=stages_left())
    except BaseException as error:
        import traceback

        return Outcome("crash", 1, f"{type(error).__name__}: {error}\n{traceback.format_exc()}", events=events)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Outcome("ok", report=report.as_dict(), events=events, peak_kib=peak_kib)


def stages_left() -> list[str]:
    """Threads of the pipeline that are still there."""
    names = {thread.name for thread in threading.enumerate()}
    return sorted(names & {"decode", "colorize", "smooth", "paint"})


def _count_calls(event: Any) -> None:
    """Have `event` called before everything that changes what is on the disk for good."""
    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")):
        original = getattr(owner, name)

        def counted(*args: Any, original: Any = original, **kwargs: Any) -> Any:
            event()
            return original(*args, **kwargs)

        setattr(owner, name, counted)


def film_options(groups: dict[str, dict[str, Any]]) -> Any:
    """`FilmOptions` of plain values by group."""
    from deoldify_video import options

    kinds = {
        "decode": options.DecodeOptions,
        "smooth": options.SmoothOptions,
        "encode": options.EncodeOptions,
        "segments": options.SegmentOptions,
        "job": options.JobOptions,
    }
    groups = {"smooth": {"smoothing": 0.0}, "segments": {"shortest": 8, "longest": 12}} | groups
    made = {group: kinds[group](**values) for group, values in groups.items()}
    return options.FilmOptions(**made, color=options.ColorOptions(device="cpu", batch_size=4))


def stub() -> Any:
    """A real `Colorizer` around a network that costs nothing."""
    import importlib.util
    from dataclasses import replace

    from deoldify_video.models.colorizer import Colorizer
    from deoldify_video.models.registry import MODELS
    from deoldify_video.options import ColorOptions

    # By its path: there are several files of that name.
    found = importlib.util.spec_from_file_location("common_fixtures", HERE.parent / "conftest.py")
    assert found is not None
    assert found.loader is not None
    fixtures = importlib.util.module_from_spec(found)
    found.loader.exec_module(fixtures)
    MODELS["compact"] = replace(
        MODELS["compact"],
        load=lambda path: fixtures.StubNetwork().eval(),
        weights=__file__,
        film_render_factor=7,
        half_on_cpu=False,
    )
    return Colorizer(ColorOptions(device="cpu", batch_size=4))


if __name__ == "__main__":
    serve()
