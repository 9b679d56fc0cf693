"""A film that is made in ranges, apart and in any order, is the film that a single run makes."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest
from synth import SHORT, make_film, planes, sound_packets, stamps, write_plane

from deoldify_video.errors import InputError
from deoldify_video.film import cut_search
from deoldify_video.film.colorize import colorize_film
from deoldify_video.film.finalize import finalize_film, finalize_report
from deoldify_video.film.job import FilmJob, NetworkFacts
from deoldify_video.film.journal import Journal
from deoldify_video.film.partition import is_divisible, partition_film
from deoldify_video.film.preflight import preflight
from deoldify_video.film.segments import SegmentRange, make_segments
from deoldify_video.media.decode import DecodeStats
from deoldify_video.media.probe import probe
from deoldify_video.options import (
    ColorOptions,
    DecodeOptions,
    EncodeOptions,
    FilmOptions,
    JobOptions,
    SegmentOptions,
    SmoothOptions,
)

FRAMES = 90
SHOTS = 4  # of 22 or 23 frames: each has a segment that is divided in mid-shot
FFV1 = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.9), segments=SHORT)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film") / "old.mkv", frames=FRAMES, shots=SHOTS, options={"g": "30"})


def job_of(source: Path, output: Path, colorizer, options: FilmOptions = FFV1) -> FilmJob:
    return FilmJob(preflight(probe(source), output, options), output, options, NetworkFacts.of(colorizer))


def partition(job: FilmJob, finished) -> tuple[list[SegmentRange], DecodeStats]:
    *segment_ranges, stats = partition_film(job, finished)
    return segment_ranges, stats


def make(job: FilmJob, colorizer, journal: Journal, segment_range: SegmentRange) -> None:
    for number, segment in make_segments(job, colorizer, journal.folder, segment_range, job.reader(segment_range.seek_point)):
        journal.add(number, segment)


def colorize_apart(source: Path, output: Path, colorizer, options: FilmOptions = FFV1):
    """A cluster's way, in this process: ranges in any order, each with a reader of its own."""
    job = job_of(source, output, colorizer, options)
    journal = Journal(output, job.fingerprint(), gaps=True)
    segment_ranges, stats = partition(job, journal.finished)
    random.Random(1).shuffle(segment_ranges)
    for segment_range in segment_ranges:
        make(job, colorizer, journal, segment_range)
    result = finalize_film(job, journal.folder, journal.segments, stats)
    report = finalize_report(job, journal.segments, result, 0, 1.0)
    journal.close(remove=True)
    return report, segment_ranges


def assert_same_film(one: Path, other: Path) -> None:
    for plane in (0, 1, 2):
        np.testing.assert_array_equal(planes(one, plane), planes(other, plane))
    assert stamps(one) == stamps(other)
    assert sound_packets(one) == sound_packets(other)


@pytest.mark.parametrize("way", ["plain", "key frames", "a part of it", "no look-ahead", "deinterlaced"])
def test_ranges_make_the_film_that_one_run_makes(film, tmp_path, real_colorizer, way):
    options = replace(FFV1, color=ColorOptions(render_factor=7))
    if way == "key frames":
        options = replace(options, color=replace(options.color, keyframes=6))
    elif way == "a part of it":
        options = replace(options, decode=DecodeOptions(start_s=0.5, end_s=3.1))
    elif way == "no look-ahead":
        options = replace(options, smooth=SmoothOptions(0.9, lookahead=0))
    elif way == "deinterlaced":
        options = replace(options, decode=DecodeOptions(deinterlace=True))
    whole, apart = tmp_path / "whole.mkv", tmp_path / "apart.mkv"
    expected = colorize_film(film, whole, options, colorizer=real_colorizer)
    report, segment_ranges = colorize_apart(film, apart, real_colorizer, options)
    assert len(segment_ranges) > 2
    assert all(segment_range.state_segment is None for segment_range in segment_ranges)
    assert_same_film(apart, whole)
    assert (report.frames, report.shots, report.segments) == (expected.frames, expected.shots, expected.segments)
    assert report.warnings == expected.warnings
    assert sorted(path.name for path in tmp_path.iterdir()) == ["apart.mkv", "whole.mkv"]


def test_ranges_begin_at_cuts(film, tmp_path, stub_colorizer):
    job = job_of(film, tmp_path / "new.mkv", stub_colorizer)
    segment_ranges, stats = partition(job, {})
    plans = [segment for segment_range in segment_ranges for segment in segment_range.plan]
    assert [segment.number for segment in plans] == list(range(len(plans)))
    assert [segment.frame for segment in plans] == list(np.cumsum([0, *(len(segment.pts) for segment in plans)])[:-1])
    assert stats.frames == sum(segment_range.frames for segment_range in segment_ranges) == FRAMES
    assert len({segment_range.resume_point.shot for segment_range in segment_ranges}) == len(segment_ranges) == SHOTS
    assert any(len(segment_range.plan) > 1 for segment_range in segment_ranges)  # what goes on in mid-shot stays together


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("way", ["plain", "a part of it", "flat frames", "uneven stamps"])
def test_several_searches_find_what_one_does(tmp_path, stub_colorizer, way, count):
    """The film is divided alike, wherever searches begin: in mid-shot, in black frames, between stamps."""
    options = replace(FFV1, segments=replace(SHORT, overlap_frames=60))
    many = {"frames": 300, "shots": 7, "options": {"g": "30"}}
    if way == "a part of it":
        options = replace(options, decode=DecodeOptions(start_s=0.7, end_s=10.1))
    elif way == "uneven stamps":
        rng = random.Random(2)
        many |= {"pts": list(accumulate(rng.choice((40, 40, 40, 80)) for _ in range(300))), "time_base": Fraction(1, 1000)}
    source = make_film(tmp_path / "old.mkv", **many)
    if way == "flat frames":
        source = with_black(source, tmp_path / "black.mkv", every=23, length=4)
    job = job_of(source, tmp_path / "new.mkv", stub_colorizer, options)
    expected, stats = partition(job, {})
    searches = [cut_search.search_cuts(job, number, count) for number in range(count)]
    assert cut_search.join_searches(searches) is not None
    assert list(partition_film(job, {}, searches)) == [
        *expected,
        replace(stats, last_duration=searches[-1].stats.last_duration),
    ]
    assert sum(one.own for one in searches) == stats.frames


def test_searches_that_cannot_be_joined(film, tmp_path, stub_colorizer):
    job = job_of(film, tmp_path / "new.mkv", stub_colorizer)
    first, second = (cut_search.search_cuts(job, number, 2) for number in range(2))
    assert cut_search.join_searches([first, second]) is not None
    other = replace(second, pts=second.pts + 1)
    wrong = [
        [first, replace(second, is_sound=False)],
        [first, replace(second, head=[b""] * len(second.head))],
        [first, other],
        [first, replace(second, own=3)],
    ]
    for searches in wrong:
        assert cut_search.join_searches(searches) is None
        assert list(partition_film(job, {}, searches)) == list(partition_film(job, {}))  # the film is read in one go instead
    nothing = replace(job, options=replace(job.options, decode=DecodeOptions(start_s=500, end_s=600)))
    assert not cut_search.search_cuts(nothing, 0, 2).is_sound


def with_black(source: Path, target: Path, *, every: int, length: int) -> Path:
    """The film with black frames now and then."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=25, options={"g": "30"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, frame in enumerate(old.decode(video=0)):
            if number % every < length:
                write_plane(frame, 0, np.array(16))
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    return target


@pytest.mark.parametrize("lost", [[0], [1], [3, 4], [0, 5], [2, 3, 4, 5, 6, 7]])
def test_only_what_is_missing_is_made(film, tmp_path, stub_colorizer, lost):
    """Segments are lost, in the middle of shots and at cuts; what is divided then fills the gaps and gives the same film."""
    whole, output = tmp_path / "whole.mkv", tmp_path / "new.mkv"
    colorize_film(film, whole, FFV1, colorizer=stub_colorizer)
    job = job_of(film, output, stub_colorizer)
    journal = Journal(output, job.fingerprint(), gaps=True)
    for segment_range in partition(job, {})[0]:
        make(job, stub_colorizer, journal, segment_range)
    number = len(journal.finished)
    for one in lost:
        (journal.folder / f"part-{one:05d}.mkv").write_bytes(b"gone")
    journal.close(remove=False)
    journal = Journal(output, job.fingerprint(), gaps=True)
    assert sorted(journal.finished) == [one for one in range(number) if one not in lost]
    segment_ranges, stats = partition(job, journal.finished)
    made = [segment.number for segment_range in segment_ranges for segment in segment_range.plan]
    assert set(lost) <= set(made)
    assert len(made) <= len(lost) + 2 * len(segment_ranges)  # the rest of a shot, at most
    for segment_range in segment_ranges:
        make(job, stub_colorizer, journal, segment_range)
    finalize_film(job, journal.folder, journal.segments, stats)
    journal.close(remove=True)
    assert_same_film(output, whole)


def test_a_single_run_goes_on_from_what_a_cluster_has_left(film, tmp_path, stub_colorizer):
    whole, output = tmp_path / "whole.mkv", tmp_path / "new.mkv"
    colorize_film(film, whole, FFV1, colorizer=stub_colorizer)
    job = job_of(film, output, stub_colorizer)
    journal = Journal(output, job.fingerprint(), gaps=True)
    first, _, third, *_ = partition(job, {})[0]
    make(job, stub_colorizer, journal, third)
    make(job, stub_colorizer, journal, first)
    journal.close(remove=False)
    report = colorize_film(film, output, FFV1, colorizer=stub_colorizer)
    assert report.resumed_frames == first.frames  # what lies after the gap is made anew
    assert_same_film(output, whole)


def test_a_damaged_film_is_one_range_from_the_damage_on(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mkv", frames=FRAMES, shots=SHOTS, options={"g": "30"}, audio=None)
    damaged, output = tmp_path / "damaged.mkv", tmp_path / "new.mkv"
    with av.open(str(source)) as old, av.open(str(damaged), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(old.streams.video[0])):
            if packet.size == 0:
                continue
            if number == 48:
                broken = av.Packet(b"\x00" * packet.size)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                packet = broken  # noqa: PLW2901
            packet.stream = stream
            new.mux(packet)
    options = replace(FFV1, job=JobOptions(allow_truncated=True))
    report, segment_ranges = colorize_apart(damaged, output, stub_colorizer, options)
    assert report.warnings
    starts = sorted(segment_range.resume_point.frame for segment_range in segment_ranges)
    assert starts[0] == 0 < starts[-1] <= 48  # nothing begins after the damage
    whole = tmp_path / "whole.mkv"
    expected = colorize_film(damaged, whole, options, colorizer=stub_colorizer)
    assert report.warnings == expected.warnings
    assert stamps(output) == stamps(whole)


def test_a_film_that_reads_otherwise_when_sought_is_refused(film, tmp_path, stub_colorizer):
    job = job_of(film, tmp_path / "new.mkv", stub_colorizer)
    journal = Journal(job.output, job.fingerprint(), gaps=True)
    segment_range = partition(job, {})[0][1]
    wrong = replace(segment_range.plan[0], pts=[*segment_range.plan[0].pts[:-1], segment_range.plan[0].pts[-1] + 1])
    with pytest.raises(InputError, match="--engine local"):
        make(job, stub_colorizer, journal, replace(segment_range, plan=(wrong, *segment_range.plan[1:])))
    assert not journal.finished
    last = partition(job, {})[0][-1]
    longer = replace(last.plan[-1], pts=[*last.plan[-1].pts, last.plan[-1].pts[-1] + 40])
    with pytest.raises(InputError, match="--engine local"):
        make(job, stub_colorizer, journal, replace(last, plan=(*last.plan[:-1], longer)))
    journal.close(remove=True)


def test_what_is_divided(film, tmp_path, stub_colorizer):
    assert is_divisible(job_of(film, tmp_path / "new.mkv", stub_colorizer))
    transport = make_film(tmp_path / "old.ts", frames=FRAMES)
    assert not is_divisible(job_of(transport, tmp_path / "new.mkv", stub_colorizer))  # it has no index
    by_default = replace(FFV1, segments=SegmentOptions())
    assert not is_divisible(job_of(film, tmp_path / "new.mkv", stub_colorizer, by_default))  # it is short
