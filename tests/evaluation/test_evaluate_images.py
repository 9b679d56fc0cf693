"""Evaluation of pictures: the numbers, the sheet, the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

from deoldify_video.cli.commands import evaluate as commands
from deoldify_video.errors import InputError
from deoldify_video.evaluation.image import Truth, agreement, evaluate, gain_at
from deoldify_video.evaluation.sheet import draw_sheet, write_sheet
from deoldify_video.metrics.color import ciede2000, colorfulness, psnr_db
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.models.compact import Compact, CompactConfig
from deoldify_video.options import ColorOptions
from deoldify_video.training.checkpoint import write_network
from deoldify_video.training.dataset import Photos

SMALL = CompactConfig("lite0", decoder=(16, 12, 12), context=16, context_blocks=1)


def picture(seed: int = 0, height: int = 90, width: int = 120) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.float32)
    return np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    write_network(path, Compact(SMALL), {"recipe": "test"})
    return path


@pytest.fixture(scope="module")
def colorizer(weights: Path) -> Colorizer:
    return Colorizer(ColorOptions(str(weights), device="cpu", precision="fp32"))


@pytest.fixture(scope="module")
def photos() -> Photos:
    photos = Photos()
    for seed in range(3):
        photos.add(f"p{seed}", picture(seed, 80 + 10 * seed, 120))
    photos.add("torn", b"no picture")
    return photos


def test_psnr_is_that_of_scikit_image() -> None:
    first, other = picture(0), picture(1)
    assert psnr_db(first, other) == pytest.approx(peak_signal_noise_ratio(other, first, data_range=255), abs=1e-9)
    assert psnr_db(first, first) == math.inf


def test_colorfulness_is_zero_for_neutral_and_follows_the_formula() -> None:
    gray = np.full((8, 8, 3), 90, np.uint8)
    assert colorfulness(gray) == 0.0
    halves = gray.copy()
    halves[:, :4] = (200, 100, 50)  # rg 100, yb 100; the other half has 0, 0
    expected = math.hypot(50, 50) + 0.3 * math.hypot(50, 50)
    assert colorfulness(halves) == pytest.approx(expected)


def test_colorfulness_is_signed() -> None:
    red_green = np.zeros((2, 2, 3), np.uint8)
    red_green[0], red_green[1] = (200, 0, 0), (0, 200, 0)  # rg +200 and -200: far apart, not alike
    assert colorfulness(red_green) > 200


def test_ciede2000_of_equal_pictures_is_zero_and_of_a_known_pair_is_known() -> None:
    pair = np.array([[[50.0, 2.6772, -79.7751]]]), np.array([[[50.0, 0.0, -82.7485]]])
    assert ciede2000(*pair) == pytest.approx(2.0425, abs=1e-4)  # first row of the test data of Sharma et al. 2005
    assert ciede2000(pair[0], pair[0]) == 0.0


def test_the_true_picture_scores_best_and_gray_is_the_baseline() -> None:
    truth = Truth("a", picture(0))
    perfect, nothing = truth.score(truth.picture), truth.score(truth.gray)
    assert (perfect.ciede2000, perfect.psnr_db) == (0.0, 99.0)
    assert nothing.psnr_db == nothing.grey_psnr_db
    assert nothing.ciede2000 == nothing.grey_ciede2000
    assert nothing.cf < 0.5
    assert perfect.cf == perfect.true_cf


def test_colors_change_and_light_does_not(colorizer: Colorizer) -> None:
    truth = Truth("a", picture(2, 97, 131))
    ours = truth.painted(truth.ab_of(colorizer, 7))
    assert truth.gray.shape == ours.shape == truth.picture.shape
    assert colorfulness(ours) > colorfulness(truth.gray)
    assert np.array_equal(truth.painted(truth.ab_of(colorizer.with_gain(0.0), 7)), truth.gray)


def test_means_and_ratios_leave_out_what_cannot_be_read(colorizer: Colorizer, photos: Photos) -> None:
    seen = []
    means = evaluate(colorizer, photos, render_factor=7, gains=(0.0, 0.5), seen=lambda truth, _: seen.append(truth.key))
    assert [mean.gain for mean in means] == [colorizer.gain, 0.0, 0.5]
    assert means[1].gain_db == pytest.approx(0.0, abs=1e-6)
    assert means[1].cf < means[2].cf
    mean, scores = means[0], means[0].scores
    assert seen == [score.key for score in scores] == ["p0", "p1", "p2"]
    assert mean.pictures == 3
    assert mean.gain_db == pytest.approx(mean.psnr_db - mean.grey_psnr_db)
    assert mean.cf_ratio == pytest.approx(sum(s.cf for s in scores) / sum(s.true_cf for s in scores))
    torn = Photos()
    torn.add("torn", b"no picture")
    with pytest.raises(InputError, match="no picture that can be read"):
        evaluate(colorizer, torn, render_factor=7)


def test_the_curve_is_read_between_its_points_and_never_beyond_them(colorizer: Colorizer, photos: Photos) -> None:
    means = evaluate(colorizer, photos, render_factor=7, gains=(0.0, 2.0))
    low, high = (min(means, key=lambda m: m.cf_ratio), max(means, key=lambda m: m.cf_ratio))
    between = gain_at([low, high], (low.cf_ratio + high.cf_ratio) / 2)
    assert between == pytest.approx((low.gain_db + high.gain_db) / 2)
    assert gain_at(means, high.cf_ratio + 0.01) is None


def test_render_factors_agree_with_themselves_and_differ_from_others(colorizer: Colorizer, photos: Photos) -> None:
    found = agreement(colorizer, photos, (7, 10, 14), limit=2)
    assert set(found) == {(7, 10), (7, 14), (10, 14)}
    assert min(found.values()) > 0
    assert set(agreement(colorizer.with_gain(0.0), photos, (7, 10)).values()) == {0.0}
    with pytest.raises(InputError, match="at least two"):
        agreement(colorizer, photos, (7,))


def test_a_sheet_holds_every_picture_in_its_shape(tmp_path: Path) -> None:
    tall = np.full((200, 100, 3), 255, np.uint8)
    sheet = draw_sheet([[tall, tall, tall]] * 3, cell_px=64)
    assert sheet.shape == (2 * 68 + 4, 6 * 68 + 4, 3)
    assert (sheet == 255).all(axis=2).sum() == 9 * 64 * 32
    write_sheet(tmp_path / "new" / "sheet.png", [[tall]])
    assert cv2.imread(str(tmp_path / "new" / "sheet.png")) is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for seed in range(3):
        cv2.imwrite(str(tmp_path / "data" / f"{seed}.png"), picture(seed))
    return tmp_path / "data"


def run(*arguments: object) -> object:
    app = typer.Typer()
    commands.register(app)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_the_command_reports_means_pictures_and_curve_as_json(weights: Path, folder: Path, tmp_path: Path) -> None:
    result = run(weights, folder, "--render-factor", 7, "--json", "--sheet", tmp_path / "sheet.png", "--temperature", 0.5)
    report = json.loads(result.stdout)
    assert report["mean"]["temperature"] == 0.5
    assert len(report["pictures"]) == 3
    assert (tmp_path / "sheet.png").is_file()
    report = json.loads(run(weights.parent, folder, "--render-factor", 7, "--json", "--curve", "--limit", 1).stdout)
    gains = [point["gain"] for point in report["curve"]]
    assert gains == sorted(set(gains))
    assert report["curve"][0]["pictures"] == 1
    assert set(report["gain_db_at_cf_ratio"]) == {"0.76", "0.9"}


def test_the_command_prints_how_far_render_factors_are_apart(weights: Path, folder: Path) -> None:
    report = json.loads(run(weights, folder, "--factors", "7,10", "--json").stdout)
    assert [pair["factors"] for pair in report["agreement"]] == [[7, 10]]
    assert "7 and 10" in run(weights, folder, "--factors", "10,7").stderr


def test_the_command_prints_a_table(weights: Path, folder: Path) -> None:
    result = run(weights, folder, "--render-factor", 7, "--each", "--gain", 0)
    assert "CF ratio" in result.stderr
    assert "+0.00" in result.stderr  # no gain, no colours: the grey baseline itself
    assert result.stdout == ""
