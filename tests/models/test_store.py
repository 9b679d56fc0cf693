"""Weights files: what is recognised, what is refused and how, what the model folder holds, and mixes of networks."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deoldify_video.errors import DependencyError, InputError, OutputError, UsageError
from deoldify_video.media.files import hash_file
from deoldify_video.models import deoldify, registry, store
from deoldify_video.models.compact import Compact, CompactConfig
from deoldify_video.models.deoldify import Generator, GeneratorConfig, load_generator
from deoldify_video.models.folding import FoldedBatchNorm, FoldedConv, FoldedPointwise
from deoldify_video.models.mixing import Member, MixedNetwork, parse_mix
from deoldify_video.models.registry import MODELS
from deoldify_video.models.resolve import resolve_model
from deoldify_video.models.store import how_to_get, identify, import_model, installed_weights, remove_model
from deoldify_video.models.weights import read_published, read_weights

SMALL = GeneratorConfig(False, (1, 1, 1, 1), (8, 8, 8, 8), (16, 16, 16, 12), double=True, stem=8)
NAME = "deoldify-artistic"


def publish(network: nn.Module) -> dict[str, Tensor]:
    """A state dict as its authors would publish the network: every norm still apart, seeded."""
    torch.manual_seed(5)
    tensors = {}
    folded_names = set()
    for name, layer in network.named_modules():
        if isinstance(layer, FoldedConv | FoldedPointwise | FoldedBatchNorm):
            shapes = layer.published_shapes(name)
            folded_names |= {f"{name}.{key}" for key in layer.state_dict()} if shapes else set()
            for key, shape in shapes.items():
                fan_in = max(1, torch.Size(shape[1:]).numel())
                tensors[key] = torch.rand(shape) + 0.5 if len(shape) == 1 else torch.randn(shape) * fan_in**-0.5
    rest = {key: value for key, value in network.state_dict().items() if key not in folded_names}
    return tensors | rest | {"layers.1.num_batches_tracked": torch.tensor(9)}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The artistic generator is narrow here, and the model folder is the test's own."""
    merged = SMALL.out[3] + 3
    spec = replace(MODELS[NAME], mark=("layers.11.0.weight_orig", (3, merged, 1, 1)))
    monkeypatch.setitem(deoldify.CONFIGS, "deep", SMALL)
    monkeypatch.setitem(MODELS, NAME, spec)
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "Colorize_gen.pth"
    torch.save({"model": publish(Generator(SMALL)), "opt": {"lr": 1.0, "part": slice(0, 2)}}, path)
    return path


def test_importing_gives_the_same_network_as_the_published_file(weights: Path) -> None:
    done = import_model(str(weights))
    assert done.spec.name == NAME
    assert done.is_published is False
    assert done.path == installed_weights(MODELS[NAME])
    spec, path = resolve_model(NAME)
    x = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        assert torch.equal(spec.load(path)(x), load_generator(weights)(x))
    _, card = read_weights(path)
    assert card["licence"] == "MIT"
    assert card["source_sha256"] == done.sha256
    assert not list(path.parent.glob(".*.part*"))


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors"])
def test_any_container_is_read_wrapped_or_bare(suffix: str, weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = publish(Generator(SMALL))
    path = tmp_path / f"other{suffix}"
    if suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors if suffix == ".pth" else {"params": tensors}, path, _use_new_zipfile_serialization=suffix == ".bin")
    expected = load_generator(weights).state_dict()
    for key, value in load_generator(path).state_dict().items():
        assert torch.allclose(value, expected[key], rtol=1e-5), key
    assert identify(path).name == NAME


def test_folding_is_exact() -> None:
    conv = FoldedConv(4, 6, 3, bias=True, norm="spectral", batch_norm="1")
    published = {
        "0.weight_orig": torch.randn(6, 4, 3, 3),
        "0.weight_u": torch.randn(6),
        "0.weight_v": torch.randn(36),
        "0.bias": torch.randn(6),
        **{f"1.{part}": torch.rand(6) + 0.5 for part in ("weight", "bias", "running_mean", "running_var")},
    }
    assert conv.published_shapes("0") == {key: tuple(value.shape) for key, value in published.items()}
    sigma = published["0.weight_u"] @ published["0.weight_orig"].flatten(1) @ published["0.weight_v"]
    x = torch.randn(2, 4, 9, 9)
    expected = nn.functional.conv2d(x, published["0.weight_orig"] / sigma, published["0.bias"], padding=1)
    norm = (published[f"1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    expected = nn.functional.batch_norm(expected, *norm)
    conv.load_state_dict(conv.fold(dict(published), "0"))
    assert torch.allclose(conv(x), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "saved web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"", "cut off or damaged|is damaged"),
        (b"PK\x03\x04 and then nothing", "cut off or damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no weights file|damaged"),
    ],
)
def test_what_is_no_weights_file_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(DependencyError, match=said):
        read_published(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_named(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(100_000)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(DependencyError, match="cut off or damaged"):
        read_published(path)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"model": types.SimpleNamespace(weights=1)}, path)
    with pytest.raises(DependencyError, match="refused for safety"):
        read_published(path)


def test_a_missing_file_and_a_file_without_tensors_are_named(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="does not exist"):
        read_published(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "log.pth")
    with pytest.raises(DependencyError, match="holds no state dict"):
        read_published(tmp_path / "log.pth")


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(DependencyError, match="does not know"):
        identify(path)
    with pytest.raises(DependencyError, match="holds no DeOldify generator"):
        load_generator(path)


def test_a_wrong_shape_is_refused_by_name(weights: Path, tmp_path: Path) -> None:
    tensors, _ = read_published(weights)
    tensors["layers.3.0.0.weight_u"] = torch.zeros(3)
    broken = tmp_path / "broken.pth"  # another file: the tensors are mapped from the first
    torch.save(tensors, broken)
    with pytest.raises(DependencyError, match=r"1 misfits, such as layers\.3\.0\.0\.weight_u is \(3,\) instead of"):
        load_generator(broken)


def test_a_published_hash_tells_networks_of_one_shape_apart(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = MODELS["deoldify-stable"]
    assert twin.published is not None
    published = replace(twin.published, sha256=hash_file(weights, "sha256"), megabytes=round(weights.stat().st_size / 1e6))
    monkeypatch.setitem(MODELS, twin.name, replace(twin, mark=MODELS[NAME].mark, published=published))
    assert identify(weights).name == twin.name
    done = import_model(str(weights))
    assert (done.spec.name, done.is_published) == (twin.name, True)


def test_the_user_may_say_which_twin_it_is_but_not_another_network(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "deoldify-stable", replace(MODELS["deoldify-stable"], mark=MODELS[NAME].mark))
    assert import_model(str(weights), NAME).spec.name == NAME
    with pytest.raises(DependencyError, match="cannot be imported as eccv16"):
        import_model(str(weights), "eccv16")
    with pytest.raises(UsageError, match="no network to import"):
        import_model(str(weights), "compact")


def test_a_network_that_is_not_installed_says_how_to_get_it() -> None:
    with pytest.raises(
        DependencyError, match=r"not installed; download pytorch_model.bin from .* hf:piddnad/ddcolor_modelscope"
    ):
        resolve_model("ddcolor-large")
    for spec in MODELS.values():
        assert how_to_get(spec).startswith(("download ", "install "))


def test_removing_deletes_only_imported_networks(weights: Path) -> None:
    path = import_model(str(weights)).path
    assert remove_model(NAME) == path
    assert not path.exists()
    with pytest.raises(UsageError, match="is not installed"):
        remove_model(NAME)
    with pytest.raises(UsageError, match="ships with the program"):
        remove_model("compact")


def test_a_missing_source_and_a_folder_that_cannot_be_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_model(str(tmp_path / "none.pth"))
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(blocked))
    with pytest.raises(OutputError, match=store.FOLDER_VARIABLE):
        import_model(str(weights))


def test_the_hub_is_asked_for_the_published_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, filename: str) -> str:
        asked.append((repository, filename))
        return str(weights)

    paper = MODELS["ddcolor-paper"]
    monkeypatch.setitem(MODELS, paper.name, replace(paper, mark=MODELS[NAME].mark, load=MODELS[NAME].load))
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=download))
    assert import_model("hf:piddnad/ddcolor_paper").spec.name == paper.name  # not the first of that shape
    assert import_model("hf:someone/else/model.pth").spec.name == NAME
    assert asked == [("piddnad/ddcolor_paper", "pytorch_model.bin"), ("someone/else", "model.pth")]
    with pytest.raises(DependencyError, match="cannot be imported as ddcolor-tiny"):
        import_model("hf:piddnad/ddcolor_paper_tiny")
    with pytest.raises(UsageError, match="names no known network"):
        import_model("hf:someone/else")


def test_without_the_hub_the_way_by_hand_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        DependencyError, match=r"download pytorch_model\.bin from https://huggingface\.co/piddnad/ddcolor_paper_tiny"
    ):
        import_model("hf:piddnad/ddcolor_paper_tiny")

    def offline(*_: str) -> str:
        raise OSError("no route")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=offline))
    with pytest.raises(DependencyError, match="could not be reached"):
        import_model("hf:piddnad/ddcolor_paper_tiny")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a+b", [("a", 0.5), ("b", 0.5)]),
        ("a+b:0.6", [("a", 0.4), ("b", 0.6)]),
        ("a:3+b:1", [("a", 0.75), ("b", 0.25)]),
        ("a+b:0.5+c", [("a", 0.25), ("b", 0.5), ("c", 0.25)]),
    ],
)
def test_shares_of_a_mix_add_to_one(text: str, parts: list[tuple[str, float]]) -> None:
    assert parse_mix(text) == [(name, pytest.approx(share)) for name, share in parts]


@pytest.mark.parametrize("text", ["a+", "+", "a:0+b", "a:-1+b", "a:1+b", "a:0.7+b:0.6+c"])
def test_a_mix_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mix(text)


def test_a_mix_is_the_weighted_mean_of_its_members(weights: Path) -> None:
    import_model(str(weights))
    spec, path = resolve_model(f"{NAME}:0.25+{weights}:0.75")
    mixed = spec.load(path)
    assert isinstance(mixed, MixedNetwork)
    gray = torch.rand(1, 1, 112, 112)
    alone = load_generator(weights)
    with torch.inference_mode():
        ab = mixed.to_ab(mixed(mixed.prepare(gray)), 1.0)
        assert torch.allclose(ab, alone.to_ab(alone(alone.prepare(gray))), atol=1e-4)
    assert spec.render_size(640, 480, 7) == (112, 112)
    assert spec.license == "MIT"


def test_a_mix_of_unlike_networks_shows_each_its_own_size() -> None:
    torch.manual_seed(2)
    compact = Compact(CompactConfig("lite0", (8, 8, 8), 8, 1)).eval()
    members = (Member(MODELS["compact"], Path("a"), 0.5), Member(MODELS[NAME], Path("b"), 0.5))
    mixed = MixedNetwork(members, [compact, Generator(SMALL).eval()]).eval()
    width, height = MODELS["compact"].render_size(720, 400, 8)
    gray = torch.rand(2, 1, height, width)
    with torch.inference_mode():
        raw = mixed(mixed.prepare(gray))
        assert isinstance(raw[1], Tensor)
        assert raw[1].shape == (2, 3, 128, 128)
        ab = mixed.to_ab(raw, 1.0)
    assert ab.shape == (2, 2, 128, 128)
    assert torch.isfinite(ab).all()


def test_registered_marks_find_one_family_each() -> None:
    marks = {spec.mark for spec in registry.MODELS.values()}
    loaders = {(spec.load, spec.mark) for spec in registry.MODELS.values()}
    assert len(marks) == len(loaders)
