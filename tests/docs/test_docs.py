"""README and docs against the program: every option that is documented exists, and every option that exists is documented."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import deoldify_video
from deoldify_video.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "samples" / "README.md"]
PAGES = [page for page in PAGES if page.exists()]
ANYWHERE = {"--help", "-h"}


def commands():
    """Every command by its words, with its option names."""
    found = {}

    def walk(command, words):
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                walk(child, (*words, name))
        else:
            names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            found[words] = {name for name in names if name.startswith("-")}

    walk(get_command(app), ())
    return found


def examples(page):
    """Calls of the program in a page: indented or fenced lines, comments and continuations taken out."""
    text = page.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if re.match(r"(    |\$ )?.*\b(deoldify-video|python cli\.py|python -m deoldify_video) ", line) and not line.startswith(
            "|"
        ):
            inline = re.findall(r"`((?:deoldify-video|python cli\.py|python -m deoldify_video) [^`]+)`", line)
            yield from inline if "`" in line else [line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_call_in_the_docs_is_one_that_the_program_knows(page):
    known = commands()
    for line in examples(page):
        for part in re.split(r"&&|\||;", line):
            words = shlex.split(part, comments=True)
            starts = [i for i, word in enumerate(words) if word in ("deoldify-video", "cli.py", "deoldify_video")]
            if not starts or len(words) < starts[0] + 2:
                continue
            arguments = words[starts[0] + 1 :]
            if arguments[0].startswith("-"):
                assert arguments[0] in {"--version", "--help", "-h"}, line
                continue
            name = next((tuple(arguments[:n]) for n in (2, 1) if tuple(arguments[:n]) in known), None)
            group = any(tuple(arguments[:1]) == words[:1] for words in known)
            assert name or group, f"{page.name} calls an unknown command: {line}"
            used = {word.split("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
            assert used <= known.get(name, set()) | ANYWHERE, f"{page.name}: {line}"


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_every_option_is_in_the_docs(words):
    text = "\n".join(page.read_text() for page in PAGES)
    assert " ".join(words) in text, f"the command {' '.join(words)} is not in the docs"
    names = {name for name in commands()[words] if name.startswith("--") and not name.startswith("--no-")}
    missing = {name for name in names - ANYWHERE if not re.search(rf"{name}\b", text)}
    assert not missing, f"not in the docs: {missing}"


def test_the_options_of_colorize_in_the_readme_are_its_options():
    table = (ROOT / "README.md").read_text().partition("### Options of `colorize`")[2].partition("###")[0]
    documented = {name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"`(--?[a-z][a-z-]*)`", row)}
    assert documented - {"-o", "-r"} == {name for name in commands()["colorize",] if name.startswith("--")} - ANYWHERE


def test_the_public_names_of_the_readme_can_be_imported():
    for page in PAGES:
        for names in re.findall(r"from deoldify_video import ([\w, ]+)", page.read_text()):
            for name in names.split(","):
                assert hasattr(deoldify_video, name.strip()), f"{page.name} imports {name}"


def test_every_public_name_is_there_and_is_what_it_says():
    values = {name: getattr(deoldify_video, name) for name in deoldify_video.__all__}
    assert re.fullmatch(r"\d+\.\d+\.\d+", values.pop("__version__"))
    assert [value.__name__ for value in values.values()] == [*values]
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = deoldify_video.nonesuch


def test_every_command_explains_itself_and_its_options():
    def walk(command):
        if hasattr(command, "commands"):
            for child in command.commands.values():
                walk(child)
            return
        assert command.help, command.name
        for parameter in command.params:
            assert getattr(parameter, "help", None) or isinstance(parameter, typer.core.TyperArgument), parameter.name

    walk(get_command(app))
