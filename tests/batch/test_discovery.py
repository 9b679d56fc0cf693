"""The search in an archive, where results go, and what is never touched: names, links, patterns, folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

import pytest
from batches import OPTIONS, batch, listing, rows, run
from hypothesis import given
from hypothesis import strategies as st
from synth import make_film
from tree import make_photo

from deoldify_video.batch.manifest import Manifest
from deoldify_video.batch.naming import check_name, folded, output_name, output_path
from deoldify_video.errors import UsageError
from deoldify_video.formatting import printable
from deoldify_video.media.formats import CODEC_SUFFIXES, CONTAINERS
from deoldify_video.media.streams import holds_codec
from deoldify_video.options import CODECS


@pytest.mark.parametrize(
    ("name", "kind", "pattern", "made"),
    [
        ("reel.mp4", "film", "{stem}{suffix}", "reel.mp4"),
        ("reel.VOB", "film", "{stem}{suffix}", "reel.VOB.mkv"),
        ("reel.mp4", "film", "{stem}.colour{suffix}", "reel.colour.mp4"),
        ("reel.avi", "film", "{stem}.mkv", "reel.mkv"),
        ("face.jpg", "photo", "{stem}.mkv", "face.jpg"),
        ("face.JPG", "photo", "{stem}{suffix}", "face.JPG"),
        ("face.bmp", "photo", "colour of {stem}{suffix}", "colour of face.bmp.png"),
        ("reel.mp4", "film", "{stem}", "reel.mp4"),
        ("no ending", "film", "{stem}{suffix}", "no ending.mkv"),
        ("film.jpg", "film", "{stem}{suffix}", "film.jpg.mkv"),
    ],
)
def test_the_name_of_a_result(name, kind, pattern, made):
    assert output_name(name, kind, check_name(pattern)) == made


@pytest.mark.parametrize(
    ("name", "codec", "pattern", "made"),
    [
        ("reel.mp4", "prores", "{stem}{suffix}", "reel.mp4.mkv"),
        ("reel.mp4", "prores", "{stem}.mkv", "reel.mkv"),
        ("reel.mp4", "prores", "{stem}", "reel.mp4.mkv"),
        ("reel.mkv", "ffv1", "{stem}.colour{suffix}", "reel.colour.mkv"),
        ("reel.webm", "h264", "{stem}{suffix}", "reel.webm.mkv"),
        ("reel.webm", "av1", "{stem}{suffix}", "reel.webm"),
        ("reel.vob", "ffv1", "{stem}{suffix}", "reel.vob.mkv"),
        ("face.png", "prores", "{stem}{suffix}", "face.png"),
    ],
)
def test_a_film_gets_a_suffix_that_holds_its_codec(name, codec, pattern, made):
    kind = "photo" if name.endswith(".png") else "film"
    assert output_name(name, kind, pattern, codec) == made


def test_every_codec_fits_into_the_containers_named_for_it():
    assert set(CODEC_SUFFIXES) == set(CODECS)
    for codec, suffixes in CODEC_SUFFIXES.items():
        for suffix in suffixes:
            assert holds_codec(CONTAINERS[suffix], codec), (codec, suffix)


@pytest.mark.parametrize(
    "pattern",
    [
        "colour{suffix}",
        "../{stem}{suffix}",
        "{stem}/{suffix}",
        "{name}",
        "{stem",
        "{stem!x}",
        ".{stem}{suffix}",
        "{stem.a}",
        "",
    ],
)
def test_a_name_that_cannot_be_made_is_refused(pattern):
    with pytest.raises(UsageError, match="name"):
        check_name(pattern)


parts = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12)


@given(
    st.lists(parts | st.sampled_from(["..", ".", "~", "C:", "\udcff"]), max_size=4), parts, st.sampled_from(["film", "photo"])
)
def test_a_result_never_leaves_the_output_folder(folders, name, kind):
    target = output_path(Path(*folders, name) if folders else Path(name), kind)
    pure = PurePosixPath(target)
    assert not pure.is_absolute()
    assert ".." not in pure.parts
    assert os.path.normpath(os.path.join("/out", target)).startswith("/out/")
    target.encode("utf-8")
    printable(target).encode("utf-8")


def test_names_that_some_disks_take_for_one():
    assert folded("Café/A.mp4") == folded("CAFE\N{COMBINING ACUTE ACCENT}/a.MP4")
    assert folded("a.mp4") != folded("b.mp4")
    assert printable("a\nb\udcffc\x1b[1m") == "a\\nb\\xffc\\x1b[1m"


def plan(archive, out, *arguments):
    """The plan's lines: what is to do, and what not."""
    outcome = batch(archive, out, "--plan", "--json", *arguments)
    assert outcome.code == 0, outcome.err
    import json

    return {item["source"].rpartition("/")[2]: item for item in json.loads(outcome.out)["items"]}


def test_patterns_choose_by_path_and_name(archive, tmp_path):
    def names(*arguments):
        return set(plan(archive, tmp_path / "out", *arguments))

    assert names("--include", "*.mkv") == {"a.mkv"}
    assert names("--include", "photos/*") == {"0.png", "1.png", "2.png"}
    assert names("--include", "*.mkv", "--include", "1.png") == {"a.mkv", "1.png"}
    assert names("--exclude", "*.png") == {"a.mkv", "b.mp4"}
    assert names("--include", "*.png", "--exclude", "*/1*") == {"0.png", "2.png"}


def test_two_sources_of_one_result_are_refused_and_the_rest_is_planned(tmp_path):
    for number, name in enumerate(("one/a.mp4", "two/a.mp4", "two/b.mp4")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_film(tmp_path / name, frames=4 + number, audio=None)
    outcome = run("batch", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "would both become a.mp4" in outcome.err
    assert set(listing(tmp_path / "out")) == {"b.mp4"}


def test_names_that_differ_only_in_case_are_refused(tmp_path):
    archive = tmp_path / "reels"
    archive.mkdir()
    for number, name in enumerate(("Reel.png", "reel.png", "other.png")):
        make_photo(archive / name, number)
    found = plan(archive, tmp_path / "out")
    assert {name: item["state"] for name, item in found.items()} == {
        "Reel.png": "failed",
        "reel.png": "failed",
        "other.png": "pending",
    }
    assert "reel.png" in found["Reel.png"]["error"]


def test_links_are_followed_only_when_asked_and_loops_end(archive, tmp_path):
    elsewhere = make_film(tmp_path / "elsewhere.mp4", frames=5, audio=None)
    (archive / "link.mp4").symlink_to(elsewhere)
    (archive / "photos" / "loop").symlink_to(archive, target_is_directory=True)
    (archive / "lost.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = plan(archive, tmp_path / "out")
    assert len(found) == 7
    assert found["link.mp4"]["state"] == found["lost.mp4"]["state"] == "skipped"
    assert "--follow-links" in found["link.mp4"]["reason"]
    found = plan(archive, tmp_path / "out", "--follow-links")
    assert len(found) == 7
    assert found["link.mp4"]["state"] == "pending"
    assert found["lost.mp4"]["state"] == "skipped"


def test_an_output_folder_in_the_archive_is_not_taken_for_a_part_of_it(archive):
    out = archive / "colour"
    assert batch(archive, out).code == 0
    assert set(listing(out)) == {"a.mkv", "b.mp4", "photos/0.png", "photos/1.png", "photos/2.png"}
    assert len(rows(out)) == 5
    assert "5 done" in batch(archive, out).err


@pytest.mark.parametrize("where", ["itself", "above"])
def test_an_output_folder_that_holds_the_archive_is_refused(archive, where):
    before = listing(archive.parent)
    outcome = batch(archive, archive if where == "itself" else archive.parent)
    assert outcome.code == 2
    assert "choose a folder of its own" in outcome.err
    assert listing(archive.parent) == before


def test_a_link_in_the_output_folder_does_not_lead_out_of_it(archive, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "photos").symlink_to(elsewhere, target_is_directory=True)
    outcome = batch(archive, out)
    assert outcome.code == 1
    assert "leads out of the output folder" in outcome.err
    assert list(elsewhere.iterdir()) == []
    assert set(listing(out)) == {"a.mkv", "b.mp4"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--engine", "cloud"], 2, "local, ray"),
        (["--ray-address", "ray://a:1"], 2, "--engine ray"),
        (["--gpus-per-task", "0.5"], 2, "--engine ray"),
        (["--name", "{size}"], 2, "cannot be filled in"),
        (["--jobs", "0"], 2, "--jobs"),
        (["--model", "nonesuch"], 5, "nonesuch"),
        (["--report", "/no/such/folder/report.html"], 4, "create it first"),
        (["--device", "cuda"], 5, "device cuda is not available"),
        (["--include", "*.nonesuch"], 3, "no file in the archive"),
    ],
)
def test_a_call_that_cannot_work_is_refused_at_once(archive, tmp_path, arguments, code, words):
    outcome = batch(archive, tmp_path / "out", *arguments)
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert not listing(tmp_path / "out")


def test_an_archive_that_is_not_there_is_refused(tmp_path):
    outcome = batch(tmp_path / "nowhere", tmp_path / "out")
    assert outcome.code == 3
    assert "does not exist" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_single_file_is_an_archive_too(archive, tmp_path):
    assert batch(archive / "photos" / "1.png", tmp_path / "out", "--name", "{stem}.colour{suffix}").code == 0
    assert set(listing(tmp_path / "out")) == {"1.colour.png"}


def test_defaults_come_from_the_config_and_the_environment(archive, tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text('[batch]\ninclude = "*.png"\nname = "{stem}.colour{suffix}"\n')
    monkeypatch.setenv("DEOLDIFY_VIDEO_CONFIG", str(config))
    monkeypatch.setenv("DEOLDIFY_VIDEO_EXCLUDE", "2.png")
    found = plan(archive, tmp_path / "out")
    assert {item["target"] for item in found.values()} == {"photos/0.colour.png", "photos/1.colour.png"}


def test_what_changed_is_done_again_and_nothing_else(archive, tmp_path):
    out = tmp_path / "out"
    assert batch(archive, out).code == 0
    before = listing(out)
    make_photo(archive / "photos" / "0.png", 77)  # another picture under the same name
    os.utime(archive / "a.mkv")  # touched, not changed
    (out / "b.mp4").unlink()
    shutil.copy(archive / "photos" / "1.png", archive / "twin.png")
    make_photo(archive / "new.png", 78)
    (archive / "photos" / "2.png").unlink()
    outcome = batch(archive, out)
    assert outcome.code == 0
    after = listing(out)
    assert {name for name in after if after[name] != before.get(name)} == {"photos/0.png", "b.mp4", "new.png"}
    assert rows(out)["twin.png"].state == "skipped"
    assert rows(out)["2.png"].state == "done"  # the result stays although its source is gone


def test_a_result_that_somebody_changed_is_not_replaced_without_being_asked(archive, tmp_path):
    out = tmp_path / "out"
    assert batch(archive, out, "--include", "*.png").code == 0
    (out / "photos" / "1.png").write_bytes(b"retouched")
    outcome = batch(archive, out, "--include", "*.png")
    assert outcome.code == 1
    assert "exists already" in outcome.err
    assert (out / "photos" / "1.png").read_bytes() == b"retouched"
    assert batch(archive, out, "--include", "*.png", "--overwrite").code == 0
    assert (out / "photos" / "1.png").stat().st_size > 100


def test_redo_makes_anew_what_other_options_made_and_only_that(archive, tmp_path):
    out = tmp_path / "out"
    assert batch(archive, out).code == 0
    before = listing(out)
    outcome = batch(archive, out, "--crf", "30")  # which says nothing to photos
    assert outcome.code == 2
    assert "made otherwise: 2 finished; changed is crf (was None, now 30)" in outcome.err
    assert batch(archive, out, "--crf", "30", "--redo").code == 0
    after = listing(out)
    assert {name for name in after if after[name] != before[name]} == {"a.mkv", "b.mp4"}
    assert "5 done" in batch(archive, out, "--crf", "30").err


def test_force_takes_what_is_in_color(archive, tmp_path):
    make_photo(archive / "colour.png", 5, color=True)
    out = tmp_path / "out"
    assert batch(archive, out, "--include", "*colour*").code == 0
    assert rows(out)["colour.png"].state == "skipped"
    assert batch(archive, out, "--include", "*colour*", "--force").code == 0
    assert rows(out)["colour.png"].state == "done"
    assert "has colours already" in rows(out)["colour.png"].warnings[0]


def test_presets_and_the_chosen_render_factor_reach_the_workers(archive, tmp_path):
    out = tmp_path / "out"
    assert batch(archive, out, "--preset", "archive", "-r", "auto", "--include", "a.mkv").code == 0
    item = rows(out)["a.mkv"]
    assert any(note.startswith("render factor") for note in item.notes)
    with Manifest.in_folder(out) as manifest:
        settings = manifest.settings(item.settings)
    assert (settings["encode.bit_depth"], settings["color.render_factor"]) == (10, "auto")


def test_an_archive_that_was_moved_is_known_again(archive, tmp_path):
    out = tmp_path / "out"
    assert batch(archive, out).code == 0
    before = listing(out)
    moved = archive.rename(tmp_path / "attic")
    assert "5 done" in batch(moved, out).err
    assert listing(out) == before
    assert {item.source.parent.name for item in rows(out).values()} == {"attic", "photos"}


def test_the_result_of_another_archive_is_not_replaced(archive, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    assert batch(archive, out, "--include", "b.mp4").code == 0
    before = listing(out)
    make_film(other / "b.mp4", frames=5, audio=None)
    outcome = batch(other, out, "--overwrite")
    assert outcome.code == 1
    assert "would both become b.mp4" in outcome.err
    assert listing(out) == before
    (out / "b.mp4").unlink()
    assert batch(other, out).code == 0
