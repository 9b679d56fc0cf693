"""Takes the picture of the page for the docs: a photo on a computer, a film on a phone, in the colours of the shipped network.

python tests/web/page_picture.py docs/images/page.jpg
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from browser import browser, served
from PIL import Image

ROOT = Path(__file__).parents[2]
HEIGHT_PX = 1010
GAP_PX = 16
PATIENCE_MS = 180_000


def main(output: Path) -> None:
    """Write the picture to `output`."""
    with tempfile.TemporaryDirectory() as name, served(Path(name), script=ROOT / "cli.py") as address, browser() as running:
        computer, phone = Path(name, "computer.png"), Path(name, "phone.png")
        page = open_page(running, address, 1200, "light")
        page.set_input_files("input[type=file]", ROOT / "samples" / "astronaut.jpg")
        page.wait_for_selector(".dv-slider")
        page.wait_for_timeout(1500)
        page.screenshot(path=computer)
        page = open_page(running, address, 390, "dark")
        page.set_input_files("input[type=file]", ROOT / "samples" / "newsreel.mp4")
        page.wait_for_selector(".dv-sheet")
        page.get_by_role("button", name="Colour the first 10 seconds").click()
        page.wait_for_selector(".dv-player video")
        page.evaluate("""() => new Promise(done => {
            const video = document.querySelector('video');
            video.controls = false;
            video.onseeked = done;
            video.currentTime = 3.4;
        })""")
        page.locator("#title").scroll_into_view_if_needed()
        page.evaluate("window.scrollTo(0, document.querySelector('#title').getBoundingClientRect().top + scrollY - 12)")
        page.wait_for_timeout(1500)
        page.screenshot(path=phone)
        join([Image.open(computer), Image.open(phone)]).save(output, quality=85)


def open_page(running: Any, address: str, width: int, scheme: str) -> Any:
    """The page in a window of that width."""
    page = running.new_page(viewport={"width": width, "height": HEIGHT_PX}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector("input[type=file]", state="attached")
    return page


def join(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one height in a row."""
    width = sum(picture.width for picture in pictures) + GAP_PX * (len(pictures) - 1)
    joined = Image.new("RGB", (width, HEIGHT_PX), "white")
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width + GAP_PX
    return joined


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
