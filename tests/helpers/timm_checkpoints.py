"""Checkpoints of timm's format, drawn at random."""

import importlib.util
import json
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
# The arguments of the network that `small_resnet` has tensors for.
SMALL = {"depth": 50, "blocks": (1, 1, 1, 1), "width": 8, "input_shape": (64, 64, 3), "classes": 5}
FIXTURES = sorted((ROOT / "tests" / "applications" / "timm").glob("*.json"))


def load_drawn():
    """Returns the module that draws the weights and the images which fixtures were made with."""
    spec = importlib.util.spec_from_file_location("timm_drawn", ROOT / "benchmarks" / "timm_drawn.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_fixture(path):
    """Returns what is known of a network of timm's: its builder here, its tensors' shapes and its logits."""
    return json.loads(path.read_text(encoding="utf-8"))


def small_resnet(classes=5, blocks=(1, 1, 1, 1), width=8, bottleneck=True):
    """Returns the shapes of the tensors of a small ResNet, as timm names them."""
    shapes = {"conv1.weight": (width, 3, 7, 7)}

    def normalization(name, channels):
        shapes.update({f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")})

    normalization("bn1", width)
    inputs, expansion = width, 4 if bottleneck else 1
    for stage, count in enumerate(blocks, start=1):
        channels = width * 2 ** (stage - 1)
        outputs = expansion * channels
        for block in range(count):
            name = f"layer{stage}.{block}"
            kernels = [(channels, inputs, 1), (channels, channels, 3), (outputs, channels, 1)]
            if not bottleneck:
                kernels = [(channels, inputs, 3), (channels, channels, 3)]
            for number, (after, before, window) in enumerate(kernels, start=1):
                shapes[f"{name}.conv{number}.weight"] = (after, before, window, window)
                normalization(f"{name}.bn{number}", after)
            if block == 0 and (inputs != outputs or stage > 1):
                shapes[f"{name}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                normalization(f"{name}.downsample.1", outputs)
            inputs = outputs
    return {**shapes, "fc.weight": (classes, inputs), "fc.bias": (classes,)}


def write(path, shapes, **changes):
    """Writes a checkpoint with drawn tensors, some of them replaced, or left out for None; returns its path."""
    import safetensors.numpy

    state = {**load_drawn().drawn_state(shapes), **changes}
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file({name: value for name, value in state.items() if value is not None}, path)
    return path
