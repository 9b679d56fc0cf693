"""Every network that this program knows: one entry each.

A network is an `nn.Module` of one small protocol (`ColorNetwork`); everything else that differs between families (size rules,
default render factors, styles, licence) stands in its `ModelSpec`. A new family is one file and its entries here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deoldify_video.color.style import Style
from deoldify_video.errors import DependencyError
from deoldify_video.models.base import ModelSpec, Published

if TYPE_CHECKING:
    from pathlib import Path

    from deoldify_video.models.base import ColorNetwork


def _load_compact(path: Path) -> ColorNetwork:
    from deoldify_video.models.compact import load_compact

    return load_compact(path).fold_norms()


def _load_deoldify(path: Path) -> ColorNetwork:
    from deoldify_video.models.deoldify import load_generator

    return load_generator(path)


def _load_ddcolor(path: Path) -> ColorNetwork:
    from deoldify_video.models.ddcolor import load_ddcolor

    return load_ddcolor(path)


def _load_zhang(path: Path) -> ColorNetwork:
    from deoldify_video.models.zhang import load_zhang

    return load_zhang(path)


_STYLES_BY_GAIN = {"natural": Style(), "vibrant": Style(gain=1.3), "muted": Style(gain=0.6)}

_COMPACT = ModelSpec(
    name="compact",
    title="our own U-Net in Lab on an ImageNet encoder; shipped with the program",
    license="MIT",
    load=_load_compact,
    film_render_factor=21,
    photo_render_factor=21,
    weights="compact.safetensors",
    # One temperature for all: the mode of the distribution is often grey, so a lower one is surer of itself but less colourful.
    styles={"natural": Style(0.6, 1.72), "vibrant": Style(0.6, 2.05), "muted": Style(0.6, 1.0)},
    mark=("palette", None),
    half_on_cpu=True,
)


def _deoldify(name: str, title: str, mark: int, published: Published) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=f"DeOldify {title} (Jason Antic)",
        license="MIT",
        load=_load_deoldify,
        film_render_factor=21,
        photo_render_factor=35,
        stride=16,
        square=True,
        styles=_STYLES_BY_GAIN,
        published=published,
        mark=("layers.11.0.weight_orig", (3, mark, 1, 1)),
    )


_DEOLDIFY_PAGE = "https://github.com/jantic/DeOldify#pretrained-weights"
_DEOLDIFY = (
    _deoldify(
        "deoldify-video",
        "Video, ResNet-101, calm colours for film",
        259,
        Published(
            "ColorizeVideo_gen.pth", _DEOLDIFY_PAGE, 874, "e3d98bb6a222354c79f95485c2f078a89dc724e9183662506d9e0f5aafac83ad"
        ),
    ),
    _deoldify(
        "deoldify-stable",
        "Stable, ResNet-101, for portraits and landscapes",
        259,
        Published(
            "ColorizeStable_gen.pth", _DEOLDIFY_PAGE, 874, "ca9cd7f43fb8b222c9a70f7b292e305a000694b0ff9d2ae4a6747b1a2e1ee5af"
        ),
    ),
    _deoldify(
        "deoldify-artistic",
        "Artistic, ResNet-34, the boldest colours",
        303,
        Published(
            "ColorizeArtistic_gen.pth", _DEOLDIFY_PAGE, 255, "3f750246fa220529323b85a8905f9b49c0e5d427099185334d048fb5b5e22477"
        ),
    ),
)


def _ddcolor(name: str, title: str, deepest: int, hub: str, sha256: str = "") -> ModelSpec:
    return ModelSpec(
        name=name,
        title=f"DDColor {title} (Kang et al. 2023)",
        license="Apache-2.0",
        load=_load_ddcolor,
        film_render_factor=32,
        photo_render_factor=32,
        stride=32,
        square=True,
        styles=_STYLES_BY_GAIN,
        published=Published("pytorch_model.bin", f"https://huggingface.co/{hub}", 912 if deepest == 1536 else 220, sha256, hub),
        mark=("encoder.arch.norm3.weight", (deepest,)),
    )


_DDCOLOR = (
    _ddcolor(
        "ddcolor-large",
        "large, the authors' default",
        1536,
        "piddnad/ddcolor_modelscope",
        "d81711971ec59200da26d5e8a1afae8dd3778d495ea8ad7a7dadc769f403f7e7",
    ),
    _ddcolor(
        "ddcolor-artistic",
        "large, bolder colours",
        1536,
        "piddnad/ddcolor_artistic",
        "5a076e84efce59848394f572a105f7b78f7f6e917f615d1ee88537241b96dca3",
    ),
    _ddcolor("ddcolor-paper", "large, as in the paper", 1536, "piddnad/ddcolor_paper"),
    _ddcolor("ddcolor-tiny", "tiny, as in the paper", 768, "piddnad/ddcolor_paper_tiny"),
)


_ZHANG_HOST = "https://colorizers.s3.us-east-2.amazonaws.com"


def _zhang(name: str, title: str, mark: tuple[str, tuple[int, ...]], published: Published) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        license="BSD-2-Clause",
        load=_load_zhang,
        film_render_factor=16,
        photo_render_factor=16,
        stride=8,
        square=True,
        styles=_STYLES_BY_GAIN,
        published=published,
        mark=mark,
    )


_ZHANG = (
    _zhang(
        "eccv16",
        "Colorful Image Colorization (Zhang et al. 2016)",
        ("model_out.weight", (2, 313, 1, 1)),
        Published(
            "colorization_release_v2-9b330a0b.pth",
            f"{_ZHANG_HOST}/colorization_release_v2-9b330a0b.pth",
            129,
            "9b330a0bae53f4ded77b1e23defbf78beaa09c10ebc4c4999e8e4f4a160b93f9",
        ),
    ),
    _zhang(
        "siggraph17",
        "Real-Time User-Guided Image Colorization, takes hints (Zhang et al. 2017)",
        ("model_out.0.weight", (2, 128, 1, 1)),
        Published("siggraph17-df00044c.pth", f"{_ZHANG_HOST}/siggraph17-df00044c.pth", 137),
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (_COMPACT, *_DEOLDIFY, *_DDCOLOR, *_ZHANG)}


def find_model(name: str) -> ModelSpec:
    """The entry called `name`; raises `DependencyError` that lists the known names."""
    if name not in MODELS:
        raise DependencyError(
            f"no network is called {name!r}", remedy=f"known are {', '.join(sorted(MODELS))}, or give a weights file"
        )
    return MODELS[name]
