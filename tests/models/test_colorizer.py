"""The colorizer: batches, memory that runs out, precision, style."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deoldify_video.color.style import STYLES
from deoldify_video.errors import DependencyError, DeviceMemoryError
from deoldify_video.models.colorizer import (
    CPU_BATCH,
    Colorizer,
    LoadedNetwork,
    choose_device,
    choose_precision,
    devices_here,
    is_out_of_memory,
)
from deoldify_video.options import ColorOptions

OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("can't allocate memory"),
)


def pictures(count, size=(32, 64)):
    return np.random.default_rng(0).integers(0, 256, (count, *size), np.uint8)


def film(count, segment_length=1000):
    """Pictures, and the segment of each."""
    return [(gray, i // segment_length) for i, gray in enumerate(pictures(count))]


class SmallMemory:
    """Wraps a network's forward pass: more than `room` pictures at once do not fit."""

    def __init__(self, colorizer, room, error):
        self.forward, self.room, self.error, self.failures = colorizer.network.forward, room, error, 0
        colorizer.network.forward = self

    def __call__(self, x):
        if len(x) > self.room:
            self.failures += 1
            raise self.error
        return self.forward(x)


def test_colors_are_float32_lab_at_the_pictures_size(stub_colorizer):
    ab = stub_colorizer.ab(pictures(3))
    assert ab.shape == (3, 2, 32, 64)
    assert ab.dtype == np.float32
    assert ab[:, 0, :, 0].max() < -20 < 20 < ab[:, 0, :, -1].min()


def test_films_go_through_in_batches_that_end_with_their_segment(stub_colorizer):
    out = list(stub_colorizer.colors(film(14, segment_length=6)))
    assert [ab.shape for ab in out] == [(2, 32, 64)] * 14
    assert sorted(stub_colorizer.network.batches) == [2, 2, 2, 4, 4]  # two run side by side, in any order
    assert CPU_BATCH == 4


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["torch.OutOfMemoryError", "RuntimeError"])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_when_memory_runs_out_the_batch_is_halved_and_no_frame_is_lost(stub_colorizer, error, room):
    expected = stub_colorizer.ab(pictures(8))
    stub_colorizer.batch_size = 8
    stub_colorizer.network.batches.clear()
    memory = SmallMemory(stub_colorizer, room, error)
    np.testing.assert_array_equal(stub_colorizer.ab(pictures(8)), expected)
    assert max(stub_colorizer.network.batches) <= room
    assert sum(stub_colorizer.network.batches) == 8
    failures = memory.failures
    assert 1 <= failures <= 3
    stub_colorizer.ab(pictures(8))
    assert memory.failures == failures  # it remembers what fits


def test_a_film_goes_on_with_smaller_batches(stub_colorizer):
    SmallMemory(stub_colorizer, 1, OUT_OF_MEMORY[0])
    out = list(stub_colorizer.colors(film(9)))
    np.testing.assert_array_equal(out, stub_colorizer.ab(pictures(9)))


def test_one_frame_that_does_not_fit_is_an_error_that_names_the_way_out(stub_colorizer):
    SmallMemory(stub_colorizer, 0, OUT_OF_MEMORY[0])
    with pytest.raises(DeviceMemoryError, match=r"64x32.*--render-factor"):
        stub_colorizer.ab(pictures(3))
    assert DeviceMemoryError.exit_code == 6


def test_other_errors_are_not_taken_for_a_lack_of_memory(stub_colorizer):
    SmallMemory(stub_colorizer, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        stub_colorizer.ab(pictures(2))
    assert not is_out_of_memory(RuntimeError("shapes"))


def test_a_given_batch_size_is_used(stub_spec):
    colorizer = Colorizer(ColorOptions(device="cpu", batch_size=3))
    list(colorizer.colors(film(7)))
    assert sorted(colorizer.network.batches) == [1, 3, 3]  # two run side by side


def test_saturation_multiplies_the_colors(stub_spec):
    plain, half = (Colorizer(ColorOptions(device="cpu", saturation=s)).ab(pictures(1)) for s in (1.0, 0.5))
    np.testing.assert_allclose(half, plain / 2, atol=1e-5)


def test_devices_and_precisions_are_chosen_by_what_is_there():
    assert devices_here()[-1] == "cpu"
    assert choose_device("auto").type == devices_here()[0]
    assert choose_device("auto", ("cuda", "cpu")).type == "cuda"
    assert choose_device("auto", ("cpu",)).type == choose_device("cpu", ("cuda", "cpu")).type == "cpu"
    with pytest.raises(DependencyError, match="--device auto"):
        choose_device("mps", ("cuda", "cpu"))
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert choose_precision("auto", cpu, cpu_has_bf16=lambda: True) == "bf16"
    assert choose_precision("auto", cpu, cpu_has_bf16=lambda: True, half_on_cpu=False) == "fp32"
    assert choose_precision("auto", cpu, cpu_has_bf16=lambda: False) == "fp32"
    assert choose_precision("auto", cuda) == "fp16"
    assert choose_precision("fp32", cuda) == "fp32"


def sample_photos() -> np.ndarray:
    """The photographs of the samples, uint8 (3, 192, 192)."""
    samples = Path(__file__).parents[2] / "samples"
    photos = [cv2.imread(str(samples / name), cv2.IMREAD_GRAYSCALE) for name in ("astronaut.jpg", "chelsea.jpg", "coffee.png")]
    return np.stack([cv2.resize(photo, (192, 192), interpolation=cv2.INTER_AREA) for photo in photos])


def test_the_shipped_network_gives_alike_colors_in_every_batch_and_precision(real_colorizer):
    gray = sample_photos()
    together = real_colorizer.ab(gray)
    assert np.abs(together).mean() > 1
    assert np.abs(together).max() < 128
    alone = np.concatenate([real_colorizer.ab(gray[:1]), real_colorizer.ab(gray[1:])])
    np.testing.assert_allclose(alone, together, atol=2)
    exact = Colorizer(ColorOptions(device="cpu", precision="fp32")).ab(gray)
    assert np.abs(exact - together).mean() < 0.5


def test_styles_of_the_shipped_network_differ_in_boldness():
    gray = sample_photos()
    bold = {style: np.abs(Colorizer(ColorOptions(device="cpu", style=style)).ab(gray)).mean() for style in STYLES}
    assert bold["muted"] < bold["natural"] < bold["vibrant"]


def test_the_network_that_was_used_last_stays_loaded(stub_spec):
    loaded = LoadedNetwork()
    first = loaded.colorizer(ColorOptions(device="cpu"))
    assert loaded.colorizer(ColorOptions(device="cpu", style="muted")).network is first.network
    assert loaded.colorizer(ColorOptions(device="cpu", style="muted")).gain == pytest.approx(0.6)
    assert loaded.colorizer(ColorOptions(device="cpu", precision="bf16")).network is not first.network


def test_another_style_shares_the_network_and_leaves_the_first_as_it_is(stub_colorizer):
    plain = stub_colorizer.ab(pictures(1))
    bold = stub_colorizer.with_style(ColorOptions(style="vibrant", saturation=2.0))
    assert bold.network is stub_colorizer.network
    np.testing.assert_allclose(bold.ab(pictures(1)), 2.6 * plain, rtol=1e-6)
    np.testing.assert_array_equal(stub_colorizer.ab(pictures(1)), plain)
