"""Files that have arrived: each file in a folder of its own, had by its key alone, once."""

from __future__ import annotations

import os
import threading
import time

import pytest

from deoldify_video.errors import InputError
from deoldify_video.web.uploads import UploadStore


@pytest.fixture
def uploads(tmp_path):
    return UploadStore(tmp_path / "uploads", keep_s=3600)


@pytest.fixture
def arrived(uploads):
    """Have a file arrive; returns what is known of it."""

    def arrived(name="photo.png"):
        with uploads.arriving() as upload:
            upload.file = upload.folder / name
            upload.file.write_bytes(b"photo")
        return upload

    return arrived


def test_an_upload_is_had_by_its_key_and_taken_once(uploads, arrived, tmp_path):
    first, same = arrived(), arrived()
    assert uploads.find(first.key) == first.file != same.file
    uploads.take(first.file, tmp_path / "taken.png")
    assert (tmp_path / "taken.png").read_bytes() == b"photo"
    assert uploads.find(first.key) is None
    with pytest.raises(InputError, match="no such upload"):
        uploads.take(first.file, tmp_path / "again.png")
    assert [path.name for path in uploads.root.iterdir()] == [same.key]
    assert uploads.find(same.key) == same.file


def test_nothing_but_a_key_names_an_upload(uploads, arrived, tmp_path):
    upload = arrived()
    for guess in (
        *(str(upload.file), str(upload.folder), f"{upload.key}/photo.png", f"x/../{upload.key}", f"./{upload.key}"),
        *("", ".", "..", "/", None, 0, True, [upload.key], {"path": upload.key}, "\0", "http://127.0.0.1/a.png"),
    ):
        assert uploads.find(guess) is None, guess
    (uploads.root / "stray.png").write_bytes(b"of nobody")
    (tmp_path / "secret.png").write_bytes(b"secret")
    beside = upload.folder / "beside.png"
    beside.write_bytes(b"not handed out")
    for path in (uploads.root / "stray.png", tmp_path / "secret.png", beside, upload.folder, uploads.root):
        with pytest.raises(InputError, match="no such upload"):
            uploads.take(path, tmp_path / "taken.png")
    assert not (tmp_path / "taken.png").exists()


def test_what_is_still_arriving_counts_for_nothing(uploads, tmp_path):
    with uploads.arriving() as upload:
        (upload.folder / "half.png").write_bytes(b"ph")
        assert uploads.find(upload.key) is None
        with pytest.raises(InputError):
            uploads.take(upload.folder / "half.png", tmp_path / "taken.png")
        upload.file = upload.folder / "half.png"


def test_what_fails_to_arrive_leaves_nothing(uploads):
    def break_off():
        with uploads.arriving() as upload:
            keys.append(upload.key)
            upload.file = upload.folder / "half.png"
            upload.file.write_bytes(b"ph")
            raise OSError("broken off")

    keys = []
    with pytest.raises(OSError, match="broken off"):
        break_off()
    assert not list(uploads.root.iterdir())
    assert uploads.find(keys[0]) is None


def become_link(upload, secret):
    upload.file.unlink()
    upload.file.symlink_to(secret / "photo.png")


def become_link_to_neighbour(upload, secret):
    neighbour = upload.folder / "neighbour.png"
    upload.file.rename(neighbour)
    upload.file.symlink_to(neighbour)


def become_folder_elsewhere(upload, secret):
    upload.file.unlink()
    upload.folder.rmdir()
    upload.folder.symlink_to(secret)


def become_folder(upload, secret):
    upload.file.unlink()
    upload.file.mkdir()


def become_pipe(upload, secret):
    upload.file.unlink()
    os.mkfifo(upload.file)


def become_nothing(upload, secret):
    upload.file.unlink()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders, and links only for administrators")
@pytest.mark.parametrize(
    "change",
    [become_link, become_link_to_neighbour, become_folder_elsewhere, become_folder, become_pipe, become_nothing],
)
def test_only_a_regular_file_in_the_uploads_own_folder_counts(uploads, arrived, tmp_path, change):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "photo.png").write_bytes(b"secret")
    upload = arrived()
    change(upload, secret)
    assert uploads.find(upload.key) is None
    with pytest.raises(InputError, match="no such upload"):
        uploads.take(upload.file, tmp_path / "taken.png")
    assert not (tmp_path / "taken.png").exists()
    assert (secret / "photo.png").read_bytes() == b"secret"


def test_of_two_who_take_the_same_one_gets_it(uploads, arrived, tmp_path):
    for number in range(20):
        upload, told, together = arrived(), [], threading.Barrier(2)

        def take(target, upload=upload, told=told, together=together):
            together.wait()
            try:
                uploads.take(upload.file, target)
            except InputError as error:
                told.append(str(error))

        takers = [threading.Thread(target=take, args=[tmp_path / f"{number}-{name}.png"]) for name in "ab"]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        assert told == ["There is no such upload here; drop the file again."]
        assert len(list(tmp_path.glob(f"{number}-*.png"))) == 1


def test_what_nobody_asked_to_be_coloured_is_deleted_after_its_time(uploads, arrived):
    old, new = arrived(), arrived()
    stray = uploads.root / "tmp1234"  # gradio leaves such
    stray.touch()
    long_ago = (time.time() - 3700,) * 2
    with uploads.arriving() as slow:
        for path in (old.folder, slow.folder, stray):
            os.utime(path, long_ago)
        uploads.sweep()
        assert {path.name for path in uploads.root.iterdir()} == {new.key, slow.key}
        slow.file = slow.folder / "film.mp4"
        slow.file.write_bytes(b"film")
    assert uploads.find(old.key) is None
    assert uploads.find(new.key) == new.file
    assert uploads.find(slow.key) == slow.file
