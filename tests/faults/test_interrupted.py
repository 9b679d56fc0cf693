"""A run that ends before its time: nothing is lost, nothing is half, and the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fork_server import Case, ForkServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synth import make_film, planes, sound_packets, stamps

from deoldify_video.errors import OutputError, StoppedError, UsageError
from deoldify_video.film import job
from deoldify_video.film.colorize import colorize_film
from deoldify_video.film.journal import Journal, Segment, _read_lines, segment_path
from deoldify_video.media.files import hash_file, lock_file
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, JobOptions, SmoothOptions

FFV1 = {"encode": {"codec": "ffv1"}, "smooth": {"smoothing": 0.8}}
OPTIONS = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.0))
FRAMES = 50


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three shots, longer and shorter than a segment, key frames far apart."""
    return make_film(tmp_path_factory.mktemp("film") / "old.mkv", frames=FRAMES, shots=3, options={"g": "25"})


@pytest.fixture(scope="module")
def uninterrupted(film, fork_server, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "new.mkv"
    outcome = fork_server.run(Case(str(film), str(output), FFV1))
    assert outcome.kind == "ok", outcome
    return output, outcome.events


def assert_same_film(one: Path, other: Path) -> None:
    for plane in (0, 1, 2):
        np.testing.assert_array_equal(planes(one, plane), planes(other, plane))
    assert stamps(one) == stamps(other)
    assert sound_packets(one) == sound_packets(other)


@pytest.mark.parametrize("share", [0.3, 0.55, 0.8, 0.97])
def test_kill_and_resume(film, fork_server, uninterrupted, tmp_path, share):
    whole, events = uninterrupted
    output = tmp_path / "new.mkv"
    killed = fork_server.run(Case(str(film), str(output), FFV1, kill_at=round(share * events)))
    assert killed.kind == "killed"
    assert not output.exists()
    resumed = fork_server.run(Case(str(film), str(output), FFV1))
    assert resumed.kind == "ok", resumed
    assert 8 <= resumed.report["resumed_frames"] <= FRAMES
    assert_same_film(output, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv"]


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(1, 200), second=st.integers(1, 200), old=st.booleans())
def test_kill_anywhere(film, fork_server, uninterrupted, tmp_path, first, second, old):
    whole, events = uninterrupted
    output = tmp_path / "new.mkv"
    if old:
        output.write_bytes(b"the film that was there before")
    options = {**FFV1, "encode": {"codec": "ffv1", "overwrite": True}}
    for kill_at in (first % events + 1, second % events + 1):
        outcome = fork_server.run(Case(str(film), str(output), options, kill_at=kill_at))
        assert outcome.kind in ("killed", "ok"), outcome
        if output.exists() and output.read_bytes() != b"the film that was there before":
            assert_same_film(output, whole)  # whole as soon as it has its name
        else:
            assert output.exists() == old
    assert fork_server.run(Case(str(film), str(output), options)).kind == "ok"
    assert_same_film(output, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv"]
    output.unlink()


def enter_segments(output: Path, count: int) -> Journal:
    """A journal with `count` finished segments whose parts hold a few bytes."""
    journal = Journal(output, {"version": "1"})
    for number in range(count):
        part = segment_path(journal.folder, number)
        part.write_bytes(b"part %d" % number)
        pts = [number * 2, number * 2 + 1]
        journal.add(number, Segment(part.name, hash_file(part), "", pts, 0, 1, shots=1, in_mid_shot=False, seekable=True))
    return journal


def test_journal_torn(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a thousand of them, and no power cut to come
    output = tmp_path / "new.mkv"
    journal = enter_segments(output, 3)
    journal.close(remove=False)
    text, folder = journal.path.read_bytes(), journal.folder
    parts = {path.name: path.read_bytes() for path in folder.glob("part-*")}
    ends = [0, *(i + 1 for i, byte in enumerate(text) if byte == ord("\n"))]
    for length in range(len(text) + 1):
        for name, data in parts.items():
            (folder / name).write_bytes(data)
        journal.path.write_bytes(text[:length])
        opened = Journal(output, {"version": "1"})
        whole_lines = sum(end <= length for end in ends[1:])
        assert len(opened.segments) == max(0, whole_lines - 1)
        assert len(list(folder.glob("part-*"))) == len(opened.segments)
        opened.close(remove=False)


@pytest.mark.parametrize(
    "lie", ["part gone", "part changed", "other part", "stamps fall", "no stamps", "other fields", "no entry"]
)
def test_journal_lies(tmp_path, lie):
    output = tmp_path / "new.mkv"
    journal = enter_segments(output, 3)
    journal.close(remove=False)
    entries = _read_lines(journal.path)
    if lie == "part gone":
        segment_path(journal.folder, 1).unlink()
    elif lie == "part changed":
        segment_path(journal.folder, 1).write_bytes(b"part X")
    elif lie == "other part":
        entries[2]["part"] = entries[1]["part"]
    elif lie == "stamps fall":
        entries[2]["pts"] = [5, 4]
    elif lie == "no stamps":
        entries[2]["pts"] = []
    elif lie == "other fields":
        entries[2]["colour"] = entries[2].pop("delay")
    else:
        entries[2] = ["not", "an", "entry"]
    texts = [json.dumps(entry).encode() for entry in entries]
    journal.path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))
    opened = Journal(output, {"version": "1"})
    assert [segment.part for segment in opened.segments] == ["part-00000.mkv"]
    opened.close(remove=True)
    assert not opened.folder.exists()


def stopped_run(film: Path, output: Path, colorizer, options: FilmOptions = OPTIONS) -> None:
    with pytest.raises(StoppedError, match="the same command goes on"):
        colorize_film(film, output, options, colorizer=colorizer, should_stop=lambda: True)


@pytest.mark.parametrize("change", ["input", "option", "network", "version"])
def test_resume_fingerprint(film, tmp_path, stub_colorizer, short_segments, monkeypatch, change):
    source, output = tmp_path / "old.mkv", tmp_path / "new.mkv"
    shutil.copy(film, source)
    stopped_run(source, output, stub_colorizer)
    options = OPTIONS
    if change == "input":
        make_film(source, frames=FRAMES, shots=2)
    elif change == "option":
        options = replace(OPTIONS, decode=DecodeOptions(end_s=1.0))
    elif change == "network":
        stub_colorizer.fingerprint = "other weights"
    else:
        monkeypatch.setattr(job, "__version__", "0.0.1")
    with pytest.raises(UsageError, match=r"--restart") as caught:
        colorize_film(source, output, options, colorizer=stub_colorizer)
    assert {"input": "source", "option": "end_s", "network": "weights", "version": "version"}[change] in str(caught.value)
    assert not output.exists()
    report = colorize_film(source, output, replace(options, job=JobOptions(restart=True)), colorizer=stub_colorizer)
    assert report.resumed_frames == 0
    assert output.exists()


@pytest.mark.parametrize("link", ["itself", "symlink", "hard link"])
def test_no_clobber(film, tmp_path, stub_colorizer, link):
    source = tmp_path / "old.mkv"
    shutil.copy(film, source)
    before = source.read_bytes()
    output = source if link == "itself" else tmp_path / "new.mkv"
    if link == "symlink":
        output.symlink_to(source)
    elif link == "hard link":
        output.hardlink_to(source)
    overwrite = replace(OPTIONS, encode=replace(OPTIONS.encode, overwrite=True))
    with pytest.raises(UsageError, match="is the input itself"):
        colorize_film(source, output, overwrite, colorizer=stub_colorizer)
    assert source.read_bytes() == before
    other = tmp_path / "taken.mkv"
    other.write_bytes(b"something else")
    with pytest.raises(OutputError, match="--overwrite"):
        colorize_film(source, other, OPTIONS, colorizer=stub_colorizer)
    assert other.read_bytes() == b"something else"


SIGINT_SCRIPT = """
import os, signal, sys, threading
from fork_server import stub
from deoldify_video.cli import app
from deoldify_video.cli.commands import colorize
from deoldify_video.film import colorize as film
from deoldify_video.film import pipeline
from deoldify_video.media.encode import SegmentWriter
pipeline.MIN_SEGMENT_FRAMES, pipeline.MAX_SEGMENT_FRAMES = 8, 12
film.Colorizer = lambda options: stub()
times, original = int(sys.argv.pop()), SegmentWriter.write
written = 0
def write(self, luma, chroma):
    global written
    written += 1
    if written in (15, 17)[:times]:
        os.kill(os.getpid(), signal.SIGINT)
    original(self, luma, chroma)
SegmentWriter.write = write
try:
    app.main()
finally:
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    print("threads left:", [name for name in left if name in ("decode", "colorize", "smooth", "paint")])
"""


@pytest.mark.parametrize(("times", "kept"), [(1, 2), (2, 1)])
def test_sigint_once_twice(film, tmp_path, fork_server, times, kept):
    here = Path(__file__).resolve().parent
    output = tmp_path / "new.mkv"
    path = os.pathsep.join([str(here.parents[1]), str(here.parent), str(here)])
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SIGINT_SCRIPT,
            "colorize",
            film,
            "-o",
            output,
            "--codec",
            "ffv1",
            "--smoothing",
            "0",
            str(times),
        ],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "threads left: []" in done.stdout
    assert not output.exists()
    journal = tmp_path / ".new.mkv.work" / "journal.jsonl"
    assert len(_read_lines(journal)) == 1 + kept  # the fingerprint and the finished segments


@pytest.mark.parametrize("stage", ["decode", "colorize", "smooth", "paint", "encode"])
def test_stage_failure_no_deadlock(film, tmp_path, stub_colorizer, short_segments, monkeypatch, stage):
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError(stage)

    if stage == "decode":
        monkeypatch.setattr("deoldify_video.media.decode.luma_to_gray", fails)
    elif stage == "colorize":
        monkeypatch.setattr(stub_colorizer, "ab", fails)
    elif stage == "smooth":
        monkeypatch.setattr("deoldify_video.temporal.smooth.Smoother.push", fails)
    elif stage == "paint":
        monkeypatch.setattr("deoldify_video.color.paint.Painter.chroma", fails)
    else:
        monkeypatch.setattr("deoldify_video.media.encode.SegmentWriter.write", fails)
    output = tmp_path / "new.mkv"
    with pytest.raises(ZeroDivisionError, match=stage):
        colorize_film(film, output, OPTIONS, colorizer=stub_colorizer)
    assert not {"decode", "colorize", "smooth", "paint"} & {thread.name for thread in threading.enumerate()}
    assert list(tmp_path.iterdir()) == []


def test_two_runs_one_output(film, tmp_path, stub_colorizer, short_segments):
    output = tmp_path / "new.mkv"
    journal = enter_segments(output, 1)
    with pytest.raises(OutputError, match="another run is working on"):
        colorize_film(film, output, OPTIONS, colorizer=stub_colorizer)
    assert segment_path(journal.folder, 0).exists()
    assert lock_file(journal.folder / "lock") is None
    journal.close(remove=True)
    colorize_film(film, output, OPTIONS, colorizer=stub_colorizer)
    assert output.exists()


def test_disk_full_start(film, tmp_path, stub_colorizer, monkeypatch):
    usage = shutil._ntuple_diskusage(10**12, 10**12 - 10**6, 10**6)
    monkeypatch.setattr("deoldify_video.media.disk.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="1 MB free and the film needs at least"):
        colorize_film(film, tmp_path / "new.mkv", OPTIONS, colorizer=stub_colorizer)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", ["a part", "the track", "the film"])
def test_disk_full_middle(film, tmp_path, fork_server: ForkServer, uninterrupted, limit):
    """A limit on the size of files stands for the full disk, and is reached at different times."""
    whole, _ = uninterrupted
    output = tmp_path / "new.mkv"
    size = whole.stat().st_size
    options = {**FFV1, "smooth": {"smoothing": 0.8 if limit == "the track" else 0.0}}
    file_limit = 3000 if limit == "a part" else size * 2 // 3
    outcome = fork_server.run(Case(str(film), str(output), options, file_limit_bytes=file_limit))
    assert (outcome.kind, outcome.exit_code) == ("error", 4), outcome
    assert "disk is full" in outcome.message
    assert not output.exists()
    resumed = fork_server.run(Case(str(film), str(output), options))
    assert resumed.report["resumed_frames"] == (FRAMES if limit == "the film" else 0)
    assert len(planes(output)) == FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv"]
