"""Runs the command line in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from deoldify_video.cli.app import main


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stub_spec: object) -> Cli:
    """`cli("colorize", film, "-o", output)`, with the stub in the place of the default network."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["deoldify-video", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return Outcome(int(caught.value.code or 0), out, err)

    return run
