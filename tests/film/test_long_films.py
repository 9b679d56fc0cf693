"""Memory does not depend on length, and nothing is left running when a film ends, however it ends."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from pathlib import Path

import pytest
from synth import light, make_film

from deoldify_video.color.paint import Painter
from deoldify_video.color.yuv import SampleRange
from deoldify_video.errors import DeviceMemoryError, StoppedError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.film.pipeline import QUEUE_FRAMES, ResumePoint, film_frames, find_segments
from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import DecodedFrame
from deoldify_video.options import FilmOptions, SegmentOptions

SIZE = (64, 48)
QUEUES = 4
BUSY_FRAMES = 40  # those that stages work on: a batch, look-ahead of the shot detector and of the smoother
STATM = Path("/proc/self/statm")


def resident_bytes():
    return int(STATM.read_text().split()[1]) * 4096


class Frames:
    """A film of any length, and how many of its frames were alive at once."""

    def __init__(self, count):
        self.count, self.most = count, 0
        self.pictures = [light(number, SIZE) for number in range(8)]

    def __iter__(self):
        alive = []
        for number in range(self.count):
            luma = self.pictures[number % 8].view()
            alive = [*(reference for reference in alive if reference() is not None), weakref.ref(luma)]
            self.most = max(self.most, len(alive))
            yield DecodedFrame(number, number, luma, self.pictures[number % 8])


@pytest.mark.parametrize("count", [40, 200])
def test_as_many_frames_are_alive_in_a_long_film_as_in_a_short_one(stub_colorizer, count):
    limited = SampleRange.of(8, full=False)
    painter = Painter("bt601", limited, limited, 8, (32, 24))
    frames, mark = Frames(count), partial(find_segments, resume_point=ResumePoint(), lengths=SegmentOptions())
    with Stages() as stages:
        result = film_frames(frames, mark, stub_colorizer, painter, FilmOptions(), None, stages)
        assert [frame.index for frame, _ in result] == list(range(count))
    assert frames.most <= QUEUES * (QUEUE_FRAMES + 2) + BUSY_FRAMES


@pytest.mark.skipif(not STATM.exists(), reason="only Linux tells how much memory is in use")
def test_memory_does_not_grow_with_the_length_of_a_film(tmp_path, stub_colorizer):
    size, most = (320, 240), {}
    for frames in (50, 50, 300):  # the first run fills caches
        source = make_film(tmp_path / f"{frames}.mkv", frames=frames, size=size, repeat=8, audio=None, codec="mpeg4")
        seen = []
        output = tmp_path / f"new{len(list(tmp_path.iterdir()))}.mkv"
        colorize_film(source, output, on_progress=lambda _, seen=seen: seen.append(resident_bytes()), colorizer=stub_colorizer)
        most[frames] = max(seen)
    film_bytes = 250 * size[0] * size[1] * 3 // 2  # what the longer film's additional frames are, decoded
    assert most[300] - most[50] < film_bytes / 2


class Failing:
    """A network that breaks in mid-film."""

    def __init__(self, colorizer, error, after):
        self.forward, self.error, self.left = colorizer.network.forward, error, after
        colorizer.network.forward = self

    def __call__(self, x):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.forward(x)


@pytest.fixture
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not {thread.name for thread in left if thread.name in ("decode", "colorize", "smooth", "paint")}


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), RuntimeError),
        (RuntimeError("can't allocate memory"), DeviceMemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_error_in_mid_film_leaves_no_film_and_no_thread(tmp_path, stub_colorizer, error, expected):
    source = make_film(tmp_path / "old.mkv", frames=40)
    Failing(stub_colorizer, error, after=2)
    with pytest.raises(expected):
        colorize_film(source, tmp_path / "new.mkv", colorizer=stub_colorizer)
    assert [path.name for path in tmp_path.iterdir()] == ["old.mkv"]


@pytest.mark.usefixtures("no_thread_is_left")
def test_an_error_in_the_callers_own_progress_function_ends_all_threads(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mkv", frames=40)

    def on_progress(progress):
        if progress.frames == 10:
            raise LookupError("the caller's")

    with pytest.raises(LookupError):
        colorize_film(source, tmp_path / "new.mkv", colorizer=stub_colorizer, on_progress=on_progress)
    assert not (tmp_path / "new.mkv").exists()


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_stopped_film_goes_on_to_the_same_result(tmp_path, stub_colorizer):
    options = FilmOptions(segments=SegmentOptions(shortest=8))
    source = make_film(tmp_path / "old.mkv", frames=36, shots=3, size=(128, 96))
    with pytest.raises(StoppedError):
        colorize_film(source, tmp_path / "new.mkv", options, colorizer=stub_colorizer, should_stop=lambda: True)
    assert not (tmp_path / "new.mkv").exists()
    report = colorize_film(source, tmp_path / "new.mkv", options, colorizer=stub_colorizer)
    assert (report.frames, report.resumed_frames) == (36, 12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv", "old.mkv"]
