"""The presets that come with the program: options of `colorize` that go together, by the names of its flags."""

from __future__ import annotations

PRESETS: dict[str, dict[str, object]] = {
    # For a first look, or a slow computer: the network sees key frames only, on a smaller picture.
    "fast": {"render_factor": "16", "keyframes": "auto"},
    # The program's own defaults.
    "balanced": {},
    # The render factor that suits the film, and an encoder that takes nothing away that can be seen.
    "best": {"render_factor": "auto", "crf": 14},
    # To keep: lossless, in ten bits so that colours are not rounded to the source's eight, and checked against the source.
    "archive": {"render_factor": "auto", "codec": "ffv1", "bit_depth": 10, "verify": True},
}
