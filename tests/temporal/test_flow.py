"""Optical flow, warping and occlusion on pictures whose motion is known."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from moving_pictures import pan

from deoldify_video.errors import DependencyError, UsageError
from deoldify_video.temporal.flow import (
    inside,
    make_flow,
    match_light,
    mismatch,
    occlusion_mask,
    resize_flow,
    warp,
)

INNER = (slice(16, -16), slice(16, -16))


@pytest.mark.parametrize("name", ["dis", "dis-fine"])
@pytest.mark.parametrize("step", [(3.0, 0.0), (-2.0, 4.0)])
def test_flow_finds_a_pure_translation(name, step):
    first, second = pan("astronaut", 2, step=step, start=(60.0, 60.0))
    flow = make_flow(name)(first, second)
    assert flow.dtype == np.float32
    assert flow.shape == (*first.shape, 2)
    np.testing.assert_allclose(np.median(flow[INNER], axis=(0, 1)), (-step[0], -step[1]), atol=0.2)


def test_an_estimator_gives_the_same_answer_twice():
    first, second = pan("coffee", 2, step=(2.0, 1.0))
    flow = make_flow()
    np.testing.assert_array_equal(flow(first, second), flow(first, second))


def test_flow_is_not_led_astray_by_a_lamp():
    first, second = pan("astronaut", 2, step=(3.0, 0.0), start=(60.0, 60.0))
    darker = (second * 0.7).astype(np.uint8)
    flow = make_flow()(first, match_light(darker, first))
    assert np.median(np.abs(flow[INNER] - (-3.0, 0.0))) < 0.2


def test_warping_along_the_flow_restores_the_first_picture():
    first, second = pan("coffee", 2, step=(4.0, 2.0), start=(60.0, 60.0))
    restored = warp(second, make_flow()(first, second))
    before = np.abs(second.astype(float) - first)[INNER].mean()
    assert np.abs(restored.astype(float) - first)[INNER].mean() < 0.3 * before


def test_warp_fetches_from_where_the_flow_points():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    flow = np.zeros((3, 4, 2), np.float32)
    flow[..., 0] = 1.0
    np.testing.assert_array_equal(warp(image, flow), image[:, [1, 2, 3, 3]])


def test_inside_tells_what_left_the_picture():
    flow = np.zeros((2, 5, 2), np.float32)
    flow[..., 0] = 2.0
    np.testing.assert_array_equal(inside(flow), [[True, True, True, False, False]] * 2)


def test_no_motion_is_no_occlusion():
    still = np.zeros((8, 8, 2), np.float32)
    assert not occlusion_mask(still, still).any()
    np.testing.assert_array_equal(mismatch(still, still), 0.0)


def test_what_a_moving_square_covers_is_occluded():
    there, back = np.zeros((40, 60, 2), np.float32), np.zeros((40, 60, 2), np.float32)
    there[10:30, 10:30, 0] = 8.0  # the square moves 8 px to the right
    back[10:30, 18:38, 0] = -8.0
    mask = occlusion_mask(there, back)
    assert mask[12:28, 31:37].all()  # covered by it
    assert not mask[12:28, 12:28].any()  # the square itself
    assert not mask[32:, :].any()


def test_a_motion_boundary_counts_as_occluded():
    flow = np.zeros((10, 10, 2), np.float32)
    flow[:, 5:, 0] = 0.3  # within the tolerance of the round trip, but a step of 0.09 > 0.002
    assert occlusion_mask(flow, -flow)[:, 4].all()


def test_a_resized_flow_points_to_the_same_places():
    flow = np.ones((4, 6, 2), np.float32)
    larger = resize_flow(flow, 12, 4)
    assert larger.shape == (4, 12, 2)
    np.testing.assert_allclose(larger[..., 0], 2.0)
    np.testing.assert_allclose(larger[..., 1], 1.0)


def test_match_light_undoes_one_gain_but_not_an_object():
    reference = pan("coffee", 1)[0] // 2 + 20
    np.testing.assert_allclose(match_light((reference * 0.8).astype(np.uint8), reference), reference, atol=4)
    with_object = reference.copy()
    with_object[40:100, 60:140] = 255
    np.testing.assert_array_equal(match_light(with_object, reference), with_object)


def test_an_unknown_flow_is_a_usage_error():
    with pytest.raises(UsageError, match="dis"):
        make_flow("guess")


class Raft(torch.nn.Module):
    """Stands for torchvision's network: its signature, and one shift for the whole picture."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, first, second):
        self.seen += [first, second]
        (dx, dy), _ = cv2.phaseCorrelate(first[0, 0].numpy(), second[0, 0].numpy())
        flow = torch.tensor([dx, dy]).float().view(1, 2, 1, 1).expand(-1, -1, *first.shape[2:])
        return [torch.zeros_like(flow), flow]  # from coarse to fine


@pytest.fixture
def torchvision(monkeypatch):
    """The library with that network in it, wherever the tests run."""
    library = SimpleNamespace(Raft_Small_Weights=SimpleNamespace(DEFAULT="default"), raft=Raft(), asked=[])
    library.raft_small = lambda weights: library.asked.append(weights) or library.raft
    for name in ("torchvision", "torchvision.models", "torchvision.models.optical_flow"):
        monkeypatch.setitem(sys.modules, name, library)
    return library


@pytest.mark.parametrize(("size", "seen"), [((100, 50), (128, 128)), ((203, 141), (200, 144))])
def test_raft_sees_pictures_that_it_can_take_and_its_flow_fits_ours(torchvision, size, seen):
    first, second = (cv2.resize(frame, size) for frame in pan("astronaut", 2, step=(6.0, 3.0), start=(60.0, 60.0)))
    height, width = pan("astronaut", 1)[0].shape
    flow = make_flow("raft")(first, second)
    assert flow.dtype == np.float32
    assert flow.shape == (size[1], size[0], 2)
    np.testing.assert_allclose(flow[0, 0], (-6.0 * size[0] / width, -3.0 * size[1] / height), atol=0.5)
    assert torchvision.asked == ["default"]
    for picture in torchvision.raft.seen:
        assert picture.shape == (1, 3, seen[1], seen[0])
        assert -1 <= picture.min() < -0.5 < 0.5 < picture.max() <= 1


def test_raft_without_its_library_or_weights_says_what_to_do(torchvision, monkeypatch):
    def offline(weights):
        raise OSError("no route to host")

    torchvision.raft_small = offline
    with pytest.raises(DependencyError, match=r"no route to host.*the flow 'dis'"):
        make_flow("raft")
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    with pytest.raises(DependencyError, match=r"torchvision library.*the flow 'dis'"):
        make_flow("raft")
