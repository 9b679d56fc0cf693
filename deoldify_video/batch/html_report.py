"""The page about an archive: what was done, how the films came out, what failed and how to repeat it.

One HTML file that needs nothing else: pictures lie in it. It is written row by row, from the manifest alone.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

from deoldify_video import __version__
from deoldify_video.batch.manifest import DONE, FAILED, PENDING, RUNNING, SKIPPED, Item, Manifest
from deoldify_video.formatting import format_duration, format_timecode, printable
from deoldify_video.media.files import output_errors, output_file
from deoldify_video.preview.spot_check import ShotCheck

WITH_PICTURES = 200  # films, and as many photos: the page has to open on a phone
UNFOLDED = 8  # failures; more are folded away, so that the films come first
_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #fff; --soft: #f4f4f1; --line: #dcdcd6; --dim: #6a6a6a;
  --good: #1a7f37; --bad: #b42318; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececea; --paper: #161618; --soft: #222225; --line: #3a3a3e; --dim: #a0a0a0;
  --good: #57c27a; --bad: #ff8a80; --warn: #e3b341; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; max-width: 1120px;
  padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; } h3 { font-size: 1rem; margin: 0; }
.dim, figcaption { color: var(--dim); font-size: .875rem; } .good { color: var(--good); } .bad { color: var(--bad); }
.warn { color: var(--warn); } p { margin: .2rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tile { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; } .tile b { display: block; font-size: 1.35rem; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; margin: 0 0 .8rem; }
.shots, .photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15.5rem, 100%), 1fr)); gap: .6rem;
  margin-top: .6rem; }
figure { margin: 0; } figure img { display: block; width: 100%; height: auto; border-radius: .25rem; background: var(--soft); }
pre { background: var(--soft); border-radius: .5rem; padding: .6rem; margin: .5rem 0 0; white-space: pre-wrap; font-size: .8125rem; }
details { padding: .3rem 0; } summary { cursor: pointer; color: var(--dim); margin-bottom: .6rem; }
ul { padding-left: 1.1rem; margin: .4rem 0; } li { margin: .2rem 0; }
"""


def write_report(manifest: Manifest, run: int, out: Path, path: Path) -> None:
    """Write the page about the files that `run` has seen to `path`. Raises `OutputError`."""
    with output_errors(path), output_file(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(_Page(manifest, run, out).sections())


class _Page:
    """The page, part by part."""

    def __init__(self, manifest: Manifest, run: int, out: Path) -> None:
        self._manifest, self._run, self._out = manifest, run, out
        self._flags = json.loads(manifest.one("SELECT flags FROM runs WHERE id = ?", run) or "[]")

    def sections(self) -> Iterator[str]:
        yield from self._head()
        yield from self._failures()
        yield from self._films()
        yield from self._photos()
        yield from self._left_out()
        yield "</body></html>\n"

    def _items(self, where: str, *values: object) -> Iterator[Item]:
        return self._manifest.items(f"run = ? AND {where}", self._run, *values)

    def _head(self) -> Iterator[str]:
        title = escape(printable(self._out.absolute().name))
        yield (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title} in colour</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
            f"<h1>{title}</h1><p class='dim'>{escape(printable(self._out.absolute()))}, {time.strftime('%Y-%m-%d %H:%M')}, "
            f"deoldify-video {__version__}{escape(' '.join(['', *self._flags]))}</p><div class='tiles'>"
        )
        counts = self._manifest.counts("run = ?", self._run)
        yield _tile(counts[DONE], "done", "good" if counts[DONE] else "")
        yield _tile(counts[FAILED], "failed", "bad" if counts[FAILED] else "")
        yield _tile(counts[PENDING] + counts[RUNNING], "still to do")
        yield _tile(counts[SKIPPED], "left out")
        columns = "count(*), sum(duration_s), sum(frames_done), sum(seconds), sum(frames_done / fps)"
        where = "run = ? AND state = ? AND kind = 'film' AND fps > 0"
        rows = self._manifest.query(f"SELECT {columns} FROM items WHERE {where}", self._run, DONE)
        films, length_s, frames, seconds, working_s = next(iter(rows))
        if films:
            yield _tile(format_timecode(length_s), f"of film, {frames} frames")
            yield _tile(f"{films * 3600 / seconds:.1f}" if seconds else "-", "films an hour and worker")
            yield _tile(f"{frames / working_s:.1f}", "frames a second")
        yield "</div>"

    def _failures(self) -> Iterator[str]:
        number = self._manifest.counts("run = ?", self._run)[FAILED]
        if not number:
            return
        yield f"<h2>Failed</h2><details{' open' if number <= UNFOLDED else ''}><summary>What failed, and how to repeat it</summary>"
        for item in self._items("state = ? ORDER BY key", FAILED):
            assert item.error is not None
            error = item.error.message("" if item.error.path == item.source else None)
            yield (
                f"<article><h3 class='bad'>{_name(_below(item))}</h3><p>{_text(error)}</p>"
                f"<p class='dim'>{_attempts(item)}</p>{self._command(item)}</article>"
            )
        yield "</details>"

    def _command(self, item: Item) -> str:
        """How to see the error again; what is no film or photo has no place in the output."""
        words = ["deoldify-video", "info", str(item.source)]
        if item.target:
            words = ["deoldify-video", "colorize", str(item.source), "-o", str(self._out / item.target), *self._flags]
        return f"<pre>{_text(shlex.join(words))}</pre>"

    def _films(self) -> Iterator[str]:
        worst = "(SELECT max(warp_ab) FROM shots WHERE item = items.key)"
        films = self._items(f"state = ? AND kind = 'film' ORDER BY {worst} IS NULL, {worst} DESC, key", DONE)
        for number, item in enumerate(films):
            if not number:
                yield (
                    "<h2>Films</h2><p class='dim'>Worst first, by the largest warp error: how much colours change along the "
                    "motion; lower is calmer. Colourfulness near 0 means that there are none. The pictures decide.</p>"
                )
            yield self._film(item, pictures=number < WITH_PICTURES)

    def _film(self, item: Item, *, pictures: bool) -> str:
        facts = [format_timecode(item.duration_s), f"{item.width}x{item.height}", f"{item.frames_done} frames"]
        facts += [f"{item.fps:.1f} fps"] if item.fps else []
        facts += [f"took {format_duration(item.seconds)}"] if item.seconds else []
        strips = "".join(_figure(shot) for shot in self._manifest.shots(item.key)) if pictures else ""
        verdict = "<p class='good'>Verified: every frame at its time, sound and all other streams unchanged.</p>"
        return (
            f"<article><h3>{_name(item.output)}</h3><p class='dim'>{', '.join(facts)}; {_text(item.network)}</p>"
            f"{verdict if item.verification else ''}{_paragraphs(item.warnings, 'warn')}{_paragraphs(item.notes, 'dim')}"
            f"<div class='shots'>{strips}</div></article>"
        )

    def _photos(self) -> Iterator[str]:
        photos = self._items("state = ? AND kind = 'photo' ORDER BY key", DONE)
        number = -1
        for number, item in enumerate(photos):
            if not number:
                yield "<h2>Photos</h2><div class='photos'>"
            shots = self._manifest.shots(item.key) if number < WITH_PICTURES else []
            picture = _image(shots[0]) if shots else ""
            caption = f"{_name(item.output)}" + (f", colourfulness {shots[0].colorfulness:.0f}" if shots else "")
            yield f"<figure>{picture}<figcaption>{caption}{_paragraphs(item.warnings, 'warn')}</figcaption></figure>"
        if number >= 0:
            yield "</div>"

    def _left_out(self) -> Iterator[str]:
        number = -1
        for number, item in enumerate(self._items("state = ? ORDER BY key", SKIPPED)):
            if not number:
                yield "<h2>Left out</h2><details><summary>Why nothing was done with these</summary><ul>"
            yield f"<li>{_name(_below(item))} <span class='dim'>{_text(item.reason)}</span></li>"
        if number >= 0:
            yield "</ul></details>"


def _figure(shot: ShotCheck) -> str:
    warp = f", warp error {shot.warp_ab:.3f}" if shot.warp_ab is not None else ""
    caption = f"{format_timecode(shot.seconds)}: colourfulness {shot.colorfulness:.1f}{warp}"
    return f"<figure>{_image(shot)}<figcaption>{caption}</figcaption></figure>"


def _image(shot: ShotCheck) -> str:
    return f'<img alt="without and with colour" src="data:image/jpeg;base64,{base64.b64encode(shot.strip).decode("ascii")}">'


def _tile(value: object, label: str, css_class: str = "") -> str:
    return f"<div class='tile'><b class='{css_class}'>{value}</b><span class='dim'>{escape(label)}</span></div>"


def _paragraphs(texts: list[str], css_class: str) -> str:
    return "".join(f"<p class='{css_class}'>{_text(text)}</p>" for text in texts)


def _attempts(item: Item) -> str:
    if not item.attempts:
        return "not tried"
    times = "once" if item.attempts == 1 else f"{item.attempts} times"
    return f"tried {times}" + (f", {item.segments} segments are kept" if item.segments else "")


def _below(item: Item) -> Path:
    """Where the source lies in its archive."""
    return item.source.relative_to(item.archive) if item.source != item.archive else Path(item.source.name)


def _name(path: Path | str) -> str:
    return _text(str(path))


def _text(text: str) -> str:
    return escape(printable(text))
