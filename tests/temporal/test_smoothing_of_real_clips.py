"""Smoothing on film of real people, where it lies beside the checkout, and on a photographed person who is moved."""

from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

from deoldify_video.evaluation.film import read_pictures
from deoldify_video.metrics.temporal import ab_of, motion_between, warp_error
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.smooth import Smoother

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "photos" / "clips"
FRAMES = 16


def error(abs_, motions):
    """Mean ab warp error of pictures (2, h, w)."""
    pictures = [np.ascontiguousarray(ab.transpose(1, 2, 0)) for ab in abs_]
    return np.mean([warp_error(a, b, motion) for (a, b), motion in zip(pairwise(pictures), motions, strict=True)])


def moved_person(path):
    """A colour film: an astronaut goes to the right in front of a table that goes to the left, and hides more and more of it."""
    table = cv2.resize(data.coffee(), (600, 400))
    person = cv2.resize(data.astronaut(), (320, 320))[:288, 40:260]
    y, x = np.mgrid[:288, :220]
    outline = cv2.GaussianBlur((((x - 110) / 100) ** 2 + ((y - 160) / 150) ** 2 < 1).astype(np.float32), (0, 0), 2)[..., None]
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "16", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 512, 288, "yuv420p"
        for number in range(FRAMES):
            matrix = np.float32([[1, 0, -30 - 3.5 * number], [0, 1, -50]])
            picture = cv2.warpAffine(table, matrix, (512, 288)).astype(np.float32)
            place = 60 + 5 * number
            behind = picture[:, place : place + 220]
            picture[:, place : place + 220] = behind + outline * (person - behind)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.rint(picture).astype(np.uint8), format="rgb24")))
        target.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("clip", ["moved-person", "tennis-player", "steps-runner"])
def test_a_restless_network_is_held_to_a_third_and_nearer_to_the_truth(clip, tmp_path):
    path = moved_person(tmp_path / "person.mp4") if clip == "moved-person" else CLIPS / f"{clip}.mp4"
    if not path.exists():
        pytest.skip(f"{clip} is not beside the checkout")
    pictures = list(islice(read_pictures(path, (256, 144)), FRAMES))
    light = [picture.light for picture in pictures]
    truth = [ab_of(picture.rgb).transpose(2, 0, 1) for picture in pictures]
    rng = np.random.default_rng(0)
    blots = rng.normal(0, 6, (FRAMES, 2, 4, 7)).astype(np.float32)
    restless = [
        ab + np.stack([cv2.resize(plane, (256, 144), interpolation=cv2.INTER_CUBIC) for plane in blot])
        for ab, blot in zip(truth, blots, strict=True)
    ]
    smoother = Smoother()
    answer = []
    for gray, ab in zip(light, restless, strict=True):
        answer += smoother.push(gray, ab)
    smoothed = [frame.ab for frame in answer + smoother.flush()]
    flow = make_flow("dis-fine")
    motions = [motion_between(a, b, flow) for a, b in pairwise(light)]
    assert error(smoothed, motions) < error(restless, motions) / 3
    assert np.abs(np.stack(smoothed) - truth).mean() < 0.7 * np.abs(np.stack(restless) - truth).mean()
