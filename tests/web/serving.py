"""The program with the stub in the place of the default network, as a process of its own: `python serving.py web --port 0`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    """Run the command line."""
    import torch
    from conftest import StubNetwork

    from deoldify_video.cli.app import main as command_line
    from deoldify_video.models.registry import MODELS

    torch.set_num_threads(1)
    MODELS["compact"] = replace(
        MODELS["compact"], load=lambda path: StubNetwork().eval(), weights=__file__, film_render_factor=7, half_on_cpu=False
    )
    command_line()


if __name__ == "__main__":
    main()
