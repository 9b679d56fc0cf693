"""The errors of this program, and the exit code of each.

    DeoldifyVideoError        1   base class; never raised itself
    +-- UsageError            2   an option or a combination of options that cannot work
    +-- InputError            3   the source is missing, broken, or no film or picture
    +-- OutputError           4   the output cannot be written, or exists already
    +-- DependencyError       5   a library, device, encoder or network is not available
    +-- DeviceMemoryError     6   the device has too little memory even for one frame
    +-- VerificationError     7   the finished file does not match its source
    +-- StoppedError        130   the user asked to stop; the same command goes on later

A message is one sentence that names the cause, and where there is one, the way out. Only the command line turns these into exit
codes; the library raises them.
"""

from __future__ import annotations


class DeoldifyVideoError(Exception):
    """Base class of every error that a user can cause or cure."""

    exit_code = 1


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


EXIT_INTERRUPTED = 130


class StoppedError(DeoldifyVideoError):
    """The user asked to stop; what is finished is kept, and the same command goes on from there."""

    exit_code = EXIT_INTERRUPTED
