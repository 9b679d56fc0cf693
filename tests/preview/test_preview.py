"""The preview: shots are found all over a film by seeking, choices become columns, and their figures can be believed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image
from synth import make_film, with_packet_data

from deoldify_video.cli.app import main
from deoldify_video.errors import InputError, UsageError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.formatting import format_duration, format_timecode
from deoldify_video.images.labels import shortened, text_mask
from deoldify_video.images.photo_io import read_photo
from deoldify_video.media.clips import ClipReader
from deoldify_video.media.probe import probe
from deoldify_video.options import ColorOptions, DecodeOptions, EncodeOptions, FilmOptions
from deoldify_video.photo import colorize_photo
from deoldify_video.preview import shot_selection
from deoldify_video.preview.auto_render_factor import (
    FACTORS,
    choose_factor,
    choose_film_factor,
    choose_photo_factor,
    useful_factors,
)
from deoldify_video.preview.contact_sheet import draw_preview, write_preview
from deoldify_video.preview.preview import Candidate, make_candidates, preview
from deoldify_video.preview.shot_selection import Corners, sample_film
from deoldify_video.preview.trial import FilmTrial, TrialResult, paint_view

SIZE = (96, 64)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Four shots of 30 frames; key pictures every five frames."""
    return make_film(
        tmp_path_factory.mktemp("film") / "old.mkv", frames=120, size=SIZE, shots=4, audio=None, options={"g": "5"}
    )


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[:60, :80]
    path = tmp_path / "old.png"
    Image.fromarray((127 + 80 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def run(monkeypatch, capsys, stub_spec):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["deoldify-video", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_every_shot_is_found_once_and_in_order(film):
    found = sample_film(ClipReader(probe(film)), 4)
    assert [int(shot.seconds / 1.2) for shot in found.shots] == [0, 1, 2, 3]
    assert all(len(shot.lumas) == shot_selection.CLIP_FRAMES for shot in found.shots)
    assert not found.in_color


def test_no_more_shots_are_shown_than_there_are(film):
    assert len(sample_film(ClipReader(probe(film)), 9).shots) == 4


def test_only_the_wanted_part_of_the_film_is_sampled(film):
    found = sample_film(ClipReader(probe(film)), 2, DecodeOptions(1.2, 2.4))
    assert [int(shot.seconds / 1.2) for shot in found.shots] == [1]


def test_few_frames_are_decoded_however_long_the_film_is(tmp_path):
    decoded = []
    for frames in (600, 2400):
        make_film(tmp_path / "old.mkv", frames=frames, shots=4, repeat=24, audio=None, codec="mpeg4", options={"g": "5"})
        reader = ClipReader(probe(tmp_path / "old.mkv"))
        assert sample_film(reader, 2).shots
        decoded.append(reader.decoded_frames)
    assert 0 < decoded[0] < 200
    assert decoded[1] < 1.5 * decoded[0]


def test_a_film_with_one_key_picture_is_looked_at_between(tmp_path):
    path = make_film(tmp_path / "old.mkv", frames=60, size=SIZE, shots=2, audio=None, options={"g": "999", "sc_threshold": "0"})
    assert [int(shot.seconds / 1.2) for shot in sample_film(ClipReader(probe(path)), 2).shots] == [0, 1]


@pytest.mark.parametrize(("name", "container"), [("old.ts", None), ("old.h264", "h264")])
def test_files_that_cannot_be_sought_are_read(name, container, tmp_path):
    path = make_film(tmp_path / name, frames=75, size=SIZE, shots=3, audio=None, container=container)
    found = sample_film(ClipReader(probe(path)), 3)
    assert [int(shot.seconds) for shot in found.shots] == [0, 1, 2]
    assert all(shot.lumas for shot in found.shots)


def test_frames_are_counted_where_no_header_tells(tmp_path, stub_colorizer):
    path = make_film(tmp_path / "old.h264", frames=30, size=SIZE, audio=None, container="h264")
    assert preview(path, [Candidate(render_factor=8)], shots=1).frames == 30


def test_a_clip_ends_before_the_cut(tmp_path):
    path = make_film(tmp_path / "old.mkv", frames=4, size=SIZE, shots=2, audio=None)
    shots = sample_film(ClipReader(probe(path)), 1).shots
    assert len(shots[0].lumas) == 2


def test_a_film_of_one_frame_has_no_flicker(tmp_path, stub_colorizer):
    path = make_film(tmp_path / "old.mkv", frames=1, size=SIZE, audio=None)
    found = preview(path, [Candidate(render_factor=8)])
    assert found.columns[0].flicker is None
    assert found.columns[0].colourfulness > 5


def test_dark_and_bright_shots_are_named_and_no_picture_is_shown_twice():
    reader_less = [
        _candidate(pts, seed, light) for pts, (seed, light) in enumerate([(1, 120), (2, 30), (3, 220), (4, 125), (1, 120)])
    ]
    chosen = shot_selection.choose(reader_less, 5, lambda shot_sample: 0)
    assert {shot_sample.kind: shot_sample.sample.pts for shot_sample in chosen if shot_sample.kind} == {"dark": 1, "bright": 2}
    assert sorted(shot_sample.sample.pts for shot_sample in chosen if not shot_sample.kind) in ([0, 3], [3, 4])


def test_the_picture_with_most_faces_is_among_the_chosen():
    shot_samples = [_candidate(pts, pts, 120) for pts in range(8)]
    chosen = shot_selection.choose(shot_samples, 3, lambda shot_sample: 2 * (shot_sample.sample.pts == 5))
    assert [shot_sample.sample.pts for shot_sample in chosen if shot_sample.kind == "faces"] == [5]


def test_faces_are_counted_and_nothing_else_is():
    face = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)[:300]
    gray = cv2.resize(face, (480, 281), interpolation=cv2.INTER_AREA)
    assert shot_selection.faces_in(gray) == 1
    assert shot_selection.faces_in(np.hstack([gray[:, 100:340], gray[:, 100:340]])) == 2
    assert shot_selection.faces_in(cv2.resize(skimage.data.camera(), (480, 480))) == 0
    assert shot_selection.faces_in(gray[:20, :20]) == 0


def test_a_zoomed_picture_is_recognized_and_another_is_not():
    picture, other = _texture(1), _texture(2)
    zoomed = cv2.warpAffine(picture, np.array([[1.2, 0, -20], [0, 1.2, -15]], np.float32), (240, 180))
    assert Corners(picture).shared(Corners(zoomed)) >= shot_selection._SAME_CORNERS
    assert Corners(picture).shared(Corners(other)) < shot_selection._SAME_CORNERS
    assert Corners(picture).shared(Corners(np.zeros((180, 240), np.uint8))) == 0


def test_a_film_that_cannot_be_decoded_is_an_input_error(film, tmp_path):
    blank = with_packet_data(tmp_path / "blank.mkv", film, lambda number, data: bytes(len(data)))
    with pytest.raises(InputError, match="no frame that can be decoded"):
        sample_film(ClipReader(replace(probe(film), path=blank)), 2)


def test_a_turned_film_is_shown_upright(tmp_path, stub_colorizer):
    path = make_film(tmp_path / "old.mp4", frames=6, size=SIZE, audio=None, rotation=90)
    found = preview(path, [Candidate(render_factor=8)])
    assert found.originals[0].shape[:2] == SIZE


def test_the_painted_picture_keeps_its_light_and_takes_the_colors():
    light = np.full((40, 60), 0.5, np.float32)
    gray = np.full((20, 30), 128, np.uint8)
    ab = np.stack([np.full((20, 30), 40), np.zeros((20, 30))]).astype(np.float32)
    rgb = paint_view(light, gray, ab, "bt601").astype(float)
    assert abs((rgb @ [0.299, 0.587, 0.114]).mean() - 127.5) < 1.5
    assert rgb[..., 0].mean() > rgb[..., 1].mean() + 40


def test_columns_carry_figures_pictures_and_times_that_grow(film, stub_colorizer):
    found = preview(film, [Candidate(render_factor=8), Candidate(style="muted", render_factor=8)], shots=2)
    assert found.frames == 120
    assert [len(column.pictures) for column in found.columns] == [2, 2]
    for column in found.columns:
        assert column.seconds > 0
        assert column.flicker is not None
        assert column.flicker < 1  # the stub paints every frame alike
        assert column.colourfulness > 5
    assert json.loads(json.dumps(found.as_dict()))["columns"][1]["style"] == "muted"


def test_other_stages_are_timed_at_every_depth(tmp_path):
    path = make_film(tmp_path / "old.mkv", frames=6, size=SIZE, audio=None, pix_fmt="yuv420p10le")
    reader = ClipReader(probe(path))
    assert 0 < FilmTrial(reader, sample_film(reader, 1).shots).other_stages_s(EncodeOptions("ffv1")) < 5


def test_candidates_are_all_combinations_and_not_too_many():
    candidates = make_candidates(["compact"], ["natural", "muted"], [16, 21])
    assert candidates[1] == Candidate("compact", "natural", 21)
    assert len(candidates) == 4
    with pytest.raises(UsageError, match="more than a sheet can show"):
        make_candidates(["compact"], ["natural", "muted"], list(range(7, 20)))
    with pytest.raises(UsageError, match="style"):
        make_candidates(["compact"], ["pretty"], [None])


def test_the_command_draws_a_sheet_and_prints_the_figures(run, film, tmp_path):
    sheet = tmp_path / "sheet.png"
    code, out, err = run("preview", film, "-o", sheet, "--render-factors", "8,10", "--shots", "3", "--json")
    assert code == 0, err
    figures = json.loads(out)
    assert [column["render_factor"] for column in figures["columns"]] == [8, 10]
    with Image.open(sheet) as image:
        assert image.width > 3 * 96
        assert image.height > 3 * 64
    code, _, err = run("preview", film, "-o", sheet, "--render-factors", "8")
    assert code == 4
    assert "--overwrite" in err


def test_the_command_shows_a_photo_in_every_style(run, photo, tmp_path):
    code, out, _ = run("preview", photo, "-o", tmp_path / "s.jpg", "--styles", "natural,muted", "--json")
    figures = json.loads(out)
    assert code == 0
    assert [(c["style"], c["render_factor"], c["flicker"]) for c in figures["columns"]] == [
        ("natural", 7, None),
        ("muted", 7, None),
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--render-factors", "5"], "no render factors"),
        (["--render-factors", "a"], "no render factors"),
        (["--styles", ","], "empty list"),
        (["--shots", "0", "--render-factors", "8"], "0 shots"),
        (["--smoothing", "2"], "smoothing"),
    ],
)
def test_senseless_candidates_are_usage_errors(flags, message, run, film, tmp_path):
    code, _, err = run("preview", film, "-o", tmp_path / "sheet.png", *flags)
    assert code == 2
    assert message in err


def test_a_sheet_must_be_a_picture(run, film, tmp_path):
    code, _, err = run("preview", film, "-o", tmp_path / "sheet.mp4")
    assert code == 2
    assert "ending of a picture" in err


def test_a_film_in_color_is_shown_with_a_warning(tmp_path, stub_colorizer):
    path = tmp_path / "colour.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(path)
    assert "colours already" in preview(path, [Candidate(render_factor=8)]).warnings[0]


def test_the_sheet_holds_every_picture_where_its_column_is(photo, tmp_path, stub_colorizer):
    found = preview(photo, [Candidate(render_factor=8)])
    sheet = draw_preview(found)
    views = [*found.originals, found.columns[0].pictures[0]]
    for view in views:
        match = cv2.matchTemplate(sheet, view, cv2.TM_SQDIFF)
        assert match.min() < 1e-3 * view.size
    write_preview(found, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert np.array_equal(np.asarray(image), sheet)


def test_labels_fit_their_room():
    assert shortened("short", 20, 500) == "short"
    text = shortened("a very long name of a film that nobody can read.mkv", 20, 120)
    assert "..." in text
    assert text_mask(text, 20).shape[1] <= 120
    assert text_mask("Ag", 20).shape[0] == 20


def test_times_are_written_as_people_say_them():
    assert [format_timecode(5), format_timecode(65.9), format_timecode(7384)] == ["0:05", "1:05", "2:03:04"]
    assert [format_duration(s) for s in (0.2, 89, 126, 1200, 9000)] == ["1 s", "89 s", "2.1 min", "20 min", "2.5 h"]


def test_auto_takes_the_fastest_of_equally_colorful_calm_factors():
    measured = {14: _measured(20, 0.1), 21: _measured(29, 0.2), 28: _measured(30, 0.22), 32: _measured(34, 3.0)}
    candidate = choose_factor(measured, "4 sampled shots")
    assert candidate.render_factor == 21
    for part in ("render factor 21", "4 sampled shots", "colourfulness 29.0", "flicker 0.200", "32 would flicker more"):
        assert part in candidate.reason


def test_auto_asks_only_for_colors_where_nothing_moves():
    assert choose_factor({14: _measured(10, math.nan), 21: _measured(30, math.nan)}, "the photo").render_factor == 21


def test_auto_tries_nothing_larger_than_the_picture(stub_colorizer):
    assert useful_factors(stub_colorizer, 4000, 3000) == list(FACTORS)
    assert max(useful_factors(stub_colorizer, 320, 240)) == 18
    assert useful_factors(stub_colorizer, 32, 32) == [FACTORS[0]]


def test_auto_chooses_for_films_and_photos(film, photo, stub_colorizer):
    assert choose_film_factor(probe(film), FilmOptions(), stub_colorizer).render_factor == 14
    assert "the photo" in choose_photo_factor(read_photo(photo).light, stub_colorizer).reason


def test_auto_is_a_value_of_the_option(film, photo, tmp_path, stub_colorizer):
    auto = FilmOptions(DecodeOptions(end_s=0.4), ColorOptions(render_factor="auto"))
    for report in (
        colorize_film(film, tmp_path / "new.mkv", auto, colorizer=stub_colorizer),
        colorize_photo(photo, tmp_path / "new.png", auto, colorizer=stub_colorizer),
    ):
        assert report.render_factor in FACTORS
        assert len(report.notes) == 1
        assert f"render factor {report.render_factor} was chosen" in report.notes[0]


def test_colorize_with_auto_reports_the_choice_and_its_reason(run, film, tmp_path):
    code, out, err = run("colorize", film, "-o", tmp_path / "new.mkv", "-r", "auto", "--end", "0.4", "--json")
    report = json.loads(out)
    assert code == 0, err
    assert report["render_factor"] == 14
    assert "was chosen on 1 sampled shot" in report["notes"][0]
    assert "was chosen" in err
    code, _, err = run("colorize", film, "-o", tmp_path / "new2.mkv", "-r", "many")
    assert code == 2
    assert "auto" in err


def _measured(colourfulness, flicker):
    return TrialResult([], colourfulness, flicker, 0.1)


def _texture(seed, light=128):
    noise = np.random.default_rng(seed).normal(0, 1, (180, 240)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.clip(light + soft * 30 / soft.std(), 0, 255).astype(np.uint8)


def _candidate(pts, seed, light):
    picture = _texture(seed, light)
    sample = shot_selection.Sample(pts, picture, 0.0)
    return shot_selection._ShotSample(sample, cv2.resize(picture, shot_selection._SMALL), Corners(picture))
