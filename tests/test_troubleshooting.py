"""The errors of docs/troubleshooting.md are those that the mistakes raise, word for word."""

import pathlib
import re
import socket
import subprocess
import sys
import textwrap
import types
import urllib.request

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.runs import finished_run

from aa_keras import errors, explain
from aa_keras.applications import AAResNet50, AARetinaNet50, AAWideResNet, WideResNet
from aa_keras.commands.export import export_network
from aa_keras.commands.predict import predict_images
from aa_keras.data import CorruptFiles, LabelledImages, load_dataset
from aa_keras.demo import running
from aa_keras.demo.space import save_space
from aa_keras.export import export_model, load_predictor
from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.recipes import checks, default_config, find_recipe
from aa_keras.tasks import class_balance, task_for
from aa_keras.training import stopping
from aa_keras.training.non_finite import StopOnNonFinite
from aa_keras.training.run_directory import RunDirectory

PAGE = (pathlib.Path(__file__).parents[1] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### (.+)\n\n```text\n(.+)\n```$", PAGE, flags=re.MULTILINE))


def network(**arguments):
    return AAWideResNet(10, 1, num_heads=2, input_shape=(8, 8, 3), **arguments)


def without_tensorflow(folder):
    """Keras in a process that finds no TensorFlow."""
    program = """
        import sys
        class Missing:
            def find_spec(name, path=None, target=None):
                if name == "tensorflow":
                    raise ModuleNotFoundError("No module named 'tensorflow'", name=name)
        sys.meta_path.insert(0, Missing)
        import aa_keras
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    completed = subprocess.run(
        command, env={"KERAS_BACKEND": "tensorflow", "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert completed.returncode
    raise ModuleNotFoundError(completed.stderr.strip().splitlines()[-1].removeprefix("ModuleNotFoundError: "))


def without_an_extra(folder):
    raise ImportError(errors.missing_extra(ModuleNotFoundError(name="tf2onnx")))


def without_the_layers(folder):
    network(classes=4).save(folder / "model.keras")
    with pytest.MonkeyPatch.context() as patch:
        registered = keras.saving.get_custom_objects()
        for name in [name for name in registered if name.startswith("aa_keras>")]:
            patch.delitem(registered, name)
        keras.models.load_model(folder / "model.keras")


def of_other_classes(folder):
    network(classes=4).save(folder / "model.keras")
    network(classes=5, weights=folder / "model.keras")


def without_a_network(folder):
    with pytest.MonkeyPatch.context() as patch:
        hub = types.ModuleType("huggingface_hub")
        hub.HfApi = lambda: (_ for _ in ()).throw(OSError("Name or service not known"))
        patch.setitem(sys.modules, "huggingface_hub", hub)
        patch.setenv("KERAS_HOME", str(folder))
        AAResNet50(weights="timm/resnet50.a1h_in1k")


def of_a_folder_without_classes(folder):
    load_dataset("image_folder", str(folder), 0, image_size=8)


def of_classes_that_are_not_there(folder):
    config = default_config()
    config.class_weights = {"owl": 2.0}
    examples = LabelledImages(np.zeros((2, 4, 4, 1), "uint8"), np.arange(2, dtype="int32"))
    class_balance.check(config, examples, ("cat", "dog"))


def with_corrupt_images(folder):
    corrupt_files = CorruptFiles(limit=1)
    for name in ("a.jpg", "b.jpg"):
        corrupt_files.skip(name, "it is empty", examples=9)


def of_imagenet(folder):
    load_dataset("imagenet2012", str(folder), 0, image_size=32)


def with_another_config(folder):
    run = RunDirectory(folder / "run")
    run.path.mkdir()
    (run.path / "config.json").write_text('{"name": "a", "dataset": "digits", "builder": "X", "epochs": 3}')
    run.check({"name": "a", "dataset": "digits", "builder": "X", "epochs": 4}, overwrite=False)


def of_an_unknown_task(folder):
    config = default_config()
    config.task = "dots"
    task_for(config)


def with_a_loss_of_nan(folder):
    config = default_config()
    config.learning_rate_per_256 = 0.1
    run = types.SimpleNamespace(config=config, state=types.SimpleNamespace(epochs=0))
    stop = StopOnNonFinite(run)
    stop.set_model(network(classes=4))
    stop.on_epoch_begin(0)
    stop.on_train_batch_end(0, {"loss": float("nan")})


def without_validation_images(folder):
    config = default_config()
    config.early_stopping_epochs = 3
    dataset = types.SimpleNamespace(validation=None)
    stopping.check(types.SimpleNamespace(config=config, task=types.SimpleNamespace(dataset=dataset, examples="images")))


def with_the_distribution_of_another_backend(folder):
    config = default_config()
    config.distribution = "multihost" if keras.backend.backend() != "jax" else "mirrored"
    checks.check_backend(config)


def of_logits(folder):
    model = network(classes=4, classifier_activation=None)
    export_model(model, folder / "model.onnx", format="onnx", dataset="none")


def of_an_unknown_network(folder):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()])
    model.save(folder / "model.keras")
    export_network(model=str(folder / "model.keras"), output=str(folder / "saved_model"))


def predicted(folder, **flags):
    """Predictions of two images with a network of the mean colour."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()])
    model.save(folder / "model.keras")
    (folder / "images").mkdir()
    for name in ("a.png", "b.png"):
        (folder / "images" / name).write_bytes(odd_images.encode(odd_images.picture(), "PNG"))
    arguments = {"model": str(folder / "model.keras"), "dataset": "none", "output": str(folder / "a.csv")}
    predict_images([str(folder / "images")], **arguments)
    (folder / "images" / "a.png").unlink()
    predict_images([str(folder / "images")], **arguments, **flags)


def of_an_earlier_run(folder):
    load_predictor(finished_run(folder / "run", network(classes=4)))


def at_a_port_in_use(folder):
    with socket.create_server(("127.0.0.1", 0)) as server, running(None, port=server.getsockname()[1]):
        pass


def of_a_download_without_a_network(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", lambda *_, **__: pathlib.Path("/nowhere").read_bytes())
        load_dataset("cifar100", str(folder))


MISTAKES = {
    "TensorFlow is missing": without_tensorflow,
    "A package is missing": without_an_extra,
    "Keras does not find the layers of a file": without_the_layers,
    "The layer needs max_size": lambda _: AttentionAugmentedConv2D(32, 3)(keras.Input((None, None, 16))),
    "There is no fused kernel": lambda _: AttentionAugmentedConv2D(32, 3, implementation="fused")(
        keras.Input((8, 8, 16), dtype="float16")
    ),
    "More heads than filters": lambda _: AttentionAugmentedConv2D(4, 3, num_heads=8),
    "The sides of a detector's images": lambda _: AARetinaNet50(input_shape=(600, 600, 3)),
    "Unknown weights": lambda _: AAResNet50(weights="imagenet"),
    "Weights for other classes, or of another network": of_other_classes,
    "The weights cannot be downloaded": without_a_network,
    "The data folder does not exist": lambda folder: load_dataset("cifar100", str(folder / "none"), 0),
    "ImageNet is not prepared": of_imagenet,
    "The data set cannot be downloaded": of_a_download_without_a_network,
    "The image folder has no classes": of_a_folder_without_classes,
    "Weights for classes that are not there": of_classes_that_are_not_there,
    "Corrupt images": with_corrupt_images,
    "The recipe or field is unknown": lambda _: find_recipe("digit"),
    "The task is not known": of_an_unknown_task,
    "The run directory has another run": with_another_config,
    "The loss became NaN": with_a_loss_of_nan,
    "Several devices": with_the_distribution_of_another_backend,
    "Nothing to stop by": without_validation_images,
    "The outputs are not probabilities": of_logits,
    "The export needs a data set": of_an_unknown_network,
    "Predictions are there already": predicted,
    "Predictions of other images": lambda folder: predicted(folder, resume=True),
    "A run of an earlier version": of_an_earlier_run,
    "The page cannot listen": at_a_port_in_use,
    "The page would replace files": lambda folder: save_space(pathlib.Path(__file__).parent, None, "", ""),
    "A network without attention": lambda _: explain.attention_scores(
        WideResNet(10, 1, classes=4, input_shape=(8, 8, 3)), np.zeros((1, 8, 8, 3))
    ),
}


def test_every_message_has_a_mistake():
    assert list(ENTRIES) == list(MISTAKES)


@pytest.mark.parametrize("entry", MISTAKES)
def test_the_mistake_raises_the_message(entry, tmp_path):
    with pytest.raises((ValueError, ImportError, TypeError, errors.UserError)) as raised:
        MISTAKES[entry](tmp_path)
    pattern = re.escape(ENTRIES[entry]).replace(re.escape("..."), ".*?")
    assert re.fullmatch(pattern, str(raised.value), flags=re.DOTALL), raised.value
