"""Passwords of those who may use the page: a file of names and scrypt hashes, and the check of what a browser sends.

A line of the file is `name:scrypt:N:r:p:salt:hash`, the last two in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import deque
from pathlib import Path

from deoldify_video.errors import UsageError
from deoldify_video.media.files import output_file

_COST, _BLOCK, _LANES = 1 << 15, 8, 1  # scrypt's N, r and p: 32 MB and about 0.1 s
_MAX_MEMORY_BYTES = 1 << 27
_SALT_BYTES = 16
_MAX_CREDENTIALS_CHARS = 1000
_FAILURES, _FAILURES_S = 10, 60.0  # wrong passwords that an address may send in that time
_MAX_ADDRESSES = 10_000


class TooManyFailuresError(Exception):
    """An address has sent too many wrong passwords, and has to wait."""


def add_user(path: Path, name: str, password: str) -> None:
    """Write `name` with the hash of `password` to the file, in the place of an older one. Raises `UsageError`, `OutputError`."""
    if not name or ":" in name or not name.isprintable():
        raise UsageError("a user's name has printable characters, and no colon.")
    if not password:
        raise UsageError("an empty password protects nothing.")
    lines = [line for line in _lines(path) if line.split(":")[0] != name] if path.exists() else []
    with output_file(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text("".join(f"{line}\n" for line in [*lines, f"{name}:{_hash(password)}"]), "utf-8")


class Passwords:
    """The users of a file; each right answer is known again without the hash's cost. Raises `UsageError` for what is no such file."""

    def __init__(self, path: Path) -> None:
        self._hashes = dict(line.split(":", 1) for line in _lines(path))
        if not self._hashes:
            raise UsageError(f"{path} names no user; add one with --add-user NAME.")
        self._nobody = _hash(secrets.token_urlsafe(16))  # a name that is not there takes as long as one that is
        self._secret, self._known = os.urandom(32), set[bytes]()
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()  # one hash at a time: its memory is not for the asking

    def accept(self, header: str, address: str) -> bool:
        """Whether an `Authorization` header is right. Raises `TooManyFailuresError`."""
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "basic" or len(credentials) > _MAX_CREDENTIALS_CHARS:
            return False
        digest = hmac.digest(self._secret, credentials.encode(), "sha256")
        if digest in self._known:
            return True
        try:
            name, separator, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        with self._lock:
            failures = self._failures_of(address)
            if len(failures) >= _FAILURES:
                raise TooManyFailuresError
            right = _matches(password, self._hashes.get(name, self._nobody)) and name in self._hashes
            if right and separator:
                self._known.add(digest)
            else:
                failures.append(time.monotonic())
        return right

    def _failures_of(self, address: str) -> deque[float]:
        if len(self._failures) > _MAX_ADDRESSES:
            self._failures.clear()
        failures = self._failures.setdefault(address, deque())
        while failures and time.monotonic() - failures[0] > _FAILURES_S:
            failures.popleft()
        return failures


def _lines(path: Path) -> list[str]:
    try:
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a file of users; make one with --auth FILE --add-user NAME.") from error
    for number, line in enumerate(lines, 1):
        try:
            _parse(line.split(":", 1)[1])
        except (ValueError, IndexError) as error:
            raise UsageError(
                f"line {number} of {path} is no user with a hashed password; write it with --add-user NAME."
            ) from error
    return lines


def _hash(password: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    parts = (salt, _scrypt(password, salt, _COST, _BLOCK, _LANES))
    return ":".join(["scrypt", str(_COST), str(_BLOCK), str(_LANES), *(base64.b64encode(part).decode() for part in parts)])


def _matches(password: str, stored: str) -> bool:
    *cost, salt, digest = _parse(stored)
    return hmac.compare_digest(_scrypt(password, salt, *cost), digest)


def _parse(stored: str) -> tuple[int, int, int, bytes, bytes]:
    kind, cost, block, lanes, salt, digest = stored.split(":")
    if kind != "scrypt" or not 0 < 128 * int(cost) * int(block) * int(lanes) < _MAX_MEMORY_BYTES:
        raise ValueError("not a hash of ours")
    return int(cost), int(block), int(lanes), base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MAX_MEMORY_BYTES)
