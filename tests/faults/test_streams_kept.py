"""Everything that is not the picture: copied bit for bit, in order, with its names; what does not fit is refused beforehand."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from synth import AUDIO_RATE, blank_frame, light, make_film, planes, sound_packets, stamps, tone, write_plane

from deoldify_video.errors import UsageError, VerificationError
from deoldify_video.film import finalize
from deoldify_video.film.colorize import colorize_film
from deoldify_video.media.probe import probe
from deoldify_video.media.verify import verify_film
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, JobOptions, SmoothOptions

OPTIONS = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.0))
H264 = FilmOptions(smooth=SmoothOptions(0.0))
ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
FONT = bytes(range(256)) * 5


def cover_packet() -> av.Packet:
    """A PNG picture."""
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 32, 32, "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), (200, 30, 60), np.uint8), "rgb24")
    return context.encode(frame)[0]


def rich_film(path: Path, *, frames: int = 30, sounds: tuple[str, ...] = ("aac", "libmp3lame"), subtitles: str | None = "ass",
              attachment: bool = True, cover: bool = True, chapters: bool = True) -> Path:  # fmt: skip
    """A film with everything that a container may hold besides pictures."""
    with av.open(str(path), "w") as target:
        target.metadata.update({"title": "Old town", "comment": "reel 3"})
        if chapters:
            target.set_chapters([chapter(1, 0, 600, "Arrival"), chapter(2, 600, 1200, "Departure")])
        video: Any = target.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tracks: list[Any] = []
        for number, codec in enumerate(sounds):
            tracks.append(target.add_stream(codec, rate=AUDIO_RATE, layout="mono"))
            tracks[-1].metadata.update({"language": ("ger", "fre")[number], "title": ("Ton", "Commentaire")[number]})
            tracks[-1].disposition = (Disposition.default, Disposition.comment | Disposition.hearing_impaired)[number]
        text = None
        if subtitles:
            text = target.add_stream(subtitles)
            text.codec_context.extradata = ASS_HEADER
            text.metadata["language"] = "eng"
            text.disposition = Disposition.forced
        picture = None
        if cover and path.suffix == ".mkv":
            target.add_attachment("cover.png", "image/png", bytes(cover_packet()))
        elif cover:
            picture = target.add_mux_stream("png", width=32, height=32)
            picture.disposition = Disposition.attached_pic
        if attachment:
            target.add_attachment("old.ttf", "application/x-truetype-font", FONT)
        target.start_encoding()
        if picture is not None:
            packet = cover_packet()
            packet.stream = picture
            target.mux(packet)
        for number in range(frames):
            frame = blank_frame((64, 48), "yuv420p")
            write_plane(frame, 0, light(number))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        for number, track in enumerate(tracks):
            target.mux(track.encode(tone(frames / 25, 300 * (number + 1))))
            target.mux(track.encode(None))
        for number in range(3 if text is not None else 0):
            packet = av.Packet(b"%d,0,Default,,0,0,0,,Line %d" % (number, number))
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = number * 400
            packet.duration = 300
            target.mux(packet)
    return path


def chapter(number: int, start: int, end: int, title: str) -> dict[str, Any]:
    return {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}


def contents(path: Path) -> list[tuple[Any, ...]]:
    """Of every stream but the film: kind, language, title, disposition, hash of its data."""
    found = []
    with av.open(str(path)) as container:
        hashes = {stream.index: hashlib.sha256() for stream in container.streams}
        for packet in container.demux():
            hashes[packet.stream_index].update(bytes(packet))
        for stream in container.streams:
            if stream.type == "attachment":
                hashes[stream.index].update(stream.data)
            if stream.index != container.streams.video[0].index and stream.type != "data":
                tags = [stream.metadata.get(key) for key in ("language", "title", "filename", "mimetype")]
                found.append((stream.type, *tags, int(stream.disposition), hashes[stream.index].hexdigest()))
    return found


def chapters(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        return [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm", ".ts", ".avi"])
def test_no_audio(tmp_path, stub_colorizer, suffix):
    source = make_film(tmp_path / "old.mkv", audio=None)
    options = H264 if suffix != ".webm" else FilmOptions(encode=EncodeOptions(codec="av1"), smooth=SmoothOptions(0.0))
    report = colorize_film(source, tmp_path / f"new{suffix}", options, colorizer=stub_colorizer)
    assert (report.frames, report.verification["streams"]) == (12, [])
    assert len(planes(tmp_path / f"new{suffix}")) == 12


@pytest.mark.parametrize(
    ("audio", "old", "new"),
    [
        ("aac", ".mp4", ".mp4"),
        ("aac", ".mp4", ".mkv"),
        ("aac", ".ts", ".mp4"),
        ("aac", ".mkv", ".ts"),
        ("libmp3lame", ".avi", ".mkv"),
        ("pcm_s16le", ".mov", ".avi"),
        ("pcm_s16le", ".avi", ".mov"),
        ("flac", ".mkv", ".mkv"),
    ],
)
def test_audio_bit_exact(tmp_path, stub_colorizer, audio, old, new):
    source = make_film(tmp_path / f"old{old}", frames=30, audio=audio)
    output = tmp_path / f"new{new}"
    report = colorize_film(source, output, H264, colorizer=stub_colorizer)
    (verdict,) = report.verification["streams"]
    assert verdict["same_bytes"]
    if ".ts" not in (old, new) and "pcm" not in audio:  # those wrap or cut packets in their own way
        assert [digest for _, digest in sound_packets(output)] == [digest for _, digest in sound_packets(source)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_all_tracks(tmp_path, stub_colorizer, suffix):
    everything = suffix == ".mkv"
    mixed = ("aac", "libmp3lame") if everything else ("aac", "aac")
    source = rich_film(tmp_path / f"old{suffix}", sounds=mixed, subtitles="ass" if everything else None, attachment=everything)
    output = tmp_path / f"new{suffix}"
    report = colorize_film(source, output, H264, colorizer=stub_colorizer)
    assert contents(output) == contents(source)
    assert [kind for kind, *_ in contents(output)].count("audio") == 2
    assert chapters(output) == chapters(source)
    assert len(chapters(output)) == 2
    with av.open(str(output)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["title"] == "Old town"
        assert tags["comment"].startswith("reel 3 | Colours are artificial: deoldify-video ")
        assert "network compact, render factor 7, style natural" in tags["comment"]
    assert report.verification["ok"]
    assert len(report.verification["streams"]) == (5 if everything else 3)


def test_a_part_takes_its_part_of_everything(tmp_path, stub_colorizer):
    source = rich_film(tmp_path / "old.mkv")
    output = tmp_path / "new.mkv"
    options = FilmOptions(decode=DecodeOptions(0.4, 0.8), smooth=SmoothOptions(0.0))
    colorize_film(source, output, options, colorizer=stub_colorizer)
    assert chapters(output) == [(0, Fraction(1, 5), "Arrival"), (Fraction(1, 5), Fraction(2, 5), "Departure")]
    kinds = [kind for kind, *_ in contents(output)]
    assert sorted(kinds) == ["attachment", "audio", "audio", "subtitle", "video"]
    assert verify_film(probe(source), output, options.decode).ok


@pytest.mark.parametrize(
    ("suffix", "codec", "wrong"),
    [
        (".mp4", "h264", "subtitle (ass)"),
        (".mp4", "prores", "prores"),
        (".webm", "av1", "audio (aac)"),
        (".avi", "h264", "chapters"),
        (".ts", "h264", "chapters"),
        (".txt", "h264", "no ending of a film"),
    ],
)
def test_codec_container_clash(tmp_path, stub_colorizer, suffix, codec, wrong):
    source = rich_film(tmp_path / "old.mkv", sounds=("aac",))
    options = FilmOptions(encode=EncodeOptions(codec=codec))
    with pytest.raises(UsageError) as caught:
        colorize_film(source, tmp_path / f"new{suffix}", options, colorizer=stub_colorizer)
    assert wrong in str(caught.value)
    assert ".mkv" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["old.mkv"]
    assert stub_colorizer.network.batches == []  # it is refused before the work


def test_packet_without_dts(tmp_path, stub_colorizer):
    """Sound packets without any stamp are placed one behind the other, none is dropped."""
    source = make_film(tmp_path / "old.avi", frames=30, audio="libmp3lame", codec="mpeg4", options={"bf": "0"})
    output = tmp_path / "new.mkv"
    colorize_film(source, output, H264, colorizer=stub_colorizer)
    assert [digest for _, digest in sound_packets(output)] == [digest for _, digest in sound_packets(source)]
    times = [seconds for seconds, _ in sound_packets(output)]
    assert times == sorted(set(times))


def test_copied_packets_get_stamps_that_rise(tmp_path):
    from deoldify_video.media.mux import MuxStats, Span, copied_packets

    source = make_film(tmp_path / "old.mkv", frames=40)

    class Stripped:
        """A container whose sound has lost stamps."""

        def __init__(self, container: Any) -> None:
            self.container = container

        def demux(self, *streams: Any) -> Any:
            for number, packet in enumerate(self.container.demux(*streams)):
                if number in (0, 3, 4):
                    packet.pts = packet.dts = None
                if number == 7:
                    packet.pts = packet.dts = 5
                yield packet

    with av.open(str(source)) as container:
        stats = MuxStats()
        packets = list(copied_packets(Stripped(container), [container.streams.audio[0]], Span(), stats))
    times = [packet.dts for packet in packets]
    assert len(times) == len(sound_packets(source))
    assert times == sorted(set(times))
    assert stats.repaired_packets == 4 - 1  # the first one simply begins at zero
    expected = [round(seconds * 1000) for seconds, _ in sound_packets(source)]
    assert max(abs(a - b) for a, b in zip(times[1:], expected[1:], strict=True)) <= 3


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_cover_art(tmp_path, stub_colorizer, suffix):
    source = rich_film(tmp_path / f"old{suffix}", subtitles=None, attachment=False, chapters=False, sounds=("aac",))
    info = probe(source)
    assert [stream.cover_art for stream in info.streams].count(True) == 1
    assert (info.video.width, info.kind) == (64, "film")
    output = tmp_path / f"new{suffix}"
    report = colorize_film(source, output, H264, colorizer=stub_colorizer)
    assert report.frames == 30
    with av.open(str(output)) as container:
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert [(s.codec_context.name, s.codec_context.width) for s in covers] == [("png", 32)]
    assert contents(output) == contents(source)


@pytest.mark.parametrize("fault", ["a frame less", "late frames", "other sound", "no sound"])
def test_verify_finds(tmp_path, stub_colorizer, fault):
    source = make_film(tmp_path / "old.mkv", frames=20)
    output = tmp_path / "new.mkv"
    if fault == "a frame less":
        make_film(output, frames=19)
    elif fault == "late frames":
        make_film(
            output, frames=20, pts=[number * 40 + 15 * (number == 7) for number in range(20)], time_base=Fraction(1, 1000)
        )
    elif fault == "other sound":
        make_film(output, frames=20, audio="libmp3lame")
    else:
        make_film(output, frames=20, audio=None)
    verdict = verify_film(probe(source), output, DecodeOptions())
    assert not verdict.ok
    expected = {
        "a frame less": "19 frames instead of 20",
        "late frames": "0.015 s away",
        "other sound": "same data",
        "no sound": "0 streams of audio instead of 1",
    }
    assert expected[fault] in " ".join(verdict.problems)
    assert verify_film(probe(source), source, DecodeOptions()).ok


def test_a_wrong_result_never_gets_its_name(tmp_path, stub_colorizer, monkeypatch):
    source = make_film(tmp_path / "old.mkv", frames=20)
    output = tmp_path / "new.mkv"
    right = finalize.write_film

    def drops_sound(info, film, path, format_name, span):
        silent = probe(make_film(tmp_path / "silent.mkv", frames=20, audio=None))
        return right(silent, film, path, format_name, span)

    monkeypatch.setattr(finalize, "write_film", drops_sound)
    with pytest.raises(VerificationError, match=r"0 streams of audio instead of 1\..*--no-verify"):
        colorize_film(source, output, OPTIONS, colorizer=stub_colorizer)
    assert not output.exists()
    unverified = FilmOptions(encode=OPTIONS.encode, smooth=OPTIONS.smooth, job=JobOptions(verify=False))
    report = colorize_film(source, output, unverified, colorizer=stub_colorizer)
    assert (report.resumed_frames, report.verification) == (20, None)
    assert stamps(output) == stamps(source)


def test_a_second_picture_stream_is_copied(tmp_path, stub_colorizer):
    first, second = make_film(tmp_path / "a.mkv", frames=20), make_film(tmp_path / "b.mkv", frames=20, shots=2, audio=None)
    source = tmp_path / "old.mkv"
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(source), "w") as target:
        pairs = [(one, stream, target.add_stream_from_template(stream)) for stream in one.streams]
        pairs += [(two, stream, target.add_stream_from_template(stream)) for stream in two.streams]
        for container, stream, copy in pairs:
            container.seek(0)
            for packet in container.demux(stream):
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, H264, colorizer=stub_colorizer)
    assert [(s["kind"], s["same_bytes"]) for s in report.verification["streams"]] == [("video", True), ("audio", True)]
    assert contents(output) == contents(source)
