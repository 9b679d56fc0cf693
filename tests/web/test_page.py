"""The page in a browser: photos and films go in, and come out in colour; visitors wait for each other; what is wrong is said."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import browser, chromium, served
from synth import colorfulness, make_film, planes, sound_packets

pytestmark = [
    pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `web` is not installed"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="the extra `test` is not installed"),
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium here (Debian: apt install chromium)"),
    pytest.mark.timeout(240),
]

MEGABYTES = 6  # the largest upload of these tests
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served"), "--max-megabytes", MEGABYTES) as address:
        yield address


@pytest.fixture(scope="module")
def chromium_browser():
    with browser() as running:
        yield running


@pytest.fixture
def open_page(address, chromium_browser):
    """Opens the page as a new visitor; what it asks of other computers is an error."""
    contexts, strange = [], []

    def open_page(**options):
        context = chromium_browser.new_context(**({"viewport": {"width": 1200, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: strange.append(request.url) if is_elsewhere(request.url, address) else None)
        page.on("dialog", lambda dialog: strange.append(dialog.message))
        page.goto(address)
        page.wait_for_selector("input[type=file]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not strange


def is_elsewhere(url, address):
    return not url.startswith((address, "data:", "blob:"))


def drop(page, path):
    page.set_input_files("input[type=file]", path)


def begin_whole_film(page):
    """Start the long film that was dropped, and wait until it is being coloured."""
    page.wait_for_selector(".dv-sheet")
    page.get_by_role("button", name="Colour the whole film").click()
    page.wait_for_selector("text=/Colouring frame .* of 12,000/")


def photo_file(path):
    picture = np.random.default_rng(0).integers(0, 256, (6, 9), np.uint8)
    cv2.imwrite(str(path), cv2.resize(picture, (90, 60), interpolation=cv2.INTER_CUBIC))
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return photo_file(tmp_path_factory.mktemp("photo") / "grandma.png")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film") / "newsreel.mp4", frames=50, shots=2)


@pytest.fixture(scope="module")
def long_film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "long.mp4"
    return make_film(path, frames=12_000, repeat=12, audio=None, options={"preset": "ultrafast", "crf": "40"})


def download(page, path):
    with page.expect_download() as started:
        page.click(".dv-download")
    started.value.save_as(path)
    return started.value.suggested_filename


def mean_color(path):
    return float(np.ptp(cv2.imread(str(path)).astype(int), axis=2).mean())


def test_a_photo_is_coloured_compared_changed_and_taken_home(open_page, photo, tmp_path):
    page = open_page()
    drop(page, photo)
    page.wait_for_selector(".dv-slider")
    assert page.inner_text("#title").startswith("grandma.png")
    assert page.get_by_role("button", name="Colour the whole film").count() == 0
    for picture in page.locator(".dv-slider img").all():
        page.wait_for_function("image => image.complete && image.naturalWidth === 90", arg=picture.element_handle())
    assert download(page, tmp_path / "first.png") == "grandma-colour.png"

    line = page.get_by_label("Line between before and after")
    assert shown_share(page) == pytest.approx(0.5, abs=0.02)
    line.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert shown_share(page) == pytest.approx(0.7, abs=0.02)

    before = page.get_attribute(".dv-after", "src")
    strength = page.get_by_label("range slider for Colour strength")
    strength.focus()
    for _ in range(16):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("old => document.querySelector('.dv-after').getAttribute('src') !== old", arg=before)
    page.wait_for_timeout(1000)  # the last of the steps
    assert shown_share(page) == pytest.approx(0.7, abs=0.02), "the line stays where it was put"
    download(page, tmp_path / "second.png")
    first, second = (cv2.imread(str(tmp_path / name)) for name in ("first.png", "second.png"))
    assert first.shape == second.shape == (60, 90, 3)
    assert 0 < mean_color(tmp_path / "second.png") < 0.5 * mean_color(tmp_path / "first.png")


def shown_share(page):
    """How much of the width shows the photo in colour."""
    inset = page.evaluate("getComputedStyle(document.querySelector('.dv-after')).clipPath")
    return 1 - float(re.search(r"([\d.]+)%\)", inset).group(1)) / 100


def test_a_film_is_previewed_coloured_watched_and_taken_home_with_its_sound(open_page, film, tmp_path):
    page = open_page()
    drop(page, film)
    page.wait_for_selector(".dv-sheet")
    captions = page.locator(".dv-sheet figcaption strong").all_inner_texts()
    assert captions == ["Before", "Detail 10", "Detail 16", "Detail 21", "Detail 28"]
    page.get_by_role("button", name="Colour the first 10 seconds").click()
    page.wait_for_selector(".dv-player video")
    page.get_by_role("button", name="Colour the whole film").click()
    page.wait_for_selector(".dv-download:has-text('newsreel-colour.mp4')")
    assert "Done: 50 frames in colour." in page.inner_text("#status")
    assert download(page, tmp_path / "result.mp4") == "newsreel-colour.mp4"
    assert sound_packets(tmp_path / "result.mp4") == sound_packets(film)
    assert len(planes(tmp_path / "result.mp4")) == 50
    assert colorfulness(tmp_path / "result.mp4") > 3
    seen = page.evaluate("""async () => {
        const video = document.querySelector('video');
        video.muted = true;
        await video.play();
        await new Promise(done => video.ontimeupdate = () => video.currentTime > 0.3 && done());
        return [video.videoWidth, video.videoHeight, Math.round(video.duration)];
    }""")
    assert seen == [128, 48, 2], "source and result beside each other, in one film"


def test_a_run_that_is_stopped_frees_the_device(open_page, long_film, photo):
    page = open_page()
    drop(page, long_film)
    begin_whole_film(page)
    page.wait_for_selector("text=/of 12,000, [\\d.]+ a second, about .* left/")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#status :text('the same button goes on from there')", timeout=10_000)
    drop(page, photo)
    page.wait_for_selector(".dv-slider", timeout=20_000)


def test_a_second_film_waits_and_is_next_when_the_first_page_is_closed(open_page, long_film, film, photo):
    first, second, third = open_page(), open_page(), open_page()
    drop(first, long_film)
    begin_whole_film(first)
    drop(second, film)
    second.wait_for_selector("text=Waiting: One job is before yours, so you are number 2 in the queue.")
    drop(third, photo)
    third.wait_for_selector(".dv-slider", timeout=30_000)  # photos have a queue of their own
    assert second.locator(".dv-sheet").count() == 0
    first.close()
    second.wait_for_selector(".dv-sheet", timeout=60_000)


def test_the_end_of_the_server_ends_the_work_and_deletes_everything(chromium_browser, long_film, tmp_path):
    with served(tmp_path) as address:  # fails where the server ends with an error
        page = chromium_browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("input[type=file]", state="attached")
        drop(page, long_film)
        begin_whole_film(page)
        assert list(tmp_path.glob("deoldify-video-web-*/*/source/long.mp4"))
    page.close()
    assert not list(tmp_path.glob("deoldify-video-web-*"))


def test_what_cannot_be_coloured_is_said_in_a_sentence(open_page, tmp_path, photo):
    page = open_page()
    text = tmp_path / "holiday.mp4"
    text.write_text("This is no film at all.\n" * 50)
    drop(page, text)
    said = page.locator("[role=alert]").inner_text()
    assert said.startswith("“holiday.mp4” is no film or picture that can be read")
    assert str(Path(tmp_path.anchor, "tmp")) not in said
    drop(page, photo)
    page.wait_for_selector(".dv-slider")
    assert page.locator("[role=alert]").count() == 0


def test_a_file_that_is_too_large_is_refused_in_a_sentence(open_page, tmp_path, photo):
    page = open_page()
    assert f"Files may have up to {MEGABYTES} MB" in page.inner_text("body")
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate((MEGABYTES + 1) * 1_000_000)
    drop(page, huge)
    page.wait_for_selector("text=/exceed the maximum allowed size of 5.7 MB: .*huge.mp4/i")  # of 2^20 bytes
    drop(page, photo)
    page.wait_for_selector(".dv-slider")


def test_names_are_text(open_page, photo):
    page = open_page()
    name = "<img src=x onerror=alert(1)>&amp;${alert(2)}{{alert(3)}}.png"
    drop(page, {"name": name, "mimeType": "image/png", "buffer": photo.read_bytes()})
    page.wait_for_selector(".dv-slider")
    assert page.locator("#title img").count() == 0
    assert page.inner_text("#title").startswith("img src=x onerror=alert(1)&amp;")


def test_nothing_is_served_but_what_was_shown(open_page, address, photo, tmp_path):
    page = open_page()
    drop(page, photo)
    page.wait_for_selector(".dv-slider")
    key = page.get_attribute(".dv-after", "src").split("/")[2]
    assert page.request.get(f"{address}/session/{key}/before.jpg").status == 200
    (tmp_path / "secret.txt").write_text("secret")
    for wrong in (
        f"/session/{key}/grandma.png",
        f"/session/{key}/source/grandma.png",
        f"/session/{key}/..%2Flock",
        "/session/guess/before.jpg",
        f"/gradio_api/file={tmp_path}/secret.txt",
        "/gradio_api/file=https://example.org/",
        "/gradio_api/proxy=https://example.org/",
        "/config",
    ):
        assert page.request.get(address + wrong).status in (403, 404), wrong
    assert page.request.get(address, headers={"Host": "evil.example"}).status == 400
    config = page.evaluate("window.gradio_config")
    assert config["analytics_enabled"] is False
    assert not [part for part in config["dependencies"] if part["api_visibility"] == "public"]


def test_it_works_by_keyboard_and_on_a_phone(open_page, film):
    page = open_page(viewport={"width": 390, "height": 800}, has_touch=True, color_scheme="dark")
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        focus_on(page, "drop")
        page.keyboard.press("Enter")
    chooser.value.set_files(film)
    page.wait_for_selector(".dv-sheet")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    left = {round(page.locator(part).first.bounding_box()["x"]) for part in ("#drop", "#title", "#picture")}
    assert len(left) == 1, "one column"
    page.get_by_role("button", name="Colour the whole film").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".dv-player video")
    nameless = page.evaluate("""() => [...document.querySelectorAll('input:not([type=file]), button, video, a')]
        .filter(part => part.offsetParent && !(part.labels?.length || part.ariaLabel || part.innerText?.trim() || part.title))
        .map(part => part.outerHTML)""")
    assert not nameless


def focus_on(page, part):
    """Press Tab until the keyboard is somewhere inside `part`."""
    for _ in range(20):
        if page.evaluate("id => !!document.activeElement?.closest('#' + id)", part):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {part}")
