"""eccv16 and siggraph17 against the fixtures made with the same made-up weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published import differences, fixture_folder, published_tensors

from deoldify_video.errors import DependencyError
from deoldify_video.models.zhang import Eccv16, Siggraph17, load_zhang

MAX_DIFFERENCE, MEAN_DIFFERENCE = 5e-2, 5e-3


def load(network: str, folder: Path) -> Eccv16 | Siggraph17:
    path = folder / f"{network}.pth"
    torch.save(published_tensors("zhang", network), path)
    return load_zhang(path)


@pytest.mark.parametrize("network", ["eccv16", "siggraph17"])
def test_ab_is_the_originals(network: str, tmp_path: Path) -> None:
    fixture = np.load(fixture_folder("zhang") / f"{network}.npz")
    zhang = load(network, tmp_path)
    with torch.inference_mode():
        answers = {"net": zhang(torch.from_numpy(fixture["L"]))}
        if network == "siggraph17":
            answers["net_hint"] = zhang(*(torch.from_numpy(fixture[key]) for key in ("L", "hint_ab", "hint_mask")))
    for key, answer in answers.items():
        largest, mean = differences(answer, fixture[key])
        assert largest < MAX_DIFFERENCE, key
        assert mean < MEAN_DIFFERENCE, key


def test_a_file_with_a_tensor_too_few_or_too_many_is_refused(tmp_path: Path) -> None:
    tensors = published_tensors("zhang", "eccv16")
    path = tmp_path / "eccv16.pth"
    torch.save({key: value for key, value in tensors.items() if key != "model3.2.bias"}, path)
    with pytest.raises(DependencyError, match=r"model3\.2\.bias is missing"):
        load_zhang(path)
    torch.save({**tensors, "model9.0.weight": torch.zeros(1)}, path)
    with pytest.raises(DependencyError, match=r"model9\.0\.weight is unexpected"):
        load_zhang(path)
