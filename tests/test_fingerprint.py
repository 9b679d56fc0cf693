"""The fingerprint of a result: no run goes on from, and no batch keeps, what other weights or options have made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synth import SHORT, make_film

from deoldify_video.batch.discovery import Search, discover
from deoldify_video.batch.manifest import DONE, PENDING, Manifest
from deoldify_video.batch.planner import Plan, Settings
from deoldify_video.errors import StoppedError, UsageError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.models.registry import MODELS
from deoldify_video.options import (
    ColorOptions,
    DecodeOptions,
    EncodeOptions,
    FilmOptions,
    JobOptions,
    SegmentOptions,
    SmoothOptions,
)

MIX = FilmOptions(
    color=ColorOptions("compact+second:0.5", device="cpu"),
    encode=EncodeOptions("ffv1"),
    smooth=SmoothOptions(0.0),
    segments=SHORT,
)


@pytest.fixture
def second(stub_spec, tmp_path, monkeypatch) -> Path:
    """The weights file of a network that is called `second`."""
    weights = tmp_path / "second.safetensors"
    weights.write_bytes(b"old weights")
    monkeypatch.setitem(MODELS, "second", replace(stub_spec, name="second", weights=str(weights)))
    return weights


def test_a_film_does_not_go_on_with_other_weights_of_a_mixs_second_network(second, tmp_path):
    source, output = make_film(tmp_path / "old.mkv", frames=50, shots=3), tmp_path / "new.mkv"
    with pytest.raises(StoppedError):
        colorize_film(source, output, MIX, should_stop=lambda: True)
    second.write_bytes(b"new weights")
    with pytest.raises(UsageError, match=r"weights \(was compact\+second:0.5 .*--restart"):
        colorize_film(source, output, MIX)
    report = colorize_film(source, output, replace(MIX, job=JobOptions(restart=True)))
    assert (report.resumed_frames, report.frames) == (0, 50)


def test_a_batch_does_not_keep_what_other_weights_of_a_mixs_second_network_made(second, tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    out.mkdir()
    make_film(archive / "a.mkv", frames=3)
    (out / "a.mkv").write_bytes(b"finished")

    def plan(run: int, *, redo: bool = False) -> Plan:
        discover(manifest, Search((archive,), out), run)
        return Plan(manifest, out, run, Settings.of(MIX), redo=redo)

    with Manifest(tmp_path / "manifest.sqlite") as manifest:
        first = plan(1)
        made = {"state": DONE, "output": "a.mkv", "output_size": 8, "settings": first.settings_id("film")}
        manifest.put(1, **made)
        plan(2).resolve_states()
        assert manifest.counts()[DONE] == 1
        second.write_bytes(b"new weights")
        with pytest.raises(UsageError, match=r"made otherwise: 1 finished; changed is weights"):
            plan(3).resolve_states()
        plan(4, redo=True).resolve_states()
        assert manifest.counts()[PENDING] == 1


def differing(kind: str, options: FilmOptions) -> list[str]:
    """The names in which the fingerprint of a result made with `options` differs from that of the defaults."""
    plain, changed = (one.fingerprint(kind, "weights", one.color.precision) for one in (FilmOptions(), options))
    return sorted(name for name in plain.keys() | changed.keys() if plain.get(name) != changed.get(name))


@pytest.mark.parametrize(
    ("options", "film", "photo"),
    [
        (FilmOptions(color=ColorOptions(style="muted")), ["color.style"], ["color.style"]),
        (FilmOptions(color=ColorOptions(precision="fp32")), ["precision"], ["precision"]),
        (FilmOptions(color=ColorOptions(keyframes=24)), ["color.keyframes"], []),
        (FilmOptions(smooth=SmoothOptions(0.5)), ["smooth.smoothing"], []),
        (FilmOptions(decode=DecodeOptions(end_s=2.0)), ["decode.end_s"], []),
        (FilmOptions(segments=SegmentOptions(longest=240)), ["segments.longest"], []),
        (FilmOptions(segments=SegmentOptions(range_frames=1, search_frames=2, overlap_frames=3)), [], []),
        (FilmOptions(encode=EncodeOptions(bit_depth=10)), ["encode.bit_depth"], []),
        (FilmOptions(color=ColorOptions(device="cpu", batch_size=3), encode=EncodeOptions(overwrite=True)), [], []),
        (FilmOptions(job=JobOptions(restart=True, force=True, allow_truncated=True, verify=False)), [], []),
    ],
)
def test_only_options_that_change_the_pictures_count(options, film, photo):
    assert differing("film", options) == film
    assert differing("photo", options) == photo
