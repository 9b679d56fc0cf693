"""The page about an archive: what was done, how the films came out, what failed and how to repeat it.

One HTML file that needs nothing else: pictures lie in it. It is written row by row, from the manifest alone.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from deoldify_video import __version__
from deoldify_video.batch.manifest import DONE, FAILED, SKIPPED, Item, Manifest
from deoldify_video.formatting import html_template
from deoldify_video.media.files import output_errors, output_file
from deoldify_video.preview.spot_check import ShotCheck

WITH_PICTURES = 200  # films, and as many photos: the page has to open on a phone
UNFOLDED = 8  # failures; more are folded away, so that the films come first
_TOTALS = """
SELECT count(*) AS films, sum(duration_s) AS length_s, sum(frames_done) AS frames, sum(seconds) AS seconds,
sum(frames_done / fps) AS working_s FROM items WHERE run = ? AND state = ? AND kind = 'film' AND fps > 0
"""
_WORST = "(SELECT max(warp_ab) FROM shots WHERE item = items.key)"


def write_report(manifest: Manifest, run: int, out: Path, path: Path) -> None:
    """Write the page about the files that `run` has seen to `path`. Raises `OutputError`."""
    flags = json.loads(manifest.one("SELECT flags FROM runs WHERE id = ?", run) or "[]")

    def items(where: str, state: str) -> Iterator[Item]:
        return manifest.items(f"run = ? AND state = ? {where}", run, state)

    def shots(item: Item, number: int) -> list[ShotCheck]:
        return manifest.shots(item.key) if number <= WITH_PICTURES else []

    def command(item: Item) -> str:
        """How to see the error again; what is no film or photo has no place in the output."""
        words = ["info", str(item.source)]
        if item.target:
            words = ["colorize", str(item.source), "-o", str(out / item.target), *flags]
        return shlex.join(["deoldify-video", *words])

    parts = html_template(__package__, "report.html").generate(
        out=out.absolute(),
        written=time.strftime("%Y-%m-%d %H:%M"),
        version=__version__,
        flags=flags,
        counts=manifest.counts("run = ?", run),
        totals=next(manifest.query(_TOTALS, run, DONE)),
        failures=items("ORDER BY key", FAILED),
        films=items(f"AND kind = 'film' ORDER BY {_WORST} IS NULL, {_WORST} DESC, key", DONE),
        photos=items("AND kind = 'photo' ORDER BY key", DONE),
        left_out=items("ORDER BY key", SKIPPED),
        unfolded=UNFOLDED,
        below=_below,
        command=command,
        shots=shots,
    )
    with output_errors(path), output_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(parts)


def _below(item: Item) -> Path:
    """Where the source lies in its archive."""
    return item.source.relative_to(item.archive) if item.source != item.archive else Path(item.source.name)
