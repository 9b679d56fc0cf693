"""Reports on an archive: the page, the bars, the estimate."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from synth import make_film
from tree import make_photo

from deoldify_video.batch.estimate import estimate, from_history
from deoldify_video.batch.html_report import UNFOLDED, write_report
from deoldify_video.batch.manifest import DONE, FAILED, PENDING, SKIPPED, Manifest
from deoldify_video.batch.planner import Plan, Settings
from deoldify_video.cli.batch_progress import BatchProgress, LiveBatchProgress
from deoldify_video.errors import DeoldifyVideoError, InputError
from deoldify_video.options import FilmOptions
from deoldify_video.preview.spot_check import QualityCheck, check_quality

ARCHIVE = Path("/archive")
FILM = {"kind": "film", "width": 64, "height": 48, "duration_s": 61.0, "frames": 1525}
DONE_FILM = FILM | {"state": DONE, "frames_done": 1525, "seconds": 50.0, "fps": 30.5, "network": "compact at render factor 21"}


@pytest.fixture
def manifest(tmp_path):
    with Manifest(tmp_path / "manifest.sqlite") as manifest:
        assert manifest.begin_run(["--style", "vibrant"]) == 1
        yield manifest


def add(manifest, name, **columns):
    key = manifest.add(ARCHIVE / name, ARCHIVE)
    manifest.put(key, run=1, target=name, output=name, **columns)
    return key


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The measures of a calm film, of a photo, and the calm film's figures as if it flickered."""
    folder = tmp_path_factory.mktemp("measured")
    film = check_quality(make_film(folder / "film.mkv", frames=30, shots=2, audio=None, chroma=150, options={"g": "10"}))
    photo = check_quality(make_photo(folder / "photo.png", 1, color=True))
    wild = QualityCheck(
        tuple(type(shot)(shot.seconds, 20.0, 9.5 - number, shot.strip) for number, shot in enumerate(film.shots))
    )
    return film, photo, wild


@pytest.fixture
def page(manifest, measured, tmp_path):
    """A page with some of everything."""
    calm, photo, wild = measured
    manifest.put_shots(add(manifest, "calm.mkv", **DONE_FILM, verification=json.dumps({"ok": True})), calm)
    warning = json.dumps(["the film ends early & <badly>."])
    manifest.put_shots(add(manifest, "1920s/wild.mp4", **DONE_FILM, warnings=warning), wild)
    manifest.put_shots(add(manifest, "face.png", kind="photo", state=DONE, seconds=0.2, fps=5.0), photo)
    error = DeoldifyVideoError("cannot be colorized: the worker was killed by SIGKILL", path=Path("/archive/<b>it's.mp4"))
    add(manifest, "<b>it's.mp4", **FILM, state=FAILED, error=error, exit_code=1, attempts=3, segments=2)
    add(manifest, "notes.txt", kind="other", state=SKIPPED, reason="is no film or picture that can be read (it is text)")
    path = tmp_path / "report.html"
    write_report(manifest, 1, Path("/out"), path)
    return path


def test_the_page_tells_everything_and_needs_nothing_else(page):
    text = page.read_text()
    assert not re.search(r"(src|href)=['\"](?!data:)", text)
    assert "http" not in text
    for words in ("<b class='good'>3</b>", "<b class='bad'>1</b>", "films an hour and worker", "Verified", "tried 3 times"):
        assert words in text
    assert "2 segments are kept" in text
    assert "72.0" in text  # two films in 100 seconds
    assert "deoldify-video colorize &#39;/archive/&lt;b&gt;it&#39;&#34;&#39;&#34;&#39;s.mp4&#39; -o" in text
    assert "--style vibrant" in text
    assert "<b>it" not in text
    assert "the film ends early &amp; &lt;badly&gt;." in text
    assert "notes.txt" in text
    assert "(it is text)" in text


def test_the_worst_film_and_the_worst_place_come_first(page):
    text = page.read_text()
    assert text.index("1920s/wild.mp4") < text.index("calm.mkv")
    errors = [float(value) for value in re.findall(r"warp error ([\d.]+)", text)]
    wild = errors[: errors.index(min(errors[:4])) + 1]
    assert wild == sorted(wild, reverse=True)
    assert wild[0] == 9.5


def test_many_failures_are_folded_away(manifest, tmp_path):
    for number in range(UNFOLDED + 1):
        add(manifest, f"{number}.mp4", **FILM, state=FAILED, error=InputError("no"))
        write_report(manifest, 1, Path("/out"), tmp_path / "report.html")
        assert ("<details open>" in (tmp_path / "report.html").read_text()) == (number < UNFOLDED)


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_a_phone_and_a_desk(page, width):
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    with sync_api.sync_playwright() as browsers:
        browser = browsers.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        shown = browser.new_page(viewport={"width": width, "height": 800})
        problems = []
        shown.on("console", lambda message: problems.append(message.text))
        shown.goto(page.as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
        assert shown.evaluate("document.images.length") >= 3
        assert "killed by SIGKILL" in shown.inner_text("article >> nth=0")
        assert problems == []
        browser.close()


def resolved(manifest):
    return Plan(manifest, Path("/out"), 1, Settings(FilmOptions(), weights="stub"))


def test_the_time_is_judged_by_what_is_finished(manifest):
    plan = resolved(manifest)
    add(manifest, "a.mp4", **FILM, state=PENDING)
    add(manifest, "b.mp4", **(FILM | {"frames": 475}), state=PENDING)
    assert from_history(plan, "film") is None
    add(manifest, "c.mp4", **(DONE_FILM | {"fps": 10.0}), settings=plan.settings_id("film"))
    add(manifest, "d.mp4", **(DONE_FILM | {"fps": 1.0}))  # made otherwise
    found = estimate(plan)
    assert found is not None
    assert found.seconds == pytest.approx(200)
    assert found.basis == "1 finished film"


def test_the_bars_and_lines_count_what_ends(manifest):
    film = add(manifest, "reel [old].mp4", **FILM, state=PENDING)
    photos = [add(manifest, f"{number}.png", kind="photo", state=PENDING) for number in range(3)]
    for kind in (BatchProgress, LiveBatchProgress):
        text = io.StringIO()
        progress = kind(Console(file=text, force_terminal=True, width=120), resolved(manifest))
        assert progress.where() == "0 of 4 done"
        progress.started(manifest.item("key = ?", film), "worker 1")
        progress.advanced(manifest.item("key = ?", film), "worker 1", 1500, 1525)
        assert progress.where().startswith("0 of 4 done, about 1 s left")
        manifest.put(film, state=PENDING, error=DeoldifyVideoError("a worker died"))
        progress.ended(manifest.item("key = ?", film), "worker 1", again=True)
        assert "Again: /archive/reel [old].mp4: a worker died." in _plain(text)
        manifest.put(film, state=DONE, frames_done=1525, fps=30.5, seconds=50.0)
        progress.ended(manifest.item("key = ?", film), "worker 1", again=False)
        manifest.put(photos[0], state=FAILED, error=InputError("it is damaged"))
        progress.ended(manifest.item("key = ?", photos[0]), "worker 1", again=False)
        assert progress.where().startswith("2 of 4 done, 1 failed, about 1 s left")
        progress.close()
        assert "reel [old].mp4: 1525 frames, 30.5 fps, 50.0 s" in _plain(text)
        assert "Failed: /archive/0.png: it is damaged." in _plain(text)
        for key in (film, photos[0]):
            manifest.put(key, state=PENDING)


def _plain(text):
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text.getvalue())
