"""Exporting and predicting from the command line: five kinds of network, the same predictions."""

import csv
import importlib.util
import json
import pathlib

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import small_network
from helpers.predictions import predictions_of
from helpers.runs import CLASSES, finished_run
from PIL import Image

from aa_keras.applications.blocks import dtype_policy
from aa_keras.commands import predict, trained, writers
from aa_keras.commands.export import export_network
from aa_keras.commands.predict import predict_images
from aa_keras.data import DetectionPreprocessing, Preprocessing
from aa_keras.data.decoding import decode_image
from aa_keras.data.digits import digits
from aa_keras.errors import UserError
from aa_keras.export import ClassificationSpec, DetectionSpec, Prediction, servable_for

OUTPUTS = {"saved_model": "saved", "onnx": "network.onnx", "litert": "network.tflite"}
HAVE_EXTRAS = all(map(importlib.util.find_spec, ("onnxruntime", "tf2onnx", "ai_edge_litert")))
needs_extras = pytest.mark.skipif(not HAVE_EXTRAS, reason="the extras `onnx` and `litert` are not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run of a network in half precision, which predicts in float32."""
    with dtype_policy("mixed_bfloat16"):
        model = small_network((24, 24), classes=len(CLASSES))
    return finished_run(tmp_path_factory.mktemp("of") / "run", model)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images of all kinds in folders, and other files."""
    picture = odd_images.picture()
    return odd_images.write_images(
        tmp_path_factory.mktemp("photographs"),
        {
            "a.jpg": odd_images.WHOLE,
            "deep/in/a/grey.jpeg": odd_images.encode(picture, mode="L"),
            "deep/cmyk.jpg": odd_images.encode(picture, mode="CMYK"),
            "deep/palette.png": odd_images.encode(picture, "PNG", "P"),
            "frame.gif": odd_images.gif_of_a_small_frame(),
            "tall.webp": odd_images.encode(odd_images.picture(150, 31), "WEBP"),
            "notes.txt": b"no image",
            **{f"corrupt/{number}.jpg": content for number, content in enumerate(odd_images.CORRUPT.values())},
            "corrupt/bomb.png": odd_images.bomb("PNG"),
        },
    )


WHOLE = ["a.jpg", "deep/cmyk.jpg", "deep/in/a/grey.jpeg", "deep/palette.png", "frame.gif", "tall.webp"]


@pytest.mark.slow
@needs_extras
def test_five_kinds_of_network_give_the_same_answers(run, photographs, tmp_path, capsys):
    kinds = {"workdir": str(run), "model": str(run / "model.keras")}
    for export_format, name in OUTPUTS.items():
        report = export_network(workdir=str(run), export_format=export_format, output=str(tmp_path / name))
        expected_words = "Images must be resized to 24x24 before, as `aa-keras predict` does"
        assert report.notes == (() if export_format == "saved_model" else (expected_words,))
        kinds[export_format] = str(tmp_path / name)
    capsys.readouterr()
    expected_words, found = [], []
    for kind, path in kinds.items():
        counts = predict_images([str(photographs)], **{kind: path}, top=2, batch_size=4)
        assert (counts.read, counts.skipped) == (len(WHOLE), len(odd_images.CORRUPT) + 1)
        printed = capsys.readouterr()
        predictions = predictions_of([photographs], **{kind: path}, batch_size=4)
        assert [str(pathlib.Path(each.image).relative_to(photographs)) for each in predictions] == WHOLE
        found.append(np.stack([each.outputs["probabilities"] for each in predictions]))
        expected_words.append(printed.out)
        assert printed.err.count("Skipping the corrupt image") == len(odd_images.CORRUPT) + 1
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-5)
    assert np.ptp(found[0], axis=0).max() > 0.05  # the images do make a difference
    words = [
        [word for word in text.split() if not word.endswith("%")] for text in expected_words
    ]  # whose last digit may differ
    assert all(other == words[0] for other in words)
    header, *rows, summary = expected_words[0].splitlines()
    assert summary == f"{len(WHOLE)} images read, {len(odd_images.CORRUPT) + 1} skipped"
    assert header.split() == ["image", "1", "2"]
    for row, path, probabilities in zip(rows, WHOLE, found[0], strict=True):
        best = int(np.argmax(probabilities))
        assert row.split()[:3] == [str(photographs / path), CLASSES[best], f"{probabilities[best]:.1%}"]


def test_the_answers_are_those_of_evaluation(run, photographs):
    """The network sees the same pixels as in the evaluation of the task."""
    task_preprocessing = trained.servable_of_run(run).spec.preprocessing
    assert task_preprocessing.central_fraction == 0.875
    (prediction,) = predictions_of([photographs / "a.jpg"], workdir=str(run))
    image = decode_image(odd_images.WHOLE)
    shown = Preprocessing(task_preprocessing.mean, task_preprocessing.std, image_size=24).for_evaluation(image)
    exact = small_network((24, 24), classes=len(CLASSES))
    exact.set_weights(keras.models.load_model(run / "model.keras").get_weights())
    expected = exact.predict(shown[None], verbose=0)[0]
    np.testing.assert_allclose(prediction.outputs["probabilities"], expected, atol=1e-5)


def test_a_network_of_grey_images_sees_them_grey(tmp_path):
    """As one of the digits: images of its own size go in as they are."""
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()])
    model = keras.Sequential([*model.layers[:-1], keras.layers.Dense(2, activation="softmax")])
    model.build((None, 8, 8, 1))
    model.set_weights([np.float32([[1, -1]]), np.zeros(2)])
    model.save(tmp_path / "grey.keras")
    for number, level in enumerate((0, 100, 255)):
        Image.fromarray(np.full((8, 8), level, np.uint8)).save(tmp_path / f"{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    found = predictions_of(paths, model=str(tmp_path / "grey.keras"), dataset="none")
    expected = [1 / (1 + np.exp(-2.0 * level)) for level in (0, 100, 255)]
    np.testing.assert_allclose([each.outputs["probabilities"][0] for each in found], expected, atol=1e-6)


SPEC = ClassificationSpec(CLASSES, (8, 8, 3), Preprocessing((0.0,) * 3, (1.0,) * 3, image_size=(8, 8)))
PREDICTED = [
    Prediction("a.jpg", (4, 5), {"probabilities": np.float32([0.25, 0.625, 0.125])}),
    Prediction("b, c.jpg", (4, 5), {"probabilities": np.float32([0.5, 0.5, 0.0])}),
]
BOXES = DetectionSpec(CLASSES, (8, 8, 3), DetectionPreprocessing((0.0,) * 3, (1.0,) * 3, (8, 8)), (7, 3, 9))
FOUND = [
    Prediction("none.jpg", (40, 50), {"boxes": np.zeros((0, 4)), "confidence": (), "labels": ()}),
    Prediction(
        "two.jpg",
        (40, 50),
        {
            "boxes": np.float32([[1, 2, 11, 22.5], [0, 0, 40, 50]]),
            "confidence": np.float32([0.75, 0.5]),
            "labels": np.int32([2, 0]),
        },
    ),
]


def table(spec, predictions, top, capsys):
    """The lines of a table."""
    with writers.Table(spec, top) as printed:
        printed.write(predictions)
    return capsys.readouterr().out.splitlines()


def as_csv(spec, predictions, top):
    begin, lines = writers.GROWING[".csv"]
    return begin(spec) + lines(spec, predictions, top)


def test_classes_as_table_csv_and_json(capsys):
    assert table(SPEC, PREDICTED, 2, capsys) == [
        "image     1          2",
        "a.jpg     dog 62.5%  cat 25.0%",
        "b, c.jpg  cat 50.0%  dog 50.0%",
    ]
    rows = list(csv.DictReader(as_csv(SPEC, PREDICTED, 5).splitlines()))
    assert len(rows) == 6
    assert rows[3] == {"image": "b, c.jpg", "rank": "1", "class": "0", "label": "cat", "probability": "0.500000"}
    assert json.loads(writers.as_json(SPEC, PREDICTED, 1)) == [
        {"image": "a.jpg", "predictions": [{"class": 1, "label": "dog", "probability": 0.625}]},
        {"image": "b, c.jpg", "predictions": [{"class": 0, "label": "cat", "probability": 0.5}]},
    ]


def test_boxes_as_table_csv_and_json(capsys):
    assert [line.split() for line in table(BOXES, FOUND, 5, capsys)] == [
        ["image", "class", "score", "left", "top", "right", "bottom"],
        ["none.jpg", "nothing"],
        ["two.jpg", "Ölbaum", "75.0%", "2", "1", "22", "11"],
        ["two.jpg", "cat", "50.0%", "0", "0", "50", "40"],
    ]
    rows = list(csv.DictReader(as_csv(BOXES, FOUND, 5).splitlines()))
    sides = {"left": "2.00", "top": "1.00", "right": "22.50", "bottom": "11.00"}
    assert rows[0] == {"image": "two.jpg", "class": "2", "label": "Ölbaum", "score": "0.750000", **sides}
    content = json.loads(writers.as_json(BOXES, FOUND, 5))
    assert content["images"][1] == {"id": 2, "file_name": "two.jpg", "height": 40, "width": 50}
    assert content["categories"] == [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 9, "name": "Ölbaum"}]
    first, second = content["annotations"]
    about = {"image_id": 2, "iscrowd": 0}
    assert first == {**about, "id": 1, "category_id": 9, "bbox": [2, 1, 20.5, 10], "area": 205, "score": 0.75}
    assert (second["category_id"], second["bbox"]) == (7, [0, 0, 50, 40])


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The file of a detector that finds something everywhere."""
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")
    from aa_keras.applications import AARetinaNet

    arguments = {"blocks": (1, 1, 1, 1), "max_level": 5, "head_convolutions": 1, "anchor_size": 2.5}
    model = AARetinaNet(18, input_shape=(64, 96, 3), classes=3, width=16, **arguments)
    head = model.classification_head.prediction_layer
    head.bias.assign(np.zeros(head.bias.shape))
    head.kernel.assign(np.random.default_rng(0).normal(scale=0.1, size=head.kernel.shape))
    trained.set_batch_statistics(servable_for(model))
    path = tmp_path_factory.mktemp("detector") / "detector.keras"
    model.save(path)
    return path


@needs_extras
@pytest.mark.slow
@pytest.mark.parametrize("export_format", ["onnx", "litert"])
def test_detectors_in_the_other_formats(export_format, detector, photographs, tmp_path, capsys):
    """Other formats than SavedModels, which tests/tasks/test_detection_task.py has."""
    labels, output = tmp_path / "labels.txt", str(tmp_path / "exported")
    labels.write_text("\n".join(CLASSES))
    report = export_network(model=str(detector), labels=str(labels), export_format=export_format, output=output)
    assert report.agreement.same > 0.99
    assert report.notes == ("Images must be resized to 64x96 before, as `aa-keras predict` does",)
    images = [str(photographs / "a.jpg"), str(photographs / "tall.webp")]
    predict_images(images, **{export_format: output}, min_score=0.6)
    printed = capsys.readouterr().out
    predict_images(images, model=str(detector), min_score=0.6, labels=str(labels))
    # But for the last digit, which rounding decides.
    expected_words, by_keras_words = (
        [line.split()[:2] for line in text.splitlines()] for text in (printed, capsys.readouterr().out)
    )
    assert expected_words[-len(by_keras_words) :] == by_keras_words
    found = predictions_of(images, **{export_format: output})
    by_keras = predictions_of(images, model=str(detector), labels=str(labels))
    for each, other in zip(found, by_keras, strict=True):
        assert len(each.outputs["labels"]) > 5
        assert (each.outputs["boxes"] <= [*each.size, *each.size]).all()
        np.testing.assert_array_equal(each.outputs["labels"], other.outputs["labels"])
        np.testing.assert_allclose(each.outputs["boxes"], other.outputs["boxes"], atol=0.01)
        np.testing.assert_allclose(each.outputs["confidence"], other.outputs["confidence"], atol=1e-4)


def test_boxes_are_drawn(detector, photographs, tmp_path, capsys):
    drawn = tmp_path / "drawn"
    images = [str(photographs / "a.jpg"), str(photographs / "deep")]
    predict_images(images, model=str(detector), draw=str(drawn), output=str(tmp_path / "found.json"))
    names = {"a.png", "cmyk.png", "in/a/grey.png", "palette.png"}
    assert {path.relative_to(drawn).as_posix() for path in drawn.rglob("*.png")} == names
    original, picture = (np.asarray(Image.open(path).convert("RGB")) for path in (images[0], drawn / "a.png"))
    assert picture.shape == original.shape
    content = json.loads((tmp_path / "found.json").read_text())
    assert {annotation["image_id"] for annotation in content["annotations"]} == {1, 2, 3, 4}
    assert "have no box" not in capsys.readouterr().out
    predict_images(images, model=str(detector), draw=str(drawn), min_score=1.0)
    assert "4 of 4 images have no box with a score of at least 1.0 (--min_score)\n" in capsys.readouterr().out


def test_no_two_pictures_have_the_same_name():
    images = [pathlib.Path(name) for name in ("in/a.jpg", "in/a.png", "in/deep/a.jpg", "other/a.jpg", "alone.jpg")]
    targets = predict._targets(pathlib.Path("out"), images, [pathlib.Path("in"), pathlib.Path("other/a.jpg")])
    assert [path.as_posix() for path in targets] == [
        *("out/a.png", "out/a_2.png", "out/deep/a.png", "out/a_3.png", "out/alone.png")
    ]


def fails(error, paths=("a.jpg",), **arguments):
    with pytest.raises(UserError, match=error) as raised:
        predict_images(list(paths), **arguments)
    assert "\n" not in str(raised.value)


def test_mistakes_of_asking_are_reported(run, photographs, tmp_path):
    workdir, image = str(run), str(photographs / "a.jpg")
    fails("exactly one of --workdir, --model, --builder, --saved_model, --onnx and --litert must be given")
    fails("exactly one of --workdir", workdir=workdir, onnx="x")
    fails("an image, or a folder of images, must be given", (), workdir=workdir)
    fails("There is no image and no folder 'a.jpg'", workdir=workdir)
    fails("There are no images in", [str(tmp_path)], workdir=workdir)
    fails("none of the images can be read", [str(photographs / "corrupt")], workdir=workdir)
    fails("--output must end in .csv, .jsonl, .json", workdir=workdir, output="x.txt")
    fails("--draw is for detectors", [image], workdir=workdir, draw=str(tmp_path / "drawn"))
    fails("--dataset and --labels go with --model or --builder", [image], workdir=workdir, dataset="none")
    fails("--weights goes with --builder", [image], workdir=workdir, weights="cifar100")
    fails("--dataset must be one of .*: --dataset=mnist", [image], model=str(run / "model.keras"), dataset="mnist")
    fails("--examples must be a folder", examples=image)
    fails("There is no run in", [image], workdir=str(tmp_path))
    fails("--model must be a file of a Keras model", [image], model=str(tmp_path))
    fails("--onnx must be a file", [image], onnx=str(tmp_path / "x.onnx"))
    (tmp_path / "other.keras").write_text("no model")
    fails("other.keras cannot be loaded", [image], model=str(tmp_path / "other.keras"))


def test_files_of_a_run_directory_are_of_its_run(run, photographs, tmp_path, capsys):
    image = str(photographs / "a.jpg")
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree\n")
    predict_images([image], model=str(run / "model.keras"), labels=str(tmp_path / "labels.txt"), top=3)
    assert {"one", "two", "three"} <= set(capsys.readouterr().out.split())
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    fails(
        "--labels must be 3, one for each class. Received: 2",
        [image],
        model=str(run / "model.keras"),
        labels=str(tmp_path / "labels.txt"),
    )
    small_network(classes=5).save(run / "other.keras")
    fails(
        "other.keras is not a network of the run that it is in: it has 5 classes, and the run 3",
        [image],
        model=str(run / "other.keras"),
    )
    (run / "other.keras").rename(tmp_path / "other.keras")
    predict_images([image], model=str(tmp_path / "other.keras"))
    assert "normalized as for the network 'aa_wide_resnet'; --dataset overrides this" in capsys.readouterr().err


def test_examples(tmp_path, capsys):
    """Digits of the test split, which the network of a builder sees too."""
    assert predict_images([], examples=str(tmp_path / "new" / "digits")).read == 0
    assert capsys.readouterr().out == f"{tmp_path}/new/digits: two.png, seven.png, eight.png\n"
    before = {path.name: path.read_bytes() for path in (tmp_path / "new" / "digits").iterdir()}
    options = {"examples": str(tmp_path / "new" / "digits"), "builder": "AAWideResNet16_4", "weights": "cifar100"}
    assert predict_images([], **options, output=str(tmp_path / "digits.jsonl")).read == 3
    found = [json.loads(line) for line in (tmp_path / "digits.jsonl").read_text().splitlines()]
    assert [pathlib.Path(each["image"]).stem for each in found] == ["eight", "seven", "two"]
    assert {prediction["class"] for each in found for prediction in each["predictions"]} <= set(range(100))
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "digits").iterdir()} == before
    with Image.open(tmp_path / "new" / "digits" / "two.png") as picture:
        small = np.asarray(picture.resize((8, 8), Image.Resampling.BOX))
    test = digits().test
    assert 2 in test.labels[(test.images.squeeze(-1) == small).all(axis=(1, 2))]
    Image.new("L", (9, 9)).save(tmp_path / "new" / "digits" / "two.png")
    mine = (tmp_path / "new" / "digits" / "two.png").read_bytes()
    fails("--examples would overwrite .*two.png", (), examples=str(tmp_path / "new" / "digits"))
    assert (tmp_path / "new" / "digits" / "two.png").read_bytes() == mine


def test_no_image_is_written_over(detector, tmp_path):
    Image.fromarray(odd_images.picture(64, 96)).save(tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    fails("mine.png is one of the images", [str(tmp_path)], model=str(detector), draw=str(tmp_path))
    assert (tmp_path / "mine.png").read_bytes() == before


def test_mistakes_of_exporting_are_reported(run, tmp_path):
    output = str(tmp_path / "out")
    for error, arguments in {
        "exactly one of --workdir, --model and --builder": {"workdir": "x", "model": "y", "output": output},
        "--output must be given": {"workdir": "x"},
        "--weights goes with --builder": {"workdir": "x", "output": output, "weights": "cifar100"},
        "--dataset and --labels go with": {"workdir": "x", "output": output, "dataset": "none"},
        "--size must be HEIGHTxWIDTH, such as 192x256. Received: --size=0x3": {
            "workdir": str(run),
            "output": output,
            "size": "0x3",
        },
        "--builder must be the name of a network": {"builder": "AAResNet50(1", "output": output},
        r"--builder=AAResNet5\(\): `name` must be one of .*AAResNet50": {"builder": "AAResNet5()", "output": output},
        "--builder=AAWideResNet: .*missing": {"builder": "AAWideResNet", "output": output},
        "--builder=.*`depth` must be": {"builder": "AAWideResNet(11, width=1)", "output": output},
        "--builder=AAResNet50: `weights` must be None": {"builder": "AAResNet50", "weights": "x", "output": output},
        "There is no image and no folder": {"workdir": str(run), "output": output, "images": str(tmp_path / "x")},
        "--labels must be a file with the name of a class on each line": {
            "model": "x",
            "output": output,
            "labels": str(run / "model.keras"),
        },
    }.items():
        with pytest.raises(UserError, match=error) as raised:
            export_network(**arguments)
        assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@needs_extras
def test_a_builder_with_arguments_and_images_to_compare_on(photographs, tmp_path, capsys):
    report = export_network(
        builder="AAWideResNet(10, width=1, classes=3, input_shape=(16, 12, 3))",
        export_format="onnx",
        output=str(tmp_path / "out"),
        size="20x24",
        images=str(photographs),
    )
    assert (report.image_shape, report.agreement.images, report.drawn) == ((20, 24, 3), 6, False)
    printed = capsys.readouterr().out
    assert "AAWideResNet has random weights, and batch statistics of random images" in printed
    assert "The network is built for images of 20x24, its tables of relative positions resized" in printed
    assert "6 real images" in printed
