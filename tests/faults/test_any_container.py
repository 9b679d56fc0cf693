"""Every film into every container that can hold it; where one cannot, that is known before the work, with a way out that works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from damage import remuxed
from synth import blank_frame, light, make_film, sound_packets, write_plane
from test_streams_kept import rich_film

from deoldify_video.errors import UsageError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.media.mux import MuxStats, Span, copied_packets
from deoldify_video.media.probe import probe
from deoldify_video.media.streams import check_container
from deoldify_video.media.verify import verify_film
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, JobOptions, SmoothOptions

OPTIONS = FilmOptions(smooth=SmoothOptions(0.0))
FFV1 = FilmOptions(encode=EncodeOptions("ffv1"), smooth=SmoothOptions(0.0))


@pytest.fixture
def no_work(stub_colorizer: Colorizer) -> Iterator[None]:
    """The network sees nothing: a film that is refused is refused before the work."""
    yield
    assert stub_colorizer.network.batches == []


def film_with_sound(
    path: Path, codec: str, rate: int = 44100, *, frames: int = 30, layout: str = "mono"
) -> Path:  # fmt: skip
    """A film with sound of any codec and rate."""
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream("mpeg4" if path.suffix in (".avi", ".wmv") else "libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = target.add_stream(codec, rate=rate, layout=layout)
        sound.bit_rate = {"libopencore_amrnb": 12_200}.get(codec, 64_000)
        for number in range(frames):
            frame = blank_frame((64, 48), "yuv420p")
            write_plane(frame, 0, light(number))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        count = frames * rate // 25
        wave = 0.3 * np.sin(np.arange(count) * 0.05) + np.random.default_rng(1).normal(0, 0.02, count)
        block = av.AudioFrame.from_ndarray(np.float32(wave)[None], format="flt", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
        target.mux(sound.encode(block))
        target.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("samples", [1054, 1500, 2000])
def test_sound_that_begins_between_two_milliseconds_stays_in_step(tmp_path, stub_colorizer, samples):
    """MP4 notes down beginnings in the film's own time scale, which need not be milliseconds."""

    def later(packet: av.Packet) -> None:
        if packet.stream.type == "audio":
            packet.pts, packet.dts = packet.pts + samples, packet.dts + samples

    plain = film_with_sound(tmp_path / "plain.mp4", "aac")
    source = remuxed(tmp_path / "old.mp4", plain, later, options={"movie_timescale": "90000"})
    report = colorize_film(source, tmp_path / "new.mp4", OPTIONS, colorizer=stub_colorizer)
    assert report.verification["ok"]
    first, expected = sound_packets(tmp_path / "new.mp4")[0][0], sound_packets(source)[0][0]
    assert abs(first - expected) < Fraction(1, 44100)


def test_copied_packets_without_a_duration_get_that_of_their_frames(tmp_path):
    source = film_with_sound(tmp_path / "old.mkv", "aac", frames=50)

    class Timeless:
        """A container whose packets do not say how long they last."""

        def __init__(self, container: Any) -> None:
            self.container = container

        def demux(self, *streams: Any) -> Any:
            for packet in self.container.demux(*streams):
                packet.duration = 0
                yield packet

    with av.open(str(source)) as container, av.open(str(tmp_path / "new.mp4"), "w") as target:
        sound = container.streams.audio[0]
        copy = target.add_stream_from_template(sound)
        for packet in copied_packets(Timeless(container), [sound], Span(), MuxStats()):
            assert packet.duration == 23  # 1024 samples in milliseconds
            packet.stream = copy
            target.mux(packet)
    assert [digest for _, digest in sound_packets(tmp_path / "new.mp4")] == [digest for _, digest in sound_packets(source)]


@pytest.mark.parametrize("last", [Fraction(1, 30), Fraction(1, 2)])
@pytest.mark.parametrize(("suffix", "options"), [(".mkv", FFV1), (".mkv", OPTIONS), (".mp4", OPTIONS), (".mov", OPTIONS)])
def test_a_last_frame_of_another_length(tmp_path, stub_colorizer, last, suffix, options):
    def ends(packet: av.Packet) -> None:
        if packet.pts is not None and packet.stream.type == "video":
            step = Fraction(1, 25) / packet.time_base
            packet.duration = round(last / packet.time_base) if packet.pts == 19 * step else round(step)

    plain = make_film(tmp_path / "plain.mp4", frames=20, audio=None, options={"bf": "0"})
    source, output = remuxed(tmp_path / "old.mp4", plain, ends), tmp_path / f"new{suffix}"
    report = colorize_film(source, output, options, colorizer=stub_colorizer)
    assert report.verification["ok"]
    assert report.verification["expected_duration_s"] == pytest.approx(float(Fraction(19, 25) + last), abs=1e-3)
    if suffix != ".mkv":
        with av.open(str(output)) as container:
            film = container.streams.video[0]
            assert float(film.duration * film.time_base) == pytest.approx(float(Fraction(19, 25) + last), abs=1e-4)


@pytest.mark.parametrize(
    ("pts", "wrong"),
    [
        ([0, 40, 41, 80, 120, 160, 200, 240], "variable frame rate"),
        ([*range(0, 400, 40), *(number + 1 for number in range(360, 800, 40))], "cannot hold the film"),
    ],
)
def test_stamps_that_avi_cannot_hold_are_found_before_the_work(tmp_path, stub_colorizer, no_work, pts, wrong):
    source = make_film(tmp_path / "old.mkv", frames=len(pts), pts=pts, time_base=Fraction(1, 1000), audio=None)
    with pytest.raises(UsageError, match=wrong) as caught:
        colorize_film(source, tmp_path / "new.avi", OPTIONS, colorizer=stub_colorizer)
    assert "write to .mkv instead" in str(caught.value).lower()
    assert [path.name for path in tmp_path.iterdir()] == ["old.mkv"]


def test_a_late_sound_is_refused_for_avi_before_the_work(tmp_path, stub_colorizer, no_work):
    def later(packet: av.Packet) -> None:
        if packet.stream.type == "audio":
            packet.pts, packet.dts = packet.pts + 500, packet.dts + 500

    source = remuxed(tmp_path / "old.mkv", film_with_sound(tmp_path / "plain.mkv", "ac3", 48000), later)
    (tmp_path / "plain.mkv").unlink()
    with pytest.raises(UsageError, match=r"\.avi cannot hold the film as it is: .*out of sync\. Write to \.mkv instead\."):
        colorize_film(source, tmp_path / "new.avi", OPTIONS, colorizer=stub_colorizer)
    assert [path.name for path in tmp_path.iterdir()] == ["old.mkv"]


def test_a_shape_that_a_container_cannot_hold_is_found_before_the_work(tmp_path, stub_colorizer, no_work):
    source = make_film(tmp_path / "old.mp4", rotation=90, audio=None)
    with pytest.raises(
        UsageError, match=r"\.ts cannot hold .*turned by 0 degrees instead of turned by 90 degrees\. Write to \.mkv"
    ):
        colorize_film(source, tmp_path / "new.ts", OPTIONS, colorizer=stub_colorizer)


def test_an_empty_track_is_no_loss(tmp_path, stub_colorizer):
    plain, source = make_film(tmp_path / "plain.mp4"), tmp_path / "old.mp4"
    with av.open(str(plain)) as old, av.open(str(source), "w", options={"movflags": "frag_keyframe+empty_moov"}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    assert [stream.kind for stream in probe(source).streams] == ["video", "audio", "video"]
    report = colorize_film(source, tmp_path / "new.mp4", OPTIONS, colorizer=stub_colorizer)
    assert [stream["kind"] for stream in report.verification["streams"]] == ["audio"]


@pytest.mark.parametrize(
    ("suffix", "codec", "advice"),
    [
        (".webm", "h264", ".webm cannot hold h264; use --codec av1, or write to .mkv instead."),
        (".mp4", "prores", ".mp4 cannot hold prores; use --codec h264, or write to .mkv instead."),
        (".ts", "ffv1", ".ts cannot hold ffv1; use --codec h264, or write to .mkv instead."),
    ],
)
def test_advice_for_a_codec(tmp_path, suffix, codec, advice):
    info = probe(make_film(tmp_path / "old.mkv", audio=None))
    with pytest.raises(UsageError) as caught:
        check_container(info, tmp_path / f"new{suffix}", codec)
    assert str(caught.value) == advice


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_amr(tmp_path, stub_colorizer, suffix):
    source = film_with_sound(tmp_path / "old.3gp", "libopencore_amrnb", 8000)
    report = colorize_film(source, tmp_path / f"new{suffix}", OPTIONS, colorizer=stub_colorizer)
    assert report.verification["streams"][0]["same_bytes"]


def with_an_unknown_track(path: Path, kind: bytes) -> Path:
    """A film with two kinds of sound and subtitles, one of them of a codec that nobody knows."""
    data = rich_film(path, attachment=False, cover=False, chapters=False).read_bytes()
    assert data.count(kind) == 1
    path.write_bytes(data.replace(kind, kind[:-3] + b"XYZ"))
    return path


@pytest.mark.parametrize(
    ("kind", "named", "kept"),
    [
        (b"S_TEXT/ASS", "a stream of subtitle (None)", ["audio", "audio"]),
        (b"A_MPEG/L3", "a stream of audio number 2 (None)", ["audio", "subtitle"]),
    ],
)
def test_a_stream_that_nothing_can_hold_is_named_and_may_be_left_out(tmp_path, stub_colorizer, kind, named, kept):
    source = with_an_unknown_track(tmp_path / "old.mkv", kind)
    with pytest.raises(UsageError) as caught:
        colorize_film(source, tmp_path / "new.mkv", OPTIONS, colorizer=stub_colorizer)
    assert str(caught.value) == f".mkv cannot hold {named}, which the film has; use --drop-streams to leave it out."
    dropping = replace(OPTIONS, job=JobOptions(drop_streams=True))
    report = colorize_film(source, tmp_path / "new.mkv", dropping, colorizer=stub_colorizer)
    assert f"{named} cannot be held by the output's container and was left out." in report.warnings
    assert [stream["kind"] for stream in report.verification["streams"]] == kept


def test_no_work_is_needed_to_hold_a_film_without_sound(tmp_path):
    info = probe(make_film(tmp_path / "old.mkv", audio=None))
    for suffix in (".mkv", ".mp4", ".mov", ".ts", ".avi"):
        check_container(info, tmp_path / f"new{suffix}", "h264")


@pytest.mark.parametrize(
    ("codec", "suffix", "new"),
    [
        ("wmav1", ".wmv", ".mkv"),
        ("wmav2", ".wmv", ".mkv"),
        ("adpcm_ms", ".avi", ".mkv"),
        ("adpcm_ima_wav", ".avi", ".mkv"),
        ("adpcm_yamaha", ".avi", ".mkv"),
        ("pcm_alaw", ".avi", ".mkv"),
        ("pcm_mulaw", ".avi", ".mkv"),
        ("pcm_alaw", ".avi", ".mov"),
        ("wmav2", ".wmv", ".avi"),
    ],
)
def test_sound_of_old_films(tmp_path, stub_colorizer, codec, suffix, new):
    """Matroska holds whatever Windows has a number for, with a title or without; the samples are the same."""
    source, output = film_with_sound(tmp_path / f"old{suffix}", codec, frames=50), tmp_path / f"new{new}"
    report = colorize_film(source, output, OPTIONS, colorizer=stub_colorizer)
    assert report.verification["streams"][0]["same_bytes"]
    with av.open(str(output)) as film:
        sound = film.streams.audio[0]
        assert (sound.codec_context.codec.canonical_name, "title" in sound.metadata) == (codec, False)
    assert len(samples_of(output)) > 40_000
    np.testing.assert_array_equal(samples_of(output), samples_of(source))


def samples_of(path: Path) -> np.ndarray:
    """All decoded samples of the first sound."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])


def pcm_film(path: Path, codec: str, depth: int) -> tuple[Path, np.ndarray]:
    """An MPEG film with noise of all codes as its sound, and the samples."""
    formats = {".vob": "vob", ".m2ts": "mpegts", ".mov": "mov"}
    count, rng = 48_000, np.random.default_rng(depth)
    wide = rng.integers(-(1 << (depth - 1)), 1 << (depth - 1), (1, 2 * count))
    noise = wide.astype(np.int16) if depth == 16 else (wide.astype(np.int32) << 8)
    with av.open(str(path), "w", format=formats[path.suffix]) as target:
        video: Any = target.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = target.add_stream(codec, rate=48_000, layout="stereo")
        sound.format = "s16" if depth == 16 else "s32"
        for number in range(25):
            frame = blank_frame((64, 48), "yuv420p")
            write_plane(frame, 0, light(number))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
            block = av.AudioFrame.from_ndarray(noise[:, 3840 * number : 3840 * (number + 1)], sound.format.name, "stereo")
            block.sample_rate, block.pts, block.time_base = 48_000, 1920 * number, Fraction(1, 48_000)
            target.mux(sound.encode(block))
        target.mux(video.encode(None))
        target.mux(sound.encode(None))
    return path, noise.ravel()


@pytest.mark.parametrize("new", [".mkv", ".mov", ".mp4"])
@pytest.mark.parametrize(
    ("codec", "suffix", "depth", "plain"),
    [
        ("pcm_dvd", ".vob", 16, "pcm_s16le"),
        ("pcm_dvd", ".vob", 24, "pcm_s24le"),
        ("pcm_bluray", ".m2ts", 16, "pcm_s16le"),
        ("pcm_bluray", ".m2ts", 24, "pcm_s24le"),
    ],
)
def test_sound_of_discs_is_unpacked(tmp_path, stub_colorizer, codec, suffix, depth, plain, new):
    source, noise = pcm_film(tmp_path / f"old{suffix}", codec, depth)
    output = tmp_path / f"new{new}"
    report = colorize_film(source, output, OPTIONS, colorizer=stub_colorizer)
    assert report.verification["streams"][0]["same_bytes"]
    assert f"a stream of audio ({codec}) was unpacked to {plain}, sample for sample." in report.warnings
    with av.open(str(output)) as film:
        assert film.streams.audio[0].codec_context.codec.canonical_name == plain
    found = samples_of(output)
    np.testing.assert_array_equal(found[: len(noise)], noise)
    assert not found[len(noise) :].any()  # the last packet is filled up


def test_verify_finds_a_wrong_sample(tmp_path):
    source, noise = pcm_film(tmp_path / "old.mov", "pcm_s16be", 16)
    other, _ = pcm_film(tmp_path / "new.mov", "pcm_s16le", 16)
    assert verify_film(probe(source), other, DecodeOptions()).ok
    data = bytearray(other.read_bytes())
    data[data.index(noise[:64].astype("<i2").tobytes())] ^= 1
    other.write_bytes(data)
    (problem,) = verify_film(probe(source), other, DecodeOptions()).problems
    assert "does not hold the same data" in problem


def test_the_tables_of_the_documents(tmp_path):
    import containers

    document = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for table in (containers.picture_table(tmp_path), containers.sound_table(tmp_path)):
        assert "\n".join(table) in document
