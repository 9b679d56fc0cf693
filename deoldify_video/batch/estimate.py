"""How long the pending part of an archive will take: by what was finished with these settings, or else by trying it on a sample."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from deoldify_video.batch.manifest import DONE, PENDING
from deoldify_video.batch.planner import Plan
from deoldify_video.errors import InputError
from deoldify_video.formatting import printable
from deoldify_video.options import AUTO

_TRIES = 3  # files that are tried where one cannot be read
_SHOTS = 2  # of a film


@dataclass(frozen=True)
class Estimate:
    """`seconds` of one worker's time, and one sentence on what that rests on."""

    seconds: float
    basis: str


def estimate(plan: Plan) -> Estimate | None:
    """The time for everything that is pending; None where there is nothing to judge by."""
    seconds, bases = 0.0, []
    for kind in ("film", "photo"):
        where = "run = ? AND state = ? AND kind = ?"
        frames = plan.manifest.one(f"SELECT sum(max(frames, 1)) FROM items WHERE {where}", plan.run, PENDING, kind)
        if not frames:
            continue
        found = from_history(plan, kind) or try_one(plan, kind)
        if found is None:
            return None
        seconds += found[0] * frames
        bases.append(found[1])
    return Estimate(seconds, " and ".join(bases))


def from_history(plan: Plan, kind: str) -> tuple[float, str] | None:
    """Seconds for a frame, or a photo, by what is finished, and a few words on that; None where nothing is."""
    where = "kind = ? AND state = ? AND settings = ? AND fps > 0"
    rows = plan.manifest.query(
        f"SELECT count(*), sum(frames_done), sum(frames_done / fps) FROM items WHERE {where}",
        kind,
        DONE,
        plan.settings_id(kind),
    )
    number, frames, seconds = next(iter(rows))
    what = f"{number} finished {kind}{'s' if number > 1 else ''}"
    return (seconds / frames, what) if number else None


def try_one(plan: Plan, kind: str) -> tuple[float, str] | None:
    """The same by trying the network on one that is pending; None where none of the first can be read."""
    from deoldify_video.preview.preview import Candidate, preview

    options = plan.settings.options
    factor = options.color.render_factor
    candidate = Candidate(options.color.model, options.color.style, None if factor == AUTO else factor)
    order = "run = ? AND state = ? AND kind = ? ORDER BY turn, key LIMIT ?"
    for item in plan.manifest.items(order, plan.run, PENDING, kind, _TRIES):
        with suppress(InputError):
            found = preview(
                item.source,
                [candidate],
                shots=_SHOTS,
                device=options.color.device,
                precision=options.color.precision,
                smoothing=options.smooth.smoothing,
            )
            return found.columns[0].seconds / max(1, found.frames), f"a trial on {printable(item.source.name)}"
    return None
