"""The quick validation of a training: PSNR against colourfulness over ways to decode the distribution, at one small size.

`evaluate` is the thorough one, on whole pictures through the film path; this one decides which weights are the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deoldify_video.color.gray import gray_of
from deoldify_video.color.lab import lab_to_rgb, rgb_to_lab
from deoldify_video.errors import InputError
from deoldify_video.metrics.color import RGB8, colorfulness, psnr_db
from deoldify_video.models.compact import STRIDE, Compact
from deoldify_video.training.dataset import Photos

DECODINGS = tuple((temperature, gain) for temperature in (1.0, 0.6) for gain in (1.0, 1.5, 2.0))
WANTED_CF_RATIO = 0.76
SHORT_OF_CF_DB = 5.0  # what the score loses for each 1.0 of CF ratio that even the boldest decoding lacks
VALIDATION_PX = 224  # square root of the pictures' area


@dataclass(frozen=True)
class CurvePoint:
    """At an annealing `temperature` and a `gain`: PSNR over the grey picture's in dB, and mean CF over the truth's."""

    temperature: float
    gain: float
    gain_db: float
    cf_ratio: float

    @property
    def label(self) -> str:
        """The decoding in short."""
        return f"T{self.temperature:g}x{self.gain:g}"


def score_of(curve: list[CurvePoint], wanted: float = WANTED_CF_RATIO) -> float:
    """PSNR over grey (dB) where the CF ratio is `wanted`, along the gains of the best temperature.

    One number that neither brown everywhere nor paint everywhere can win. A network whose boldest colours stay below `wanted`
    gets the value there, less 5 dB for each 1.0 of CF ratio that it lacks; one that is always bolder gets its mildest.
    """
    temperatures = {point.temperature for point in curve}
    return max(_score_along([p for p in curve if p.temperature == temperature], wanted) for temperature in temperatures)


def _score_along(curve: list[CurvePoint], wanted: float) -> float:
    points = sorted(curve, key=lambda point: point.cf_ratio)
    if points[-1].cf_ratio < wanted:
        return points[-1].gain_db - SHORT_OF_CF_DB * (wanted - points[-1].cf_ratio)
    if points[0].cf_ratio >= wanted:
        return points[0].gain_db
    return float(np.interp(wanted, [point.cf_ratio for point in points], [point.gain_db for point in points]))


class Validation:
    """A fixed selection of pictures at one size, colourized again at each check."""

    def __init__(self, photos: Photos, pictures: int = 100) -> None:
        """Take `pictures` readable ones, evenly spaced; raises `InputError` when there is none."""
        self.pictures: list[RGB8] = []
        for index in np.unique(np.linspace(0, len(photos) - 1, min(pictures, len(photos))).astype(int)):
            picture = photos.picture(int(index))
            if picture is not None:
                self.pictures.append(_fitted(picture))
        if not self.pictures:
            raise InputError("there is no readable picture to validate with.")

    @torch.inference_mode()
    def curve(self, network: Compact, device: torch.device, bf16: bool) -> list[CurvePoint]:
        """PSNR gain and CF ratio of `network` (in eval mode) at each of `DECODINGS`, means over the pictures."""
        gains: dict[tuple[float, float], list[float]] = {decoding: [] for decoding in DECODINGS}
        colors: dict[tuple[float, float], list[float]] = {decoding: [] for decoding in DECODINGS}
        true_colors = []
        for picture in self.pictures:
            lab, logits = _answer(network, picture, device, bf16)
            gray_db = psnr_db(_painted(lab, torch.zeros_like(lab[:, 1:])), picture)
            true_colors.append(colorfulness(picture))
            for temperature, gain in DECODINGS:
                ours = _painted(lab, gain * network.to_ab(logits, temperature))
                gains[temperature, gain].append(min(psnr_db(ours, picture), 99.0) - min(gray_db, 99.0))
                colors[temperature, gain].append(colorfulness(ours))
        truth = float(np.mean(true_colors)) or math.inf
        return [CurvePoint(t, g, float(np.mean(gains[t, g])), float(np.mean(colors[t, g])) / truth) for t, g in DECODINGS]

    @torch.inference_mode()
    def rows(
        self, network: Compact, device: torch.device, bf16: bool, *, decoding: tuple[float, float], count: int
    ) -> list[list[RGB8]]:
        """Rows for a sheet: grey, ours (at this temperature and gain), truth of `count` pictures, evenly spaced."""
        rows = []
        for index in np.unique(np.linspace(0, len(self.pictures) - 1, min(count, len(self.pictures))).astype(int)):
            picture = self.pictures[index]
            lab, logits = _answer(network, picture, device, bf16)
            ours = _painted(lab, decoding[1] * network.to_ab(logits, decoding[0]))
            rows.append([_painted(lab, torch.zeros_like(lab[:, 1:])), ours, picture])
        return rows


def _fitted(picture: RGB8) -> RGB8:
    height, width = picture.shape[:2]
    scale = VALIDATION_PX / math.sqrt(height * width)
    size = tuple(max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _answer(network: Compact, picture: RGB8, device: torch.device, bf16: bool) -> tuple[Tensor, Tensor]:
    lab = rgb_to_lab(torch.from_numpy(picture).permute(2, 0, 1)[None].to(device).float() / 255.0)  # (1, 3, H, W)
    gray = torch.from_numpy(gray_of(picture))[None, None].to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        logits = network(network.prepare(gray).contiguous(memory_format=torch.channels_last))
    return lab, logits


def _painted(lab: Tensor, ab: Tensor) -> RGB8:
    large = F.interpolate(ab, size=lab.shape[-2:], mode="bilinear", align_corners=False)
    rgb = lab_to_rgb(torch.cat([lab[:, :1], large], dim=1))[0].permute(1, 2, 0)
    pixels: RGB8 = (rgb * 255.0).round().to(torch.uint8).cpu().numpy()
    return pixels
