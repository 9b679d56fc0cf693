"""Calls that are wrong: one line that names the cause, the right exit code, and no file left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from synth import light, make_film, make_sound

from deoldify_video.film.colorize import colorize_film
from deoldify_video.models.colorizer import devices_here
from deoldify_video.options import EncodeOptions, FilmOptions


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def check_refused(cli, code, arguments, folder, *words):
    """The call ends with `code`, says `words` in one line, and leaves `folder` as it was."""
    before = listing(folder)
    outcome = cli("colorize", *arguments)
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
    assert listing(folder) == before


@pytest.fixture
def film(tmp_path):
    return make_film(tmp_path / "old.mp4", frames=4)


def make_text(path):
    path.write_text("It was a dark and stormy night.\n" * 50)
    return path


def make_empty(path):
    path.write_bytes(b"")
    return path


def make_folder(path):
    path.mkdir()
    make_text(path / "notes.txt")
    make_sound(path / "hum.m4a")
    return path


@pytest.mark.parametrize(
    ("make", "name", "word"),
    [
        (lambda path: path, "missing.mp4", "does not exist"),
        (make_text, "notes.mp4", "no film or picture"),
        (make_text, "notes.txt", "no film or picture"),
        (make_sound, "hum.m4a", "no pictures in it"),
        (make_folder, "folder", "no film and no picture"),
        (make_empty, "empty.mp4", "0 bytes"),
    ],
    ids=["missing", "text named mp4", "text", "audio only", "folder without pictures", "zero bytes"],
)
def test_wrong_input_is_exit_code_3(cli, tmp_path, make, name, word):
    source = make(tmp_path / name)
    check_refused(cli, 3, [source, "-o", tmp_path / "new.mp4"], tmp_path, str(source), word)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["-r", 3], "7 to 64"),
        (["-r", 65], "7 to 64"),
        (["--codec", "vhs"], "h264"),
        (["--device", "abacus"], "cuda"),
        (["--precision", "int1"], "bf16"),
        (["--style", "loud"], "vibrant"),
        (["--smoothing", 1.5], "0 to 1"),
        (["--saturation", -1], "0 to 4"),
        (["--batch-size", 0], "1 or more"),
        (["--crf", 99], "0 (best) to 63"),
        (["--start", "soon"], "HH:]MM:SS"),
        (["--start", 5, "--end", 2], "--end"),
    ],
)
def test_options_that_cannot_work_are_exit_code_2(cli, film, tmp_path, options, word):
    check_refused(cli, 2, [film, "-o", tmp_path / "new.mp4", *options], tmp_path, word)


def test_an_output_that_is_the_input_is_exit_code_2(cli, film, tmp_path):
    check_refused(cli, 2, [film, "-o", film, "--overwrite"], tmp_path, "is the input itself")
    (tmp_path / "link.mp4").symlink_to(film)
    check_refused(cli, 2, [film, "-o", tmp_path / "link.mp4", "--overwrite"], tmp_path, "is the input itself")


@pytest.mark.parametrize("name", ["new", "new.txt", "new.jpg"])
def test_an_output_that_is_no_film_is_exit_code_2(cli, film, tmp_path, name):
    check_refused(cli, 2, [film, "-o", tmp_path / name], tmp_path, name, ".mp4")


def test_a_container_that_cannot_hold_the_sound_is_exit_code_2(cli, film, tmp_path):
    check_refused(cli, 2, [film, "-o", tmp_path / "new.webm", "--codec", "av1"], tmp_path, ".webm", "aac", ".mkv")


def test_a_photo_into_a_film_is_exit_code_2(cli, tmp_path):
    Image.fromarray(light(0)).save(tmp_path / "old.png")
    check_refused(cli, 2, [tmp_path / "old.png", "-o", tmp_path / "new.mp4"], tmp_path, "new.mp4", ".png")


def test_two_sources_for_one_target_are_exit_code_2(cli, film, tmp_path):
    (tmp_path / "more").mkdir()
    other = make_film(tmp_path / "more" / "old.mp4", frames=2)
    check_refused(cli, 2, [film, other, "-o", tmp_path / "out"], tmp_path, str(film), str(other))


@pytest.mark.parametrize("names", [("Old.mp4", "old.mp4"), ("caf\u00e9.mp4", "cafe\u0301.mp4"), ("OLD.MP4", "old.mp4")])
def test_two_targets_that_some_disks_take_for_one_are_exit_code_2(cli, film, tmp_path, names):
    """Else one would replace the other there, with --overwrite without a word."""
    sources = []
    for number, name in enumerate(names):
        (tmp_path / str(number)).mkdir()
        sources.append(film.with_name(str(number)) / name)
        sources[-1].write_bytes(film.read_bytes())
    for options in ([], ["--overwrite"]):
        check_refused(cli, 2, [*sources, "-o", tmp_path / "out", *options], tmp_path, *map(str, sources), "would both become")


def test_a_missing_output_folder_is_exit_code_4(cli, film, tmp_path):
    check_refused(cli, 4, [film, "-o", tmp_path / "nowhere" / "new.mp4"], tmp_path, "nowhere", "create it")


def test_a_disk_that_cannot_be_written_is_exit_code_4(cli, film, tmp_path, small_disk):
    disk = small_disk(read_only=True)
    check_refused(cli, 4, [film, "-o", disk / "new.mp4"], tmp_path, str(disk), "cannot be written")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions mean nothing to root")
def test_a_read_only_output_folder_is_exit_code_4(cli, film, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    check_refused(cli, 4, [film, "-o", tmp_path / "shut" / "new.mp4"], tmp_path, "cannot be written")


def test_an_existing_output_is_exit_code_4(cli, film, tmp_path):
    (tmp_path / "new.mp4").write_bytes(b"precious")
    check_refused(cli, 4, [film, "-o", tmp_path / "new.mp4"], tmp_path, "--overwrite")


def test_an_output_folder_that_cannot_be_made_is_exit_code_4(cli, film, tmp_path):
    (tmp_path / "file").write_bytes(b"precious")
    check_refused(cli, 4, [tmp_path, "-o", tmp_path / "file" / "out"], tmp_path, "cannot be written")


def test_a_folder_as_the_output_of_one_film_is_exit_code_4(cli, film, tmp_path):
    (tmp_path / "out").mkdir()
    check_refused(cli, 4, [film, "-o", tmp_path / "out"], tmp_path, "is a folder")


def test_a_file_as_the_output_of_several_films_is_exit_code_4(cli, film, tmp_path):
    (tmp_path / "file").write_bytes(b"precious")
    check_refused(cli, 4, [film, film, "-o", tmp_path / "file"], tmp_path, "is a file")


@pytest.mark.parametrize("name", ["nonesuch", "nonesuch.safetensors", "notes.pth"])
def test_an_unknown_model_is_exit_code_5(cli, film, tmp_path, name):
    make_text(tmp_path / "notes.pth")
    model = tmp_path / name if "." in name else name
    check_refused(cli, 5, [film, "-o", tmp_path / "new.mp4", "--model", model], tmp_path, name)


def test_a_device_that_is_not_there_is_exit_code_5(cli, film, tmp_path):
    device = next(name for name in ("mps", "cuda") if name not in devices_here())
    check_refused(cli, 5, [film, "-o", tmp_path / "new.mp4", "--device", device], tmp_path, device, "--device auto")


def test_an_option_that_does_not_exist_is_exit_code_2(cli, film, tmp_path):
    outcome = cli("colorize", film, "-o", tmp_path / "new.mp4", "--sepia")
    assert outcome.code == 2
    assert "--sepia" in outcome.err
    assert not (tmp_path / "new.mp4").exists()


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "prores"])
def test_quiet_encoders(tmp_path, film, capfd, stub_spec, codec):
    """Encoders write on the process's own stderr, past Python's."""
    colorize_film(film, tmp_path / "new.mkv", FilmOptions(encode=EncodeOptions(codec)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("model", ["nope", "nope.safetensors"])
def test_a_network_that_is_not_there(cli, film, tmp_path, model):
    check_refused(cli, 5, [film, "-o", tmp_path / "new.mp4", "--model", model], tmp_path, "nope")
