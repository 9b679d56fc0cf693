"""The smoother: it takes out flicker, and nothing else."""

import cv2
import numpy as np
import pytest
from moving_pictures import HEIGHT, WIDTH, pan, photo, sent_through
from skimage import data
from skimage.color import rgb2lab

from deoldify_video.errors import UsageError
from deoldify_video.temporal.smooth import Smoother


def colored(count, step=0):
    """A camera over the coffee cup: greys, and the photograph's own ab (2, h, w)."""
    rgb = data.coffee()
    gray, lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), rgb2lab(rgb).astype(np.float32)
    windows = [(slice(100, 100 + HEIGHT), slice(60 + step * i, 60 + step * i + WIDTH)) for i in range(count)]
    return [np.ascontiguousarray(gray[w]) for w in windows], [lab[w][..., 1:].transpose(2, 0, 1) for w in windows]


def smoothed(grays, abs_, shots=None, **options):
    return np.stack([frame.ab for frame in sent_through(Smoother(**options), pushed(grays, abs_, shots))])


def pushed(grays, abs_, shots=None):
    """The arguments of the smoother, frame by frame."""
    abs_ = [np.ascontiguousarray(ab, np.float32) for ab in abs_]
    return list(zip(grays, abs_, shots or [0] * len(grays), strict=True))


def change_over_time(answer, before, after):
    """How much of the way from `before` to `after` each frame has gone."""
    way = after - before
    return ((answer - before) * way).sum(axis=(1, 2, 3)) / np.square(way).sum()


def test_a_still_picture_stays_as_it_is():
    grays, abs_ = colored(1)
    answer = smoothed(grays * 7, abs_ * 7)
    np.testing.assert_allclose(answer, np.stack(abs_ * 7), atol=0.01)


def test_recoloring_every_frame_is_held_still():
    grays, abs_ = colored(1)
    flicker = [abs_[0] + (20 if i % 2 else -20) for i in range(20)]
    answer = smoothed(grays * 20, flicker)
    assert np.abs(np.diff(answer[3:-4], axis=0)).mean() < 0.1 * 40
    assert np.abs(answer[3:-4] - abs_[0]).mean() < 2.0


def test_flicker_is_taken_from_a_moving_picture_and_its_colors_move_along():
    rng = np.random.default_rng(0)
    grays, truth = colored(20, step=3)
    flicker = [ab + rng.normal(0, 6, (2, 1, 1)) for ab in truth]
    answer, truth, flicker = smoothed(grays, flicker), np.stack(truth), np.stack(flicker)
    tint = (answer - truth).mean(axis=(2, 3))
    assert np.abs(np.diff(tint, axis=0)).mean() < 0.15 * np.abs(np.diff((flicker - truth).mean(axis=(2, 3)), axis=0)).mean()
    clean = smoothed(grays, list(truth))
    assert np.abs(clean - truth).mean() < 0.6


@pytest.mark.parametrize("amount", [10.0, 30.0])
def test_a_change_that_stays_is_over_in_five_frames_and_is_no_jump(amount):
    grays, abs_ = colored(1)
    after = abs_[0] + np.array([amount, -amount / 2])[:, None, None]
    answer = smoothed(grays * 24, [abs_[0]] * 12 + [after] * 12)
    way = change_over_time(answer, abs_[0], after)
    assert way[16] > 0.9
    assert way[11] < 0.45  # as little early as late
    assert way[:9].max() < 0.1
    assert np.square(np.diff(way)).sum() < 0.3  # one jump would be 1


def test_a_change_that_stays_shows_through_flicker_within_five_frames():
    rng = np.random.default_rng(3)
    grays, abs_ = colored(1)
    after = abs_[0] + np.array([30.0, -15.0])[:, None, None]
    steady = [abs_[0]] * 15 + [after] * 12
    blots = rng.normal(0, 8, (len(steady), 2, 6, 8)).astype(np.float32)
    flicker = [
        np.stack([cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for plane in blot]) for blot in blots
    ]
    answer = smoothed(grays * len(steady), [ab + noise for ab, noise in zip(steady, flicker, strict=True)])
    way = change_over_time(answer, abs_[0], after)
    assert way[19] > 0.9
    assert way[11] < 0.1


def test_a_lamp_that_is_switched_on_colors_at_once():
    grays, abs_ = colored(1)
    glow = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.circle(glow, (170, 70), 45, 1.0, -1)
    glow = cv2.GaussianBlur(glow, (0, 0), 12)
    bright = np.clip(grays[0] * (1 + 0.6 * glow), 0, 255).astype(np.uint8)
    after = abs_[0] + np.array([10.0, 30.0])[:, None, None] * glow
    answer = smoothed(grays * 10 + [bright] * 10, [abs_[0]] * 10 + [after] * 10)
    way = change_over_time(answer, abs_[0], after)
    assert way[10] > 0.9
    assert way[9] < 0.12


@pytest.mark.parametrize("speed", [4, 9])
def test_no_trace_of_a_moving_object_stays_behind_it(speed):
    grays, abs_ = colored(1)
    texture = photo("astronaut")[:HEIGHT, :WIDTH]
    films, colors, discs = [], [], []
    for i in range(20):
        disc = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.circle(disc, (30 + speed * i, 72), 24, 1, -1)
        disc = disc > 0
        films.append(np.where(disc, np.roll(texture, speed * i, axis=1), grays[0]))
        colors.append(np.where(disc, np.array([50.0, 40.0])[:, None, None], abs_[0]))
        discs.append(disc)
    answer = smoothed(films, colors)
    ghosts = []
    for i in range(5, 16):
        uncovered = ~discs[i] & (discs[i - 1] | discs[i - 2] | discs[i - 3])
        ghosts.append(np.linalg.norm(answer[i] - colors[i], axis=0)[uncovered].mean())
    assert np.mean(ghosts) < 2.0


def test_averaging_does_not_wash_out():
    rng = np.random.default_rng(2)
    grays, abs_ = colored(16)
    turned = []
    for ab in abs_:  # hues sway by 15 degrees, chroma does not change
        angle = rng.normal(0, np.radians(15))
        turned.append(np.stack([np.cos(angle) * ab[0] - np.sin(angle) * ab[1], np.sin(angle) * ab[0] + np.cos(angle) * ab[1]]))
    answer = smoothed(grays, turned)
    assert np.linalg.norm(answer, axis=1).mean() > 0.99 * np.linalg.norm(np.stack(turned), axis=1).mean()


def test_no_color_crosses_a_cut():
    grays, abs_ = colored(8)
    others, red = pan("astronaut", 8), [np.full((2, HEIGHT, WIDTH), 40.0, np.float32)] * 8
    joined = smoothed(grays + others, abs_ + red, shots=[0] * 8 + [1] * 8)
    np.testing.assert_array_equal(joined[:8], smoothed(grays, abs_))
    np.testing.assert_array_equal(joined[8:], smoothed(others, red))


def test_smoothing_zero_passes_frames_through_untouched():
    grays, abs_ = colored(3)
    smoother = Smoother(0.0)
    for frame in pushed(grays, abs_):
        (out,) = smoother.push(*frame)
        assert out.ab is frame[1]
    assert smoother.flush() == []


@pytest.mark.parametrize("lookahead", [0, 1, 4])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_every_frame_comes_out_once_in_order_and_never_later_than_the_window(lookahead, count):
    grays, abs_ = colored(1)
    smoother = Smoother(lookahead=lookahead)
    out = []
    tinted = [abs_[0] + 40 * index for index in range(count)]
    for index, frame in enumerate(pushed(grays * count, tinted)):
        out += smoother.push(*frame)
        assert len(out) == max(0, index + 1 - lookahead)
    out += smoother.flush()
    assert len(out) == count
    assert np.all(np.diff([frame.ab.mean() for frame in out]) > -10)  # each frame has the tint of its time
    assert all(frame.ab.dtype == np.float32 and frame.ab.shape == (2, HEIGHT, WIDTH) for frame in out)


def test_a_run_that_goes_on_in_mid_shot_gives_the_same_colors():
    rng = np.random.default_rng(1)
    grays, abs_ = colored(12, step=2)
    abs_ = [ab + rng.normal(0, 5, (2, 1, 1)) for ab in abs_]
    whole = sent_through(Smoother(), pushed(grays, abs_))
    later = Smoother()
    later.state = whole[5].state
    rest = sent_through(later, pushed(grays[6:], abs_[6:]))
    np.testing.assert_array_equal(np.stack([f.ab for f in rest]), np.stack([f.ab for f in whole[6:]]))


def test_pictures_larger_and_smaller_than_the_work_size_keep_their_size():
    for height, width in ((24, 40), (320, 480)):
        gray = np.full((height, width), 90, np.uint8)
        answer = smoothed([gray] * 3, [np.full((2, height, width), 12.0)] * 3)
        assert answer.shape == (3, 2, height, width)
        np.testing.assert_allclose(answer, 12.0, atol=0.01)


@pytest.mark.parametrize("options", [{"smoothing": -0.1}, {"smoothing": 1.1}, {"lookahead": -1}])
def test_values_out_of_range_are_usage_errors(options):
    with pytest.raises(UsageError):
        Smoother(**options)
