"""Failures for programs: errors as JSON, and a reader that goes away."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from synth import make_film

from deoldify_video.batch.manifest import FOLDER, Manifest
from deoldify_video.errors import DeoldifyVideoError, InputError, OutputError, unforeseen
from deoldify_video.media.files import check_output, lock_file, output_errors, output_file, write_file

PROGRAM = [sys.executable, "-m", "deoldify_video"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "path", "remedy"),
    [
        (["info", "missing.mp4"], 3, "missing.mp4", None),
        (["colorize", "missing.mp4", "-o", "new.mp4"], 3, "missing.mp4", None),
        (["colorize", "film.mp4", "-o", "film.mp4"], 2, "film.mp4", "choose another output"),
        (["colorize", "film.mp4", "-o", "no/new.mp4"], 4, "no", "create it first"),
        (["colorize", "film.mp4", "-o", "new.mp4", "--crf", "99"], 2, None, "use 0 (best) to 63"),
        (["colorize", "film.mp4", "-o", "new.mp4", "--model", "nobody"], 5, None, "known are"),
        (["colorize", "film.mp4", "-o", "new.mp4", "--sepia"], 2, None, "see --help"),
        (["batch", "missing", "-o", "out"], 3, "missing", None),
        (["batch-status", "."], 3, ".", None),
        (["preview", "missing.mp4", "-o", "sheet.png"], 3, "missing.mp4", None),
        (["compare", "missing.mp4", "film.mp4", "-o", "both.mp4"], 3, "missing.mp4", None),
        (["verify", "missing.mp4", "film.mp4"], 3, "missing.mp4", None),
        (["models", "info", "nobody"], 5, None, "known are"),
        (["config", "show", "nothing"], 2, None, "choose one of"),
        (["evaluate-film", "film.mp4", "--report", "film.mp4"], 2, "film.mp4", "choose another output"),
    ],
)
def test_a_failure_is_one_object_on_stdout(cli, tmp_path, monkeypatch, arguments, exit_code, path, remedy):
    monkeypatch.chdir(tmp_path)
    make_film(tmp_path / "film.mp4", frames=4)
    outcome = cli(*arguments, "--json")
    found = json.loads(outcome.out)
    assert outcome.code == found["exit_code"] == exit_code
    assert found["path"] == path
    assert (found["remedy"] or "").startswith(remedy or "")
    assert bool(found["remedy"]) == bool(remedy)
    assert found["reason"] in found["error"]
    assert found["error"].endswith(".")
    assert (path or "") in found["error"]
    assert found["reason"] in " ".join(outcome.err.replace("│", " ").split())


def test_what_the_environment_asks_for_counts(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("DEOLDIFY_VIDEO_JSON", "1")
    assert json.loads(cli("info", tmp_path / "missing.mp4").out)["exit_code"] == 3


def test_without_json_nothing_is_on_stdout(cli, tmp_path):
    assert cli("info", tmp_path / "missing.mp4").out == ""


def test_a_result_that_does_not_fit_is_one_object_with_the_verdict(cli, tmp_path):
    first = make_film(tmp_path / "a.mkv", frames=6)
    second = make_film(tmp_path / "b.mkv", frames=4)
    outcome = cli("verify", first, second, "--json")
    found = json.loads(outcome.out)
    assert outcome.code == found["exit_code"] == 7
    assert found["path"] == found["output"] == str(second)
    assert found["problems"]
    assert all(problem in found["error"] for problem in found["problems"])


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_ends_the_program_without_a_word(stream):
    read, write = os.pipe()
    os.close(read)
    other = "stderr" if stream == "stdout" else "stdout"
    streams = {stream: write, other: subprocess.PIPE}
    command = ["info", "--json"] if stream == "stdout" else ["info", "missing.mp4"]
    try:
        done = subprocess.run([*PROGRAM, *command], check=False, text=True, timeout=60, **streams)
    finally:
        os.close(write)
    assert done.returncode == 1
    assert not getattr(done, other)


def test_a_message_is_made_of_its_parts():
    error = OutputError("exists already", path=Path("new.mp4"), remedy="use --overwrite to replace it")
    assert str(error) == "new.mp4 exists already; use --overwrite to replace it."
    assert error.message("the film") == "the film exists already; use --overwrite to replace it."
    assert error.message("") == "exists already; use --overwrite to replace it."
    assert str(InputError("nothing was found")) == "nothing was found."
    assert str(InputError("There is one. There are two.")) == "There is one. There are two."
    assert str(InputError("There is one. There are two.", remedy="take both")) == "There is one. There are two. Take both."


def test_an_error_comes_whole_from_another_process(tmp_path):
    with pytest.raises(OutputError) as caught:
        check_output(tmp_path / "old.mp4", tmp_path / "none" / "new.mp4", overwrite=False)
    found = pickle.loads(pickle.dumps(caught.value))
    assert type(found) is OutputError
    assert found.as_dict() == caught.value.as_dict()


def test_what_nobody_has_thought_of_names_the_file():
    known = InputError("is empty", path=Path("a.mp4"))
    assert unforeseen(known, Path("b.mp4")) is known
    error = unforeseen(ZeroDivisionError("nothing to divide by"), Path("b.mp4"))
    assert type(error) is DeoldifyVideoError
    assert str(error) == "b.mp4 cannot be colorized (ZeroDivisionError: nothing to divide by)."


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
def test_the_status_of_a_batch_may_be_read_in_part(tmp_path):
    """The reader goes while rows are still read from the manifest."""
    (tmp_path / FOLDER).mkdir()
    with Manifest.in_folder(tmp_path) as manifest, manifest.transaction():
        for number in range(3000):
            manifest.add(tmp_path / f"{number}.mp4", tmp_path)
    running = subprocess.Popen(
        [*PROGRAM, "batch-status", str(tmp_path), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.read(10) == b'{"running"'
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait(60) == 1
    running.stderr.close()


def test_no_error_names_a_temporary_file(tmp_path):
    output = tmp_path / "new.png"

    def fail() -> None:
        with output_file(output) as temporary, output_errors(temporary):
            temporary.write_bytes(b"a part")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError) as caught:
        fail()
    assert caught.value.path == output
    assert str(caught.value).startswith(f"{output} cannot be written: the disk is full; free some")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_has_left_goes_with_the_next_one(tmp_path):
    output, other = tmp_path / "state [1].pt", tmp_path / ".another.1234.part.pt"
    for stray in (tmp_path / ".state [1].1234.part.pt", other):
        stray.write_bytes(b"a part")
    write_file(output, b"whole")
    assert output.read_bytes() == b"whole"
    assert sorted(tmp_path.iterdir()) == sorted([output, other])


def test_a_lock_is_held_once_and_given_back(tmp_path):
    first = lock_file(tmp_path / "lock")
    assert first is not None
    assert lock_file(tmp_path / "lock") is None
    first.release()
    second = lock_file(tmp_path / "lock")
    assert second is not None
    second.release()
