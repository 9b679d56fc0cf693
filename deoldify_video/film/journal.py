"""A long film in the making: a work folder beside the output with finished segments and a journal of them.

The journal is a text file, a JSON line an entry, each with a checksum of its own: the first line says what is being made of what,
every further one names a finished segment. A line that was cut off by a kill fails its checksum and is dropped, those before it
stand. Segments are checked against their entry before they are trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from dataclasses import asdict, dataclass
from itertools import count, pairwise, takewhile
from pathlib import Path
from typing import Any

from filelock import BaseFileLock

from deoldify_video.errors import OutputError, UsageError
from deoldify_video.media.files import hash_file, lock_file, output_errors, write_file


@dataclass(frozen=True)
class Segment:
    """A finished segment.

    `pts` are the true stamps of its frames, `delay` how many frames its encoder held back; `shots` counts the shots of the film so
    far, `in_mid_shot` says that the last of them goes on; `seekable`, that all stamps so far were the file's own. `track_digest` is
    the smoother's memory's, "" where there is none.
    """

    part: str
    digest: str
    track_digest: str
    pts: list[int]
    delay: int
    last_duration: int
    shots: int
    in_mid_shot: bool
    seekable: bool


class Journal:
    """The work folder of one output, and the segments in it that are finished and whole, by number.

    Opening it takes a lock; a second run on the same output gets `OutputError`. `fingerprint` says what the segments depend on; where
    it differs from the folder's, `UsageError` names what has changed. `restart` forgets what is there. What lies after a gap is
    kept with `gaps` only, for those who know where it belongs; `checked`: the segments were compared with their entries just now.
    """

    def __init__(
        self, output: Path, fingerprint: dict[str, Any], *, restart: bool = False, gaps: bool = False, checked: bool = False
    ) -> None:
        self.folder, self._output = work_folder(output), output
        self.path = self.folder / "journal.jsonl"
        with output_errors(output):
            self.folder.mkdir(exist_ok=True)
            self._lock: BaseFileLock | None = lock_file(self.folder / "lock")
        if self._lock is None:
            raise OutputError("is worked on by another run", path=output, remedy="wait for it or stop it")
        self.finished: dict[int, Segment] = {}
        try:
            with output_errors(output):
                entries = [] if restart else _read_lines(self.path)
                if entries:
                    _compare(entries[0], fingerprint)
                    self.finished = self._whole(entries[1:], checked=checked)
                if not gaps:
                    self.finished = dict(enumerate(self.segments))
                self._rewrite(fingerprint)
        except BaseException:
            self._unlock()
            raise

    @property
    def segments(self) -> list[Segment]:
        """The finished segments from the film's beginning up to the first that is missing."""
        return [self.finished[number] for number in takewhile(self.finished.__contains__, count())]

    @property
    def frames(self) -> int:
        """Frames in all finished segments."""
        return sum(len(segment.pts) for segment in self.finished.values())

    def add(self, number: int, segment: Segment) -> None:
        """Enter a finished segment, which is on the disk; on return its entry is, too."""
        with output_errors(self._output), self.path.open("ab") as file:
            file.write(_line(asdict(segment)))
            file.flush()
            os.fsync(file.fileno())
        self.finished[number] = segment

    def close(self, *, remove: bool) -> None:
        """Give the lock back; `remove` the folder when the film is finished, or nothing worth keeping is in it."""
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _whole(self, entries: list[dict[str, Any]], *, checked: bool) -> dict[int, Segment]:
        """The entries whose segments are there and are what was entered."""
        whole: dict[int, Segment] = {}
        for entry in entries:
            with contextlib.suppress(TypeError, ValueError):
                segment = Segment(**entry)
                number = int(Path(segment.part).stem.rpartition("-")[2])
                if _is_sound(segment) and (checked or self._is_as_entered(number, segment)):
                    whole[number] = segment
        return whole

    def _is_as_entered(self, number: int, segment: Segment) -> bool:
        part, state = segment_path(self.folder, number), state_path(self.folder, number)
        state_is_there = segment.track_digest in ("", hash_file(state))
        return segment.part == part.name and segment.digest == hash_file(part) != "" and state_is_there

    def _rewrite(self, fingerprint: dict[str, Any]) -> None:
        kept = {self.path, self.folder / "lock"}
        for number in self.finished:
            kept |= {segment_path(self.folder, number), state_path(self.folder, number)}
        for stray in set(self.folder.iterdir()) - kept:
            stray.unlink()
        lines = [fingerprint, *(asdict(segment) for _, segment in sorted(self.finished.items()))]
        write_file(self.path, b"".join(map(_line, lines)))


def work_folder(output: Path) -> Path:
    """Where the segments of `output` lie until it is finished."""
    return output.with_name(f".{output.name}.work")


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` lies."""
    return folder / f"part-{number:05d}.mkv"


def state_path(folder: Path, number: int) -> Path:
    """Where the smoother's memory after segment `number` lies, where that segment ends in mid-shot."""
    return folder / f"track-{number:05d}.npz"


def _line(entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, sort_keys=True).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The entries up to the first line that is torn or not one of ours."""
    if not path.is_file():
        return []
    entries: list[dict[str, Any]] = []
    with path.open("rb") as file:
        lines = file.readlines()
    for line in lines:
        checksum, _, text = line[:-1].partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            break
        entries.append(json.loads(text))
    return entries


def _compare(old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changed:
        names = ", ".join(f"{key} (was {old.get(key)}, now {new.get(key)})" for key in changed)
        raise UsageError(
            f"an unfinished run was made otherwise: {names}", remedy="repeat its settings, or begin anew with --restart"
        )


def _is_sound(segment: Segment) -> bool:
    """Whether an entry makes sense: it has frames, and their stamps rise."""
    pts = segment.pts
    return bool(pts) and all(isinstance(stamp, int) for stamp in pts) and all(a < b for a, b in pairwise(pts))
