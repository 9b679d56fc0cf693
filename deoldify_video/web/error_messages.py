"""Errors in words for somebody who sees a page and not a command line."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

from deoldify_video.errors import DeoldifyVideoError

log = logging.getLogger(__name__)

# Ways out that a message names as options, and what they are called on the page.
_WAYS = {
    "--force": "tick “Replace colours that are there already”",
    "--allow-truncated": "tick “Take a damaged film as far as it goes”",
    "--deinterlace": "tick “Take the comb lines out of an interlaced film”",
    "--render-factor": "choose less detail",
    "--restart": "change a setting and try again",
    "--no-verify": "change a setting and try again",
}
UNFORESEEN = "Something went wrong inside the program; its terminal shows what. Try other settings, or another file."


def error_message(error: Exception, source: Path) -> str:
    """The message of an error about the uploaded file `source`; what was not foreseen goes to the log."""
    if isinstance(error, DeoldifyVideoError):
        return page_text(str(error), source)
    log.error("a run failed", exc_info=error)
    return UNFORESEEN


def page_text(text: str, source: Path) -> str:
    """A message with the file's name in the place of its path, and the page's words in the place of options."""
    # Results lie in our folder as well, and begin with the same name.
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}.*?[/\\](?={re.escape(source.stem)})", "", text)
    text = text.replace(source.name, f"“{source.name}”")
    head, separator, way = text.rpartition("; ")
    for option, words in _WAYS.items():
        if option in way:
            text = f"{head}{separator}{words}."
            break
    return text[:1].upper() + text[1:]
