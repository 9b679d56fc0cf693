"""Damages small films at random and colorizes them; what comes out has to be honest.

    python tests/faults/fuzz.py --runs 1000 [--seed 0]

Outcomes: `clean success` (a verified film, no warning), `honest partial` (a verified film with a count of what is missing or was
repaired), `clean error` (one sentence, an exit code, no output). Anything else is a failure: a traceback, a hang of more than 30
seconds, a file under the output's name that is not a whole film. Prints a table, and exits with 1 when there were failures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.error
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from damage import DAMAGES, cut_off, index_first  # noqa: E402
from fork_server import Case, ForkServer, Outcome  # noqa: E402
from synth import make_film  # noqa: E402

CONTAINERS = {".mp4": "aac", ".mkv": "aac", ".avi": "pcm_s16le", ".ts": "aac", ".webm": "libopus"}
FRAMES = 24
SILENT = "and not a word about it"
OPTIONS = {"encode": {"codec": "ffv1"}, "smooth": {"smoothing": 0.0}}


@dataclass
class Tally:
    """Outcomes by container, and what failed: seed of the case and what was wrong."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def table(self) -> str:
        """The counts, one container a line."""
        kinds = ("clean success", "honest partial", "clean error", "failure")
        lines = ["| container | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
        rows = {**self.counts, "all": sum(self.counts.values(), Counter())}
        lines += [f"| {name} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |" for name, counts in rows.items()]
        return "\n".join(lines)


def fuzz(runs: int, seed: int, fork_server: ForkServer, folder: Path) -> Tally:
    """Run `runs` cases, containers and kinds of damage in turn; every case has a generator of its own, (seed, number)."""
    films = {suffix: make_small(folder / f"film{suffix}", audio).read_bytes() for suffix, audio in CONTAINERS.items()}
    tally = Tally({suffix: Counter() for suffix in films})
    for number in range(runs):
        rng = np.random.default_rng((seed, number))
        suffix = list(films)[number % len(films)]
        damage = DAMAGES[number // len(films) % len(DAMAGES)]
        source, output = folder / f"damaged{suffix}", folder / "out.mkv"
        source.write_bytes(damage(films[suffix], rng))
        options = {**OPTIONS, "job": {"allow_truncated": bool(rng.integers(0, 2)), "force": True}}
        outcome = fork_server.run(Case(str(source), str(output), options))
        kind, why = judge(outcome, output)
        if kind == "failure" and SILENT in why and suffix == ".ts" and damage is cut_off:
            kind = "clean success"  # a transport stream does not say how long it is: what is left of it is a whole one
        tally.counts[suffix][kind] += 1
        tally.slowest_s = max(tally.slowest_s, outcome.seconds)
        if kind == "failure":
            tally.failures.append(f"seed {seed} number {number} ({suffix}, {damage.__name__}): {why}")
        for left in folder.glob(".out.mkv*"):
            for path in left.iterdir():
                path.unlink()
            left.rmdir()
        output.unlink(missing_ok=True)
    return tally


def judge(outcome: Outcome, output: Path) -> tuple[str, str]:
    """The name of an outcome, and for a failure the reason."""
    why = ""
    if outcome.kind == "error":
        if outcome.exit_code not in (2, 3, 4):
            why = f"exit code {outcome.exit_code}: {outcome.message}"
        elif output.exists():
            why = f"an output in spite of an error: {outcome.message}"
        kind = "clean error"
    elif outcome.kind == "ok" and outcome.report is not None:
        frames, told = outcome.report["frames"], outcome.report["warnings"]
        if decoded_frames(output) != frames or not outcome.report["verification"]["ok"]:
            why = f"{decoded_frames(output)} frames in the output, {frames} in the report"
        elif frames != FRAMES and not told:
            why = f"{frames} frames of {FRAMES} {SILENT}"
        kind = "honest partial" if told else "clean success"
    else:
        kind, why = "failure", f"{outcome.kind}: {outcome.message}"
    return ("failure", why) if why else (kind, "")


def decoded_frames(path: Path) -> int:
    """Frames that can be decoded; -1 when the file cannot be read."""
    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0))
    except av.error.FFmpegError:
        return -1


def make_small(path: Path, audio: str) -> Path:
    """A film of a second with sound, a key frame twice in it."""
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(path.suffix, "libx264")
    options = {"g": "12"} | ({"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {})
    film = make_film(path, frames=FRAMES, audio=audio, codec=codec, options=options)
    return index_first(path.with_name(f"index-first{path.suffix}"), film) if path.suffix == ".mp4" else film


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    av.logging.set_level(av.logging.PANIC)
    with tempfile.TemporaryDirectory() as folder, ForkServer() as fork_server:
        tally = fuzz(arguments.runs, arguments.seed, fork_server, Path(folder))
    print(tally.table())
    print(f"\nslowest case: {tally.slowest_s:.1f} s")
    for failure in tally.failures:
        print(f"FAILURE: {failure}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
