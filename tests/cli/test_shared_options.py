"""The options of colouring as flags: what a command was given can be given again."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from deoldify_video.cli.shared_options import Chosen, with_film_options


@pytest.fixture
def chosen():
    """Call a command that has all options but `--hints`; returns what they come to."""
    app, kept = typer.Typer(), []

    @app.command()
    @with_film_options(without=("hints",))
    def command(chosen: Chosen, other: int = 3) -> None:
        kept.append((chosen, other))

    def call(*flags, code=0):
        result = CliRunner().invoke(app, list(flags))
        assert result.exit_code == code, result.output
        return kept.pop() if code == 0 else result

    return call


def test_no_flags_are_needed_for_the_defaults(chosen):
    assert chosen()[0].flags == ()


def test_only_what_differs_from_the_defaults_is_a_flag(chosen):
    given, other = chosen("--crf", "20", "--no-verify", "--overwrite", "--style", "natural", "--other", "7")
    assert given.flags == ("--crf", "20", "--overwrite", "--no-verify")
    assert other == 7


@pytest.mark.parametrize(
    "flags",
    [
        ("--preset", "archive"),
        ("-r", "auto", "--keyframes", "auto", "--lookahead", "0"),
        ("-r", "28", "--saturation", "1.5", "--start", "1:02", "--end", "70", "--deinterlace", "--force"),
    ],
)
def test_the_flags_given_again_are_the_same_options(chosen, flags):
    first = chosen(*flags)[0]
    again = chosen(*first.flags)[0]
    assert first.flags
    assert again.options == first.options


def test_an_option_that_was_left_out_is_not_known(chosen):
    assert "No such option" in chosen("--hints", "hints.json", code=2).output
