"""A run that ends before its time: nothing is lost, nothing is half, and the same command goes on."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fork_server import Case, ForkServer, stages_left
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import entries_of, write_entries
from synth import SHORT, make_film, planes, sound_packets, stamps

from deoldify_video.errors import InputError, OutputError, StoppedError, UsageError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.film.journal import Journal, Segment, segment_path, work_folder
from deoldify_video.media.disk import check_disk
from deoldify_video.media.files import hash_file, lock_file
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, JobOptions, SmoothOptions
from deoldify_video.report import Progress

FFV1 = {"encode": {"codec": "ffv1"}, "smooth": {"smoothing": 0.8}}
OPTIONS = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.0), segments=SHORT)
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


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 0.97])
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


def test_journal_torn(tmp_path):
    output = tmp_path / "new.mkv"
    journal = enter_segments(output, 3)
    journal.close(remove=False)
    text, folder = journal.path.read_bytes(), journal.folder
    parts = {path.name: path.read_bytes() for path in folder.glob("part-*")}
    ends = [0, *(i + 1 for i, byte in enumerate(text) if byte == ord("\n"))]
    places = {*range(0, len(text), 23), *(end + near for end in ends for near in (-2, -1, 0, 1))}
    for length in sorted(places & {*range(len(text) + 1)}):
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
    entries = entries_of(journal.path)
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
    write_entries(journal.path, entries)
    opened = Journal(output, {"version": "1"})
    assert [segment.part for segment in opened.segments] == ["part-00000.mkv"]
    opened.close(remove=True)
    assert not opened.folder.exists()


def stopped_run(film: Path, output: Path, colorizer, options: FilmOptions = OPTIONS) -> None:
    with pytest.raises(StoppedError, match="the same command goes on"):
        colorize_film(film, output, options, colorizer=colorizer, should_stop=lambda: True)


@pytest.mark.parametrize("change", ["input", "option", "network", "version"])
def test_resume_fingerprint(film, tmp_path, stub_colorizer, change):
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
        journal = work_folder(output) / "journal.jsonl"
        fingerprint, *segments = entries_of(journal)
        write_entries(journal, [fingerprint | {"version": "0.0.1"}, *segments])
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


@pytest.mark.parametrize(("times", "kind", "finished"), [(1, "error", 2), (2, "interrupted", 1)])
def test_sigint_once_twice(film, tmp_path, fork_server, times, kind, finished):
    """In the second segment: the first Ctrl-C lets it finish, the second does not."""
    output = tmp_path / "new.mkv"
    outcome = fork_server.run(Case(str(film), str(output), FFV1, interrupt_at=(15, 17)[:times]))
    assert (outcome.kind, outcome.exit_code, outcome.threads) == (kind, 130, []), outcome
    assert not output.exists()
    assert len(entries_of(work_folder(output) / "journal.jsonl")) == 1 + finished  # the fingerprint and the segments


class FailingRaft(torch.nn.Module):
    """Stands for torchvision's network, and fails."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("smooth")


@pytest.mark.parametrize("stage", ["decode", "colorize", "smooth", "paint"])
def test_stage_failure_no_deadlock(film, tmp_path, stub_colorizer, monkeypatch, stage):
    """Each stage fails by what may happen to it in mid-film: no thread is left, and no file but finished segments."""
    source, output, options = tmp_path / "old.mkv", tmp_path / "new.mkv", OPTIONS
    shutil.copy(film, source)
    network, error = stub_colorizer.network, ZeroDivisionError
    if stage == "decode":
        pieces = [make_film(tmp_path / f"{side}.ts", frames=30, size=(side, 48), audio=None) for side in (64, 96)]
        source.write_bytes(b"".join(piece.read_bytes() for piece in pieces))  # its pictures change their size
        error = InputError
    elif stage == "colorize":

        def fails(x):
            raise ZeroDivisionError(stage)

        network.forward = fails
    elif stage == "smooth":
        library = SimpleNamespace(raft_small=lambda weights: FailingRaft(), Raft_Small_Weights=SimpleNamespace(DEFAULT=None))
        for name in ("torchvision", "torchvision.models", "torchvision.models.optical_flow"):
            monkeypatch.setitem(sys.modules, name, library)
        options = replace(OPTIONS, smooth=SmoothOptions(0.9, flow="raft"))
    else:
        network.to_ab = lambda raw, temperature: torch.zeros(len(raw), 1, 4, 4)  # a plane too few
        error = (IndexError, ValueError)
    with pytest.raises(error):
        colorize_film(source, output, options, colorizer=stub_colorizer)
    assert stages_left() == []
    assert not output.exists()


def test_two_runs_one_output(film, tmp_path, stub_colorizer):
    output = tmp_path / "new.mkv"
    journal = enter_segments(output, 1)
    with pytest.raises(OutputError, match="is worked on by another run"):
        colorize_film(film, output, OPTIONS, colorizer=stub_colorizer)
    assert segment_path(journal.folder, 0).exists()
    assert lock_file(journal.folder / "lock") is None
    journal.close(remove=True)
    colorize_film(film, output, OPTIONS, colorizer=stub_colorizer)
    assert output.exists()


def test_disk_full_start(film, stub_colorizer, small_disk):
    disk = small_disk(10**6)
    with pytest.raises(OutputError, match=r"\d+ kB free and the film needs at least 16\.9 MB"):
        colorize_film(film, disk / "new.mkv", OPTIONS, colorizer=stub_colorizer)
    assert list(disk.iterdir()) == []


def test_disk_full_check(tmp_path):
    """The same without a disk of its own."""
    check_disk(tmp_path, 1)
    with pytest.raises(OutputError, match=r"GB free and the film needs at least 900 TB; free some"):
        check_disk(tmp_path, 9 * 10**14)


def test_disk_full_encode(film, stub_colorizer, small_disk):
    """Something else fills the disk in mid-film: no thread is left, and the finished segments are kept."""
    disk = small_disk(20 << 20)
    output = disk / "new.mkv"

    def on_progress(progress: Progress) -> None:
        if progress.frames == 20:
            with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))

    with pytest.raises(OutputError, match=r"new\.mkv cannot be written: the disk is full"):
        colorize_film(film, output, OPTIONS, colorizer=stub_colorizer, on_progress=on_progress)
    assert stages_left() == []
    (disk / "ballast").unlink()
    report = colorize_film(film, output, OPTIONS, colorizer=stub_colorizer)
    assert (report.frames, report.resumed_frames) == (FRAMES, 12)


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
    assert outcome.message.startswith(f"{output} cannot be written: the disk is full")
    assert not output.exists()
    resumed = fork_server.run(Case(str(film), str(output), options))
    assert resumed.report["resumed_frames"] == (FRAMES if limit == "the film" else 0)
    assert len(planes(output)) == FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv"]
