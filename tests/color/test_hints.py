"""Hints files, and what siggraph17 does with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deoldify_video.color.hints import Hint, draw_hints, read_hints
from deoldify_video.errors import InputError, UsageError
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.models.hinted import with_hints
from deoldify_video.models.zhang import Eccv16, Siggraph17


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_points_and_colors_are_read(tmp_path: Path) -> None:
    points = [
        {"x": 0, "y": 99, "rgb": "#ff0000"},
        {"x": 199, "y": 0, "ab": [4, -28], "radius": 20},
        {"x": 1, "y": 1, "rgb": [9, 9, 9]},
    ]
    red, blue, gray = read_hints(write(tmp_path / "hints.json", points), 200, 100)
    assert (red.x, red.y) == (0.5 / 200, 99.5 / 100)
    assert (red.a, red.b) == pytest.approx((80.1, 67.2), abs=0.1)
    assert blue == Hint(199.5 / 200, 0.5 / 100, 0.1, 0.2, 4.0, -28.0)
    assert (gray.a, gray.b) == pytest.approx((0, 0), abs=0.01)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", InputError),
        ({"x": 1}, InputError),
        ([5], UsageError),
        ([{"x": 1, "y": 1}], UsageError),
        ([{"x": 1, "y": 1, "rgb": "#fff"}], UsageError),
        ([{"x": 1, "y": 1, "rgb": [0, 0, 256]}], UsageError),
        ([{"x": 1, "y": 1, "rgb": "#ffffff", "ab": [0, 0]}], UsageError),
        ([{"x": 1, "y": 1, "ab": [0]}], UsageError),
        ([{"x": 1, "y": 1, "ab": [0, 111]}], UsageError),
        ([{"x": 1, "y": 1, "ab": [0, float("nan")]}], UsageError),
        ([{"x": 200, "y": 1, "ab": [0, 0]}], UsageError),
        ([{"x": 1, "y": "1", "ab": [0, 0]}], UsageError),
        ([{"x": 1, "y": 1, "ab": [0, 0], "radius": 0}], UsageError),
        ([{"x": 1, "y": 1, "ab": [0, 0], "size": 3}], UsageError),
    ],
)
def test_what_makes_no_sense_is_refused(content: Any, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error, match=r"hints\.json"):
        read_hints(write(tmp_path / "hints.json", content), 200, 100)


def test_a_missing_hints_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_hints(tmp_path / "none.json", 8, 8)


def test_a_disc_is_round_in_the_photo_and_never_empty() -> None:
    wide = Hint(0.5, 0.5, 0.1, 0.2, 30.0, -10.0)  # round on a photo of twice the width
    ab, mask = draw_hints((wide,), 100, 50)
    assert mask.sum() == pytest.approx(np.pi * 10 * 10, rel=0.05)
    assert set(np.unique(ab[0])) == {0.0, 30.0}
    assert np.array_equal(ab[0] != 0, mask[0] == 1)
    _, mask = draw_hints((Hint(0.999, 0.001, 1e-6, 1e-6, 1, 1),), 16, 16)
    assert mask.sum() == mask[0, 0, 15] == 1


def test_hints_reach_siggraph17_and_not_its_elder() -> None:
    torch.manual_seed(1)
    network = Siggraph17().eval()
    hinted = with_hints(network, (Hint(0.5, 0.5, 0.2, 0.2, 60.0, 40.0),), gain=1.0)
    x = network.prepare(torch.rand(2, 1, 32, 32))
    ab, mask = (torch.from_numpy(plane)[None].expand(2, -1, -1, -1) for plane in draw_hints(hinted.hints, 32, 32))
    with torch.inference_mode():
        guided = hinted(x)
        assert torch.equal(guided, network(x, ab, mask))
        assert not torch.equal(guided, network(x))
    with pytest.raises(UsageError, match="siggraph17"):
        with_hints(Eccv16(), (), gain=1.0)


def test_the_shipped_network_paints_the_thing_that_a_point_is_on_and_leaves_faces_alone(real_colorizer: Colorizer) -> None:
    photo = cv2.imread(str(Path(__file__).parents[2] / "samples" / "astronaut.jpg"), cv2.IMREAD_GRAYSCALE)
    gray = cv2.resize(photo, (320, 320), interpolation=cv2.INTER_AREA)[None]
    orange = np.array([42.0, 55.0])
    on_suit = tuple(Hint(x, y, 0.012, 0.012, *orange) for x, y in ((0.18, 0.65), (0.49, 0.78), (0.65, 0.65), (0.2, 0.9)))
    plain, hinted = real_colorizer.ab(gray)[0], real_colorizer.with_hints(on_suit).ab(gray)[0]
    suit, face = (slice(180, 200), slice(60, 120)), (slice(75, 95), slice(130, 160))  # between the points; cheeks and nose

    def away(ab: np.ndarray, place: tuple[slice, slice]) -> float:
        return float(np.hypot(*(ab[:, *place].mean(axis=(1, 2)) - orange)))

    assert away(hinted, suit) < 0.55 * away(plain, suit)
    moved = np.hypot(*(hinted - plain)[:, *face]).mean()
    assert moved < 8


def test_no_hints_and_no_confidence_change_nothing_at_all(real_colorizer: Colorizer) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (1, 160, 192), dtype=np.uint8)
    assert np.array_equal(real_colorizer.with_hints(()).ab(gray), real_colorizer.ab(gray))
