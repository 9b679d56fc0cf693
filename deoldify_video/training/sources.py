"""Where the pictures of a new data set come from: folders, tar shards and colour films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from deoldify_video.errors import InputError
from deoldify_video.media.decode import frame_rgb, open_film
from deoldify_video.media.probe import probe
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector
from deoldify_video.training.dataset import PICTURE_SUFFIXES, Picture, decode_picture, read_shard

FILM_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv")
FRAMES_INTO_SHOT = 12  # the frame that is taken: past a dissolve's end; the last one of a shorter shot
_SMALL_PX = 96


@dataclass(frozen=True)
class FoundPicture:
    """A picture that was found; `picture` is None when it cannot be read."""

    source: str
    original: str
    picture: Picture | None


def found_pictures(paths: list[Path], frames_per_film: int) -> Iterator[FoundPicture]:
    """All pictures under `paths` in a fixed order, films with one frame a shot, at most `frames_per_film`.

    Raises `InputError` for a path that does not exist or holds nothing of use.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no file or folder {path}.")
        known = (*PICTURE_SUFFIXES, *FILM_SUFFIXES, ".tar")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        files = [file for file in files if file.suffix.lower() in known]
        if not files:
            raise InputError(f"{path} holds no pictures, films or tar shards.")
        for file in files:
            suffix = file.suffix.lower()
            if suffix == ".tar":
                yield from _from_shard(file)
            elif suffix in FILM_SUFFIXES:
                yield from _from_film(file, frames_per_film)
            else:
                inside = file.relative_to(path) if path.is_dir() else Path(file.name)
                yield FoundPicture(path.name, inside.as_posix(), _read(file))


def _read(file: Path) -> Picture | None:
    try:
        return decode_picture(file.read_bytes())
    except OSError:
        return None  # counted as unreadable


def _from_shard(path: Path) -> Iterator[FoundPicture]:
    for key, data in read_shard(path):
        yield FoundPicture(path.name, key, decode_picture(data))


def _from_film(path: Path, most: int) -> Iterator[FoundPicture]:
    """One frame of each shot, `most` of them evenly over the film. A film that breaks off gives what came before."""
    taken: list[tuple[int, Picture]] = []
    for frame_index, picture in _shot_frames(path):
        taken.append((frame_index, picture))
        if len(taken) >= 4 * most:  # keep memory bounded: every second one is enough for an even choice
            taken = taken[::2]
    if not taken:
        yield FoundPicture(path.name, path.name, None)
        return
    for index in np.unique(np.linspace(0, len(taken) - 1, min(most, len(taken))).round().astype(int)):
        frame_index, picture = taken[index]
        yield FoundPicture(path.name, f"frame {frame_index}", picture)


def _shot_frames(path: Path) -> Iterator[tuple[int, Picture]]:
    """(frame number, RGB uint8 picture) of one frame of each shot."""
    detector = ShotDetector()
    last_shot, position, waiting = -1, 0, None
    found = through(_decoded(path), lambda picture: detector.push(_small(picture)), detector.flush)
    for index, (picture, shot) in enumerate(found):
        if shot != last_shot:
            if waiting is not None:
                yield waiting
            last_shot, position = shot, 0
        if position <= FRAMES_INTO_SHOT:
            waiting = (index, picture)
        position += 1
    if waiting is not None:
        yield waiting


def _small(picture: Picture) -> Picture:
    """The light of a picture, small: uint8 (h, w)."""
    scale = _SMALL_PX / max(picture.shape[:2])
    size = (max(16, round(picture.shape[1] * scale)), max(16, round(picture.shape[0] * scale)))
    light = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return light.astype(np.uint8, copy=False)


def _decoded(path: Path) -> Iterator[Picture]:
    """The frames of a film as a viewer sees them, RGB uint8 (H, W, 3); ends where the film can no longer be decoded."""
    try:
        info = probe(path)
    except InputError:
        return  # counted as unreadable
    with open_film(info) as film:
        for frame in film.frames():
            yield frame_rgb(frame, info.video)
