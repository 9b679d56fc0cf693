"""Pieces of the page that are not form fields: HTML in which everything that comes from a visitor is text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from deoldify_video.formatting import format_bytes

if TYPE_CHECKING:
    from deoldify_video.web.film import CandidatePicture

# Kept on the component around the slider, which stays when the pictures are exchanged; a new slider sets it from its own place.
_MOVE = "this.closest('.dv-html').style.setProperty('--at', this.value + '%')"
_SET = "this.parentNode.querySelector('input').oninput()"


def problem(text: str) -> str:
    """Something that the visitor must know before anything else."""
    return f'<p class="dv-note dv-problem" role="alert">{escape(text)}</p>'


def notes(texts: list[str]) -> str:
    """Things worth knowing."""
    return "".join(f'<p class="dv-note" role="status">{escape(text)}</p>' for text in texts)


def done(text: str) -> str:
    """The film is ready; on a phone it is far away."""
    return f'<p class="dv-note" role="status">{escape(text)} <a href="#film">See it</a></p>'


def title(name: str, about: str) -> str:
    """Which file this is."""
    return f'<h2 class="dv-title">{escape(name)}</h2><p class="dv-soft">{escape(about)}</p>'


def waiting(ahead: int) -> str:
    """A place in the queue; `ahead` runs come before."""
    before = "One job is" if ahead == 1 else f"{ahead} jobs are"
    return (
        f'<div class="dv-busy dv-note" role="status">Waiting: {before} before yours, so you are number {ahead + 1} in the queue. '
        "Keep this page open.</div>"
    )


def busy(doing: str, share: float) -> str:
    """How far a run is, `share` from 0 to 1."""
    percent = round(100 * share)
    return (
        f'<div class="dv-busy dv-note"><span role="status">{escape(doing)}</span>'
        f'<progress max="100" value="{percent}" aria-label="Progress">{percent} %</progress></div>'
    )


def slider(before: str, after: str, size: tuple[int, int]) -> str:
    """Two pictures of `size` (width, height) in one place, no higher than the window, and the line between them."""
    width, height = size
    return (
        f'<div class="dv-photo" style="max-width: {85 * width / height:.0f}vh"><figure class="dv-slider">'
        f'<img src="{escape(before)}" alt="The photo as it was">'
        f'<img class="dv-after" src="{escape(after)}" alt="The photo in colour" onload="{_SET}">'
        f'<input type="range" min="0" max="100" value="50" aria-label="Line between before and after" oninput="{_MOVE}"></figure>'
        '<p class="dv-soft dv-ends"><span>◀ before</span><span>after ▶</span></p></div>'
    )


def download(address: str, text: str) -> str:
    """A link that saves a file."""
    return f'<p><a class="dv-download" href="{escape(address)}" download>{escape(text)}</a></p>'


def preview(candidates: Sequence[CandidatePicture]) -> str:
    """A preview: a column for each candidate, which opens at its full size."""
    figures = "".join(
        f'<figure><a href="{escape(candidate.address)}" target="_blank" title="Open in full size">'
        f'<img src="{escape(candidate.address)}" alt="Shots of the film: {escape(candidate.name)}"></a>'
        f"<figcaption><strong>{escape(candidate.name)}</strong><br>{'<br>'.join(map(escape, candidate.facts))}</figcaption></figure>"
        for candidate in candidates
    )
    words = (
        "The same shots in several settings of detail, with the time that the whole film will take here, how colourful it is "
        "(0 is grey), and how much the colours flicker (less is calmer). Set the detail that you like best, then colour the film."
    )
    return f'<div class="dv-sheet" tabindex="0" role="group" aria-label="Preview">{figures}</div><p class="dv-soft">{words}</p>'


def player(view: str, address: str, name: str, size_bytes: int) -> str:
    """Source and result in one film, and the result to take home."""
    return (
        f'<div class="dv-player"><video controls playsinline preload="metadata" src="{escape(view)}" '
        'aria-label="The film before, and in colour, side by side"></video></div>'
        + download(address, f"Download {name} ({format_bytes(size_bytes)}), with its sound")
    )
