"""Comparisons: both films in one picture, in step by their timestamps, with the sound of the first that has any."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from synth import blank_frame, make_film, planes, sound_packets, stamps, write_plane

from deoldify_video.cli.app import main
from deoldify_video.compare.compare import compare, in_step
from deoldify_video.compare.compositor import Composer, Layout, even_size
from deoldify_video.errors import InputError, OutputError, UsageError
from deoldify_video.media.probe import probe

SIZE = (64, 48)


def clock_film(path, times, *, time_base=Fraction(1, 100), size=SIZE, start=0):
    """A film whose frame number n is a flat grey of 40 + n, shown from `times[n]` (in ticks) on."""
    with av.open(str(path), "w") as target:
        video = target.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.time_base = video.codec_context.time_base = time_base
        for number, ticks in enumerate(times):
            frame = blank_frame(size, "yuv420p")
            write_plane(frame, 0, np.array(40 + number))
            frame.pts, frame.time_base = start + ticks, time_base
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    return path


def numbers(first, second):
    """Which frame of each film is shown with which."""
    return [
        (round(float(left[0].mean())) - 40, round(float(right[0].mean())) - 40)
        for _, _, left, right in in_step(probe(first), probe(second), SIZE, "bt601")
    ]


def test_equal_films_go_frame_by_frame(tmp_path):
    first = clock_film(tmp_path / "a.mkv", range(0, 40, 4))
    assert numbers(first, first) == [(n, n) for n in range(10)]


def test_variable_rates_are_kept_in_step_by_time(tmp_path):
    first = clock_film(tmp_path / "a.mkv", [0, 4, 8, 20, 24, 40])
    second = clock_film(tmp_path / "b.mkv", [0, 8, 16, 24, 32, 40])
    assert numbers(first, second) == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 5)]


def test_stamps_that_a_container_rounded_are_the_same_time(tmp_path):
    first = clock_film(tmp_path / "a.mkv", [0, 334, 667, 1000], time_base=Fraction(1, 10000))
    second = clock_film(tmp_path / "b.mkv", [0, 33, 67, 100], time_base=Fraction(1, 1000))
    assert numbers(first, second) == [(n, n) for n in range(4)]


def test_each_film_is_counted_from_its_own_beginning(tmp_path):
    first = clock_film(tmp_path / "a.mkv", range(0, 20, 4), start=100)
    second = clock_film(tmp_path / "b.mkv", range(0, 20, 4))
    assert numbers(first, second) == [(n, n) for n in range(5)]


def test_the_last_frame_stays_where_the_second_is_over(tmp_path):
    first = clock_film(tmp_path / "a.mkv", range(0, 20, 4))
    second = clock_film(tmp_path / "b.mkv", range(0, 8, 4))
    assert numbers(first, second) == [(0, 0), (1, 1), (2, 1), (3, 1), (4, 1)]


def test_the_result_has_the_times_and_the_sound_of_the_first(tmp_path):
    pts = [0, 1, 2, 5, 6, 9]
    first = make_film(tmp_path / "a.mkv", frames=6, pts=pts, time_base=Fraction(1, 25))
    second = make_film(tmp_path / "b.mkv", frames=6, pts=pts, time_base=Fraction(1, 25), chroma=90, audio=None)
    made = compare(first, second, tmp_path / "out.mkv", labels=("a", "b"))
    assert (made.frames, made.width, made.height, made.sound_from) == (6, 128, 48, str(first))
    assert stamps(tmp_path / "out.mkv") == stamps(first)
    assert sound_packets(tmp_path / "out.mkv") == sound_packets(first)
    chroma = planes(tmp_path / "out.mkv", 1)[2].astype(float)
    assert abs(chroma[:12, :30].mean() - 128) < 2
    assert abs(chroma[:12, 34:].mean() - 90) < 4


def test_the_sound_of_the_second_is_taken_where_the_first_is_silent(tmp_path):
    first = make_film(tmp_path / "a.mkv", audio=None)
    second = make_film(tmp_path / "b.mkv")
    assert compare(first, second, tmp_path / "out.mkv").sound_from == str(second)
    assert sound_packets(tmp_path / "out.mkv") == sound_packets(second)
    assert stamps(tmp_path / "out.mkv") == stamps(first)
    assert compare(first, first, tmp_path / "silent.mp4").sound_from is None


def test_a_turned_film_of_another_size_is_brought_to_the_first(tmp_path):
    first = make_film(tmp_path / "a.mp4", size=(48, 64), frames=3, audio=None)
    second = make_film(tmp_path / "b.mp4", size=(96, 72), frames=3, audio=None, rotation=90)
    made = compare(first, second, tmp_path / "out.mp4", mode="split")
    assert (made.width, made.height) == (48, 64)
    assert len(planes(tmp_path / "out.mp4")) == 3


def test_damaged_packets_do_not_end_a_comparison(tmp_path):
    first = make_film(tmp_path / "a.mkv", frames=30, audio=None, options={"g": "5", "bf": "0"})
    data = bytearray(first.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    (tmp_path / "b.mkv").write_bytes(data)
    assert compare(first, tmp_path / "b.mkv", tmp_path / "out.mkv").frames == 30


def test_photos_give_a_picture_in_every_mode(tmp_path):
    for name, gray in (("a.png", 50), ("b.jpg", 200)):
        Image.new("RGB", (80, 60), (gray, gray, gray)).save(tmp_path / name)
    for mode, size in (("side", (160, 60)), ("split", (80, 60)), ("wipe", (80, 60))):
        output = tmp_path / f"{mode}.png"
        made = compare(tmp_path / "a.png", tmp_path / "b.jpg", output, mode=mode)
        assert (made.kind, made.frames) == ("photo", 1)
        with Image.open(output) as image:
            assert image.size == size
            assert image.getpixel((2, 2)) == (50, 50, 50)
            assert abs(image.getpixel((size[0] - 3, 2))[0] - 200) < 3
    compare(tmp_path / "a.png", tmp_path / "b.jpg", tmp_path / "x.tif")


def test_what_cannot_be_compared_is_refused(tmp_path):
    film = make_film(tmp_path / "a.mkv", frames=2, audio=None)
    photo = tmp_path / "p.png"
    Image.new("L", (40, 30)).save(photo)
    with pytest.raises(UsageError, match="two of a kind"):
        compare(film, photo, tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="mode"):
        compare(film, film, tmp_path / "out.mp4", mode="swirl")
    with pytest.raises(UsageError, match="cannot be written"):
        compare(film, film, tmp_path / "out.webm")
    with pytest.raises(UsageError, match="input itself"):
        compare(film, film, film, overwrite=True)
    (tmp_path / "there.mp4").write_bytes(b"old")
    with pytest.raises(OutputError, match="--overwrite"):
        compare(film, film, tmp_path / "there.mp4")
    with pytest.raises(InputError, match="does not exist"):
        compare(film, tmp_path / "lost.mkv", tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "p.png", "there.mp4"]


def test_an_interrupted_comparison_leaves_nothing_behind(tmp_path):
    film = make_film(tmp_path / "a.mkv", audio=None)

    def interrupt(frames):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(film, film, tmp_path / "out.mp4", on_frame=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_the_wiping_line_wanders_between_its_bounds_and_the_others_stay():
    wipe = Layout("wipe", 100, 50)
    lines = [wipe.line(tenth / 10) for tenth in range(80)]
    assert wipe.line(0) == 50
    assert (min(lines), max(lines)) == (10, 90)
    assert all(line % 2 == 0 for line in lines)
    assert {Layout("split", 100, 50).line(t) for t in range(9)} == {50}
    assert even_size(101, 1) == (100, 2)


def test_labels_stand_on_their_own_side_and_leave_the_rest_alone():
    layout = Layout("side", 200, 120)
    gray = tuple(np.full(shape, 100, np.uint8) for shape in ((120, 200), (60, 100), (60, 100)))
    joined = Composer(layout, ("left", "right")).join(gray, gray, 0.0)
    written = np.argwhere(joined[0] != 100)
    assert written[:, 0].min() > 90
    assert {bool(column >= 200) for column in written[:, 1]} == {False, True}
    assert joined[0].shape == (120, 400)
    assert 225 < joined[0].max() <= 235


def test_a_label_gives_way_to_the_wandering_line():
    layout = Layout("wipe", 200, 120)
    composer = Composer(layout, ("left", "right"))
    gray = tuple(np.full(shape, 100, np.uint8) for shape in ((120, 200), (60, 100), (60, 100)))
    far_right = composer.join(gray, gray, 2.0)[0]
    assert (far_right[:, 184:] == 100).all()
    assert (far_right[90:, :60] != 100).any()


def test_the_command_tells_what_it_made(monkeypatch, capsys, tmp_path):
    film = make_film(tmp_path / "a.mkv", frames=3, audio=None)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["deoldify-video", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), *capsys.readouterr()

    code, out, err = run(film, film, "-o", tmp_path / "out.mp4", "--labels", "before,after", "--json")
    assert code == 0
    assert json.loads(out)["frames"] == 3
    assert "3 frames, 128x48" in err
    code, _, err = run(film, film, "-o", tmp_path / "out.mp4", "--labels", "before")
    assert code == 2
    assert "two labels" in err


def test_an_end_cuts_pictures_and_sound_and_a_width_makes_the_pictures_smaller(tmp_path):
    source = make_film(tmp_path / "old.mp4", frames=50, size=(128, 96))
    made = compare(source, source, tmp_path / "new.mp4", end_s=1.0, max_width_px=64)
    assert (made.frames, made.width, made.height) == (25, 128, 48)
    assert stamps(tmp_path / "new.mp4") == stamps(source)[:25]
    heard = sound_packets(tmp_path / "new.mp4")
    assert heard == sound_packets(source)[: len(heard)]
    assert Fraction(8, 10) < heard[-1][0] < 1
