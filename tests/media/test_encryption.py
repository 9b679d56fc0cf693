"""Encrypted films are called so, and not damaged; all others are not."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from synth import make_film

from deoldify_video.errors import InputError
from deoldify_video.media.encryption import is_encrypted
from deoldify_video.media.probe import probe

KEYS = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb", "encryption_kid": "a7" * 16}


def encrypted(path: Path) -> Path:
    """A film whose packets are encrypted (MP4), or are said to be (transport and program streams)."""
    plain = make_film(
        path.with_name(f"plain{path.suffix}"), codec="mpeg2video" if path.suffix == ".vob" else "libx264", audio=None
    )
    if path.suffix == ".mp4":
        with av.open(str(plain)) as old, av.open(str(path), "w", container_options=KEYS) as new:
            stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
            for packet in old.demux():
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
        return path
    data = bytearray(plain.read_bytes())
    if path.suffix == ".vob":
        place = data.find(b"\0\0\1\xe0")
        while place >= 0:
            data[place + 6] |= 0x10
            place = data.find(b"\0\0\1\xe0", place + 1)
    else:
        size = 192 if path.suffix == ".m2ts" else 188
        for start in range(size - 188, len(data), size):
            if 0x100 <= (data[start + 1] & 0x1F) << 8 | data[start + 2] < 0x1FFF:
                data[start + 3] |= 0x80
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".m2ts", ".vob"])
def test_encrypted_films(tmp_path, suffix):
    source = encrypted(tmp_path / f"old{suffix}")
    with pytest.raises(InputError, match="is encrypted; decrypt it first"):
        probe(source)
    assert probe(tmp_path / f"plain{suffix}").video.width == 64


def test_damage_is_no_encryption(tmp_path):
    film = make_film(tmp_path / "film.ts")
    data = bytearray(film.read_bytes())
    data[4 * 188 + 3] |= 0x80  # one packet of many
    film.write_bytes(data)
    assert not is_encrypted(film, "mpegts")
    assert not is_encrypted(make_film(tmp_path / "film.mkv"), "matroska,webm")
