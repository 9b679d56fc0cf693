"""The networks that the page offers; the last one that was used stays loaded."""

from __future__ import annotations

from deoldify_video.models.colorizer import Colorizer
from deoldify_video.models.registry import MODELS
from deoldify_video.models.store import installed_weights
from deoldify_video.options import ColorOptions


class Networks:
    """Gives colorizers; to be used by one run at a time."""

    def __init__(self) -> None:
        self._last: tuple[str, Colorizer] | None = None

    def colorizer(self, options: ColorOptions) -> Colorizer:
        """The network of `options` in their style. Raises `DependencyError` where it is not there."""
        if self._last is None or self._last[0] != options.model:
            self._last = None  # two large ones may not fit beside each other
            self._last = options.model, Colorizer(options)
        return self._last[1].with_style(options.style, options.saturation)


def installed_networks() -> list[str]:
    """Names of the networks whose weights are here; the first is the default."""
    return [name for name, spec in MODELS.items() if installed_weights(spec) is not None]
