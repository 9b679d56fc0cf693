"""A generated archive of 60 items: films and photos in folders, odd names, broken ones, and what is not to be done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from synth import light, make_film

FILMS, PHOTOS = 14, 36
ODD_FILM = b"r\xe9el \xff.mp4"  # no valid UTF-8
EXPECTED = {"done": 52, "failed": 4, "skipped": 4}


def make_photo(path: Path, number: int = 0, *, size: tuple[int, int] = (64, 48), color: bool = False) -> Path:
    """A photo that no other one equals; `color` gives it colours of several hues at equal light."""
    gray = light(number, size, shot=100 + number, full=True)
    picture = np.dstack([gray] * 3)
    if color:
        rng = np.random.default_rng(number)
        hues = np.kron(rng.uniform(-90, 90, (size[1] // 16, size[0] // 16, 3)), np.ones((16, 16, 1)))
        picture = np.clip(picture * 0.3 + 90 + hues, 0, 255).astype(np.uint8)
    Image.fromarray(picture).save(path)
    return path


def make_color_film(path: Path, folder: Path) -> Path:
    """A film in colour: the photo of many hues, shown for a while."""
    import av

    still = make_photo(folder / ".hues.png", 7, color=True)
    with Image.open(still) as image, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            target.mux(stream.encode(av.VideoFrame.from_image(image)))
        target.mux(stream.encode(None))
    still.unlink()
    return path


def make_tree(root: Path, *, films: int = FILMS, photos: int = PHOTOS, frames: int = 6) -> Path:
    """The archive: `films` films of `frames` frames, `photos` photos, and ten items that are odd or cannot be done."""
    for name in ("films/1920s", "films/Café, 1930", "photos/album one", "odd"):
        (root / name).mkdir(parents=True)
    for number in range(films):
        folder = root / ("films/1920s" if number % 2 else "films/Café, 1930")
        suffix = (".mp4", ".mkv", ".avi")[number % 3]
        audio = None if suffix == ".avi" else "aac"
        make_film(folder / f"reel {number:02}{suffix}", frames=frames + number, shots=1, audio=audio)
    for number in range(photos):
        size = ((64, 48), (48, 64), (80, 40))[number % 3]
        make_photo(
            root / "photos/album one" / f"photo {number:02}{('.jpg', '.png', '.tif')[number // 3 % 3]}", number, size=size
        )
    odd = root / "odd"
    shutil.move(make_film(odd / "odd.mp4", frames=frames + 30), os.fsdecode(os.fsencode(odd) + b"/" + ODD_FILM))
    make_photo(odd / "-o [x]; rm $(y) 'z'.png", 900)  # done: a name is never part of a command
    whole = make_film(odd / "whole.mp4", frames=60, audio=None, options={"preset": "ultrafast"})
    (odd / "broken.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    whole.unlink()
    (odd / "empty.mkv").write_bytes(b"")
    (odd / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    cut = make_photo(odd / "cut.png", 901).read_bytes()
    (odd / "cut.png").write_bytes(cut[: len(cut) // 2])
    (odd / "notes.txt").write_text("Found in the cellar.\n")
    make_color_film(odd / "in colour.mp4", odd)
    make_photo(odd / "in colour.png", 902, color=True)
    shutil.copy(root / "photos/album one/photo 00.jpg", odd / "the same photo.jpg")
    (odd / ".hidden.mp4").write_bytes(b"left alone")
    return root
