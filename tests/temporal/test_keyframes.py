"""Key frames: where they stand, and what the frames between get."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deoldify_video.errors import UsageError
from deoldify_video.media.frame import FilmFrame
from deoldify_video.temporal.keyframes import AUTO_DISTANCE, KeyframeColorizer, parse_keyframes

SIDE = 128


def texture(seed: int) -> NDArray[np.float32]:
    """Soft noise, (3 SIDE, 3 SIDE) in 0..255."""
    noise = np.random.default_rng(seed).normal(size=(3 * SIDE, 3 * SIDE)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return ((soft - soft.min()) / (soft.max() - soft.min()) * 255).astype(np.float32)


class Film:
    """A window that moves over a picture whose colours are known; `shots` gives the number of frames of each shot."""

    def __init__(self, shots: list[int], speed: float = 2.0) -> None:
        self.frames: list[FilmFrame] = []
        self.truth: list[NDArray[np.float32]] = []
        for shot, count in enumerate(shots):
            light, a, b = (texture(10 * shot + i) for i in range(3))
            for step in range(count):
                at = int(20 + speed * step)
                place = np.s_[60 : 60 + SIDE, at : at + SIDE]
                luma = np.zeros((8, 8), np.uint8)
                gray = np.ascontiguousarray(light[place]).astype(np.uint8)
                self.frames.append(FilmFrame(len(self.frames), len(self.frames), luma, gray, shot))
                self.truth.append(np.stack([a[place], b[place]]) / 4 - 30)
        self.asked: list[int] = []

    def ab(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The colours of the frame with that light; remembers which it was asked for."""
        found = [next(i for i, frame in enumerate(self.frames) if np.array_equal(frame.gray, picture)) for picture in gray]
        self.asked += found
        return np.stack([self.truth[i] for i in found])


def worst_rmse(film: Film, frames: list[FilmFrame]) -> float:
    pairs = zip(frames, film.truth, strict=True)
    return max(float(np.sqrt(np.mean((frame.ab - truth) ** 2))) for frame, truth in pairs if frame.ab is not None)


def test_frames_come_out_in_order_and_nearly_as_if_each_were_colored() -> None:
    film = Film([30])
    frames = list(KeyframeColorizer(film.ab, 10).colorize(film.frames))
    assert [frame.index for frame in frames] == list(range(30))
    assert film.asked == [0, 10, 20]
    assert worst_rmse(film, frames) < 4.0  # the edge that moved in is guessed


def test_a_cut_and_a_new_segment_begin_with_a_key_frame() -> None:
    film = Film([7, 9])
    for frame in film.frames[12:]:
        frame.segment = 1
    colorizer = KeyframeColorizer(film.ab, 24)
    frames = list(colorizer.colorize(film.frames))
    assert film.asked == [0, 7, 12]
    assert colorizer.keyframes == 3
    assert worst_rmse(film, frames) < 4.0  # the edge that moved in is guessed


def test_a_key_frame_stands_where_the_flow_fails() -> None:
    film = Film([5, 5])
    for frame in film.frames:
        frame.shot = 0  # a cut that nobody saw
    list(KeyframeColorizer(film.ab, 24).colorize(film.frames))
    assert film.asked == [0, 5]


def test_many_key_frames_are_handed_on_before_the_shot_ends() -> None:
    film = Film([40], speed=1.0)
    drawn = 0

    def source():
        nonlocal drawn
        for frame in film.frames:
            drawn += 1
            yield frame

    frames = KeyframeColorizer(film.ab, 4).colorize(source())
    assert next(frames).index == 0
    assert drawn < 25
    rest = list(frames)
    assert [frame.index for frame in rest] == list(range(1, 40))
    assert sorted(film.asked) == list(range(0, 40, 4))


def test_distance_one_colors_every_frame() -> None:
    film = Film([6])
    frames = list(KeyframeColorizer(film.ab, 1).colorize(film.frames))
    assert film.asked == list(range(6))
    assert worst_rmse(film, frames) == 0


def test_no_frames_give_no_frames() -> None:
    assert list(KeyframeColorizer(Film([1]).ab).colorize([])) == []


@pytest.mark.parametrize(("text", "distance"), [("auto", AUTO_DISTANCE), ("1", 1), ("250", 250)])
def test_the_option_is_auto_or_a_number(text: str, distance: int) -> None:
    assert parse_keyframes(text) == distance


@pytest.mark.parametrize("text", ["0", "251", "-3", "often", "", "1.5"])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--keyframes"):
        parse_keyframes(text)
