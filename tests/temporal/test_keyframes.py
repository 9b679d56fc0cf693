"""Key frames: where they stand, and what the frames between get."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deoldify_video.errors import UsageError
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
        self.frames: list[tuple[NDArray[np.uint8], object, int]] = []  # light, shot, bytes that wait with it
        self.truth: list[NDArray[np.float32]] = []
        for shot, count in enumerate(shots):
            light, a, b = (texture(10 * shot + i) for i in range(3))
            for step in range(count):
                at = int(20 + speed * step)
                place = np.s_[60 : 60 + SIDE, at : at + SIDE]
                gray = np.ascontiguousarray(light[place]).astype(np.uint8)
                self.frames.append((gray, shot, 64))
                self.truth.append(np.stack([a[place], b[place]]) / 4 - 30)
        self.asked: list[int] = []

    def ab(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The colours of the frame with that light; remembers which it was asked for."""
        found = [next(i for i, (light, _, _) in enumerate(self.frames) if np.array_equal(light, picture)) for picture in gray]
        self.asked += found
        return np.stack([self.truth[i] for i in found])


def worst_rmse(film: Film, colors: list[NDArray[np.float32]]) -> float:
    return max(float(np.sqrt(np.mean((ab - truth) ** 2))) for ab, truth in zip(colors, film.truth, strict=True))


def test_frames_come_out_in_order_and_nearly_as_if_each_were_colored() -> None:
    film = Film([30])
    colors = list(KeyframeColorizer(film.ab, 10).colors(film.frames))
    assert film.asked == [0, 10, 20]
    assert worst_rmse(film, colors) < 4.0  # the edge that moved in is guessed


def test_a_cut_and_a_new_segment_begin_with_a_key_frame() -> None:
    film = Film([7, 9])
    film.frames[12:] = [(gray, "the next segment", held) for gray, _, held in film.frames[12:]]
    colorizer = KeyframeColorizer(film.ab, 24)
    colors = list(colorizer.colors(film.frames))
    assert film.asked == [0, 7, 12]
    assert colorizer.keyframes == 3
    assert worst_rmse(film, colors) < 4.0  # the edge that moved in is guessed


def test_a_key_frame_stands_where_the_flow_fails() -> None:
    film = Film([5, 5])
    unseen = [(gray, 0, held) for gray, _, held in film.frames]  # a cut that nobody saw
    list(KeyframeColorizer(film.ab, 24).colors(unseen))
    assert film.asked == [0, 5]


def test_many_key_frames_are_handed_on_before_the_shot_ends() -> None:
    film = Film([40], speed=1.0)
    drawn = 0

    def source():
        nonlocal drawn
        for frame in film.frames:
            drawn += 1
            yield frame

    colors = KeyframeColorizer(film.ab, 4).colors(source())
    np.testing.assert_array_equal(next(colors), film.truth[0])
    assert drawn < 25
    assert len(list(colors)) == 39
    assert sorted(film.asked) == list(range(0, 40, 4))


def test_distance_one_colors_every_frame() -> None:
    film = Film([6])
    colors = list(KeyframeColorizer(film.ab, 1).colors(film.frames))
    assert film.asked == list(range(6))
    assert worst_rmse(film, colors) == 0


def test_no_more_bytes_wait_than_are_allowed() -> None:
    film = Film([12])
    film.frames = [(gray, shot, 100 * 1024**2) for gray, shot, _ in film.frames]
    colors = list(KeyframeColorizer(film.ab, 24).colors(film.frames))
    assert film.asked == [0, 3, 6, 9]
    assert worst_rmse(film, colors) < 4.0


def test_no_frames_give_no_frames() -> None:
    assert list(KeyframeColorizer(Film([1]).ab).colors([])) == []


@pytest.mark.parametrize(("text", "distance"), [("auto", AUTO_DISTANCE), ("1", 1), ("250", 250)])
def test_the_option_is_auto_or_a_number(text: str, distance: int) -> None:
    assert parse_keyframes(text) == distance


@pytest.mark.parametrize("text", ["0", "251", "-3", "often", "", "1.5"])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--keyframes"):
        parse_keyframes(text)
