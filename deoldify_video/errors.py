"""The errors of this program: the exit code of each, and the parts that its message is made of.

    DeoldifyVideoError        1   base class; raised itself for what was not foreseen, such as a worker that dies
    +-- UsageError            2   an option or a combination of options that cannot work
    +-- InputError            3   the source is missing, broken, or no film or picture
    +-- OutputError           4   the output cannot be written, or exists already
    +-- DependencyError       5   a library, device, encoder or network is not available
    +-- DeviceMemoryError     6   the device has too little memory even for one frame
    +-- VerificationError     7   the finished file does not match its source
    +-- StoppedError        130   the user asked to stop; the same command goes on later

Every error has a `reason`, and where there are such a `path`, the file that it is about, and a `remedy`, the way out. Its message is
made of them: `PATH REASON; REMEDY.` Whoever shows an error in another form (a table, a page, JSON) takes the fields; nobody takes a
message apart. Only the command line turns errors into exit codes; the library raises them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXIT_INTERRUPTED = 130


class DeoldifyVideoError(Exception):
    """Base class of every error that a user can cause or cure.

    `reason` goes on after `path` where there is one, and is a sentence of its own where there is none; `remedy` is what to do. They
    stand without a full stop, but for reasons of several sentences.
    """

    exit_code = 1

    def __init__(self, reason: str, *, path: Path | None = None, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason, self.path, self.remedy = reason, path, remedy

    def __str__(self) -> str:
        return self.message()

    def message(self, name: str | None = None) -> str:
        """The whole message, with `name` in the place of the path; "" leaves it out, for where it stands already."""
        subject = "" if self.path is None else str(self.path) if name is None else name
        text, remedy = f"{subject} {self.reason}".lstrip(), self.remedy
        if remedy:
            text += f" {remedy[0].upper()}{remedy[1:]}" if text.endswith(".") else f"; {remedy}"
        return text if text.endswith(".") else f"{text}."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "error": str(self),
            "exit_code": self.exit_code,
            "path": None if self.path is None else str(self.path),
            "reason": self.reason,
            "remedy": self.remedy or None,
        }


def unforeseen(error: BaseException, path: Path) -> DeoldifyVideoError:
    """`error` itself where it is one of ours, else one that says that `path` met something that nobody has thought of."""
    if isinstance(error, DeoldifyVideoError):
        return error
    return DeoldifyVideoError(f"cannot be colorized ({type(error).__name__}: {error})", path=path)


class UsageError(DeoldifyVideoError):
    """An option or a combination of options that cannot work."""

    exit_code = 2


class InputError(DeoldifyVideoError):
    """The source is missing, broken, or no film or picture."""

    exit_code = 3


class OutputError(DeoldifyVideoError):
    """The output cannot be written, or exists already."""

    exit_code = 4


class DependencyError(DeoldifyVideoError):
    """A library, device, encoder or network is not available."""

    exit_code = 5


class DeviceMemoryError(DeoldifyVideoError):
    """The device has too little memory even for one frame."""

    exit_code = 6


class VerificationError(DeoldifyVideoError):
    """The finished file does not match its source."""

    exit_code = 7


class StoppedError(DeoldifyVideoError):
    """The user asked to stop; what is finished is kept, and the same command goes on from there."""

    exit_code = EXIT_INTERRUPTED
