"""The networks that the page offers."""

from __future__ import annotations

from deoldify_video.models.registry import MODELS
from deoldify_video.models.store import installed_weights


def installed_networks() -> list[str]:
    """Names of the networks whose weights are here; the first is the default."""
    return [name for name, spec in MODELS.items() if installed_weights(spec) is not None]
