"""The output of an encoder does not depend on the machine that it runs on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from synth import light, make_film

from deoldify_video.media.encode import SegmentWriter
from deoldify_video.media.probe import probe
from deoldify_video.options import EncodeOptions

SIZE = (320, 240)


def encode(film: Path, codec: str) -> str:
    """A hash over the packets that `codec` makes of pictures of the size of `film`."""
    path = film.with_name("segment.mkv")
    writer = SegmentWriter(path, probe(film), EncodeOptions(codec), depth=8, full_range=False)
    width, height = writer.format.chroma_size(*SIZE)
    code, dtype = (120, np.uint8) if writer.format.depth == 8 else (480, np.uint16)
    chroma = np.full((2, height, width), code, dtype)
    for number in range(40):
        writer.write(light(number // 3, SIZE, shot=number // 20), chroma)
    writer.close()
    with av.open(str(path)) as container:
        return hashlib.sha256(b"".join(bytes(packet) for packet in container.demux(video=0))).hexdigest()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="needs a choice of processors")
@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1", "prores"])
def test_the_number_of_processors_does_not_matter(tmp_path, codec):
    film = make_film(tmp_path / "film.mkv", size=SIZE, frames=2, audio=None)
    found = []
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for processors in ({0}, {0, 1}):
        command = [sys.executable, __file__, str(film), codec, *map(str, processors)]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=paths)
        found.append(run.stdout.strip())
    assert len(found[0]) == 64
    assert found[0] == found[1]


if __name__ == "__main__":
    os.sched_setaffinity(0, set(map(int, sys.argv[3:])))
    print(encode(Path(sys.argv[1]), sys.argv[2]))
