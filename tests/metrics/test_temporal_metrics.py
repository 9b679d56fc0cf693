"""The measures of stillness, on films whose answer is known beforehand."""

import json
import math
from dataclasses import replace

import av
import numpy as np
import pytest
from moving_pictures import HEIGHT, WIDTH, pan
from skimage.color import rgb2lab

from deoldify_video.errors import InputError
from deoldify_video.evaluation.film import evaluate_film
from deoldify_video.evaluation.film_html import film_html
from deoldify_video.metrics.temporal import (
    Motion,
    TemporalMeter,
    ab_of,
    fit_within,
    histograms,
    jensen_shannon,
    motion_between,
    warp_error,
)
from deoldify_video.temporal.flow import make_flow

ALL = np.ones((HEIGHT, WIDTH), bool)
STILL = Motion(np.zeros((HEIGHT, WIDTH, 2), np.float32), ALL)


def flat(color):
    return np.full((HEIGHT, WIDTH, 3), color, np.uint8)


def measured(pictures, motion=STILL):
    meter = TemporalMeter()
    for index, picture in enumerate(pictures):
        meter.add(picture, motion if index else None)
    meter.end_shot()
    return meter.film()


def tinted(gray, tint):
    """A grey film in one colour."""
    return [np.clip(frame[..., None].astype(float) + tint, 0, 255).astype(np.uint8) for frame in gray]


def write_film(path, pictures):
    """A lossless film of RGB pictures in BT.601."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv444p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace="ITU601", dst_color_range="MPEG")))
        container.mux(stream.encode())
    return path


def test_a_still_picture_has_no_error():
    score = measured([flat((200, 120, 40))] * 6)
    assert score.warp_rgb == score.warp_ab == score.cdc == 0.0
    assert score.cf == pytest.approx(0.3 * math.hypot(80, 120))


def test_gray_is_perfectly_still_and_colorless():
    score = measured([flat(100)] * 5)
    assert score.warp_ab == pytest.approx(0.0, abs=1e-4)
    assert score.cdc == 0.0
    assert score.cf == 0.0


def test_recoloring_every_frame_gives_the_squared_distance_of_the_colors():
    one, two = (200, 120, 40), (190, 140, 60)
    score = measured([flat(one), flat(two)] * 4)
    rgb = sum(((a - b) / 255) ** 2 for a, b in zip(one, two, strict=True))
    lab = rgb2lab(np.array([[one, two]], np.uint8))[0]
    assert score.warp_rgb == pytest.approx(rgb, rel=1e-4)
    assert score.warp_ab == pytest.approx(np.square(lab[0, 1:] - lab[1, 1:]).sum(), rel=1e-3)
    # Frames 1 apart share no value, frames 2 or 4 apart are equal.
    assert score.cdc == pytest.approx(math.log(2) / 3, rel=1e-6)


def test_a_translation_has_no_error_along_its_true_flow_and_one_without():
    row = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH + 5, 3), dtype=np.uint8)
    first, second = np.ascontiguousarray(row[:, :WIDTH]), np.ascontiguousarray(row[:, 5:])
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = -5.0
    visible = ALL.copy()
    visible[:, :5] = False
    assert measured([first, second], Motion(flow, visible)).warp_rgb == pytest.approx(0.0, abs=1e-9)
    assert measured([first, second]).warp_rgb > 0.3


def test_what_is_occluded_does_not_count():
    first, second = flat(50), flat(50)
    second[:, :40] = (255, 0, 0)
    visible = ALL.copy()
    visible[:, :40] = False
    assert measured([first, second], Motion(STILL.flow, visible)).warp_ab == pytest.approx(0.0, abs=1e-6)
    assert math.isnan(warp_error(ab_of(first), ab_of(second), Motion(STILL.flow, ~ALL)))


def test_a_real_pan_of_a_tinted_film_is_as_still_as_its_light():
    light = pan("astronaut", 4, step=(3.0, 1.0), start=(40.0, 40.0))
    flow = make_flow("dis-fine")
    steady, restless = TemporalMeter(), TemporalMeter()
    for i, gray in enumerate(light):
        motion = motion_between(light[i - 1], gray, flow) if i else None
        steady.add(tinted([gray], (20, 0, -20))[0], motion)
        restless.add(tinted([gray], (20, 0, -20) if i % 2 else (-20, 0, 20))[0], motion)
    steady.end_shot()
    restless.end_shot()
    assert steady.film().warp_ab < 0.05 * restless.film().warp_ab


def test_nothing_is_compared_across_the_end_of_a_shot():
    meter = TemporalMeter()
    for color in ((200, 0, 0), (0, 200, 0)):
        meter.add(flat(color), None)
        meter.add(flat(color), STILL)
        assert meter.end_shot().warp_ab == 0.0
    assert meter.film().cdc == 0.0


def test_one_frame_is_too_short_to_measure():
    score = measured([flat(30)])
    assert math.isnan(score.warp_ab)
    assert math.isnan(score.cdc)
    assert score.cf == 0.0


def test_jensen_shannon_of_known_distributions():
    p, q = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    by_hand = 0.5 * math.log(1 / 0.75) + 0.5 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    assert jensen_shannon(p, q) == pytest.approx(by_hand)
    assert jensen_shannon(q, p) == pytest.approx(by_hand)
    assert jensen_shannon(p, np.array([[0.0, 1.0]])) == pytest.approx(math.log(2))
    assert jensen_shannon(p, p) == 0.0


def test_histograms_count_every_pixel_once():
    counts = histograms(flat((1, 2, 3)))
    np.testing.assert_array_equal(counts.sum(axis=1), 1.0)
    assert (counts[0, 1], counts[1, 2], counts[2, 3]) == (1.0, 1.0, 1.0)


def test_ab_is_scikit_images():
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_allclose(ab_of(rgb), rgb2lab(rgb)[..., 1:], atol=0.01)


def test_pictures_are_only_ever_made_smaller():
    assert fit_within(640, 360, 768) == (640, 360)
    assert fit_within(1920, 1080, 768) == (768, 432)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A film of two shots with steady colours, the same with restless ones, and the same in true colours."""
    folder = tmp_path_factory.mktemp("films")
    light = pan("astronaut", 7) + pan("coffee", 6)
    steady = tinted(light, (15, 0, -15))
    restless = [tinted([gray], (15, 0, -15) if i % 2 else (-15, 5, 15))[0] for i, gray in enumerate(light)]
    names = {"steady": steady, "restless": restless, "short": steady[:9]}
    return {name: write_film(folder / f"{name}.mkv", pictures) for name, pictures in names.items()}


def test_a_film_is_measured_shot_by_shot(films):
    score = evaluate_film(films["steady"], before=films["restless"], reference=films["steady"])
    assert [(shot.first, shot.frames) for shot in score.shots] == [(0, 7), (7, 6)]
    assert score.score.warp_ab < 0.1 * score.before.warp_ab
    assert score.psnr_db == 100.0
    assert score.delta_cf == 0.0
    assert len(score.curve) == score.frames == 13
    assert [i for i, value in enumerate(score.curve) if math.isnan(value)] == [0, 7]
    json.loads(json.dumps(score.as_dict(), allow_nan=False))


def test_the_light_can_come_from_the_source(films):
    with_source = evaluate_film(films["restless"], source=films["steady"])
    assert [shot.first for shot in with_source.shots] == [0, 7]


def test_films_of_different_length_are_refused(films):
    with pytest.raises(InputError, match=r"short\.mkv has fewer frames"):
        evaluate_film(films["steady"], reference=films["short"])


def test_the_report_stands_alone_and_shows_the_worst_shot_first(films):
    score = evaluate_film(films["restless"], before=films["steady"])
    page = film_html(score)
    worst = score.worst_first()[0]
    assert page.index(f"Shot {worst.number + 1}: frames") < page.index(f"Shot {score.worst_first()[1].number + 1}: frames")
    assert page.count("data:image/jpeg;base64,") == 2 * 8
    assert page.count("<polyline") == 2
    assert "http" not in page
    assert "(was " in page


def test_a_name_cannot_smuggle_markup_into_the_report(films, tmp_path):
    path = tmp_path / "<b>film.mkv"
    path.write_bytes(films["short"].read_bytes())
    assert "<b>film" not in film_html(evaluate_film(path))


def test_a_name_that_is_no_text_stands_in_the_report(films):
    score = replace(evaluate_film(films["short"]), film="reel \udcff.mkv")
    assert rb"<h1>reel \xff.mkv</h1>" in film_html(score).encode()
