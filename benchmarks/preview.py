"""Prints how long `preview` takes for a film of two hours, as in docs/preview.md.

    python benchmarks/preview.py [--hours 2] [--repeat 3]

The film is made here: pans over photographs that ship with scikit-image, 47 seconds of SD, whose packets are repeated until the film
is long enough. `preview` runs with its default choices in a process of its own, start-up and loading of the network included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

SIZE = (640, 480)
RATE = 25
SHOT_FRAMES = 131  # so that even places in the film fall on different shots
PHOTOS = (data.astronaut, data.camera, data.chelsea, data.coins, data.coffee, data.moon, data.rocket, data.page, data.text)


def make_piece(path: Path) -> None:
    """A grey film with one shot a photograph."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": "131", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, picture in enumerate(PHOTOS):
            photo = picture()
            gray = photo if photo.ndim == 2 else cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
            scale = 1.3 * max(SIZE[0] / gray.shape[1], SIZE[1] / gray.shape[0])
            for step in range(SHOT_FRAMES):
                view = np.array([[scale, 0, -step * 0.6], [0, scale, -step * 0.3]], np.float32)
                frame = av.VideoFrame.from_ndarray(cv2.warpAffine(gray, view, SIZE), format="gray").reformat(format="yuv420p")
                frame.pts, frame.time_base = number * SHOT_FRAMES + step, Fraction(1, RATE)
                film.mux(stream.encode(frame))
        film.mux(stream.encode())


def repeat(piece: Path, path: Path, hours: float) -> None:
    """The packets of `piece` again and again, their stamps shifted, for so many hours."""
    seconds = len(PHOTOS) * SHOT_FRAMES / RATE
    with av.open(str(path), "w") as film:
        with av.open(str(piece)) as once:
            stream = film.add_stream_from_template(once.streams.video[0])
        for turn in range(round(hours * 3600 / seconds)):
            with av.open(str(piece)) as once:
                for packet in once.demux(video=0):
                    if packet.size:
                        shift = round(turn * seconds / packet.time_base)
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = stream
                        film.mux(packet)


def main() -> None:
    """Make the film, time the command, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        piece, film, sheet = (Path(folder) / name for name in ("piece.mkv", "film.mkv", "sheet.jpg"))
        make_piece(piece)
        repeat(piece, film, arguments.hours)
        taken = []
        for _ in range(arguments.repeat):
            began = time.perf_counter()
            command = [sys.executable, "-m", "deoldify_video", "preview", film, "-o", sheet, "--overwrite", "--json"]
            run = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
            taken.append(time.perf_counter() - began)
        found = json.loads(run.stdout)
        shots, columns = len(found["rows"]), len(found["columns"])
        print(f"{found['duration_s'] / 3600:.2f} h, {found['frames']} frames: {shots} shots in {columns} choices")
        print(f"preview: {statistics.median(taken):.1f} s (median of {len(taken)}; {min(taken):.1f} to {max(taken):.1f})")


if __name__ == "__main__":
    main()
