"""Broken, cut and hostile files: skipped with a count, or refused in one sentence; never half a film without a word."""

from __future__ import annotations

import resource
import struct
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from damage import index_first, remuxed
from fuzz import fuzz
from synth import make_film, planes, sound_packets, stamps, with_packet_data

from deoldify_video.errors import InputError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.media import decode
from deoldify_video.media.probe import probe
from deoldify_video.media.reading import PacketReader
from deoldify_video.media.scan_packets import scan_packets
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, JobOptions, SmoothOptions

OPTIONS = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.0))
TRUNCATED = FilmOptions(encode=OPTIONS.encode, smooth=OPTIONS.smooth, job=JobOptions(allow_truncated=True))


def cut(path: Path, source: Path, share: float) -> Path:
    data = source.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    return path


def check_cut_film(source: Path, whole: Path, output: Path, colorizer) -> None:
    """Refused as it is; with --allow-truncated everything that is there is kept, in step, and the rest is told."""
    with pytest.raises(InputError, match=r"is cut short: the last .* are missing; use --allow-truncated"):
        colorize_film(source, output, OPTIONS, colorizer=colorizer)
    assert not output.exists()
    report = colorize_film(source, output, TRUNCATED, colorizer=colorizer)
    kept = len(planes(output))
    assert 20 < report.frames == kept < 100
    assert any("before its declared end" in warning for warning in report.warnings)
    intact = kept - 4  # the last packet is half there, and pictures around it were predicted from it
    np.testing.assert_array_equal(planes(output)[:intact], planes(whole)[:intact])
    assert stamps(output)[:intact] == stamps(whole)[:intact]
    sound = [digest for _, digest in sound_packets(output)][:-1]
    assert len(sound) > 5
    assert sound == [digest for _, digest in sound_packets(whole)][: len(sound)]
    assert report.verification["ok"]


def test_truncated_mkv(tmp_path, stub_colorizer):
    whole = make_film(tmp_path / "whole.mkv", frames=100)
    check_cut_film(cut(tmp_path / "old.mkv", whole, 0.6), whole, tmp_path / "new.mkv", stub_colorizer)


def test_truncated_mp4(tmp_path, stub_colorizer):
    whole = index_first(tmp_path / "whole.mp4", make_film(tmp_path / "late.mp4", frames=100))
    check_cut_film(cut(tmp_path / "old.mp4", whole, 0.6), whole, tmp_path / "new.mp4", stub_colorizer)
    no_index = cut(tmp_path / "headless.mp4", tmp_path / "late.mp4", 0.7)
    with pytest.raises(InputError, match="is no film or picture that can be read"):
        colorize_film(no_index, tmp_path / "never.mkv", TRUNCATED, colorizer=stub_colorizer)


def test_what_is_there_of_a_cut_film_needs_no_leave(tmp_path, stub_colorizer):
    whole = make_film(tmp_path / "whole.mkv", frames=100)
    source = cut(tmp_path / "old.mkv", whole, 0.6)
    options = FilmOptions(decode=DecodeOptions(end_s=1.0), encode=OPTIONS.encode)
    assert colorize_film(source, tmp_path / "new.mkv", options, colorizer=stub_colorizer).frames == 25


def spoil_packets(path: Path, numbers: set[int]) -> None:
    """Overwrite the picture packets of these numbers with zeros, where they lie in the file."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for number in numbers:
        place = data.find(packets[number])
        assert place > 0
        data[place : place + len(packets[number])] = bytes(len(packets[number]))
    path.write_bytes(data)


def test_corrupt_packets(tmp_path, stub_colorizer):
    """FFV1 codes every frame for itself: with three packets spoilt exactly three frames are gone, all others at their time."""
    whole = make_film(tmp_path / "whole.mkv", frames=40, codec="mpeg4", options={"g": "1"})
    source = tmp_path / "old.mkv"
    source.write_bytes(whole.read_bytes())
    spoil_packets(source, {5, 17, 18})
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, OPTIONS, colorizer=stub_colorizer)
    kept = [number for number in range(40) if number not in (5, 17, 18)]
    assert report.frames == len(kept)
    assert any("3 damaged packets" in warning for warning in report.warnings), report.warnings
    assert stamps(output) == [stamps(whole)[number] for number in kept]
    np.testing.assert_array_equal(planes(output), np.stack(planes(whole))[kept])
    assert sound_packets(output) == sound_packets(source)


def test_a_film_goes_on_behind_its_damage_where_that_is_allowed(tmp_path, stub_colorizer):
    """Eight packets in a row that cannot be decoded end the film; with --allow-truncated all that follows is there, at its time."""
    whole = make_film(tmp_path / "whole.mkv", frames=60, codec="mpeg4", options={"g": "1"})
    source, output = tmp_path / "old.mkv", tmp_path / "new.mkv"
    source.write_bytes(whole.read_bytes())
    lost = range(20, 22 + 2 * decode.CORRUPT_RUN)
    spoil_packets(source, set(lost))
    with pytest.raises(InputError, match=r"breaks off after 20 frames.*--allow-truncated"):
        colorize_film(source, output, OPTIONS, colorizer=stub_colorizer)
    assert not output.exists()
    report = colorize_film(source, output, TRUNCATED, colorizer=stub_colorizer)
    kept = [number for number in range(60) if number not in lost]
    assert report.frames == len(kept)
    assert any(f"{len(lost)} damaged packets" in warning for warning in report.warnings)
    assert stamps(output) == [stamps(whole)[number] for number in kept]
    np.testing.assert_array_equal(planes(output), np.stack(planes(whole))[kept])
    assert sound_packets(output) == sound_packets(source)


class BrokenInTheMiddle:
    """A container that fails to read in the middle of its packets, and at their end `times` times."""

    def __init__(self, times: int) -> None:
        self.numbers, self.times = iter(range(20)), times

    def demux(self, *streams):
        for number in self.numbers:
            if number in (5, 6, 12):
                raise av.error.InvalidDataError(1, "damaged")
            yield av.Packet(bytes([number]))
        while self.times:
            self.times -= 1
            raise av.error.InvalidDataError(1, "damaged")


@pytest.mark.parametrize("times", [0, 3, 1000])
def test_packets_are_read_behind_damage(times):
    packets = PacketReader(BrokenInTheMiddle(times))
    assert [bytes(packet)[0] for packet in packets] == [number for number in range(20) if number not in (5, 6, 12)]
    assert (packets.damaged_places, packets.ends_in_error) == (2 + (times > 0), times > 0)


def test_what_an_edit_list_leaves_out_is_not_missing(tmp_path):
    def early(packet: av.Packet) -> None:
        if packet.stream.type == "video":
            ahead = round(Fraction(8, 25) / packet.time_base)
            packet.pts, packet.dts = packet.pts - ahead, packet.dts - ahead

    for options in ({"g": "1", "bf": "0"}, {"g": "12", "bf": "2"}):
        plain = make_film(tmp_path / "plain.mp4", frames=30, audio=None, options=options)
        source = remuxed(tmp_path / "old.mp4", plain, early, options={"avoid_negative_ts": "disabled"})
        found = scan_packets(probe(source))
        assert (found.pictures, found.warnings()) == (22, [])
    cut_off = scan_packets(probe(cut(tmp_path / "cut.mp4", index_first(tmp_path / "first.mp4", plain), 0.9)))
    assert any("declared pictures are missing" in warning for warning in cut_off.warnings())


@pytest.mark.parametrize(("name", "codec"), [("slow.flv", "flv"), ("slow.mkv", "libx264"), ("slow.avi", "mpeg4")])
def test_an_even_film_is_not_called_sparse(tmp_path, name, codec):
    """Ten pictures a second, whatever rate the header may name."""
    source = make_film(
        tmp_path / name,
        codec=codec,
        frames=20,
        pts=[100 * number for number in range(20)],
        time_base=Fraction(1, 1000),
        audio=None,
    )
    assert not any("much more rarely" in warning for warning in scan_packets(probe(source)).warnings())


def test_holes_are_told(tmp_path, stub_colorizer):
    pts = [number for number in range(60) if number not in (20, 21, 22, 40)]
    source = make_film(tmp_path / "old.mkv", frames=len(pts), pts=pts)
    report = colorize_film(source, tmp_path / "new.mkv", OPTIONS, colorizer=stub_colorizer)
    assert any("4 pictures seem to be missing in 2 places, the first after 0.8 s" in warning for warning in report.warnings)
    assert stamps(tmp_path / "new.mkv") == stamps(source)


def test_size_change(tmp_path, stub_colorizer):
    """Two MPEG streams one behind the other, as capture cards write them."""
    first = make_film(tmp_path / "a.ts", frames=20, codec="mpeg2video", audio=None)
    second = make_film(tmp_path / "b.ts", frames=20, codec="mpeg2video", audio=None, size=(96, 64))
    source = tmp_path / "old.ts"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(InputError, match=r"changes its picture from 64x48 to 96x64 after \d+ frames; split it there"):
        colorize_film(source, tmp_path / "new.mkv", TRUNCATED, colorizer=stub_colorizer)
    assert not (tmp_path / "new.mkv").exists()


def test_huge_dimensions(tmp_path, stub_colorizer):
    """A header that claims 16000x16000 is refused before anything of that size is made."""
    film = bytearray(make_film(tmp_path / "film.avi", codec="ffv1", audio=None).read_bytes())
    place = film.find(b"strf") + 12  # width and height of BITMAPINFOHEADER
    assert struct.unpack("<ii", film[place : place + 8]) == (64, 48)
    film[place : place + 8] = struct.pack("<ii", 16_000, 16_000)
    bomb = tmp_path / "bomb.avi"
    bomb.write_bytes(film)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"16000x16000; more than 67 million pixels"):
        colorize_film(bomb, tmp_path / "new.mkv", OPTIONS, colorizer=stub_colorizer)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024


def test_image_bomb(tmp_path, stub_colorizer):
    """The header is modest, later packets claim pictures of 16000x16000: the decoder itself is told the limit."""
    small = make_film(tmp_path / "small.avi", frames=40, codec="mjpeg", pix_fmt="yuvj420p", audio=None)

    def enlarge(number: int, data: bytes) -> bytes:
        place = data.find(b"\xff\xc0") + 5  # height and width in the frame's header
        assert struct.unpack(">HH", data[place : place + 4]) == (48, 64)
        return data if number < 20 else data[:place] + struct.pack(">HH", 16_000, 16_000) + data[place + 4 :]

    source = with_packet_data(tmp_path / "old.avi", small, enlarge)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="breaks off after 20 frames"):
        colorize_film(source, tmp_path / "new.mkv", OPTIONS, colorizer=stub_colorizer)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024


def test_whole_films_raise_no_doubts(tmp_path):
    for name in ("film.mp4", "film.mkv", "film.mov", "film.ts"):
        found = scan_packets(probe(make_film(tmp_path / name, frames=30)))
        assert (found.warnings(), found.pictures, found.constant_rate) == ([], 30, True), name


def test_fuzz_is_honest(tmp_path, fork_server):
    """A short run of `fuzz.py`; docs/reliability.md has the figures of a long one."""
    tally = fuzz(5, 7, fork_server, tmp_path)
    assert tally.failures == []
    assert sum(counts.total() for counts in tally.counts.values()) == 5
