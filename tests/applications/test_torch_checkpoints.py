"""Checkpoints as training scripts write them: wrapped, averaged, without classifier, beside other objects."""

import argparse
import fractions
import logging
import pathlib
import sys

import numpy as np
import pytest
from helpers.timm_checkpoints import SMALL, load_drawn, small_resnet, write

from aa_keras.applications import AAResNet, ResNet
from aa_keras.applications.converters import is_checkpoint, read_checkpoint

safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `timm` is not installed")
drawn = load_drawn()
pytestmark = pytest.mark.usefixtures("cache")


def assert_holds(path, tensors, which=""):
    assert is_checkpoint(path)
    found, described = read_checkpoint(path)
    assert described == which
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)


def assert_same_network(*paths, **arguments):
    models = [ResNet(weights=path, **arguments) for path in paths]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_prefixes_of_wrappers_are_left_out(checkpoint, tmp_path):
    state = drawn.drawn_state(small_resnet())
    for prefix in ("module.", "backbone.", "_orig_mod.module.model."):
        tensors = {f"{prefix}{name}": value for name, value in state.items()}
        tensors |= {f"{prefix}bn1.num_batches_tracked": np.array(3), "n_averaged": np.array(7)}
        safetensors.save_file(tensors, tmp_path / "wrapped.safetensors")
        assert_holds(tmp_path / "wrapped.safetensors", state)
        some = {name.removeprefix(prefix) if "fc" in name else name: tensor for name, tensor in tensors.items()}
        safetensors.save_file(some, tmp_path / "mixed.safetensors")
        with pytest.raises(ValueError, match=r"it lacks conv1\.weight"):
            ResNet(weights=tmp_path / "mixed.safetensors", **SMALL)
    assert_same_network(tmp_path / "wrapped.safetensors", checkpoint, **SMALL)


def test_a_checkpoint_without_a_classifier(checkpoint, tmp_path, caplog):
    headless = write(tmp_path / "headless.safetensors", small_resnet(), **{"fc.weight": None, "fc.bias": None})
    arguments = {name: value for name, value in SMALL.items() if name != "classes"}
    assert_same_network(headless, checkpoint, include_top=False, **arguments)
    with caplog.at_level(logging.WARNING):
        assert ResNet(weights=headless, **SMALL).has_new_weights
    assert "the classifier of resnet, for 5 classes, is new and must be trained" in caplog.text
    assert AAResNet(weights=headless, **SMALL).has_new_weights


@pytest.mark.backend
def test_pytorchs_own_files(checkpoint, tmp_path, caplog):
    """The weights are found next to other objects, and nothing in a file is executed."""
    torch = pytest.importorskip("torch")
    state = drawn.drawn_state(small_resnet())
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    tensors["bn1.num_batches_tracked"] = torch.tensor(3)
    torch.save(tensors, tmp_path / "a.bin")
    arguments = argparse.Namespace(lr=0.1, model="resnet50")
    torch.save({"epoch": 3, "state_dict": tensors, "args": arguments}, tmp_path / "b.pth.tar")
    torch.save(
        {"model_state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}}, tmp_path / "c.ckpt"
    )
    raw = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    torch.save({"state_dict": raw, "state_dict_ema": tensors}, tmp_path / "d.pth")
    torch.save({"model": raw, "model_ema": tensors}, tmp_path / "e.pth")
    assert_holds(tmp_path / "a.bin", state)
    assert_holds(tmp_path / "b.pth.tar", state, "state_dict")
    assert_holds(tmp_path / "c.ckpt", state, "model_state_dict")
    assert_holds(tmp_path / "d.pth", state, "state_dict_ema, the averaged weights")
    assert_holds(tmp_path / "e.pth", state, "model_ema, the averaged weights")
    assert_same_network(tmp_path / "e.pth", checkpoint, **SMALL)
    assert " of ResNet (model_ema, the averaged weights) into " in caplog.text

    class Code:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / "executed",)

    torch.save({"a": Code()}, tmp_path / "c.pth")
    torch.save([1, 2], tmp_path / "d.pth")
    (tmp_path / "e.pth").write_bytes((tmp_path / "a.bin").read_bytes()[:5000])
    torch.save({"a": fractions.Fraction(1)}, tmp_path / "f.pth")
    for name, reason in (
        ("c.pth", "besides tensors it holds an object, .*, which is not read, since that might run code"),
        ("f.pth", r"besides tensors it holds an object, fractions\.Fraction, which is not read"),
        ("d.pth", "does not hold tensors"),
        ("e.pth", "is damaged"),
    ):
        with pytest.raises(ValueError, match=reason) as error:
            ResNet(weights=tmp_path / name, **SMALL)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()


def test_what_only_pytorch_reads_is_reported_without_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "some.bin").write_bytes(b"0")
    with pytest.raises(ValueError, match=r"must be a file \.safetensors without PyTorch"):
        ResNet(weights=tmp_path / "some.bin", **SMALL)
