"""How bold the colours are: the annealing temperature of the network's answer and the gain of its chroma."""

from __future__ import annotations

from dataclasses import dataclass

STYLES = ("natural", "vibrant", "muted")


@dataclass(frozen=True)
class Style:
    """`temperature` anneals a network that answers with a distribution (below 1: bolder, 1: its mean); networks that answer with
    one colour ignore it. `gain` multiplies a and b.
    """

    temperature: float = 1.0
    gain: float = 1.0
