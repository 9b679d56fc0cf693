"""Events as a browser sends them: which there are, and values that the form's parts can have. All else is refused, in one answer."""

from __future__ import annotations

import math
import re
from typing import Any

import gradio as gr

_SESSION_HASH = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_TEXT_CHARS = 1000


class Events:
    """The events of a page."""

    def __init__(self, page: gr.Blocks) -> None:
        self._inputs = {number: event.inputs for number, event in page.fns.items()}

    def check(self, event: object) -> dict[str, Any]:
        """The parts of an event that count. Raises `ValueError`, in a sentence, for what the page itself would not send."""
        if not isinstance(event, dict):
            raise ValueError("An event is an object.")
        number, values, session = (event.get(name) for name in ("fn_index", "data", "session_hash"))
        if type(number) is not int or number not in self._inputs:
            raise ValueError("There is no such event.")
        if not isinstance(session, str) or not _SESSION_HASH.fullmatch(session):
            raise ValueError("An event has a session.")
        inputs = self._inputs[number]
        if not isinstance(values, list) or len(values) != len(inputs):
            raise ValueError(f"This event has {len(inputs)} values.")
        for part, value in zip(inputs, values, strict=True):
            if not _can_be(part, value):
                raise ValueError(f"“{getattr(part, 'label', None)}” cannot have that value.")
        return {"fn_index": number, "data": values, "session_hash": session}


def _can_be(part: Any, value: Any) -> bool:
    match part:
        case gr.File():
            return value is None or isinstance(value, dict)
        case gr.Slider():
            return _is_number(value) and math.isfinite(value) and part.minimum <= value <= part.maximum
        case gr.Radio() | gr.Dropdown():
            return isinstance(value, str) and value in [offered for _, offered in part.choices]
        case gr.Checkbox():
            return isinstance(value, bool)
        case gr.Textbox():
            return isinstance(value, str) and len(value) <= _MAX_TEXT_CHARS
    return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
