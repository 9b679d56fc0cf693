"""Data sets: what is thrown out, what is kept, and how shards are read."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from deoldify_video.cli.commands import dataset as commands
from deoldify_video.errors import InputError, OutputError
from deoldify_video.training import build as build_module
from deoldify_video.training.build import BuildOptions, build
from deoldify_video.training.dataset import read_data
from deoldify_video.training.filters import crop_extremes, near_duplicates, perceptual_hash, reason_against

VAL = Path(__file__).resolve().parents[3] / "shared" / "photos" / "val.tar"


pytestmark = pytest.mark.usefixtures("one_thread")


def photo(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """Soft coloured blobs with grain, RGB: as far from a graphic as a photograph is."""
    rng = np.random.default_rng(seed)
    small = rng.integers(20, 236, (5, 6, 3)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 4, (height, width, 3))
    return np.clip(large, 0, 255).astype(np.uint8)


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as shard:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            shard.addfile(entry, io.BytesIO(data))
    return path


def graphic() -> np.ndarray:
    picture = np.full((160, 160, 3), (40, 90, 200), np.uint8)
    cv2.circle(picture, (80, 80), 50, (220, 60, 40), -1)
    return picture


def sepia() -> np.ndarray:
    tone = photo(3).mean(axis=2, keepdims=True) / 255
    return (tone * np.array([255, 214, 160]) + (1 - tone) * np.array([30, 10, 0])).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (photo(0), None),
        (photo(0, 60, 90), "too small"),
        (graphic(), "graphics"),
        (np.pad(photo(1), ((40, 40), (40, 40), (0, 0)), constant_values=255), "graphics"),
        (grey(photo(2)), "greyscale"),
        (sepia(), "sepia"),
        (photo(4) // 16, "too dark or bright"),
    ],
)
def test_each_bad_picture_is_named_by_its_reason(picture: np.ndarray, reason: str | None) -> None:
    assert reason_against(picture) == reason


def test_extreme_shapes_are_cropped_to_two_to_one() -> None:
    assert crop_extremes(photo(0, 100, 500)).shape == (100, 200, 3)
    assert crop_extremes(photo(0, 500, 100)).shape == (200, 100, 3)
    assert crop_extremes(photo(0, 100, 150)).shape == (100, 150, 3)


def test_the_hash_knows_a_picture_again_and_the_largest_stays() -> None:
    first, other = photo(0, 320, 400), photo(1, 320, 400)
    copy = cv2.imdecode(cv2.imencode(".jpg", cv2.resize(first, (200, 160)), [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
    hashes = [perceptual_hash(picture) for picture in (copy, first, other)]
    assert near_duplicates(hashes, [copy.size, first.size, other.size]) == {0}
    assert near_duplicates([], []) == set()


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A folder with good pictures, bad ones, a shard (with a sheet of labelled thumbnails) and a film of two shots."""
    folder = tmp_path / "material"
    (folder / "deep").mkdir(parents=True)
    for number in range(3):
        (folder / "deep" / f"{number}.png").write_bytes(encoded(photo(10 + number)))
    (folder / "double.jpg").write_bytes(encoded(cv2.resize(photo(10), (180, 144)), ".jpg"))
    (folder / "grey.png").write_bytes(encoded(grey(photo(20))))
    (folder / "torn.png").write_bytes(encoded(photo(21))[:200])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("not a picture")
    sheet = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8, 3)), np.ones((64, 64, 1))).astype(np.uint8)
    members = {"a.png": encoded(photo(30)), "s.png": encoded(sheet), "s.cls": b"7\n"}
    write_tar(folder / "shard.tar", members)
    write_film(folder / "film.mkv", [photo(40, 144, 176), photo(41, 144, 176)])
    return folder


def write_film(path: Path, shots: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.height, stream.width = shots[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for shot in shots:
            for number in range(15):
                frame = av.VideoFrame.from_ndarray(np.roll(shot, number // 4, axis=1), format="rgb24")
                film.mux(stream.encode(frame))
        film.mux(stream.encode())


def test_a_data_set_is_built_from_folders_shards_and_films(material: Path, tmp_path: Path) -> None:
    report = build(BuildOptions((material,), tmp_path / "data", side_px=128))
    assert report.kept == 6  # three of the folder, one of the shard, a frame of each shot
    assert report.left_out == {"near-duplicate": 1, "greyscale": 1, "unreadable": 2}
    assert sorted(name.split(": ")[1] for name in report.unreadable) == ["empty.jpg", "torn.png"]
    photos = read_data([tmp_path / "data"])
    assert len(photos) == 6
    assert all(min(photos.picture(i).shape[:2]) == 128 for i in range(6))
    rows = [line.split("\t") for line in (tmp_path / "data" / "index.tsv").read_text().splitlines()]
    assert rows[0] == ["key", "file", "source", "original", "width", "height"]
    assert {row[3] for row in rows[1:]} >= {"deep/0.png", "a.png"}
    assert sum(row[2] == "film.mkv" for row in rows[1:]) == 2


def test_a_film_gives_at_most_so_many_frames_and_a_broken_one_is_named(material: Path, tmp_path: Path) -> None:
    film = material / "film.mkv"
    assert build(BuildOptions((film,), tmp_path / "one", frames_per_film=1)).kept == 1
    film.write_bytes(film.read_bytes()[:40])
    with pytest.raises(InputError, match="1 unreadable"):
        build(BuildOptions((film,), tmp_path / "none"))


def test_an_unfinished_build_is_redone_and_a_finished_one_kept(material: Path, tmp_path: Path, monkeypatch) -> None:
    options = BuildOptions((material / "deep",), tmp_path / "data")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "_compressed", full)
        with pytest.raises(OutputError, match="No space left on device"):
            build(options)
    assert not (tmp_path / "data" / "index.tsv").exists()
    assert build(options).kept == 3
    with pytest.raises(OutputError, match="holds a data set already"):
        build(options)


def test_missing_empty_and_damaged_sources_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    torn = write_tar(tmp_path / "torn.tar", {"a.png": encoded(photo(0))})
    torn.write_bytes(torn.read_bytes()[:700])
    write_tar(tmp_path / "sheets.tar", {"a.png": encoded(photo(0)), "a.cls": b"7"})
    for source, words in (
        ("gone", "there is no"),
        ("empty", "holds no"),
        ("torn.tar", "damaged"),
        ("sheets.tar", "no picture"),
    ):
        with pytest.raises(InputError, match=words):
            build(BuildOptions((tmp_path / source,), tmp_path / "data"))
        with pytest.raises(InputError, match=words):
            read_data([tmp_path / source])


def test_the_command_prints_the_counts_as_json(material: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    commands.register(app)
    result = CliRunner().invoke(app, ["dataset", "build", str(material), "-o", str(tmp_path / "data"), "--json"])
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    assert counts["kept"] == 6
    assert counts["left_out"]["greyscale"] == 1


@pytest.mark.skipif(not VAL.exists(), reason="the shared photographs lie beside a developer's checkout only")
def test_real_photographs_pass_the_filters() -> None:
    photos = read_data([VAL])
    reasons = [reason_against(crop_extremes(photos.picture(index))) for index in range(0, len(photos), 10)]
    assert sum(reason is not None for reason in reasons) <= 2
