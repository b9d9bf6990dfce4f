"""Detectors are trained, resumed, evaluated and exported by the same code as classifiers."""

import csv
import json
import re
import subprocess
import sys
import types

import keras
import ml_collections
import numpy as np
import pytest
from helpers.detection import detection_config, squares
from helpers.exports import LITERT, ONNX, OUTPUTS
from PIL import Image

import aa_keras
from aa_keras.applications import AAResNet, BoTNet26t, create_model
from aa_keras.commands.evaluate import evaluate_run
from aa_keras.commands.trained import config_of_run, servable_of_run
from aa_keras.data import BadBoxes, Categories, DetectionDataset
from aa_keras.data.coco import annotated_image
from aa_keras.data.coco_folder import FileDetections
from aa_keras.errors import UserError
from aa_keras.export import export_servable
from aa_keras.export.loading import load_export
from aa_keras.tasks import detection, resolved, task_for
from aa_keras.training import callbacks, train_and_evaluate

pytestmark = pytest.mark.jax

pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")
pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")

EXPORTS = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("squares"), train=48)


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """The folder of a finished run, and its result. Nobody changes either."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, train_and_evaluate(detection_config(folder, export=EXPORTS), workdir)


def rows_of(workdir):
    with (workdir / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_a_run_directory_has_what_it_has_for_classifiers(finished, folder):
    workdir, result = finished
    names = {"best.keras", "checkpoints", "config.json", "curves.png", "data.json", "metrics.csv", "model.keras"}
    names |= {"aa_keras.json", "result.json", "tensorboard"} | ({"saved_model"} if EXPORTS else set())
    assert {path.name for path in workdir.iterdir()} == names
    assert json.loads((workdir / "result.json").read_text()) == result
    rounded = {"ap": 0.5, "ap50": 0.75, "ap75": 0.25, "averaged": {"ap": 0.625}, "test_examples": 1234}
    words = "AP 50.00%, AP50 75.00%, AP75 25.00% (1,234 test images), averaged weights AP 62.50%"
    assert task_for(detection_config(folder)).describe({**result, **rounded}) == words
    assert set(result["class_ap50"]) == {"red", "blue"}
    assert result["test_examples"] == 5
    assert result["epochs"] == 2
    rows = rows_of(workdir)
    assert {"loss", "val_loss", "val_ap", "val_ap50", "val_ap75", "learning_rate"} <= set(rows[0])
    assert result["best_validation_ap"] == max(float(row["val_ap"]) for row in rows)
    data = json.loads((workdir / "data.json").read_text())
    assert len(data.pop("files")) == 64
    assert data == {
        "categories": ["3 blue", "7 red"],
        "training_images": 48,
        "validation_images": 5,
        "test_images": 5,
    }


@pytest.mark.slow
def test_an_interrupted_run_ends_as_it_would_have(finished, folder, tmp_path, monkeypatch, capsys):
    class Interrupted(BaseException):
        pass

    def interrupt(path, history):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "write_metrics", interrupt)
        with pytest.raises(Interrupted):
            train_and_evaluate(detection_config(folder), tmp_path / "run")
    keras.utils.set_random_seed(99)  # what another process would start with
    result = train_and_evaluate(detection_config(folder), tmp_path / "run")
    assert "Resuming after epoch 1 of 2" in capsys.readouterr().out
    workdir, expected = finished
    assert rows_of(tmp_path / "run") == rows_of(workdir)
    for key in ("ap", "ap50", "ar100", "best_validation_ap", "class_ap"):
        assert result[key] == expected[key]
    ours, theirs = (keras.models.load_model(of / "model.keras").get_weights() for of in (tmp_path / "run", workdir))
    for first, second in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_it_is_evaluated_to_the_same(finished, folder, tmp_path, capsys):
    workdir, result = finished
    measured = evaluate_run(workdir=workdir, output=tmp_path / "run")
    assert measured.ap == result["ap"]
    config = detection_config(folder)
    assert evaluate_run(config=config, weights=workdir / "model.keras", output=tmp_path / "w").ap == result["ap"]
    assert re.search(r"^AARetinaNet\(.*\): parameters [\d,]+; GFLOPs", capsys.readouterr().out, flags=re.MULTILINE)
    detections = json.loads((tmp_path / "run" / "detections.json").read_text())
    assert {detection["category_id"] for detection in detections} <= {3, 7}
    config = detection_config(folder, test_split="validation")
    validated = evaluate_run(config=config, weights=workdir / "model.keras", output=tmp_path / "v")
    assert validated.ap == pytest.approx(float(rows_of(workdir)[-1]["val_ap"]), abs=1e-6)


@pytest.mark.slow
def test_it_learns(folder, tmp_path):
    """Squares of two colours are found, by a detector that took a hundred steps."""
    config = detection_config(folder, epochs=8, scale_jitter=(1.0, 1.0), horizontal_flip=False)
    result = train_and_evaluate(config, tmp_path / "run")
    assert result["best_validation_ap"] > 0.3
    assert result["ap50"] > 0.6


SERVED = """
import sys
sys.modules.update(dict.fromkeys(("aa_keras", "keras", "keras_hub")))  # to import these fails
import numpy as np
import tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
with np.load(sys.argv[2]) as images:
    found = {name: signature(images=tf.constant(images[name][None])) for name in images}
np.savez(sys.argv[3], **{f"{name} {key}": value for name in found for key, value in found[name].items()})
"""


@pytest.mark.skipif(not EXPORTS, reason="exported from TensorFlow alone")
def test_the_saved_model_finds_the_same_with_tensorflow_alone(finished, folder, tmp_path):
    workdir, result = finished
    task = task_for(detection_config(folder))
    annotated = task.dataset.test.annotated
    images = {str(image.id): np.asarray(Image.open(image.name)) for image in annotated}
    assert len({image.shape for image in images.values()}) > 2
    np.savez(tmp_path / "images.npz", **images)
    arguments = [str(workdir / "saved_model"), str(tmp_path / "images.npz"), str(tmp_path / "found.npz")]
    subprocess.run([sys.executable, "-c", SERVED, *arguments], check=True)
    model = keras.models.load_model(workdir / "model.keras")
    total = 0
    with np.load(tmp_path / "found.npz") as found:
        for name, image in images.items():
            fitted, scale = task.preprocessing.for_evaluation(image)
            expected = {key: value[0] for key, value in model.predict(fitted[None], verbose=0).items()}
            number = expected["num_detections"]
            assert found[f"{name} num_detections"][0] == number
            total += number
            boxes = np.clip(expected["boxes"][:number] / scale, 0, np.tile(image.shape[:2], 2))
            np.testing.assert_allclose(found[f"{name} boxes"][0, :number], boxes, atol=0.01)
            np.testing.assert_allclose(found[f"{name} confidence"][0], expected["confidence"], atol=1e-5)
            np.testing.assert_array_equal(found[f"{name} labels"][0], expected["labels"])
            np.testing.assert_array_equal(found[f"{name} boxes"][0, number:], -1)
    assert total > 5
    measured = evaluate_run(saved_model=workdir / "saved_model", output=tmp_path / "served")
    assert measured.ap == pytest.approx(result["ap"], abs=1e-3)
    assert (workdir / "saved_model" / "labels.txt").read_text() == "blue\nred\n"


@pytest.mark.slow
@pytest.mark.skipif(not EXPORTS, reason="exported from TensorFlow alone")
@pytest.mark.parametrize("export_format", [ONNX, LITERT])
def test_an_export_has_the_average_precision_of_its_network(finished, tmp_path, export_format):
    workdir, result = finished
    path = tmp_path / OUTPUTS[export_format]
    export_servable(servable_of_run(str(workdir)), path, export_format)
    config = config_of_run(workdir)
    measured = evaluate_run(config, **{export_format: path}, output=tmp_path / "evaluated", report=True)
    # The images are rounded to whole pixel values before.
    assert measured.ap == pytest.approx(result["ap"], abs=0.02)
    assert (tmp_path / "evaluated" / "report.html").exists()


def test_training_begins_with_the_weights_of_the_backbone(folder, tmp_path):
    classifier = AAResNet(18, width=16, blocks=(1, 1, 1, 1), input_shape=(64, 96, 3), classes=4)
    classifier.save(tmp_path / "classifier.keras")
    model = task_for(detection_config(folder, weights=str(tmp_path / "classifier.keras"))).training_model()
    kernels = [network.get_layer("stem_conv").kernel for network in (model.backbone.image_encoder, classifier)]
    np.testing.assert_array_equal(*kernels)


def test_weights_of_another_backbone_decide_its_arguments(folder, tmp_path):
    """Those of the network to train and of the one to save, which starts without the weights."""
    botnet = BoTNet26t(padding="symmetric", input_shape=(64, 96, 3))
    aa_keras.save_pretrained(botnet, tmp_path / "botnet")
    for given in ({"implementation": "dense"}, {}):
        config = detection_config(folder, weights=str(tmp_path / "botnet"))
        arguments = {"backbone_arguments": given} if given else {}
        config.builder_arguments = {"backbone": "BoTNet26t", "max_level": 5, "head_convolutions": 1, **arguments}
        task = task_for(resolved(config))
        decided = task.config.builder_arguments.to_dict()["backbone_arguments"]
        assert decided == {**given, "padding": "symmetric"}
    trained = task.training_model().encoder
    np.testing.assert_array_equal(trained.get_layer("stem_conv1").kernel, botnet.get_layer("stem_conv1").kernel)
    for encoder in (trained, task.inference_model().encoder):
        assert encoder.get_layer("stem_conv1_pad")


def test_another_backbone_replaces_the_resnet_of_a_recipe(folder, capsys):
    config = detection_config(folder)
    config.builder_arguments.backbone = "AAMnasNet"
    task = task_for(config)
    kept = {"backbone": "AAMnasNet", "max_level": 5, "head_convolutions": 1, "anchor_size": 2.5}
    assert task.config.builder_arguments.to_dict() == kept
    assert "replaces the recipe's ResNet, and its blocks, depth, width" in capsys.readouterr().out
    assert task_for(task.config).config is task.config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "arguments"),
    [
        ("AAWideResNet", {"depth": 10, "width": 1, "num_heads": 2}),
        ("AAMnasNet", {"alpha": 0.1}),
        ("BoTNet", {"stages": ("c", "c", "c", "a")}),
    ],
)
def test_a_detector_on_any_network_is_trained_and_resumed(backbone, arguments, folder, tmp_path, monkeypatch, capsys):
    """Its run has the call in its config, and its files have it, too."""

    class Interrupted(BaseException):
        pass

    def interrupt(path, history):
        raise Interrupted

    size = {"max_level": 5, "head_convolutions": 1, "anchor_size": 2.5}
    given = {**size, "backbone": backbone, "backbone_arguments": arguments}
    config = detection_config(folder)
    config.builder_arguments = ml_collections.ConfigDict(given, convert_dict=False)
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "write_metrics", interrupt)
        with pytest.raises(Interrupted):
            train_and_evaluate(config, tmp_path / "run")
    result = train_and_evaluate(config, tmp_path / "run")
    assert "Resuming after epoch 1 of 2" in capsys.readouterr().out
    assert evaluate_run(workdir=tmp_path / "run", output=tmp_path / "again").ap == pytest.approx(result["ap"], abs=1e-6)
    again = create_model(tmp_path / "run" / "model.keras")
    assert again.architecture.arguments["backbone"] == backbone
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    for first, second in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_other_data_in_the_folder_is_seen(finished, tmp_path):
    workdir, _ = finished
    other = squares(tmp_path / "other", train=49)
    task = task_for(detection_config(other))
    there = json.loads((workdir / "data.json").read_text())
    assert task.data_differences(there) == ["training images were 48 and are 49"]
    assert {name: value for name, value in there.items() if name != "files"} == {
        "categories": ["3 blue", "7 red"],
        "training_images": 48,
        "validation_images": 5,
        "test_images": 5,
    }
    other_classes, another_order = (
        task.data_differences({**there, "training_images": 49, "categories": categories})
        for categories in (["3 blue", "8 red"], ["7 red", "3 blue"])
    )
    assert other_classes == ["classes were added or removed: 7 red, 8 red"]
    assert another_order == ["categories were ['7 red', '3 blue'] and are ['3 blue', '7 red']"]


def test_results_count_the_boxes_that_were_left_out(folder, monkeypatch):
    task = task_for(detection_config(folder, bad_boxes="skip"))
    task.dataset.bad_boxes.skipped["box 3"] = "it has no area"
    monkeypatch.setattr(detection.evaluation, "detect", lambda *_: [])
    numbers = task.evaluate(types.SimpleNamespace(predict_on_batch=None)).numbers()
    assert (numbers["skipped_boxes"], numbers["test_examples"], numbers["ap"]) == (1, 5, 0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"builder": "AAResNet50", "builder_arguments": {}}, "config.builder must be one of AARetinaNet, .*detection"),
        (
            {"builder_arguments": {"backbone": "MnasNet", "backbone_arguments": "alpha"}},
            "arguments must be a dictionary",
        ),
        (
            {"builder_arguments": {"backbone": "MnasNet", "backbone_arguments": {"width": 2}}},
            "AARetinaNet of the config: `backbone_arguments` must be arguments of MnasNet: alpha. Received: width",
        ),
        ({"input_size": (60, 96)}, "AARetinaNet of the config: `input_shape` must have sides that are multiples of 32"),
        ({"input_size": (64,)}, r"config.input_size must be a pair \(height, width\)"),
        ({"scale_jitter": (1.2, 0.8)}, r"config.scale_jitter must be a pair \(least, most\)"),
        ({"bad_boxes": "ignore"}, "config.bad_boxes must be one of error, skip"),
        ({"optimizer": "lamb"}, "config.optimizer must be one of sgd, adam"),
        ({"clip_norm": -1.0}, "config.clip_norm must be a number, at least 0"),
        ({"data_dir": None}, "config.data_dir must be a folder that exists for dataset='coco_folder'"),
        ({"batch_size": 49}, "must be at most 48, the training images"),
    ],
)
def test_mistakes_in_a_config_are_reported(folder, tmp_path, fields, error):
    with pytest.raises(UserError, match=error):
        train_and_evaluate(detection_config(folder, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_files_that_are_no_detectors_of_the_config(finished, folder, tmp_path):
    workdir, _ = finished
    task = task_for(detection_config(folder, input_size=(96, 96)))
    with pytest.raises(UserError, match=r"is for images of \(64, 96\) and 2 classes, and the config for \(96, 96\)"):
        task.load_model(workdir / "model.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=r"other\.keras cannot be loaded"):
        task.load_model(tmp_path / "other.keras")
    for path in (tmp_path, workdir):
        with pytest.raises(UserError, match="path must be the folder of a SavedModel"):
            load_export("saved_model", path)


@pytest.mark.parametrize("package", ["keras_hub", "pycocotools"])
def test_a_missing_extra_is_reported_before_anything_is_done(folder, tmp_path, package, monkeypatch):
    find_spec = detection.importlib.util.find_spec
    monkeypatch.setattr(
        detection.importlib.util, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    with pytest.raises(UserError, match=rf'^the package {package} is missing: pip install "aa-keras\[detection\]"'):
        train_and_evaluate(detection_config(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_boxes_is_not_trained_on(tmp_path):
    """Nothing is written for it, and nothing is reported on it."""
    folder = squares(tmp_path / "squares")
    for split in ("train", "test"):
        path = folder / "annotations" / f"instances_{split}2017.json"
        content = path.read_text()
        path.write_text(json.dumps({**json.loads(content), "annotations": []}))
        with pytest.raises(UserError, match=r"There are no boxes .*: (12|5) images have 0 boxes$"):
            train_and_evaluate(detection_config(folder), tmp_path / "run")
        if split == "test":
            with pytest.raises(UserError, match="There are no boxes in the test images"):
                task_for(detection_config(folder)).evaluate(None)
        path.write_text(content)
    assert not (tmp_path / "run").exists()


def test_a_detector_is_evaluated_with_the_classes_that_it_knows():
    """By name, whatever the numbers of a folder's categories; each class keeps its number there."""

    def matched(names, ids, labels, known):
        image = annotated_image(1, "a.png", 9, 9, [((0, 0, 5, 5), label, 25, False) for label in labels])
        dataset = DetectionDataset(
            "squares", Categories(names, ids), FileDetections([]), None, FileDetections([image]), BadBoxes()
        )
        dataset, lacking = task_for(detection_config("nowhere")).matched(dataset, known)
        return dataset.categories, dataset.test.annotated[0].labels.tolist(), lacking

    categories, labels, lacking = matched(("red", "sky", "blue"), (1, 2, 5), (0, 2, 2), ("blue", "green", "red"))
    assert (categories.names, categories.ids[0], categories.ids[2]) == (("blue", "green", "red"), 5, 1)
    assert categories.ids[1] not in (1, 2, 5)
    assert (labels, lacking) == ([2, 0, 0], ["green"])
    with pytest.raises(UserError, match="has images of 'sky', a class that the network does not know"):
        matched(("red", "sky"), (1, 2), (0, 1), ("blue", "red"))
