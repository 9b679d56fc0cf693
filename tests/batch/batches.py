"""Runs batches in processes of their own, whose workers have a network that costs nothing, and tells what is there afterwards."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deoldify_video.batch.manifest import Item, Manifest

HERE = Path(__file__).resolve().parent
OPTIONS = ("--device", "cpu", "--codec", "ffv1", "--smoothing", "0", "--batch-size", "4")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run; `processor_s` is what it and its workers took of the processor, which does not depend on other programs."""

    code: int
    out: str
    err: str
    processor_s: float = 0.0


def start(*arguments: object, **environment: object) -> subprocess.Popen[str]:
    """The program with stub workers; the environment tells what goes wrong (`stub_worker`, `stub_batch`)."""
    return subprocess.Popen(
        [sys.executable, HERE / "stub_batch.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {name: str(value) for name, value in environment.items()},
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out, err = process.communicate(timeout=100)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Traceback" not in err, err
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Outcome(process.returncode, out, err, took)


def run(*arguments: object, **environment: object) -> Outcome:
    """Run the program to its end."""
    return finish(start(*arguments, **environment))


def batch(archive: Path, out: Path, *arguments: object, **environment: object) -> Outcome:
    """Run `batch` with options that make it quick."""
    return run("batch", archive, "-o", out, *OPTIONS, *arguments, **environment)


def rows(out: Path) -> dict[str, Item]:
    """The rows of a batch, by the source's name."""
    with Manifest.in_folder(out, create=False) as manifest:
        return {item.source.name: item for item in manifest.items()}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file that is not hidden, with its size and time stamp."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            found[str(path.relative_to(folder))] = path.stat().st_size, path.stat().st_mtime_ns
    return found


def statuses(out: Path) -> dict[str, Any]:
    """The answer of `batch-status --json`."""
    return json.loads(run("batch-status", out, "--json").out)
