"""Plans a batch: gives the manifest's rows their states before a run, each with the reason why it is done, or not."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from deoldify_video import __version__
from deoldify_video.batch.manifest import DONE, FAILED, GONE, PENDING, RUNNING, SKIPPED, Item, Manifest
from deoldify_video.batch.naming import collision, is_named_as_media
from deoldify_video.errors import InputError, UsageError
from deoldify_video.executors.base import Task
from deoldify_video.film.journal import work_folder
from deoldify_video.formatting import printable
from deoldify_video.media.files import remove_leftovers
from deoldify_video.models.resolve import resolve_model
from deoldify_video.models.store import weights_fingerprint
from deoldify_video.options import FilmOptions

_LOST = "it was finished just when its worker or the whole run was killed; what was found out about it is lost."
IN_COLOR = "is in colour already; --force replaces its colours"


@dataclass(frozen=True)
class Settings:
    """How everything of a run is made: its options, and the weights (`models.store.weights_fingerprint`)."""

    options: FilmOptions
    weights: str

    @classmethod
    def of(cls, options: FilmOptions) -> Settings:
        """Of these options; raises `DependencyError` when the network is not there."""
        return cls(options, weights_fingerprint(*resolve_model(options.color.model)))

    def fingerprint(self, kind: str) -> dict[str, Any]:
        """All that the output of a `film` or `photo` depends on, by name."""
        return self.options.fingerprint(kind, self.weights, self.options.color.precision)


class Plan:
    """One run over the rows that it has seen. `redo` allows that finished ones are made anew for other settings.

    With `recover`, what a killed run has left is cleared up first; not so for a look, for that run may be alive.
    """

    def __init__(
        self, manifest: Manifest, out: Path, run: int, settings: Settings, *, redo: bool = False, recover: bool = True
    ) -> None:
        self.manifest, self.out, self.run, self.settings, self._redo = manifest, out, run, settings, redo
        self._recovers = recover
        self._ids = {kind: manifest.settings_id(settings.fingerprint(kind)) for kind in ("film", "photo")}

    def resolve_states(self) -> None:
        """Give every row its state. Raises `UsageError` when finished or begun ones were made otherwise and `redo` is not set."""
        with self.manifest.transaction():
            if self._recovers:
                self._recover()
            self._mark_gone()
            self._resolve_pending()
            self._refuse_collisions()
            self._check_outputs()
            self._check_settings()

    def task(self, item: Item) -> Task:
        """The task of a row, for an executor."""
        options, target = self.settings.options, self.out / item.target
        ours = item.output == item.target and size_of(target) == item.output_size
        begun_otherwise = item.settings is not None and (item.settings, item.version) != (self._ids[item.kind], __version__)
        options = replace(
            options,
            encode=replace(options.encode, overwrite=options.encode.overwrite or ours),
            job=replace(options.job, restart=options.job.restart or begun_otherwise),
        )
        return Task(item.key, item.kind, item.source, target, options)

    def settings_id(self, kind: str) -> int:
        """The number of this run's settings for a `film` or `photo`."""
        return self._ids[kind]

    def adopt(self, item: Item) -> bool:
        """Whether the output came although nobody could tell of it, because worker or driver were killed just then.

        Outputs appear only when they are whole, so what came since the making began is entered as finished.
        """
        target = self.out / item.target
        size, stamp = size_of(target), mtime_ns(target)
        if not stamp or stamp == item.before_ns:
            return False
        network = self.manifest.settings(item.settings).get("weights", "") if item.settings else ""
        self.manifest.put(item.key, state=DONE, reason="", error=None, exit_code=0, output=item.target, output_size=size)
        frames = item.frames_total or item.frames
        self.manifest.put(item.key, network=str(network), frames_done=frames, notes=json.dumps([_LOST]))
        shutil.rmtree(work_folder(target), ignore_errors=True)
        return True

    def _recover(self) -> None:
        """Rows that a run left in the middle when it was killed."""
        for item in self.manifest.items("state = ?", RUNNING):
            remove_leftovers(self.out / item.target)
            if not self.adopt(item):
                self.manifest.put(item.key, state=PENDING, reason="the last run was killed")

    def _mark_gone(self) -> None:
        """Rows that were found earlier and not now."""
        known = (DONE, GONE)
        places = "archive IN (SELECT DISTINCT archive FROM items WHERE run = ?)"
        for item in self.manifest.items(f"run < ? AND state NOT IN (?, ?) AND {places}", self.run, *known, self.run):
            if not item.source.exists():
                self.manifest.put(item.key, state=GONE, reason="the source is no longer there")

    def _resolve_pending(self) -> None:
        """Skip rows that are no film or photo, in colour already, or there twice; all others that are not finished are pending."""
        change, run = self.manifest.change, self.run
        change(
            "UPDATE items SET state = ?, attempts = 0, error = CASE WHEN kind = 'other' THEN error END, exit_code = 0,"
            " reason = CASE WHEN kind = 'other' OR state = ? THEN reason ELSE '' END WHERE run = ? AND state != ?",
            *(PENDING, PENDING, run, DONE),
        )
        for item in self.manifest.items("run = ? AND state = ? AND kind = 'other'", run, PENDING):
            if is_named_as_media(item.source) and not item.source.is_symlink():
                error = item.error or InputError(item.reason, path=item.source)
                self.manifest.put(item.key, state=FAILED, error=error, exit_code=InputError.exit_code)
            else:
                self.manifest.put(item.key, state=SKIPPED, error=None)
        if not self.settings.options.job.force:
            where = "run = ? AND state = ? AND coloured"
            change(f"UPDATE items SET state = ?, reason = ? WHERE {where}", SKIPPED, IN_COLOR, run, PENDING)
        for item in self.manifest.items("run = ? AND state = ? AND duplicate_of IS NOT NULL", run, PENDING):
            original = self.manifest.item("key = ?", item.duplicate_of)
            reason = f"is the same, byte for byte, as {printable(original.source) if original else 'another file'}"
            self.manifest.put(item.key, state=SKIPPED, reason=reason)

    def _refuse_collisions(self) -> None:
        """Files that would be written to one place, or to two that some disks take for one; also to that of a finished one."""
        concerned = "((run = ? AND state = ?) OR state = ?)"
        values = (self.run, PENDING, DONE)
        repeated = f"SELECT folded FROM items WHERE {concerned} GROUP BY folded HAVING count(*) > 1"
        items = self.manifest.items(f"{concerned} AND folded IN ({repeated}) ORDER BY folded, key", *values, *values)
        for _, group in groupby(items, lambda item: item.folded):
            rivals = [item for item in group if item.state == PENDING or size_of(self.out / item.output)]
            for item in rivals:
                other = next((rival for rival in rivals if rival is not item), None)
                if item.state == PENDING and other is not None:
                    error = collision(item.source, item.target, other.source, other.target)
                    self.manifest.put(item.key, state=FAILED, error=error, exit_code=error.exit_code)

    def _check_outputs(self) -> None:
        """Finished rows whose output is gone are done again; one that somebody has changed is not replaced without being asked."""
        for item in self.manifest.items("run = ? AND state = ?", self.run, DONE):
            size = size_of(self.out / item.output)
            if not size:
                self.manifest.put(item.key, state=PENDING, reason="the output is gone", output="", output_size=0)
            elif size != item.output_size:
                self.manifest.put(item.key, state=PENDING, reason="the output has been changed", output="", output_size=0)

    def _check_settings(self) -> None:
        """Finished rows, and those with an unfinished film, that were made with other settings or under another name."""
        changes: Counter[str] = Counter()
        finished = begun = 0
        for item in self.manifest.items("run = ? AND settings IS NOT NULL AND state IN (?, ?)", self.run, DONE, PENDING):
            differences = self._differences(item)
            if not differences:
                continue
            if item.state == DONE:
                finished += 1
                if self._redo:
                    self.manifest.put(item.key, state=PENDING, attempts=0, reason=f"made otherwise: {', '.join(differences)}")
            elif work_folder(self.out / item.target).is_dir() and item.version:
                begun += 1
            else:
                continue
            changes.update(differences)
        if changes and not self._redo:
            what = " and ".join(
                f"{number} {state}" for number, state in ((finished, "finished"), (begun, "unfinished")) if number
            )
            shown = ", ".join(change for change, _ in changes.most_common())
            raise UsageError(
                f"made otherwise: {what}; changed is {shown}", remedy="repeat those settings, or use --redo to make them anew"
            )

    def _differences(self, item: Item) -> list[str]:
        found = []
        if item.settings != self._ids[item.kind] and item.settings is not None:
            old, new = self.manifest.settings(item.settings), self.settings.fingerprint(item.kind)
            changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            found += [f"{name.split('.')[-1]} (was {old.get(name)}, now {new.get(name)})" for name in changed]
        if item.state == DONE and item.output != item.target:
            found.append("--name")
        return found


def size_of(path: Path) -> int:
    """The size of a file in bytes, 0 where there is none."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def mtime_ns(path: Path) -> int:
    """The time stamp of a file, 0 where there is none."""
    try:
        return path.stat().st_mtime_ns if path.is_file() else 0
    except OSError:
        return 0
