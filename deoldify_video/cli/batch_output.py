"""Prints a batch in words and in JSON: its plan, its outcome, its status."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.batch.manifest import DONE, FAILED, PENDING, RUNNING, SKIPPED, Item, Manifest
from deoldify_video.batch.planner import Plan
from deoldify_video.formatting import format_duration, format_timecode, printable

_LISTED = 20  # failures in the summary; `batch-status` lists them all
_WORDS = {PENDING: "to do", RUNNING: "being done", DONE: "done", FAILED: "failed", SKIPPED: "left out", "gone": "gone"}


def show_plan(console: Console, plan: Plan, workers: int, *, json_output: bool) -> None:
    """Print what would be done with every file, and how long it would take."""
    from deoldify_video.batch.estimate import estimate

    manifest, seen = plan.manifest, "run = ? ORDER BY state, turn, key"
    guess = estimate(plan) if manifest.counts("run = ?", plan.run)[PENDING] else None
    counts = manifest.counts("run = ?", plan.run)
    if json_output:
        facts = {
            "counts": counts,
            "seconds": guess.seconds / workers if guess else None,
            "basis": guess.basis if guess else None,
        }
        print_items(facts, manifest.items(seen, plan.run))
        return
    out = Console(soft_wrap=True)
    for item in manifest.items(seen, plan.run):
        out.print(_planned(item), highlight=False)
    console.print(_amount(plan), highlight=False)
    console.print(_counts(counts), highlight=False)
    if guess:
        who = "one worker" if workers == 1 else f"{workers} workers"
        console.print(f"about {format_duration(guess.seconds / workers)} with {who}, by {escape(guess.basis)}", highlight=False)


def show_outcome(console: Console, plan: Plan, counts: Mapping[str, int]) -> None:
    """Print what came of a run, with the first of the failures."""
    failures = plan.manifest.items("run = ? AND state = ? ORDER BY key LIMIT ?", plan.run, FAILED, _LISTED)
    for item in failures:
        console.print(_failure(item), highlight=False)
    if counts[FAILED] > _LISTED:
        status = f"deoldify-video batch-status {escape(str(plan.out))}"
        console.print(f"  and {counts[FAILED] - _LISTED} more: {status}", highlight=False)
    console.print(_counts(counts), highlight=False)


def show_status(console: Console, manifest: Manifest, counts: Mapping[str, int], *, running: bool) -> None:
    """Print where a batch stands."""
    console.print(("running: " if running else "") + _counts(counts), highlight=False)
    for item in manifest.items("state = ? ORDER BY worker, key", RUNNING):
        share = f" {item.frames_done}/{item.frames_total or '?'} frames" if item.frames_done else ""
        what = f"{item.worker}: " if running and item.worker else "" if running else "not finished: "
        console.print(f"  {what}{escape(printable(item.source))}{share}", highlight=False)
    for item in manifest.items("state = ? AND segments > 0 ORDER BY key", PENDING):
        console.print(f"  to go on with, {item.segments} segments are done: {escape(printable(item.source))}", highlight=False)
    for item in manifest.items("state = ? ORDER BY key", FAILED):
        console.print(_failure(item), highlight=False)
    for item in manifest.items("state = ? ORDER BY key", SKIPPED):
        console.print(f"  left out: {escape(printable(item.source))}: {escape(printable(item.reason))}", highlight=False)


def print_items(facts: Mapping[str, Any], items: Iterable[Item]) -> None:
    """Print one JSON object on stdout: `facts`, and the rows, one at a time, for there may be very many."""
    typer.echo(json.dumps(facts)[:-1] + ', "items": [', nl=False)
    for number, item in enumerate(items):
        typer.echo((", " if number else "") + json.dumps(item.as_dict()), nl=False)
    typer.echo("]}")


def _planned(item: Item) -> str:
    source = escape(printable(item.source))
    if item.state == PENDING:
        what = f"{format_timecode(item.duration_s)}, {item.frames} frames, " if item.kind == "film" else ""
        why = f" ({escape(printable(item.reason))})" if item.reason else ""
        return f"{item.kind} {source} -> {escape(printable(item.target))}: {what}{item.width}x{item.height}{why}"
    if item.state == FAILED:
        return f"cannot be done: {error_line(item)}"
    return f"{_WORDS[item.state]}: {source}" + (f": {escape(printable(item.reason))}" if item.reason else "")


def _failure(item: Item) -> str:
    return f"  [bold red]failed[/]: {error_line(item)}"


def error_line(item: Item) -> str:
    """The error of an item as Rich prints it, which names the item's source."""
    assert item.error is not None
    text = str(item.error) if item.error.path == item.source else f"{item.source}: {item.error}"
    return escape(printable(text))


def _amount(plan: Plan) -> str:
    """The amount that is pending, in films, hours and photos."""
    texts = []
    for kind in ("film", "photo"):
        where = "run = ? AND state = ? AND kind = ?"
        columns = "count(*), sum(frames), sum(duration_s)"
        rows = plan.manifest.query(f"SELECT {columns} FROM items WHERE {where}", plan.run, PENDING, kind)
        number, frames, seconds = next(iter(rows))
        if number:
            size = f" ({format_timecode(seconds)}, {frames} frames)" if kind == "film" else ""
            texts.append(f"{number} {kind}{'s' if number > 1 else ''}{size}")
    return "to do: " + (" and ".join(texts) or "nothing")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {_WORDS[state]}" for state, number in counts.items() if number) or "no files"
