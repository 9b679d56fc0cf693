"""A batch as a user runs it: local workers, and the network that ships in place of the stub."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
from synth import planes, sound_packets

from deoldify_video.film.colorize import colorize_film
from deoldify_video.images.pictures import read_picture
from deoldify_video.options import ColorOptions, EncodeOptions, FilmOptions
from deoldify_video.photo import colorize_photo


def test_workers_make_what_one_call_makes(archive, tmp_path):
    out = tmp_path / "out"
    options = ("--jobs", "2", "--device", "cpu", "--precision", "fp32", "--render-factor", "7", "--codec", "ffv1", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "deoldify_video", "batch", archive, "-o", out, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    items = json.loads(done.stdout)["items"]
    assert {item["state"] for item in items} == {"done"}
    assert len(items) == 5
    assert {item["network"].split(" at ")[0] for item in items} == {"compact"}
    color = ColorOptions(device="cpu", precision="fp32", render_factor=7)
    single = FilmOptions(color=color, encode=EncodeOptions("ffv1"))
    film, photo = tmp_path / "a.mkv", tmp_path / "0.png"
    colorize_film(archive / "a.mkv", film, single)
    for plane, tolerance in ((0, 0), (1, 2), (2, 2)):  # a worker's threads divide the network's sums otherwise
        a, b = (np.stack(planes(path, plane)).astype(int) for path in (out / "a.mkv", film))
        assert np.abs(a - b).max() <= tolerance
    colorize_photo(archive / "photos/0.png", photo, single)
    a, b = (read_picture(path).astype(int) for path in (out / "photos/0.png", photo))
    assert np.abs(a - b).max() <= 2
    assert sound_packets(out / "b.mp4") == sound_packets(archive / "b.mp4")
