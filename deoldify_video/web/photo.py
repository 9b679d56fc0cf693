"""A photo on the page: the network is asked once, style and strength of its colours are then a matter of arithmetic."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deoldify_video.images.photo_io import PHOTO_MATRIX, read_photo, read_photo_header, write_photo
from deoldify_video.media.files import output_file
from deoldify_video.media.formats import PHOTO_FORMATS
from deoldify_video.metrics.temporal import fit_within
from deoldify_video.models.registry import MODELS
from deoldify_video.options import ColorOptions
from deoldify_video.photo import network_view, spread_colors
from deoldify_video.preview.trial import paint_view
from deoldify_video.web.queue import Run
from deoldify_video.web.session import Session

VIEW_PX = 1400  # longer side of the pictures on the page
_VIEW_QUALITY = 90
_KEPT_ANSWERS = 12  # of the network, for one photo


@dataclass(frozen=True)
class _Answer:
    """The picture that the network saw, uint8 (h, w), and the ab (2, h, w) that it gave, in a style of gain 1."""

    gray: NDArray[np.uint8]
    ab: NDArray[np.float32]


class PhotoSession(Session):
    """A visitor's photo in their colours. `size` is its (width, height), `colorful` says that it has colours already."""

    def __post_init__(self) -> None:
        photo, header = read_photo(self.source, fit_px=VIEW_PX), read_photo_header(self.source)
        self.size, self.colorful, self._writing_bytes = header.size, photo.in_color, header.writing_bytes
        size = fit_within(*self.size, VIEW_PX)
        self._view = np.asarray(cv2.resize(photo.light, size, interpolation=cv2.INTER_AREA), np.float32)
        self._answers: dict[tuple[object, ...], _Answer] = {}
        self._viewed: ColorOptions | None = None
        self._writing = threading.Lock()
        before = np.rint(np.clip(self._view, 0, 1) * 255).astype(np.uint8)
        self.before = self.show(_save(Image.fromarray(before), self.folder / "before.jpg"))
        self._views = 0
        self._whole: ColorOptions | None = None

    def has(self, options: ColorOptions) -> bool:
        """Whether the network's answer is there already, so that `view` needs no device."""
        return _question(options) in self._answers

    def color(self, run: Run, options: ColorOptions) -> str:
        """Have the network look at the photo, and give its `view`; in a run."""
        run.tell("Looking at the photo", 0.0)
        colorizer = self.queue.networks.colorizer(replace(options, saturation=1.0))
        colorizer.gain = 1.0
        factor = colorizer.spec.render_factor("photo", options.render_factor)
        # The view is several times finer than what the network sees; reading a large photo again would take seconds.
        gray = network_view(self._view, colorizer.spec.render_size(*self.size, factor))
        self._answers[_question(options)] = _Answer(gray, colorizer.ab(gray[None])[0])
        view = self.view(options)
        for old in list(self._answers)[:-_KEPT_ANSWERS]:
            del self._answers[old]
        return view

    def view(self, options: ColorOptions) -> str:
        """The address of the photo in colour, at the size of the page."""
        answer, gain, self._viewed = self._answers[_question(options)], _gain(options), options
        picture = paint_view(self._view, answer.gray, answer.ab * gain, PHOTO_MATRIX)
        old = self.folder / f"after-{self._views - 2}.jpg"  # the one before may still be on its way
        self.shown.discard(old.name)
        old.unlink(missing_ok=True)
        path = self.folder / f"after-{self._views}.jpg"
        self._views += 1
        return self.show(_save(Image.fromarray(picture), path))

    def whole(self) -> Path | None:
        """The photo in the colours that were viewed last, at its full size and depth; None where there are none yet."""
        options = self._viewed
        if options is None:
            return None
        answer, gain = self._answers[_question(options)], _gain(options)
        suffix = self.source.suffix.lower()
        path = self.folder / f"{self.source.stem}-colour{suffix if suffix in PHOTO_FORMATS else '.png'}"
        with self._writing:
            if self._whole != options:
                with self.memory.lend(self._writing_bytes), output_file(path) as temporary:
                    photo = read_photo(self.source)
                    write_photo(temporary, photo, spread_colors(photo.light, answer.gray, answer.ab * gain))
                self._whole = options
        return path


def _question(options: ColorOptions) -> tuple[object, ...]:
    """All that the network's answer depends on."""
    return options.model, options.render_factor, MODELS[options.model].styles[options.style].temperature


def _gain(options: ColorOptions) -> np.float32:
    return np.float32(MODELS[options.model].styles[options.style].gain * options.saturation)


def _save(image: Image.Image, path: Path) -> Path:
    image.save(path, quality=_VIEW_QUALITY)
    return path
