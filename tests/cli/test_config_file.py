"""Where options come from: one test for each step of default < preset < config < environment < flag, and for every mistake."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from synth import make_film, planes
from typer import Context
from typer.main import get_command

from deoldify_video import options
from deoldify_video.cli.app import app, main
from deoldify_video.cli.completion import complete_preset
from deoldify_video.cli.presets import PRESETS
from deoldify_video.media.probe import probe


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write the config file that the program finds."""
    path = tmp_path / "config.toml"
    path.write_text("")
    monkeypatch.setenv("DEOLDIFY_VIDEO_CONFIG", str(path))

    def write(text):
        path.write_text(text)
        return path

    return write


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["deoldify-video", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


@pytest.fixture
def chosen(run, tmp_path):
    """Call `colorize` with flags, for a film that is not there; returns the options that it would colour with, from its log."""

    def chosen(*flags):
        log = tmp_path / "run.log"
        log.unlink(missing_ok=True)
        code, _, err = run("colorize", str(tmp_path / "none.mp4"), "-o", "new.mp4", "--log-file", str(log), *flags)
        assert code == 3, err
        return eval(re.search(r"FilmOptions\(.*\)", log.read_text()).group(), vars(options))

    return chosen


def test_an_option_that_is_given_nowhere_has_its_default(config, chosen):
    assert chosen().color.saturation == 1.0


def test_a_preset_is_above_the_default(config, chosen):
    options = chosen("--preset", "archive")
    assert (options.encode.codec, options.encode.bit_depth, options.job.verify) == ("ffv1", 10, True)


def test_config_is_above_the_preset(config, chosen):
    config('[colorize]\ncodec = "hevc"\n')
    options = chosen("--preset", "archive")
    assert options.encode.codec == "hevc"
    assert options.encode.bit_depth == 10


def test_the_environment_is_above_config(config, chosen, monkeypatch):
    config("[colorize]\nrender-factor = 28\nsaturation = 1.5\n")
    monkeypatch.setenv("DEOLDIFY_VIDEO_RENDER_FACTOR", "14")
    options = chosen()
    assert (options.color.render_factor, options.color.saturation) == (14, 1.5)


def test_a_flag_is_above_the_environment(config, chosen, monkeypatch):
    monkeypatch.setenv("DEOLDIFY_VIDEO_RENDER_FACTOR", "14")
    assert chosen("-r", "9").color.render_factor == 9


def test_a_switch_can_be_set_anywhere_and_taken_back_by_its_flag(config, chosen, monkeypatch):
    config("[colorize]\nverify = false\n")
    monkeypatch.setenv("DEOLDIFY_VIDEO_OVERWRITE", "1")
    assert (chosen().job.verify, chosen().encode.overwrite) == (False, True)
    assert chosen("--verify").job.verify is True


def test_the_preset_itself_can_come_from_config_and_environment(config, chosen, monkeypatch):
    config('[colorize]\npreset = "archive"\n')
    assert chosen().encode.codec == "ffv1"
    monkeypatch.setenv("DEOLDIFY_VIDEO_PRESET", "balanced")
    assert chosen().encode.codec == "h264"


def test_an_own_preset_stands_on_another_and_may_replace_the_programs(config, chosen):
    config(
        '[presets.mine]\npreset = "archive"\nstyle = "muted"\ncodec = "prores"\n[presets.archive]\npreset = "archive"\ncrf = 3\n'
    )
    options = chosen("--preset", "mine")
    assert (options.color.style, options.encode.codec, options.encode.bit_depth, options.encode.crf) == (
        "muted",
        "prores",
        10,
        3,
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_of_the_program_can_be_used(name, config, chosen):
    assert chosen("--preset", name).smooth.smoothing == 0.9


def test_the_archive_preset_keeps_the_light_exactly_in_ten_bits(config, run, stub_spec, tmp_path):
    film = make_film(tmp_path / "old.mkv", frames=4)
    code, out, err = run("colorize", str(film), "-o", str(tmp_path / "new.mkv"), "--preset", "archive", "--json")
    assert code == 0, err
    assert json.loads(out)["verification"]["ok"]
    video = probe(tmp_path / "new.mkv").video
    assert (video.codec, video.pix_fmt) == ("ffv1", "yuv420p10le")
    for before, after in zip(planes(film), planes(tmp_path / "new.mkv"), strict=True):
        assert np.array_equal(after, before.astype(np.uint16) << 2)
    code, _, err = run("colorize", str(film), "-o", str(tmp_path / "odd.mkv"), "--bit-depth", "9")
    assert code == 2
    assert "bit depth 9" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[colorize]\ncodecs = 1\n", "knows no 'codecs'"),
        ("[paint]\n", "no command paint"),
        ("colorize = 3\n", "must stand in a table"),
        ("[presets]\nmine = 3\n", "must stand in a table"),
        ("[colorize]\ncrf = [1, 2]\n", "must be one value"),
        ("[colorize\n", "no valid TOML"),
        ('[colorize]\npreset = "nonesuch"\n', "does not exist"),
        ('[colorize]\npreset = "a"\n[presets.a]\npreset = "b"\n[presets.b]\npreset = "a"\n', "stands on itself"),
        ('[colorize]\npreset = "a"\n[presets.a]\nhue = 1\n', "knows no 'hue'"),
        ('[colorize]\ncrf = "high"\n', "--crf"),
    ],
)
def test_a_config_file_that_makes_no_sense_is_a_usage_error(text, message, config, run):
    config(text)
    code, _, err = run("colorize", "old.mp4", "-o", "new.mp4")
    assert code == 2
    assert message in " ".join(err.split())


def test_a_config_file_that_is_named_but_not_there_is_an_input_error(run, monkeypatch, tmp_path):
    monkeypatch.setenv("DEOLDIFY_VIDEO_CONFIG", str(tmp_path / "lost.toml"))
    code, _, err = run("info")
    assert code == 3
    assert "lost.toml" in err


def test_config_path_prints_the_place_even_of_a_broken_file(config, run, monkeypatch, tmp_path):
    path = config("[colorize\n")
    assert run("config", "path") == (0, f"{path}\n", "")
    monkeypatch.delenv("DEOLDIFY_VIDEO_CONFIG")
    code, out, _ = run("config", "path")
    assert code == 0
    assert out.rstrip().endswith("config.toml")
    assert "deoldify-video" in out


def test_config_show_says_where_every_value_comes_from(config, run, monkeypatch):
    config('[colorize]\nsaturation = 1.2\npreset = "night"\n[presets.night]\nstyle = "vibrant"\nsaturation = 2\n')
    monkeypatch.setenv("DEOLDIFY_VIDEO_DEVICE", "cpu")
    code, out, _ = run("config", "show", "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["--saturation"] == {"value": 1.2, "from": "config"}
    assert shown["--style"] == {"value": "vibrant", "from": "preset"}
    assert shown["--device"] == {"value": "cpu", "from": "environment"}
    assert shown["--smoothing"] == {"value": 0.9, "from": "default"}
    assert json.loads(run("config", "show", "--preset", "archive", "--json")[1])["--codec"] == {
        "value": "ffv1",
        "from": "preset",
    }
    assert "--shots" in run("config", "show", "preview")[1]
    assert run("config", "show", "models")[0] == 2


def test_help_shows_the_values_that_would_be_used(config, run):
    config("[colorize]\nsaturation = 1.75\n")
    assert "1.75" in run("colorize", "--help")[1]


@pytest.mark.parametrize(
    ("option", "typed", "offered"),
    [
        ("preset", "ni", ["night"]),
        ("preset", "b", ["balanced", "best"]),
        ("codec", "h", ["h264", "hevc"]),
        ("model", "eccv", ["eccv16"]),
        ("style", "v", ["vibrant"]),
    ],
)
def test_the_shell_completes_presets_codecs_networks_and_styles(option, typed, offered, config):
    config("[presets.night]\n")
    command = get_command(app).commands["colorize"]
    parameter = next(parameter for parameter in command.params if parameter.name == option)
    assert [item.value for item in parameter.shell_complete(Context(command), typed)] == offered


def test_a_broken_config_file_does_not_break_completion(config):
    config("[presets")
    assert complete_preset("") == []
