"""The quick validation of a training: PSNR against colourfulness over the annealing temperature, at one small size.

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

from deoldify_video.color.gray import gray_of as grey_of
from deoldify_video.color.lab import lab_to_rgb, rgb_to_lab
from deoldify_video.errors import InputError
from deoldify_video.metrics.color import RGB8, psnr_db
from deoldify_video.metrics.color import colorfulness as colourfulness
from deoldify_video.models.compact import Compact
from deoldify_video.training.dataset import Photos

TEMPERATURES = (1.0, 0.7, 0.5, 0.38, 0.25)
WANTED_CF_RATIO = 0.75
SHORT_OF_CF_DB = 5.0  # what the score loses for each 1.0 of CF ratio that even the boldest temperature lacks
VALIDATION_PX = 192  # square root of the pictures' area
_STRIDE = 32


@dataclass(frozen=True)
class CurvePoint:
    """At an annealing `temperature`: PSNR over the grey picture's in dB, and mean CF over the truth's."""

    temperature: float
    gain_db: float
    cf_ratio: float


def score_of(curve: list[CurvePoint], wanted: float = WANTED_CF_RATIO) -> float:
    """PSNR over grey (dB) at the temperature whose CF ratio is `wanted`, interpolated along the curve.

    One number that neither brown everywhere nor paint everywhere can win. A network whose boldest colours stay below `wanted`
    gets the value there, less 5 dB for each 1.0 of CF ratio that it lacks; one that is always bolder gets its mildest.
    """
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
        """PSNR gain and CF ratio of `network` (in eval mode) at each of `TEMPERATURES`, means over the pictures."""
        gains: dict[float, list[float]] = {t: [] for t in TEMPERATURES}
        colours: dict[float, list[float]] = {t: [] for t in TEMPERATURES}
        true_colours = []
        for picture in self.pictures:
            lab, logits = _answer(network, picture, device, bf16)
            grey_db = psnr_db(_painted(lab, torch.zeros_like(lab[:, 1:])), picture)
            true_colours.append(colourfulness(picture))
            for temperature in TEMPERATURES:
                ours = _painted(lab, network.to_ab(logits, temperature))
                gains[temperature].append(min(psnr_db(ours, picture), 99.0) - min(grey_db, 99.0))
                colours[temperature].append(colourfulness(ours))
        truth = float(np.mean(true_colours)) or math.inf
        return [CurvePoint(t, float(np.mean(gains[t])), float(np.mean(colours[t])) / truth) for t in TEMPERATURES]

    @torch.inference_mode()
    def rows(self, network: Compact, device: torch.device, bf16: bool, *, temperature: float, count: int) -> list[list[RGB8]]:
        """Rows for a sheet: grey, ours, truth of `count` pictures, evenly spaced."""
        rows = []
        for index in np.unique(np.linspace(0, len(self.pictures) - 1, min(count, len(self.pictures))).astype(int)):
            picture = self.pictures[index]
            lab, logits = _answer(network, picture, device, bf16)
            ours = _painted(lab, network.to_ab(logits, temperature))
            rows.append([_painted(lab, torch.zeros_like(lab[:, 1:])), ours, picture])
        return rows


def _fitted(picture: RGB8) -> RGB8:
    height, width = picture.shape[:2]
    scale = VALIDATION_PX / math.sqrt(height * width)
    size = tuple(max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _answer(network: Compact, picture: RGB8, device: torch.device, bf16: bool) -> tuple[Tensor, Tensor]:
    lab = rgb_to_lab(torch.from_numpy(picture).permute(2, 0, 1)[None].to(device).float() / 255.0)  # (1, 3, H, W)
    grey = torch.from_numpy(grey_of(picture))[None, None].to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        logits = network(network.prepare(grey).contiguous(memory_format=torch.channels_last))
    return lab, logits


def _painted(lab: Tensor, ab: Tensor) -> RGB8:
    large = F.interpolate(ab, size=lab.shape[-2:], mode="bilinear", align_corners=False)
    rgb = lab_to_rgb(torch.cat([lab[:, :1], large], dim=1))[0].permute(1, 2, 0)
    pixels: RGB8 = (rgb * 255.0).round().to(torch.uint8).cpu().numpy()
    return pixels
