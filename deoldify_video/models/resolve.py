"""From the text of `--model` to a network's entry and its weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deoldify_video.color.style import STYLES, Style
from deoldify_video.errors import DependencyError
from deoldify_video.models.base import ModelSpec
from deoldify_video.models.registry import find_model
from deoldify_video.models.store import SUFFIXES, how_to_get, identify, installed_weights

if TYPE_CHECKING:
    from deoldify_video.models.mixing import Member


def resolve_model(text: str) -> tuple[ModelSpec, Path]:
    """The network that `--model` stands for: one by name, a weights file by path, or several joined by `+`.

    Returns the entry and the file for its `load`. Raises `DependencyError` for an unknown or not installed network and for a
    file that holds none, `UsageError` for a mix that makes no sense.
    """
    path = Path(text).expanduser()
    if path.suffix.lower() in SUFFIXES and ("+" not in text or path.exists()):
        return identify(path), path
    if "+" in text:
        return mix(text)
    spec = find_model(text)
    installed = installed_weights(spec)
    if installed is None:
        raise DependencyError(f"the network {spec.name} is not installed", remedy=how_to_get(spec))
    return spec, installed


def mix(text: str) -> tuple[ModelSpec, Path]:
    """The entry of a mix such as `ddcolor-large+deoldify-stable:0.6`, and the first member's weights file.

    Its render factors are the first member's; its picture is square only where every member's is. Raises as `resolve_model`.
    """
    from deoldify_video.models.mixing import Member, MixedNetwork, parse_mix

    parts = parse_mix(text)
    members = tuple(Member(*resolve_model(name), share) for name, share in parts)
    first = members[0].spec
    spec = replace(
        first,
        name=text,
        title="a mix of " + ", ".join(f"{share:.0%} {name}" for name, share in parts),
        license=", ".join(sorted({member.spec.license for member in members})),
        load=lambda _: MixedNetwork(members, [member.spec.load(member.weights) for member in members]),
        stride=max(member.spec.stride for member in members),
        square=all(member.spec.square for member in members),
        styles={name: _mean_style(name, members) for name in STYLES},
        weights=None,
        further_weights=tuple(member.weights for member in members[1:]),
        published=None,
        half_on_cpu=all(member.spec.half_on_cpu for member in members),
    )
    return spec, members[0].weights


def _mean_style(name: str, members: tuple[Member, ...]) -> Style:
    # Networks that answer with one colour ignore the temperature, so the lowest is that of the one that does not.
    styles = [member.spec.styles[name] for member in members]
    gain = sum(style.gain * member.share for style, member in zip(styles, members, strict=True))
    return Style(min(style.temperature for style in styles), gain)
