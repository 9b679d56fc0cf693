"""Sessions: each in a folder of its own, served by name only, deleted after its time; and what is refused at the door."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from synth import make_film

from deoldify_video.errors import InputError, UsageError
from deoldify_video.media.files import lock_file
from deoldify_video.web.limits import UNUSED_S, Limits, visitor_address
from deoldify_video.web.store import SessionStore


@pytest.fixture
def film(tmp_path):
    return make_film(tmp_path / "old.mp4")


def test_an_upload_is_taken_out_of_where_it_arrived(film, store, admit):
    session = admit(film)
    assert session.info.kind == "film"
    assert session.source.read_bytes() == film.read_bytes()
    assert session.source.is_relative_to(store.root)
    assert not list(store.uploads.root.iterdir())
    assert store.find(session.key) is session


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_nobody_else_can_read_it(store):
    assert store.root.stat().st_mode & 0o077 == 0


def test_only_what_was_shown_is_served(film, store, admit):
    session = admit(film)
    (session.folder / "result.mp4").write_bytes(b"result")
    (session.folder / "secret.txt").write_bytes(b"secret")
    assert session.show(session.folder / "result.mp4") == f"/session/{session.key}/result.mp4"
    assert store.file(session.key, "result.mp4") == session.folder / "result.mp4"
    for name in ("secret.txt", session.source.name, "../lock", "source/old.mp4", ".", ""):
        assert store.file(session.key, name) is None
    assert store.file("guess", "result.mp4") is None


def test_what_is_no_film_is_refused_by_what_it_holds_and_deleted(store, admit, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("This is no film at all.\n" * 50)
    with pytest.raises(InputError, match="no film or picture"):
        admit(text)
    assert {path.name for path in store.root.iterdir()} == {"lock", "uploads"}


def test_a_film_is_taken_whatever_its_name(film, admit):
    assert admit(film, "letter.txt").info.kind == "film"


def test_what_is_too_large_or_too_long_is_refused_in_numbers(film):
    with pytest.raises(InputError, match=r"old.mp4 has \d+(\.\d+)? kB; this page takes files of up to 1 kB"):
        Limits(max_bytes=1000).admit(film)
    with pytest.raises(InputError, match=r"lasts 0 seconds; this page takes films of up to 0 seconds"):
        Limits(max_duration_s=0.2).admit(film)
    assert Limits(max_duration_s=1).admit(film).kind == "film"


def test_a_film_that_does_not_say_how_long_it_is_is_counted(tmp_path):
    film = make_film(tmp_path / "old.h264", frames=50, container="h264", audio=None)
    with pytest.raises(InputError, match="lasts 2 seconds"):
        Limits(max_duration_s=1).admit(film)


def test_limits_that_let_nothing_in_are_refused():
    with pytest.raises(UsageError, match="let nothing in"):
        Limits(max_bytes=0)


def test_files_are_deleted_after_their_time_but_not_while_they_are_worked_on(film, store, admit, queue):
    busy, idle, fresh = admit(film), admit(film), admit(film)
    go_on = threading.Event()
    busy.run = queue.submit(lambda run: go_on.wait(10))
    busy.used_at = idle.used_at = time.monotonic() - 24 * 3600 - 1
    store.sweep()
    assert store.find(idle.key) is None
    assert not idle.folder.exists()
    assert store.find(busy.key) is busy
    assert store.find(fresh.key) is fresh
    go_on.set()
    busy.run.result()
    store.sweep()
    assert busy.folder.exists(), "its time begins when the work ends"


def test_something_new_stops_the_old_run_and_takes_its_place(film, store, admit, queue):
    session = admit(film)
    started = threading.Event()

    def work(run):
        started.set()
        while True:
            run.tell("working", 0.0)
            time.sleep(0.002)

    session.run = queue.submit(work)
    started.wait(5)
    store.forget(session)
    with pytest.raises(Exception, match="Stopped"):
        session.run.result()
    store.sweep()
    assert not session.folder.exists()


def test_the_end_of_the_server_deletes_everything(film, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with SessionStore(Limits()) as store:
        (store.root / "anything").write_bytes(b"")
    assert not store.root.exists()


def test_folders_of_servers_that_were_killed_are_deleted_and_others_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive, other = (tmp_path / name for name in ("deoldify-video-web-dead", "deoldify-video-web-alive", "photos"))
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "lock").touch()
    lock = lock_file(alive / "lock")
    with SessionStore(Limits()):
        assert not dead.exists()
        assert alive.exists()
        assert other.exists()
    lock.release()


def test_names_are_kept_but_never_lead_out_of_the_folder(film, store, admit):
    session = admit(film, "Tante Käthe & Co.mp4")
    assert session.source.name == "Tante Käthe & Co.mp4"
    assert store.file(session.key, str(Path("..") / "lock")) is None


def test_a_photo_does_not_wait_for_a_film(film, admit, tmp_path):
    photo, let_go = tmp_path / "a.png", threading.Event()
    cv2.imwrite(str(photo), np.zeros((20, 30), np.uint8))
    first, second, third = admit(film), admit(film), admit(photo)
    running, waiting = first.submit(lambda run: let_go.wait(20)), second.submit(lambda run: None)
    assert third.submit(lambda run: "done").result() == "done"
    assert not running.ended
    assert second.queue.ahead_of(waiting) == 1
    let_go.set()
    waiting.result()


def test_files_count_against_the_disk_of_all_and_of_one_address(film, store, admit):
    small = dataclasses.replace(store.limits, disk_bytes=5 * film.stat().st_size)
    session = admit(film)
    session.address = "a"
    store.limits = small
    store.check_disk("a")
    (session.folder / "result.mp4").write_bytes(bytes(2 * film.stat().st_size))
    with pytest.raises(UsageError, match="you have too many files here"):
        store.check_disk("a")
    store.check_disk("b")
    with (
        store.arriving("b", film.stat().st_size),
        pytest.raises(UsageError, match="no room for more"),
        store.arriving("b", 10**6),
    ):
        pass
    store.check_disk("b")


def test_uploads_that_nobody_used_are_deleted(store):
    with store.arriving("a", 1) as upload:
        upload.file = upload.folder / "a.png"
        upload.file.write_bytes(b"x")
    store.sweep()
    assert store.uploads.find(upload.key)
    long_ago = time.time() - UNUSED_S - 1
    os.utime(upload.folder, (long_ago, long_ago))
    store.sweep()
    assert store.uploads.find(upload.key) is None
    assert not upload.folder.exists()


def test_a_photo_that_needs_more_memory_than_is_lent_is_refused_by_its_header(tmp_path):
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((1000, 1500), np.uint8))
    limits = Limits(memory_bytes=20_000_000)
    with pytest.raises(
        InputError, match=r"is a photo of 1500x1000, and would take 30(\.\d+)? MB of memory; this page lends 20 MB"
    ):
        limits.reading_bytes(path)
    assert Limits().reading_bytes(path) == pytest.approx(15_000_000, rel=0.01)


def test_a_film_with_huge_frames_is_refused(tmp_path):
    film = make_film(tmp_path / "huge.mp4", size=(4400, 3200), frames=1, audio=None)
    with pytest.raises(InputError, match="has frames of 4400x3200"):
        Limits().admit(film)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8::5", "2001:db8::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_by_which_address_a_visitor_is_counted(host, counted):
    assert visitor_address(host) == counted
