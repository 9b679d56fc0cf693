"""Finds every file of the archives, inspects those that are new or have changed, and enters them in the manifest."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Any

from deoldify_video.batch.manifest import DONE, PENDING, SKIPPED, Item, Manifest
from deoldify_video.batch.naming import DEFAULT_NAME, folded, output_path
from deoldify_video.errors import InputError, UsageError
from deoldify_video.media.files import hash_file_ends
from deoldify_video.options import EncodeOptions

_AT_ONCE = 200  # files that are entered together
LINK = "is a link; --follow-links takes it"


@dataclass(frozen=True)
class Search:
    """Where and how to look: folders and files `roots`, and patterns that the path in the archive, or the name, must (not) match.

    `out` is left out of the search, as everything hidden is. Results are called by the pattern `name`, films with an ending that fits
    `codec`.
    """

    roots: tuple[Path, ...]
    out: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_links: bool = False
    name: str = DEFAULT_NAME
    codec: str = EncodeOptions.codec

    def __post_init__(self) -> None:
        out = self.out.resolve()
        for root in self.roots:
            if not root.exists():
                raise InputError("does not exist", path=root)
            if out == root.resolve() or out in root.resolve().parents:
                raise UsageError(f"the output folder {self.out} holds the archive {root}", remedy="choose a folder of its own")

    def files(self) -> Iterator[Found]:
        """Every file that is wanted, in order of names. A folder that links to one above itself is entered only once."""
        out = self.out.resolve()
        for root in self.roots:
            if root.is_file():
                yield Found(root, root.absolute(), Path(root.name))
                continue
            for path in _walk(root, out, follow_links=self.follow_links):
                relative = path.relative_to(root)
                if self._wants(relative):
                    yield Found(root, path.absolute(), relative)

    def _wants(self, relative: Path) -> bool:
        def matches(patterns: tuple[str, ...]) -> bool:
            return any(fnmatch(text, pattern) for text in (relative.as_posix(), relative.name) for pattern in patterns)

        return (not self.include or matches(self.include)) and not matches(self.exclude)


@dataclass(frozen=True)
class Found:
    """A file: the `root` it lies under, its full path, and its path below the root."""

    root: Path
    path: Path
    relative: Path


def _walk(folder: Path, out: Path, *, follow_links: bool, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    try:
        about = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # gone, or not ours to read
        return
    here = (about.st_dev, about.st_ino)
    if here in above:
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=follow_links):
            if path.resolve() != out:
                yield from _walk(path, out, follow_links=follow_links, above=above | {here})
        elif entry.is_file() or (entry.is_symlink() and not entry.is_dir()):  # also links that lead nowhere: they are listed
            yield path


def discover(manifest: Manifest, search: Search, run: int, on_file: Callable[[int], None] = lambda count: None) -> int:
    """Enter every file that `search` finds, as seen by `run`; returns how many there are.

    Files whose size and time stamp are as they were are not opened again. `on_file` is called with the number of files so far.
    """
    count = 0
    files = search.files()
    while batch := list(islice(files, _AT_ONCE)):
        with manifest.transaction():
            for found in batch:
                _enter(manifest, found, search, run)
                count += 1
                on_file(count)
    _find_duplicates(manifest, run)
    return count


def _enter(manifest: Manifest, found: Found, search: Search, run: int) -> None:
    item = manifest.item("source = ?", found.path)
    facts: dict[str, Any] = {"run": run, "archive": found.root.absolute()}
    about = _stat(found.path)
    if found.path.is_symlink() and not search.follow_links:
        facts |= {"kind": "other", "reason": LINK, "size": 0, "mtime_ns": 0}
    elif about is None:
        facts |= {"kind": "other", "reason": "cannot be read", "size": 0, "mtime_ns": 0}
    else:
        facts |= {"size": about.st_size, "mtime_ns": about.st_mtime_ns}
        if item is None or _has_changed(item, about):
            facts |= _inspect(found.path, about.st_size) | {"duplicate_of": None}
    kind = facts.get("kind") or (item.kind if item else "other")
    target = output_path(found.relative, kind, search.name, search.codec) if kind in ("film", "photo") else ""
    facts |= {"target": target, "folded": folded(target)}
    if item is None and target:
        item = _moved(manifest, facts)
    key = item.key if item else manifest.add(found.path, found.root)
    if item is not None and "hash" in facts:
        manifest.change("UPDATE items SET duplicate_of = NULL WHERE duplicate_of = ?", key)
        if facts["hash"] != item.hash and item.state != SKIPPED:
            facts |= {"state": PENDING, "reason": "the source has changed", "version": ""}
    manifest.put(key, source=found.path, **facts)


def _moved(manifest: Manifest, facts: dict[str, Any]) -> Item | None:
    """The row of a file with the same place and content, where it lay before its archive was moved."""
    for item in manifest.items("folded = ? AND hash = ? AND run < ?", facts["folded"], facts["hash"], facts["run"]):
        if not item.source.exists():
            return item
    return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _has_changed(item: Item, about: os.stat_result) -> bool:
    """Whether to look again; a file that could not even be opened has no hash."""
    return (item.size, item.mtime_ns) != (about.st_size, about.st_mtime_ns) or not item.hash


def _inspect(path: Path, size: int) -> dict[str, Any]:
    """The columns of the manifest that a file itself gives: kind, size of the picture, length, whether it is in colour."""
    from deoldify_video.images.photo_io import photo_in_color
    from deoldify_video.media.inspect_content import inspect_content
    from deoldify_video.media.probe import probe

    try:
        digest = hash_file_ends(path, size)
    except OSError as error:
        return {"kind": "other", "reason": f"cannot be read: {error.strerror}", "hash": ""}
    try:
        info = probe(path)
        colored = photo_in_color(path) if info.kind == "photo" else inspect_content(info).in_color
    except InputError as error:
        return {"kind": "other", "reason": error.message("").rstrip("."), "error": error, "hash": digest}
    video = info.video
    width, height = video.upright_size
    frames = 1 if info.kind == "photo" else video.frames or round(info.duration_s * video.frame_rate)
    return {
        "kind": info.kind,
        "reason": "",
        "hash": digest,
        "width": width,
        "height": height,
        "duration_s": info.duration_s if info.kind == "film" else 0.0,
        "frames": frames,
        "codec": video.codec,
        "coloured": int(colored),
        "turn": width * 100_000 + height if info.kind == "photo" else -frames,
    }


def _find_duplicates(manifest: Manifest, run: int) -> None:
    """Enter for every file that has the same bytes as another which one that is: one that is finished, or was found first."""
    suspects = "run = ? AND hash != '' AND kind != 'other'"
    repeated = f"SELECT hash FROM items WHERE {suspects} GROUP BY hash HAVING count(*) > 1"
    originals: list[Item] = []
    order = f"ORDER BY hash, state != '{DONE}', duplicate_of IS NOT NULL, key"
    for item in manifest.items(f"{suspects} AND hash IN ({repeated}) {order}", run, run):
        if not originals or originals[0].hash != item.hash:
            originals = []
        known = next((one for one in originals if one.key == item.duplicate_of), None)
        original = known or next((one for one in originals if _same_bytes(one.source, item.source)), None)
        if original is None:
            originals.append(item)
        if item.duplicate_of != (original.key if original else None):
            manifest.put(item.key, duplicate_of=original.key if original else None)


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
