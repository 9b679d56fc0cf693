"""The manifest of an archive: an SQLite file in the output folder, a row for every file, so that nothing is done twice.

Rows are never all in memory: they are read with cursors and written one at a time. The file is in WAL mode, so that `batch-status` can
read while a batch writes. Only the driver writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deoldify_video.errors import DeoldifyVideoError, InputError, OutputError
from deoldify_video.preview.spot_check import QualityCheck, ShotCheck

FOLDER, FILE = ".deoldify-video", "manifest.sqlite"
STATES = PENDING, RUNNING, DONE, FAILED, SKIPPED, GONE = ("pending", "running", "done", "failed", "skipped", "gone")
_FORMAT = 2  # of the tables below

_TABLES = """
CREATE TABLE items (
    key INTEGER PRIMARY KEY,
    source NOT NULL UNIQUE,                   -- full path; bytes where it is no valid text
    archive NOT NULL,                         -- the argument under which it was found
    target TEXT NOT NULL DEFAULT '',          -- path in the output folder
    folded TEXT NOT NULL DEFAULT '',          -- the target as disks see it that ignore case
    run INTEGER NOT NULL DEFAULT 0,           -- the last one that saw the source
    kind TEXT NOT NULL DEFAULT '',            -- film, photo or other
    size INTEGER NOT NULL DEFAULT 0,          -- bytes
    mtime_ns INTEGER NOT NULL DEFAULT 0,
    hash TEXT NOT NULL DEFAULT '',            -- of size and both ends; equal ones are compared byte by byte
    width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0,
    duration_s REAL NOT NULL DEFAULT 0, frames INTEGER NOT NULL DEFAULT 0, codec TEXT NOT NULL DEFAULT '',
    coloured INTEGER NOT NULL DEFAULT 0,      -- whether the source is in colour already
    duplicate_of INTEGER,                     -- the key of another source with the very same bytes
    turn INTEGER NOT NULL DEFAULT 0,          -- long films first, photos last and by their shape
    state TEXT NOT NULL DEFAULT 'pending',
    reason TEXT NOT NULL DEFAULT '',          -- why it is skipped, or to be done again
    settings INTEGER,                         -- with which it was made, or its making was begun
    version TEXT NOT NULL DEFAULT '',         -- of the program that did so
    attempts INTEGER NOT NULL DEFAULT 0,
    frames_done INTEGER NOT NULL DEFAULT 0, frames_total INTEGER NOT NULL DEFAULT 0, segments INTEGER NOT NULL DEFAULT 0,
    output TEXT NOT NULL DEFAULT '',          -- the finished file, a path in the output folder; '' where there is none
    output_size INTEGER NOT NULL DEFAULT 0,   -- bytes
    before_ns INTEGER NOT NULL DEFAULT 0,     -- time stamp of what lay at the target when the making began, 0: nothing
    seconds REAL NOT NULL DEFAULT 0, fps REAL NOT NULL DEFAULT 0, network TEXT NOT NULL DEFAULT '',
    warnings TEXT NOT NULL DEFAULT '[]', notes TEXT NOT NULL DEFAULT '[]', verification TEXT,   -- JSON
    error TEXT,                               -- JSON: reason, path and remedy
    exit_code INTEGER NOT NULL DEFAULT 0,
    worker TEXT NOT NULL DEFAULT '', started REAL NOT NULL DEFAULT 0, finished REAL NOT NULL DEFAULT 0   -- Unix time
);
CREATE INDEX items_by_turn ON items (run, state, attempts, turn, key);
CREATE INDEX items_by_folded ON items (folded);
CREATE INDEX items_by_hash ON items (run, hash);
CREATE TABLE shots (
    item INTEGER NOT NULL, number INTEGER NOT NULL, seconds REAL NOT NULL, colourfulness REAL NOT NULL, warp_ab REAL,
    strip BLOB NOT NULL, PRIMARY KEY (item, number)
) WITHOUT ROWID;
CREATE TABLE settings (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);   -- JSON: options and network
CREATE TABLE runs (id INTEGER PRIMARY KEY, began REAL NOT NULL, flags TEXT NOT NULL);   -- those of colorize
"""


@dataclass(eq=False)  # not frozen: rows are many, and that makes them twice as quick
class Item:
    """A row; the fields are the columns, with paths as paths and JSON as what it says."""

    key: int
    source: Path
    archive: Path
    target: str
    folded: str
    run: int
    kind: str
    size: int
    mtime_ns: int
    hash: str
    width: int
    height: int
    duration_s: float
    frames: int
    codec: str
    coloured: bool
    duplicate_of: int | None
    turn: int
    state: str
    reason: str
    settings: int | None
    version: str
    attempts: int
    frames_done: int
    frames_total: int
    segments: int
    output: str
    output_size: int
    before_ns: int
    seconds: float
    fps: float
    network: str
    warnings: list[str]
    notes: list[str]
    verification: dict[str, Any] | None
    error: DeoldifyVideoError | None
    exit_code: int
    worker: str
    started: float
    finished: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = dict(vars(self)) | {"source": str(self.source), "archive": str(self.archive)}
        return values | {"error": str(self.error or ""), "remedy": self.error.remedy if self.error else ""}


class Manifest:
    """The rows of one output folder. Raises `OutputError` where the file cannot be read or written."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if not create and not path.is_file():
            raise InputError(f"holds no batch: it has no {FOLDER}/{FILE}", path=path.parent.parent)
        with self._errors():
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._prepare()

    @classmethod
    def in_folder(cls, out: Path, *, create: bool = True) -> Manifest:
        """The manifest of the output folder `out`; raises `InputError` where there is none and none is to be made."""
        return cls(out / FOLDER / FILE, create=create)

    def copy_to(self, path: Path) -> None:
        """Copy the whole file to `path`, as it stands."""
        with self._errors(), contextlib.closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _prepare(self) -> None:
        found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, _FORMAT):
            raise OutputError(
                "was made by another version of the program", path=self.path, remedy="use that one, or another output folder"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if not found:
            self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_FORMAT}; COMMIT;")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"cannot be used as the manifest ({error})",
                path=self.path,
                remedy="free its disk, or move the file away to begin anew",
            ) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in the block is written together, or not at all."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def change(self, statement: str, *values: Any) -> int:
        """Run an SQL statement that writes; returns how many rows it changed."""
        with self._errors():
            return self._db.execute(statement, [as_stored(value) for value in values]).rowcount

    def query(self, statement: str, *values: Any) -> Iterator[sqlite3.Row]:
        """The rows of an SQL statement, one at a time."""
        with self._errors():
            rows = self._db.execute(statement, [as_stored(value) for value in values])
            yield from iter(rows.fetchone, None)  # a cursor itself would be closed with the generator, perhaps after the file

    def one(self, statement: str, *values: Any) -> Any:
        """The first column of the first row, None where there is none."""
        return next((row[0] for row in self.query(statement, *values)), None)

    def items(self, where: str = "1", *values: Any) -> Iterator[Item]:
        """Rows of `items` for which the SQL `where` holds, with its ORDER BY and LIMIT."""
        return (_item(row) for row in self.query(f"SELECT * FROM items WHERE {where}", *values))

    def item(self, where: str, *values: Any) -> Item | None:
        """The first of these rows, None where there is none."""
        return next(self.items(f"{where} LIMIT 1", *values), None)

    def put(self, key: int, **columns: Any) -> None:
        """Set columns of a row."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.change(f"UPDATE items SET {names} WHERE key = ?", *columns.values(), key)

    def add(self, source: Path, archive: Path) -> int:
        """A row for a source that has none; returns its key."""
        self.change("INSERT INTO items (source, archive) VALUES (?, ?)", source, archive)
        return int(self.one("SELECT last_insert_rowid()"))

    def counts(self, where: str = "1", *values: Any) -> dict[str, int]:
        """How many rows are in each state."""
        found = {
            row[0]: row[1] for row in self.query(f"SELECT state, count(*) FROM items WHERE {where} GROUP BY state", *values)
        }
        return {state: found.get(state, 0) for state in STATES}

    def settings_id(self, fingerprint: dict[str, Any]) -> int:
        """The number of these options and network, entered where they are new."""
        text = json.dumps(fingerprint, sort_keys=True)
        self.change("INSERT OR IGNORE INTO settings (fingerprint) VALUES (?)", text)
        return int(self.one("SELECT id FROM settings WHERE fingerprint = ?", text))

    def settings(self, number: int) -> dict[str, Any]:
        """The options and network with this number."""
        found: dict[str, Any] = json.loads(self.one("SELECT fingerprint FROM settings WHERE id = ?", number) or "{}")
        return found

    def begin_run(self, flags: Sequence[str]) -> int:
        """Enter a new run, with the options of `colorize` that it was given; returns its number."""
        self.change("INSERT INTO runs (began, flags) VALUES (?, ?)", time.time(), json.dumps(list(flags)))
        return int(self.one("SELECT max(id) FROM runs"))

    def put_shots(self, key: int, quality: QualityCheck) -> None:
        """Keep what was measured of a finished item, instead of what was kept before."""
        with self.transaction():
            self.change("DELETE FROM shots WHERE item = ?", key)
            for number, shot in enumerate(quality.shots):
                values = (shot.seconds, shot.colorfulness, shot.warp_ab, shot.strip)
                self.change("INSERT INTO shots VALUES (?, ?, ?, ?, ?, ?)", key, number, *values)

    def shots(self, key: int) -> list[ShotCheck]:
        """The shots of an item, the one with the largest warp error first."""
        rows = self.query("SELECT * FROM shots WHERE item = ? ORDER BY warp_ab IS NULL, warp_ab DESC, number", key)
        return [ShotCheck(row["seconds"], row["colourfulness"], row["warp_ab"], row["strip"]) for row in rows]


def as_stored(value: Any) -> Any:
    """A value as SQLite takes it: paths as text, or as bytes where they are no valid text; errors as JSON."""
    if isinstance(value, DeoldifyVideoError):
        path = None if value.path is None else str(value.path)
        return json.dumps({"reason": value.reason, "path": path, "remedy": value.remedy})
    if not isinstance(value, Path):
        return value
    raw = os.fsencode(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _item(row: sqlite3.Row) -> Item:
    values: dict[str, Any] = dict(row)
    for name in ("source", "archive"):
        values[name] = Path(os.fsdecode(values[name]))
    values["coloured"] = bool(values["coloured"])
    for name in ("warnings", "notes"):
        values[name] = json.loads(values[name]) if values[name] != "[]" else []
    values["verification"] = json.loads(values["verification"]) if values["verification"] else None
    values["error"] = _error(json.loads(values["error"])) if values["error"] else None
    return Item(**values)


def _error(fields: dict[str, Any]) -> DeoldifyVideoError:
    path = fields["path"]
    return DeoldifyVideoError(fields["reason"], path=None if path is None else Path(path), remedy=fields["remedy"])
