"""Photos: every format, depth and turn is read in its light and written back with colours under the same light."""

from __future__ import annotations

import io
import tracemalloc

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from synth import light

from deoldify_video.errors import InputError, OutputError, UsageError
from deoldify_video.images.photo_io import photo_in_color, read_photo, read_photo_header, write_photo
from deoldify_video.options import EncodeOptions, FilmOptions
from deoldify_video.photo import colorize_photo, spread_colors

GRAY_WEIGHTS = np.array([0.299, 0.587, 0.114])
SIZE = (75, 51)


def gray(depth=8):
    return light(3, SIZE, depth=depth, full=True)


def gray_again(path, depth=8):
    """Luma (H, W) in code values of the given depth, of a picture read by OpenCV."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == (np.uint8 if depth == 8 else np.uint16)
    return pixels[..., 2::-1] @ GRAY_WEIGHTS


def spread(path):
    """Mean distance of the largest from the smallest of R, G and B, in eight-bit codes."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR).astype(float)
    return float(np.ptp(pixels, axis=2).mean())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_every_format_comes_back_colored_under_the_same_light(tmp_path, stub_colorizer, suffix):
    source, output = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    Image.fromarray(gray()).save(source, **({"quality": 95} if suffix != ".tif" else {}))
    report = colorize_photo(source, output, colorizer=stub_colorizer)
    assert (report.kind, report.frames, report.warnings) == ("photo", 1, [])
    before = read_photo(source).light * 255
    difference = np.abs(gray_again(output) - before)
    assert difference.max() <= 1 if suffix in (".png", ".tif") else difference.mean() < 1.5
    assert spread(output) > 5


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, stub_colorizer, suffix, channels):
    source, output = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    pixels = gray(16)
    if channels > 1:
        pixels = np.dstack([pixels] * 3 + [np.full_like(pixels, 40_000)] * (channels - 3))
    cv2.imwrite(str(source), pixels)
    colorize_photo(source, output, colorizer=stub_colorizer)
    assert np.abs(gray_again(output, 16) - gray(16)).max() <= 1
    written = cv2.imread(str(output), cv2.IMREAD_UNCHANGED)
    assert written.shape[2] == (4 if channels == 4 else 3)
    if channels == 4:
        assert (written[..., 3] == 40_000).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_known_of_a_picture_of_sixteen_bits_is_kept(tmp_path, stub_colorizer, suffix):
    source, output = tmp_path / "old.tif", tmp_path / f"new{suffix}"
    described = [(0x010E, "s", 0, "the yard", True), (0x8298, "s", 0, "Lumière".encode(), True)]
    tifffile.imwrite(source, gray(16), metadata=None, software="scanner", resolution=(300, 300), extratags=described)
    colorize_photo(source, output, colorizer=stub_colorizer)
    with Image.open(output) as image:
        kept = image.getexif()
        assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])))
    assert (kept[0x010E], kept[0x0131]) == ("the yard", "scanner")
    assert kept[0x8298].encode("latin-1").decode() == "Lumière"  # UTF-8, as it was; Pillow reads Latin-1
    assert kept[0x011A] == kept[0x011B] == 300


def test_sixteen_bits_into_jpeg_become_eight(tmp_path, stub_colorizer):
    cv2.imwrite(str(tmp_path / "old.png"), gray(16))
    colorize_photo(tmp_path / "old.png", tmp_path / "new.jpg", colorizer=stub_colorizer)
    assert np.abs(gray_again(tmp_path / "new.jpg") - gray(16) / 257).mean() < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_no_longer_claimed(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "the yard"
    picture, turned = Image.fromarray(gray()), Image.fromarray(gray())
    turned.getexif()[0x0112] = orientation
    for suffix in (".png", ".tif"):
        source = tmp_path / f"old{suffix}"
        picture.save(source, exif=exif)
        photo = read_photo(source)
        np.testing.assert_allclose(photo.light * 255, np.asarray(ImageOps.exif_transpose(turned)), atol=1e-3)
        kept = Image.Exif()
        kept.load(photo.exif)
        assert dict(kept) == {0x010E: "the yard"}


def test_what_exif_says_of_the_picture_is_kept(tmp_path, stub_colorizer):
    exif = Image.Exif()
    exif[0x013B] = "Lumière".encode()
    exif.get_ifd(0x8769)[0x9003] = "1895:12:28 18:00:00"
    exif.get_ifd(0x8769)[0xA002] = 999
    exif.get_ifd(0x8825)[1] = "N"
    Image.fromarray(gray()).save(tmp_path / "old.jpg", exif=exif)
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        output = tmp_path / f"new{suffix}"
        colorize_photo(tmp_path / "old.jpg", output, colorizer=stub_colorizer)
        with Image.open(output) as image:
            kept = image.getexif()
            if suffix != ".tif":  # Pillow writes ASCII there
                assert kept[0x013B].encode("latin-1").decode() == "Lumière"
            assert dict(kept.get_ifd(0x8769)) == {0x9003: "1895:12:28 18:00:00"}
            assert kept.get_ifd(0x8825)[1] == "N"


def test_alpha_is_kept_where_the_format_has_it(tmp_path, stub_colorizer):
    alpha = np.linspace(0, 255, SIZE[0] * SIZE[1]).reshape(SIZE[::-1]).astype(np.uint8)
    Image.fromarray(np.dstack([gray()] * 3 + [alpha])).save(tmp_path / "old.png")
    Image.fromarray(np.dstack([gray()] * 3 + [alpha])).save(tmp_path / "old.tif")
    for before, after in ((".png", ".png"), (".tif", ".tif"), (".png", ".webp"), (".png", ".jpg")):
        output = tmp_path / f"new{after}"
        colorize_photo(tmp_path / f"old{before}", output, colorizer=stub_colorizer)
        with Image.open(output) as image:
            assert image.mode == ("RGB" if after == ".jpg" else "RGBA")
            if after != ".jpg":
                np.testing.assert_array_equal(np.asarray(image)[..., 3], alpha)
            luma = np.asarray(image)[..., :3] @ GRAY_WEIGHTS
        assert np.abs(luma - gray())[alpha > 30].mean() < 1.5


@pytest.mark.parametrize(
    ("mode", "suffix"), [("1", "png"), ("1", "tif"), ("P", "png"), ("P", "tif"), ("LA", "png"), ("LA", "tif"), ("CMYK", "tif")]
)
def test_unusual_kinds_of_pixels_are_read_in_their_light(tmp_path, mode, suffix):
    picture = Image.fromarray(gray()).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    source = tmp_path / f"old.{suffix}"
    picture.save(source)
    photo = read_photo(source)
    assert photo.light.shape == SIZE[::-1]
    assert photo.alpha is None
    np.testing.assert_allclose(photo.light * 255, np.asarray(picture.convert("L"), float), atol=2)


@pytest.mark.parametrize("tone", [(1.0, 0.86, 0.64), (0.6, 0.8, 1.0)], ids=["sepia", "cyanotype"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_toned_photos_are_not_in_color(tmp_path, stub_colorizer, tone, suffix):
    toned = np.rint(gray()[..., None] * np.array(tone)).astype(np.uint8)
    Image.fromarray(toned).save(tmp_path / f"old{suffix}")
    assert not photo_in_color(tmp_path / f"old{suffix}")
    assert colorize_photo(tmp_path / f"old{suffix}", tmp_path / "new.png", colorizer=stub_colorizer).warnings == []


def test_srgb_profile_changes_nothing_and_another_is_converted(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(gray()).convert("RGB").save(tmp_path / "srgb.png", icc_profile=profile)
    np.testing.assert_allclose(read_photo(tmp_path / "srgb.png").light * 255, gray(), atol=1e-3)

    Image.fromarray(gray()).save(tmp_path / "linear.png", icc_profile=linear_gray_profile())
    linear = gray() / 255
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(read_photo(tmp_path / "linear.png").light, expected, atol=0.01)

    Image.fromarray(gray()).save(tmp_path / "broken.png", icc_profile=b"no profile")
    np.testing.assert_allclose(read_photo(tmp_path / "broken.png").light * 255, gray(), atol=1e-3)


def linear_gray_profile():
    """An ICC v2 profile for grey whose tone curve is the identity (ICC.1:2001-04: header, a table of tags, `wtpt` and `kTRC`)."""

    def number(value, size=4):
        return value.to_bytes(size, "big")

    white = b"XYZ \0\0\0\0" + b"".join(number(round(v * 65536)) for v in (0.9642, 1.0, 0.8249))
    curve = b"curv\0\0\0\0" + number(0)
    copyright_ = b"text\0\0\0\0none\0\0\0\0"
    description = b"desc\0\0\0\0" + number(7) + b"linear\0" + bytes(78)
    description += bytes(-len(description) % 4)
    tags = {b"wtpt": white, b"kTRC": curve, b"cprt": copyright_, b"desc": description}
    offset, table, body = 128 + 4 + 12 * len(tags), number(len(tags)), b""
    for name, content in tags.items():
        table += name + number(offset + len(body)) + number(len(content))
        body += content
    header = number(128 + len(table) + len(body)) + bytes(4) + number(0x02400000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp"
    header = (header + bytes(68 - len(header)) + white[8:]).ljust(128, b"\0")
    return header + table + body


def test_the_output_names_its_color_space(tmp_path, stub_colorizer):
    Image.fromarray(gray()).save(tmp_path / "old.png")
    colorize_photo(tmp_path / "old.png", tmp_path / "new.jpg", colorizer=stub_colorizer)
    with Image.open(tmp_path / "new.jpg") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_colors_that_were_there_are_replaced_and_that_is_said(tmp_path, stub_colorizer):
    pixels = np.dstack([gray(), gray()[::-1], gray()[:, ::-1]])
    Image.fromarray(pixels).save(tmp_path / "old.png")
    report = colorize_photo(tmp_path / "old.png", tmp_path / "new.png", colorizer=stub_colorizer)
    assert len(report.warnings) == 1
    assert "colours" in report.warnings[0]
    assert photo_in_color(tmp_path / "old.png")
    assert np.abs(gray_again(tmp_path / "new.png") - pixels @ GRAY_WEIGHTS).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (500, 20)])
def test_tiny_and_narrow_photos(tmp_path, stub_colorizer, size):
    Image.fromarray(light(0, size)).save(tmp_path / "old.png")
    colorize_photo(tmp_path / "old.png", tmp_path / "new.png", colorizer=stub_colorizer)
    with Image.open(tmp_path / "new.png") as image:
        assert image.size == size


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_damaged_photos_are_refused_in_one_sentence(tmp_path, stub_colorizer, suffix, damage):
    source = tmp_path / f"old{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(source)
    whole = source.read_bytes()
    source.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"only words\n", "empty": b""}[damage])
    with pytest.raises(InputError) as caught:
        colorize_photo(source, tmp_path / "new.png", colorizer=stub_colorizer)
    assert "\n" not in str(caught.value)
    assert "BytesIO" not in str(caught.value)
    assert not (tmp_path / "new.png").exists()


def test_missing_photo_is_an_input_error(tmp_path, stub_colorizer):
    with pytest.raises(InputError, match=r"old\.png"):
        colorize_photo(tmp_path / "old.png", tmp_path / "new.png", colorizer=stub_colorizer)


def test_more_pixels_than_are_allowed_are_refused_before_they_are_decoded(tmp_path, stub_colorizer):
    header = io.BytesIO()
    Image.new("1", (9000, 9000)).save(header, "PNG")
    (tmp_path / "bomb.png").write_bytes(header.getvalue())
    with pytest.raises(InputError, match="9000x9000"):
        colorize_photo(tmp_path / "bomb.png", tmp_path / "new.png", colorizer=stub_colorizer)


def test_outputs_that_cannot_be_are_refused(tmp_path, stub_colorizer):
    source = tmp_path / "old.png"
    Image.fromarray(gray()).save(source)
    before = source.read_bytes()
    for output, error in [
        (tmp_path / "new.mp4", UsageError),
        (source, UsageError),
        (tmp_path / "nowhere" / "new.png", OutputError),
        (tmp_path, OutputError),
    ]:
        with pytest.raises(error):
            colorize_photo(source, output, colorizer=stub_colorizer)
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]


def test_a_photo_that_is_too_large_for_the_format_is_an_output_error(tmp_path, stub_colorizer):
    Image.fromarray(light(0, (16500, 4))).save(tmp_path / "old.png")
    with pytest.raises(OutputError, match="WEBP"):
        colorize_photo(tmp_path / "old.png", tmp_path / "new.webp", colorizer=stub_colorizer)
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]


def test_an_existing_photo_is_replaced_only_when_told(tmp_path, stub_colorizer):
    source, output = tmp_path / "old.png", tmp_path / "new.png"
    Image.fromarray(gray()).save(source)
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        colorize_photo(source, output, colorizer=stub_colorizer)
    assert output.read_bytes() == b"precious"
    colorize_photo(source, output, FilmOptions(encode=EncodeOptions(overwrite=True)), colorizer=stub_colorizer)
    assert spread(output) > 5


def picture_of(size, dtype, channels):
    ramp = np.linspace(0, np.iinfo(dtype).max, size[0])[None].astype(dtype)
    picture = np.repeat(ramp, size[1], axis=0)
    return np.dstack([picture] * channels) if channels > 1 else picture


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_header_tells_the_size_that_the_photo_will_have(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gray().astype(np.uint8)).save(path, exif=exif)
    header = read_photo_header(path)
    assert header.size == read_photo(path).light.shape[::-1] == (SIZE if orientation == 1 else SIZE[::-1])


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1), (np.uint16, 4)])
def test_a_large_photo_takes_no_more_memory_than_its_header_says(tmp_path, dtype, channels):
    """Of NumPy, at most; OpenCV's own is not counted here."""
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), picture_of((3000, 2000), dtype, channels))
    header, photo = read_photo_header(path), None
    tracemalloc.start()
    try:
        photo = read_photo(path)
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        colors = spread_colors(photo.light, np.zeros((20, 30), np.uint8), np.zeros((2, 20, 30), np.float32))
        write_photo(tmp_path / "out.png", photo, colors)
        writing = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert header.reading_bytes / 5 < reading < header.reading_bytes
    assert header.writing_bytes / 3 < writing < header.writing_bytes


def test_a_tiff_counts_as_large_as_its_tiles(tmp_path):
    path = tmp_path / "tiles.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), tile=(4096, 4096))
    header = read_photo_header(path)
    assert header.size == (16, 16)
    assert header.reading_bytes > 4096 * 4096


def test_a_jpeg_is_scaled_down_while_it_is_decoded_where_it_is_only_shown(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(picture_of((1600, 800), np.uint8, 3)).save(path)
    assert read_photo(path, fit_px=400).light.shape == (200, 400)
    assert read_photo(path, fit_px=500).light.shape == (400, 800)
    assert read_photo(path, fit_px=1000).light.shape == (800, 1600)
    small, whole = (read_photo(path, fit_px=fit_px).light for fit_px in (400, None))
    np.testing.assert_allclose(small, cv2.resize(whole, (400, 200), interpolation=cv2.INTER_AREA), atol=0.01)
