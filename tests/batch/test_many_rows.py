"""An archive of a hundred thousand files, of which none exists: the driver's memory does not depend on their number.

All are planned and reported; two thousand of them are done, which is as good as all: every one is the same task.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from itertools import islice
from pathlib import Path
from deoldify_video.preview.spot_check import QualityCheck
from deoldify_video.batch.runner import BatchRunner, Policy, batch_lock
from deoldify_video.batch.html_report import write_report
from deoldify_video.executors.base import Finished, Started
from deoldify_video.batch.manifest import Manifest
from deoldify_video.batch.planner import Plan, Settings
from deoldify_video.options import FilmOptions
from deoldify_video.report import Report

out, rows = Path(sys.argv[1]), int(sys.argv[2])
report = Report("", "", "photo", 1, 1, 0.1, 10.0, "compact", "cpu", "fp32", 21, (64, 48), verification={"ok": True})
taken = 0

class Executor:
    def run(self, tasks, should_stop):
        global taken
        for task in islice(tasks, 2000):
            taken += 1
            yield Started(task.key, "nobody")
            yield Finished(task.key, "nobody", report, QualityCheck())

class Observer:
    def started(self, *args): pass
    def advanced(self, *args): pass
    def ended(self, *args, again): pass

with batch_lock(out), Manifest.in_folder(out) as manifest:
    run = manifest.begin_run([])
    manifest.change(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO items (source, archive, run, kind, size, hash, target, folded, turn)"
        " SELECT '/no/such/archive/' || i || '.png', '/no/such/archive', 1, 'photo', 1, i, i || '.png', i || '.png', i FROM n", rows
    )
    Plan(manifest, out, run, Settings(FilmOptions(), "stub")).resolve_states()
    BatchRunner(Plan(manifest, out, run, Settings(FilmOptions(), "stub")), Executor(), Policy(), Observer()).run(lambda: False)
    write_report(manifest, run, out, out / "report.html")
    counts = manifest.counts()
    assert (taken, counts["done"], counts["pending"]) == (2000, 2000, rows - 2000), counts
    assert (out / "report.html").read_text().count("<figcaption>") == 2000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mb(folder: Path, rows: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, str(rows)], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
def test_memory_does_not_grow_with_the_archive(tmp_path):
    few, many = peak_mb(tmp_path / "few", 2_500), peak_mb(tmp_path / "many", 100_000)
    assert many < few + 8, (few, many)
