"""A photo and a film on the page, without the page: what the network is asked, what is shown, what can be taken home."""

from __future__ import annotations

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from synth import colorfulness, make_film, planes, sound_packets

from deoldify_video.errors import InputError, StoppedError
from deoldify_video.images.photo_io import read_photo
from deoldify_video.models.registry import MODELS
from deoldify_video.options import ColorOptions, DecodeOptions, FilmOptions, JobOptions, SegmentOptions
from deoldify_video.photo import colorize_photo
from deoldify_video.web import film as film_module
from deoldify_video.web.error_messages import UNFORESEEN, error_message, page_text
from deoldify_video.web.networks import installed_networks
from deoldify_video.web.photo import VIEW_PX
from deoldify_video.web.sound import make_audible

LOOK = ColorOptions(device="cpu", render_factor=7)
FILM = FilmOptions(color=LOOK)
PALE = FilmOptions(color=replace(LOOK, saturation=0.5))


@pytest.fixture
def networks(stub_spec, store):
    return [queue.networks for queue in store.queues.values()]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "grandma.png"
    picture = np.random.default_rng(0).integers(0, 65536, (60, 1500), np.uint16)
    cv2.imwrite(str(path), picture)
    return path


@pytest.fixture
def photo_session(photo, admit, networks):
    return admit(photo)


@pytest.fixture
def asked(networks):
    """How many pictures the network has seen."""
    loaded = [each.colorizer(LOOK).network for each in networks]
    return lambda: sum(sum(network.batches) for network in loaded)


def color_of(path):
    return float(np.ptp(cv2.imread(str(path)).astype(int), axis=2).mean())


def test_style_and_strength_need_no_network_other_settings_do(photo_session, asked, run):
    photo_session.color(run, LOOK)
    assert asked() == 1
    bolder = replace(LOOK, style="vibrant", saturation=2.0)
    assert photo_session.has(bolder)
    photo_session.view(bolder)
    assert asked() == 1
    finer = replace(LOOK, render_factor=8)
    assert not photo_session.has(finer)
    photo_session.color(run, finer)
    assert asked() == 2


def test_only_so_many_answers_are_kept_and_never_the_one_that_is_viewed_is_dropped(photo_session, run):
    looks = [replace(LOOK, render_factor=factor) for factor in range(7, 21)]
    for look in looks:
        photo_session.color(run, look)
        assert photo_session.whole() is not None
    assert [photo_session.has(look) for look in looks] == [False] * 2 + [True] * 12


def test_the_view_follows_the_strength_and_only_the_last_ones_are_kept(photo_session, run, store):
    addresses = [photo_session.color(run, LOOK)]
    addresses += [photo_session.view(replace(LOOK, saturation=strength)) for strength in (0.0, 0.5, 2.0)]
    files = [store.file(*address.split("/")[2:]) for address in addresses]
    assert files[:2] == [None, None]
    faint, strong = (color_of(path) for path in files[2:])
    assert strong > 1.5 * faint > 0
    assert cv2.imread(str(files[3])).shape == (56, VIEW_PX, 3)


def test_the_photo_to_take_home_is_whole_deep_and_as_it_was_viewed(photo, photo_session, run):
    assert photo_session.whole() is None
    photo_session.color(run, LOOK)
    path = photo_session.whole()
    assert path.name == "grandma-colour.png"
    result = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert (result.dtype, result.shape) == (np.uint16, (60, 1500, 3))
    np.testing.assert_allclose(read_photo(path).light, read_photo(photo).light, atol=1e-3)
    first = color_of(path)
    photo_session.view(replace(LOOK, saturation=0.3))
    assert color_of(photo_session.whole()) < 0.5 * first


def test_the_photo_to_take_home_is_what_the_command_makes_of_it(photo_session, photo, run, stub_spec, tmp_path):
    photo_session.color(run, LOOK)
    report = colorize_photo(photo, tmp_path / "command.png", FilmOptions(color=LOOK))
    assert report.render_factor == 7
    page, command = (cv2.imread(str(path)).astype(int) for path in (photo_session.whole(), tmp_path / "command.png"))
    assert np.abs(page - command).mean() < 1


def test_a_photo_that_is_damaged_is_refused(admit, networks, photo):
    photo.write_bytes(photo.read_bytes()[:200])
    with pytest.raises(InputError):
        admit(photo)


@pytest.fixture
def film(tmp_path):
    return make_film(tmp_path / "newsreel.mp4", frames=60, shots=2)


def test_a_preview_shows_the_source_and_every_choice(film, admit, networks, run, store):
    found = admit(film).make_preview(run, LOOK)
    assert [candidate.name for candidate in found.candidates] == ["Before", "Detail 10", "Detail 16", "Detail 21", "Detail 28"]
    colours = [color_of(store.file(*candidate.address.split("/")[2:])) for candidate in found.candidates]
    assert colours[0] < 1
    assert min(colours[1:]) > 5
    assert run.share == 1.0


def test_the_first_seconds_and_the_whole_come_with_their_sound(film, admit, networks, run, store, monkeypatch):
    monkeypatch.setattr(film_module, "EXCERPT_S", 1.0)
    session = admit(film)
    for whole, frames, name in ((False, 25, "newsreel-first-1-seconds-colour.mp4"), (True, 60, "newsreel-colour.mp4")):
        made = session.color(run, FILM, whole=whole)
        result, view = (store.file(*address.split("/")[2:]) for address in (made.download, made.view))
        assert (made.name, made.frames, made.size_bytes) == (name, frames, result.stat().st_size)
        assert len(planes(result)) == len(planes(view)) == frames
        assert planes(view)[0].shape == (48, 128)
        assert colorfulness(result) > 3
        packets = sound_packets(result)
        assert packets == sound_packets(film)[: len(packets)]
    assert packets == sound_packets(film)


def test_what_is_made_already_is_not_made_again(film, admit, networks, run, asked):
    session = admit(film)
    first = session.color(run, FILM, whole=True)
    frames = asked()
    assert session.color(run, FILM, whole=True) is first
    assert asked() == frames
    assert session.color(run, PALE, whole=True) != first
    assert asked() == 2 * frames


def test_a_film_that_was_stopped_goes_on_and_with_other_settings_begins_anew(film, admit, networks, run, asked, monkeypatch):
    short, pale = (replace(options, segments=SegmentOptions(shortest=10)) for options in (FILM, PALE))
    session = admit(film)

    def stop_late(doing, share):
        if "frame 50" in doing:
            raise StoppedError("Stopped.")

    for options, fewer in ((short, True), (pale, False)):
        with monkeypatch.context() as patch:
            patch.setattr(run, "tell", stop_late)
            with pytest.raises(StoppedError):
                session.color(run, short, whole=True)
        before = asked()
        assert session.color(run, options, whole=True).frames == 60
        assert (asked() - before < 60) is fewer
        session = admit(film)


def test_what_mp4_cannot_hold_goes_into_matroska_and_is_heard_all_the_same(tmp_path, admit, networks, run, store):
    film = make_film(tmp_path / "old.mkv", frames=25, audio="pcm_u8")
    made = admit(film).color(run, FILM, whole=True)
    result, view = (store.file(*address.split("/")[2:]) for address in (made.download, made.view))
    assert made.name == "old-colour.mkv"
    assert sound_packets(result) == sound_packets(film)
    assert sound_codec(view) == "aac"


def sound_codec(path):
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.codec.canonical_name


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_the_film_to_look_at_has_sound_that_browsers_play(tmp_path, codec):
    film = make_film(tmp_path / "old.mp4", frames=50, audio=codec)
    view = make_film(tmp_path / "view.mp4", frames=50, audio=codec)
    pictures = planes(view)
    assert make_audible(view, film) is (codec != "aac")
    assert sound_codec(view) == "aac"
    np.testing.assert_array_equal(planes(view), pictures)
    with av.open(str(view)) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert heard.shape[1] == pytest.approx(2 * 8000, rel=0.15)
    assert 0.1 < heard.std() < 0.4


def test_a_silent_film_stays_silent(tmp_path):
    film = make_film(tmp_path / "old.mp4", audio=None)
    assert make_audible(film, film) is False


def test_a_film_in_colour_is_refused_in_the_words_of_the_page(film, admit, networks, run, store):
    first = admit(film).color(run, FILM, whole=True)
    session = admit(store.file(*first.download.split("/")[2:]), "new.mp4")
    with pytest.raises(InputError) as caught:
        session.color(run, FILM, whole=True)
    said = error_message(caught.value, session.source)
    assert said == "“new.mp4” is in colour already; tick “Replace colours that are there already”."
    assert session.color(run, replace(FILM, job=JobOptions(force=True)), whole=True).frames == 60


def test_an_interlaced_film_says_what_to_tick_and_is_made_whole_where_that_is_ticked(tmp_path, admit, networks, run):
    session = admit(make_film(tmp_path / "tape.mp4", frames=25, options={"x264-params": "tff=1"}))
    (warning,) = session.color(run, FILM, whole=True).warnings
    said = "The film is interlaced and is kept so; tick “Take the comb lines out of an interlaced film”."
    assert page_text(warning, session.source) == said
    assert session.color(run, replace(FILM, decode=DecodeOptions(deinterlace=True)), whole=True).warnings == []


def test_messages_name_files_and_not_places(store):
    source = store.root / "key" / "source" / "my film.mp4"
    result = source.parent.parent / "my film-colour.mp4"
    assert (
        page_text(f"{result} cannot be written: the disk is full.", source)
        == "My film-colour.mp4 cannot be written: the disk is full."
    )
    assert page_text(f"{source} is empty (0 bytes).", source) == "“my film.mp4” is empty (0 bytes)."


def test_what_nobody_foresaw_is_logged_and_told_without_its_details(store, caplog):
    assert error_message(ZeroDivisionError("secret"), store.root / "a.mp4") == UNFORESEEN
    assert "secret" in caplog.text


def test_only_networks_that_are_installed_are_offered(tmp_path, monkeypatch):
    monkeypatch.setenv("DEOLDIFY_VIDEO_MODELS", str(tmp_path))
    monkeypatch.setitem(MODELS, "compact", replace(MODELS["compact"], weights="compact.safetensors"))
    assert installed_networks() == ["compact"]
    (tmp_path / "eccv16.safetensors").write_bytes(b"weights")
    assert installed_networks() == ["compact", "eccv16"]
