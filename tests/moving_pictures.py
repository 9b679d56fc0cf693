"""Short films made of photographs that come with scikit-image: moved, cut, lit, scratched. All uint8 grey, 256x144 unless told."""

from __future__ import annotations

import cv2
import numpy as np
from skimage import data

WIDTH, HEIGHT = 256, 144
PHOTOS = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "camera",
    "coins",
    "moon",
    "grass",
    "brick",
    "gravel",
    "immunohistochemistry",
)


def photo(name):
    """A photograph in grey, its short side 360 px."""
    picture = getattr(data, name)()
    if picture.ndim == 3:
        picture = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY)
    scale = 360 / min(picture.shape)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def pan(name, count, step=(1.0, 0.5), start=(20.0, 20.0), zoom=1.0):
    """`count` frames of a camera that moves over a photograph by `step` px a frame."""
    picture = photo(name)
    frames = []
    for i in range(count):
        x, y = start[0] + step[0] * i, start[1] + step[1] * i
        matrix = np.array([[zoom, 0, -x * zoom], [0, zoom, -y * zoom]])
        frames.append(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101))
    return frames


def lit(frames, gains):
    """The same frames under a lamp whose light changes from frame to frame."""
    return [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame, gain in zip(frames, gains, strict=True)]


def grainy(frames, rng, sigma=20):
    """The same frames on grainy film."""
    return [np.clip(frame + rng.normal(0, sigma, frame.shape), 0, 255).astype(np.uint8) for frame in frames]


def dissolve(first, second, length):
    """The end of `first` mixed into the beginning of `second`."""
    shares = np.arange(1, length + 1) / (length + 1)
    mixed = [
        (a * (1 - share) + b * share).astype(np.uint8)
        for a, b, share in zip(first[-length:], second[:length], shares, strict=True)
    ]
    return first[:-length] + mixed + second[length:]


def sent_through(stage, frames):
    """All answers of a stage with `push` and `flush`; `frames` are tuples of arguments."""
    done = [answer for frame in frames for answer in stage.push(*frame)]
    return done + stage.flush()
