"""Text as pixels, for sheets and films: Pillow's own font, so that it looks alike everywhere."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont


@lru_cache(maxsize=256)
def text_mask(text: str, height_px: int) -> NDArray[np.float32]:
    """How much ink each pixel gets: float32 (`height_px`, w) in 0..1, one line of text; read only."""
    font = ImageFont.load_default(size=max(6, round(height_px * 0.8)))
    width = max(1, round(font.getlength(text)))
    image = Image.new("L", (width, height_px))
    ImageDraw.Draw(image).text((0, height_px // 2), text, fill=255, font=font, anchor="lm")
    mask = np.asarray(image, np.float32) / np.float32(255)
    mask.flags.writeable = False
    return mask


def shortened(text: str, height_px: int, width_px: int) -> str:
    """`text`, or its beginning and end with dots between, so that its mask is no wider than `width_px`."""
    if text_mask(text, height_px).shape[1] <= width_px:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
        if text_mask(short, height_px).shape[1] <= width_px:
            return short
    return text[:1]
