"""Cuts in joined clips: found where they are, and nowhere else."""

import numpy as np
import pytest
from moving_pictures import PHOTOS, dissolve, grainy, lit, pan, sent_through

from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.shots import LOOKAHEAD, ShotDetector, dissimilarity

SHOT = 9  # frames


def cuts(frames):
    """The indices of the frames that begin a shot, the first one left out."""
    shots = sent_through(ShotDetector(), [(frame,) for frame in frames])
    assert len(shots) == len(frames)
    assert set(np.diff(shots)) <= {0, 1}
    return [i for i in range(1, len(shots)) if shots[i] != shots[i - 1]]


def joined(rng):
    """Nine photographs, each filmed by a moving camera, in random order: frames, and where the cuts are."""
    names = rng.permutation(PHOTOS)[:9]
    frames = [frame for name in names for frame in pan(name, SHOT, step=rng.normal(0, 2, 2), zoom=rng.uniform(0.9, 1.6))]
    return frames, list(range(SHOT, len(frames), SHOT))


@pytest.mark.parametrize("film", ["clean", "lamp", "grain", "lamp and grain"])
def test_cuts_are_found_on_clean_flickering_and_grainy_film(film):
    rng = np.random.default_rng(len(film))
    hits = found = true = 0
    for _ in range(2):
        frames, truth = joined(rng)
        if "lamp" in film:
            frames = lit(frames, 1 + rng.uniform(-0.25, 0.25, len(frames)))
        if "grain" in film:
            frames = grainy(frames, rng)
        answer = cuts(frames)
        hits, found, true = hits + len(set(answer) & set(truth)), found + len(answer), true + len(truth)
    assert 2 * hits / (found + true) >= 0.95


@pytest.mark.parametrize("length", [1, 3])
def test_a_flash_is_no_cut(length):
    frames = pan("coffee", 20)
    for i in range(8, 8 + length):
        frames[i] = np.clip(frames[i].astype(float) * 2.2 + 90, 0, 255).astype(np.uint8)
    assert cuts(frames) == []


@pytest.mark.parametrize("length", [1, 3])
def test_white_frames_are_no_cut(length):
    frames = pan("coffee", 20)
    frames[8 : 8 + length] = [np.full_like(frames[0], 255)] * length
    assert cuts(frames) == []


@pytest.mark.parametrize("speed", [10.0, 20.0])
def test_a_fast_pan_is_no_cut(speed):
    assert cuts(pan("astronaut", 12, step=(speed, 2.0), start=(0.0, 60.0))) == []


def test_a_fade_to_black_and_back_is_no_cut():
    gains = np.concatenate([np.ones(5), np.linspace(1, 0, 8), np.zeros(4), np.linspace(0, 1, 8), np.ones(5)])
    assert cuts(lit(pan("astronaut", len(gains), step=(0.5, 0.2)), gains)) == []


def test_black_between_two_shots_is_one_cut_and_it_comes_with_the_second_shot():
    gains = np.concatenate([np.ones(5), np.linspace(1, 0, 8), np.zeros(2)])
    frames = lit(pan("astronaut", 15), gains) + lit(pan("coffee", 15), gains[::-1])
    (cut,) = cuts(frames)
    assert 15 <= cut <= 22


@pytest.mark.parametrize("length", [8, 12, 16])
def test_a_dissolve_begins_one_new_shot_before_it_is_over(length):
    frames = dissolve(pan("astronaut", 30, step=(0.2, 0.1)), pan("coffee", 30, step=(0.2, 0.1)), length)
    (cut,) = cuts(frames)
    assert 30 - length < cut <= 32


def test_shots_shorter_than_the_lookahead_are_found():
    names = ("astronaut", "coffee", "chelsea", "rocket")
    frames = [frame for name in names for frame in pan(name, 2)]
    assert cuts(frames) == [2, 4, 6]


def test_a_still_picture_and_a_single_frame_have_no_cut():
    assert cuts(pan("moon", 1) * 10) == []
    assert cuts(pan("moon", 1)) == []
    assert cuts([]) == []


def test_frames_come_out_as_late_as_the_lookahead_and_no_later():
    detector = ShotDetector()
    count = 0
    for index, gray in enumerate(pan("coffee", 8)):
        count += len(detector.push(gray))
        assert count == max(0, index + 1 - LOOKAHEAD)


def test_dissimilarity_sees_through_motion_and_light():
    flow = make_flow("dis-fine")
    first, second = (np.ascontiguousarray(frame[::2, ::2]) for frame in pan("astronaut", 2, step=(6.0, 2.0)))
    other = np.ascontiguousarray(pan("coffee", 1)[0][::2, ::2])
    assert dissimilarity(first, (second * 0.7).astype(np.uint8), flow) < 0.3
    assert dissimilarity(first, other, flow) > 0.75
