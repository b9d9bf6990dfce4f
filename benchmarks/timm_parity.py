"""Converted networks compared with timm's own: the largest difference of their logits, for random weights.

    make test-timm                                                     # the environment, and this
    python benchmarks/timm_parity.py                                   # some two minutes on two cores
    python benchmarks/timm_parity.py --fixtures=tests/applications/timm    # what `make test` compares with

Weights and statistics are drawn by the tensors' names, so that a test can draw the same ones without timm. It needs the
packages timm (1.0) and PyTorch.
"""

import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from timm_drawn import FIXTURE_CLASSES, FIXTURE_SIZE, drawn_images, drawn_state

OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of timm_parity.json and timm_parity.md.")
FIXTURES = flags.DEFINE_string("fixtures", None, "Folder of the fixtures to write, instead.")

# timm's name, the builder here, and the (height, width) of images; the first size is that of the network's training.
CASES = (
    ("resnet34", "ResNet34", (224, 224)),
    ("resnet34", "ResNet34", (97, 160)),
    ("resnet50", "ResNet50", (224, 224)),
    ("resnet50", "ResNet50", (161, 225)),
    ("resnet101", "ResNet101", (224, 224)),
    ("resnet152", "ResNet152", (224, 224)),
    ("seresnet50", "SEResNet50", (224, 224)),
    ("seresnet50", "SEResNet50", (161, 225)),
    ("botnet26t_256", "BoTNet26t", (256, 256)),
    ("botnet26t_256", "BoTNet26t", (224, 192)),
    ("eca_botnext26ts_256", "ECABoTNeXt26ts", (256, 256)),
    ("eca_botnext26ts_256", "ECABoTNeXt26ts", (224, 192)),
    ("sebotnet33ts_256", "SEBoTNet33ts", (256, 256)),
    ("sebotnet33ts_256", "SEBoTNet33ts", (224, 192)),
)
# One network for each kind of block and stem.
FIXTURE_CASES = ("resnet34", "resnet50", "seresnet50", "botnet26t_256", "eca_botnext26ts_256", "sebotnet33ts_256")


def timms_network(name, size, classes=1000):
    """Returns timm's network with random weights, and the weights."""
    timm, torch = import_timm()
    sized = {"img_size": size} if "botne" in name else {}  # for their tables of positions
    network = timm.create_model(name, num_classes=classes, **sized).eval()
    tensors = {name: tensor for name, tensor in network.state_dict().items() if "num_batches" not in name}
    state = drawn_state({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()}, strict=False)
    return network, state


def import_timm():
    """Returns timm and PyTorch. torchvision, which timm imports, may be built for another PyTorch."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        try:
            library.define(f"{operator}(Tensor a) -> Tensor")
        except RuntimeError:  # torchvision is installed
            break
    import timm

    return timm, torch


def timms_logits(network, images):
    """Returns the logits of timm's network for images (batch, height, width, channels)."""
    import torch

    with torch.no_grad():
        return network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()


def compare(name, builder, size, folder):
    """Returns a row: the difference between a network of timm and ours, converted from a file of its weights."""
    import safetensors.numpy

    from aa_keras import applications
    from aa_keras.complexity import model_complexity

    network, state = timms_network(name, size)
    path = pathlib.Path(folder) / f"{name}.safetensors"
    safetensors.numpy.save_file(state, path)
    model = getattr(applications, builder)(weights=path, input_shape=(*size, 3), classifier_activation=None)
    images = drawn_images(*size)
    theirs, ours = timms_logits(network, images), model(images, training=False)
    return {
        "network": name,
        "builder": builder,
        "size": list(size),
        "parameters": sum(tensor.numel() for tensor in network.parameters()),
        "parameters_here": model_complexity(model).parameters,
        "largest_difference": float(np.abs(np.asarray(ours) - theirs).max()),
        "largest_logit": float(np.abs(theirs).max()),
    }


def write_fixtures(folder):
    """Writes the shapes of timm's tensors and the logits of a few of its networks, for small images."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIXTURE_CASES:
        network, state = timms_network(name, FIXTURE_SIZE, FIXTURE_CLASSES)
        content = {
            "builder": {case[0]: case[1] for case in CASES}[name],
            "logits": timms_logits(network, drawn_images(*FIXTURE_SIZE)).round(6).tolist(),
            "shapes": {tensor: list(value.shape) for tensor, value in state.items()},
        }
        (folder / f"{name}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def main(_):
    import logging

    logging.getLogger("aa_keras").setLevel(logging.ERROR)  # it logs every file that it converts
    if FIXTURES.value is not None:
        write_fixtures(FIXTURES.value)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KERAS_HOME"] = folder  # for the cache of converted files
        rows = [compare(*case, folder) for case in CASES]
    timm, torch = import_timm()
    lines = [
        f"timm {timm.__version__}, PyTorch {torch.__version__}, random weights and batch statistics, float32",
        "",
        "| timm | Here | Size | Parameters | Largest difference | Largest logit |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| `{row['network']}` | `{row['builder']}` | {row['size'][0]}x{row['size'][1]} | {row['parameters']:,} "
            f"| {row['largest_difference']:.1e} | {row['largest_logit']:.2f} |"
            for row in rows
        ),
    ]
    print("\n".join(lines))
    output = pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    (output / "timm_parity.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (output / "timm_parity.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    wrong = [row for row in rows if row["largest_difference"] > 1e-4 or row["parameters"] != row["parameters_here"]]
    if wrong:
        raise app.UsageError(f"These are not timm's: {wrong}")


if __name__ == "__main__":
    app.run(main)
