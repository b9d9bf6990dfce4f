"""Evaluating a model from its files: errors are one line that names the flag."""

import base64
import json
import re
import types
import zipfile

import keras
import ml_collections
import numpy as np
import pytest
from helpers.exports import write_saved_model

import aa_keras
from aa_keras import applications, recipes
from aa_keras.applications import AAWideResNet, WideResNet, paper
from aa_keras.commands.evaluate import evaluate_run
from aa_keras.data import Preprocessing, load_dataset
from aa_keras.errors import UserError
from aa_keras.evaluation import comparison
from aa_keras.evaluation.confusion import most_confused
from aa_keras.recipes.fields import as_dictionary
from aa_keras.tasks import classification


def digits_config(**fields):
    config = recipes.default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=2, batch_size=120)
    config.update(learning_rate_per_256=0.2, builder_arguments={"depth": 10, "width": 1})
    config.update(fields)
    return config


def run_folder(tmp_path, config=None):
    """The folder of a run that has only started."""
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(as_dictionary(config or digits_config())))
    return workdir


def small_classifier(image_shape=(8, 8, 1), classes=10):
    pooled = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input(image_shape), pooled, keras.layers.Dense(classes, activation="softmax")])


def fails(error, **arguments):
    with pytest.raises(UserError, match=error) as raised:
        evaluate_run(**arguments)
    assert "\n" not in str(raised.value)


def test_one_model_must_be_named():
    two_exports = {"onnx": "a", "litert": "b"}
    two = ({"workdir": "a", "weights": "b"}, {"weights": "a", "saved_model": "b"}, two_exports)
    for arguments in ({}, *two, {"config": object()}):
        fails("exactly one of --workdir, --weights .*, --saved_model, --onnx, --litert must be given", **arguments)


def test_weights_need_a_recipe(tmp_path):
    fails("--config must be given too", weights=tmp_path / "some.weights.h5")


def test_weights_that_are_not_there(tmp_path):
    fails(r"missing\.weights\.h5", config=digits_config(), weights=str(tmp_path / "missing.weights.h5"))


def test_weights_of_another_network(tmp_path):
    AAWideResNet(10, 2, input_shape=(8, 8, 1), classes=10).save_weights(tmp_path / "wide.weights.h5")
    fails(r"AAWideResNet.*wide\.weights\.h5", config=digits_config(), weights=tmp_path / "wide.weights.h5")


def test_weights_that_leave_a_part_new(tmp_path):
    """Other classes, or a plain network's for an augmented one: nobody has trained such a network."""
    saved = {"mean": (70.0,), "std": (90.0,), "source": "a test"}
    other = AAWideResNet(10, 1, input_shape=(8, 8, 1), classes=7)
    plain = WideResNet(10, 1, input_shape=(8, 8, 1), classes=10)
    for name, network in (("other", other), ("plain", plain)):
        aa_keras.save_pretrained(network, tmp_path / name, **saved)
        fails(
            r"--weights must be of the config's network, with its attention.*which leave a part of AAWideResNet new",
            config=digits_config(),
            weights=tmp_path / name,
        )


def test_weights_of_a_folder_say_how_images_are_normalized(tmp_path):
    network = AAWideResNet(10, 1, input_shape=(8, 8, 1), classes=10)
    images = load_dataset("digits").test
    for mean, std in ((70.0, 90.0), (10.0, 30.0)):
        folder = tmp_path / f"{mean}"
        aa_keras.save_pretrained(network, folder, mean=(mean,), std=(std,), source="a test")
        measured = evaluate_run(config=digits_config(), weights=folder, output=tmp_path / "out")
        expected = network.predict((images.images - np.float32(mean)) / np.float32(std), verbose=0)
        assert measured.top1 == np.mean(expected.argmax(axis=1) == images.labels)
        true = expected[np.arange(len(images)), images.labels]
        assert measured.cross_entropy == pytest.approx(-np.log(true).mean(), rel=1e-4)


def test_a_folder_without_a_run(tmp_path):
    fails("There is no run in .* it has no config.json", workdir=tmp_path)
    fails("There is no run in .*missing", workdir=tmp_path / "missing")


def test_a_run_that_is_not_finished(tmp_path):
    fails("is not finished", workdir=run_folder(tmp_path))


def test_a_model_that_cannot_be_read(tmp_path):
    workdir = run_folder(tmp_path)
    (workdir / "model.keras").write_text("damaged")
    fails(r"model\.keras", workdir=workdir)


@keras.saving.register_keras_serializable("somebodys")
class SomebodysLayer(keras.layers.Layer):
    def call(self, inputs):
        return inputs


def test_a_model_of_classes_that_nobody_knows(tmp_path):
    workdir = run_folder(tmp_path)
    keras.Sequential([keras.Input((8, 8, 1)), SomebodysLayer()]).save(workdir / "model.keras")
    with zipfile.ZipFile(workdir / "model.keras") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    whole = contents["config.json"]
    for config in (whole.replace(b"SomebodysLayer", b"Unknown"), b"null", b"[]", whole[:50]):
        with zipfile.ZipFile(workdir / "model.keras", "w") as archive:
            for name, content in {**contents, "config.json": config}.items():
                archive.writestr(name, content)
        fails(r"model\.keras cannot be loaded; train\.py writes it again", workdir=workdir)


@pytest.mark.parametrize(
    ("activation", "words"),
    [(None, "must be probabilities.*is its last activation a softmax"), ("sigmoid", "must be probabilities")],
)
def test_outputs_that_are_no_probabilities(tmp_path, activation, words):
    workdir = run_folder(tmp_path)
    pooled = keras.layers.GlobalAveragePooling2D()
    dense = keras.layers.Dense(10, activation=activation, kernel_initializer=keras.initializers.RandomNormal(seed=0))
    keras.Sequential([keras.Input((8, 8, 1)), pooled, dense]).save(workdir / "model.keras")
    fails(words, workdir=workdir)
    assert not (workdir / "evaluation.json").exists()


def test_outputs_of_another_shape(tmp_path):
    workdir = run_folder(tmp_path)
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(10, 1)]).save(workdir / "model.keras")
    fails(r"must have the shape \(images, classes\), and have \(120, 8, 8, 10\)", workdir=workdir)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epochs": "four"}, r"^config\.epochs must be .*Received: epochs='four'"),
        ({"builder_arguments": None}, "builder_arguments|not of this version"),
        ({"builder_arguments": {"depth": 10, "width": 1, "key_ratio": float("nan")}}, "builder_arguments.key_ratio"),
        ({"decay_epochs": 3}, r"^config\.decay_epochs"),
        ({"unheard_of": 3}, "not of this version: .*unheard_of"),
    ],
)
def test_a_config_of_another_content(tmp_path, content, words):
    workdir = run_folder(tmp_path)
    config = json.loads((workdir / "config.json").read_text())
    (workdir / "config.json").write_text(json.dumps({**config, **content}))
    fails(words, workdir=workdir)


@pytest.mark.parametrize("flag", ["workdir", "weights", "saved_model"])
def test_the_home_is_found_and_what_is_no_path_refused(tmp_path, monkeypatch, flag):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = None if flag == "workdir" else digits_config()
    fails(rf"{tmp_path}/somewhere", **{flag: "~/somewhere", "config": config})
    fails(rf"^--{flag} must be a path.*empty", **{flag: "", "config": config})


def test_a_config_that_cannot_be_read(tmp_path):
    workdir = run_folder(tmp_path)
    (workdir / "config.json").write_text("{")
    fails(r"config\.json is not a JSON file", workdir=workdir)


def test_a_folder_that_is_no_saved_model(tmp_path):
    fails("--saved_model must be the folder of a SavedModel", config=digits_config(), saved_model=tmp_path)
    fails("--saved_model must be .*missing", config=digits_config(), saved_model=str(tmp_path / "missing"))
    # Without a recipe it must lie in the folder of a run.
    fails("--saved_model must be in its run directory", saved_model=tmp_path / "saved_model")


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ("0123456", "The model has 7 classes, and the data set 'digits' has 10"),
        ("abcdefghij", r"The data set 'digits' has images of '0', .*It knows a, b, c, d, e, \.\.\."),
    ],
)
def test_a_model_of_other_classes(tmp_path, names, error):
    path = tmp_path / "saved_model"
    write_saved_model(small_classifier(classes=len(names)), Preprocessing((0.0,), (1.0,)), list(names), path)
    fails(error, config=digits_config(), saved_model=path, output=tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_a_model_of_more_classes(tmp_path, capsys):
    path = tmp_path / "saved_model"
    write_saved_model(small_classifier(classes=11), Preprocessing((0.0,), (1.0,)), ["ten", *"0123456789"], path)
    measured = evaluate_run(config=digits_config(), saved_model=path, output=tmp_path / "output")
    assert measured.confusion.shape == (11, 11)
    assert measured.confusion[0].sum() == 0
    assert "1 of the network's 11 classes have no test images: ten" in capsys.readouterr().out


def test_a_model_of_other_images(tmp_path):
    names = [str(number) for number in range(10)]
    path = tmp_path / "saved_model"
    write_saved_model(small_classifier((32, 32, 3)), Preprocessing((0.0,) * 3, (1.0,) * 3), names, path)
    fails("--saved_model", config=digits_config(), saved_model=path, output=tmp_path / "output")


def test_a_saved_model_sees_the_raw_images(tmp_path):
    """Top-1 of a classifier that knows the brightness alone, computed here."""
    model = small_classifier()
    kernel = np.linspace(-3, 3, 10)[None]
    model.set_weights([kernel, np.zeros(10)])
    path = tmp_path / "saved_model"
    write_saved_model(model, Preprocessing((80.0,), (10.0,)), list("0123456789"), path)
    evaluation = evaluate_run(digits_config(), saved_model=path, output=tmp_path / "output")
    test = load_dataset("digits").test
    brightness = (test.images.mean(axis=(1, 2)) - 80) / 10
    assert evaluation.top1 == pytest.approx(np.mean(np.argmax(brightness * kernel, axis=1) == test.labels))
    assert evaluation.examples == 360


def test_data_may_lie_elsewhere_than_the_run_says(tmp_path, monkeypatch):
    workdir = run_folder(tmp_path, digits_config(data_dir="/gone"))
    small_classifier().save(workdir / "model.keras")
    asked = []

    def load(name, data_dir, **_):
        asked.append(data_dir)
        raise UserError("enough")

    monkeypatch.setattr(classification, "load_dataset", load)
    fails("enough", workdir=workdir)
    fails("enough", workdir=workdir, data_dir="/here")
    fails("enough", config=ml_collections.ConfigDict(digits_config()), weights="some.weights.h5", data_dir="/there")
    assert asked == ["/gone", "/here", "/there"]


@pytest.mark.parametrize(
    ("builder", "arguments", "dataset", "line"),
    [
        (
            "AAWideResNet28_10",
            {},
            "cifar100",
            "AAWideResNet28_10(): parameters 36,054,100 (published: 36.2 M); GFLOPs 12.38; GFLOPs without attention's "
            "products 10.80 (published: 10.9); top-1 / top-5 12.3 / 45.7 (published: 81.6 / 95.2)",
        ),
        # Not a row of the paper's: the same network for other images, and another network.
        (
            "AAWideResNet28_10",
            {},
            "mine",
            "AAWideResNet28_10(): parameters 36,054,100; GFLOPs 12.38; GFLOPs without attention's products 10.80",
        ),
        (
            "WideResNet",
            {"depth": 10, "width": 1},
            "cifar100",
            "WideResNet(depth=10, width=1): parameters 81,140; GFLOPs 0.024",
        ),
    ],
)
def test_numbers_next_to_published_ones(builder, arguments, dataset, line):
    config = digits_config(builder=builder)
    config.builder_arguments = ml_collections.ConfigDict(arguments)
    with keras.StatelessScope(initialize_variables=False):
        model = getattr(applications, builder)(**arguments)
    keras.utils.clear_session()
    evaluation = types.SimpleNamespace(top1=0.1234, top5=0.4567)
    data = types.SimpleNamespace(name=dataset, image_shape=(32, 32, 3))
    compared = comparison.of_classifier(config, data, model, evaluation)
    assert str(compared) == line
    has_published = "published" in line
    section = compared.section()
    assert section.title == ("Compared with published numbers" if has_published else "Size and cost")
    assert section.table[:2] == (
        (("", "here", "published"), ("parameters", "36,054,100", "36.2 M"))
        if has_published
        else (("", "here"), compared.rows[0][:2])
    )


@pytest.mark.parametrize("spec", dict.fromkeys(paper.CLASSIFIERS), ids=lambda spec: spec.title)
def test_each_network_of_the_paper_finds_its_own_row(spec, monkeypatch):
    """Also where two have as many parameters and FLOPs: those of sines and of no positions."""
    measured = types.SimpleNamespace(parameters=spec.parameters, flops=1e9 * spec.gflops)
    monkeypatch.setattr(comparison, "model_complexity", lambda *_, **__: measured)
    config = digits_config(builder=spec.builder)
    # Defaults that are set, and how attention is computed, make no difference.
    defaults = {"num_heads": 8, "implementation": "dense"} if spec.builder.startswith("AAResNet") else {}
    config.builder_arguments = ml_collections.ConfigDict({**defaults, **dict(spec.arguments)})
    data = types.SimpleNamespace(name=spec.dataset.name, image_shape=spec.dataset.input_shape)
    compared = comparison.of_classifier(config, data, None, types.SimpleNamespace(top1=0.5, top5=0.75))
    assert compared.title == spec.title
    found = {name: (here, there) for name, here, there in compared.rows}
    published = [f"{value}" for value in (spec.paper_top1, spec.paper_top5) if value is not None]
    assert found.get("top-1 / top-5") == (("50.0 / 75.0", " / ".join(published)) if published else None)
    millions = "" if spec.paper_parameters is None else f"{spec.paper_parameters} M"
    assert found["parameters"] == (f"{spec.parameters:,}", millions)
    assert found["GFLOPs"] == (f"{spec.gflops:.2f}", f"{spec.paper_gflops or ''}")


def test_a_report_in_one_file(tmp_path, capsys):
    """An untrained network makes mistakes, which the report shows."""
    workdir = run_folder(tmp_path, digits_config(name="a <b>run"))
    task = classification.Classification(digits_config())
    task.inference_model().save(workdir / "model.keras")
    measured = evaluate_run(workdir=workdir, report=True)
    printed = capsys.readouterr().out
    assert f"{workdir / 'report.html'}: " in printed
    page = (workdir / "report.html").read_text(encoding="utf-8")
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[:4] == ["Test", "Size and cost", "Scores", "Which classes are taken for which"]
    confused = most_confused(measured.confusion)
    assert len(confused) > 3
    for pair in confused:
        cells = f"<td>{pair.label}</td><td>{pair.prediction}</td><td>{pair.images} of {pair.of}</td>"
        assert cells in page
    content = json.loads((workdir / "evaluation.json").read_text())
    assert content["most_confused"] == [
        {"class": str(pair.label), "taken_for": str(pair.prediction), "images": pair.images, "of": pair.of}
        for pair in confused
    ]
    assert f"Most confused: {confused[0].label} as {confused[0].prediction} ({confused[0].images} of " in printed
    pixels = np.round(measured.mistakes[0].image * measured.std + measured.mean)
    assert any(np.array_equal(pixels, image) for image in load_dataset("digits").test.images)
    assert titles[-2:] == ["What the network looks at in its mistakes", "Recipe"]  # there are no curves
    assert "<th>last epoch" not in page
    assert "<h1>a &lt;b&gt;run</h1>" in page
    assert f"top-1 {measured.top1:.2%}" in page
    assert "<td>learning_rate_per_256</td><td>0.2</td>" in page
    pictures = re.findall('<img src="data:image/png;base64,([^"]*)" alt="([^"]+)">', page)
    assert len(pictures) == 5
    for name in ("reliability.png", "confusion_matrix.png", "class_accuracy.png", "mistakes.png"):
        assert (workdir / name).read_bytes() in [base64.b64decode(content) for content, _ in pictures]
    assert len(re.findall("(?:src|href)=", page)) == 5
    low, high = measured.scores.intervals["macro_f1"]
    assert f"<td>macro F1</td><td>{measured.scores.macro_f1:.1%}</td><td>{low:.1%} to {high:.1%}</td>" in page
    (workdir / "metrics.csv").write_text("epoch,seconds,loss,val_top1\n1,2.5,0.5,0.875\n2,2.25,0.25,0.75\n")
    (workdir / "curves.png").write_bytes((workdir / "mistakes.png").read_bytes())
    names = tuple(map(str, range(10)))
    write_saved_model(small_classifier(), Preprocessing((0.0,), (1.0,)), names, workdir / "saved_model")
    evaluate_run(saved_model=workdir / "saved_model", report=True)
    page = (workdir / "report.html").read_text(encoding="utf-8")
    assert "Size and cost" not in page
    assert "<tr><th></th><th>last epoch, 2</th><th>epoch of the best val_top1, 1</th></tr>" in page
    assert "<tr><td>val_top1</td><td>0.75</td><td>0.875</td></tr>" in page
    assert "<tr><td>loss</td><td>0.25</td><td>0.5</td></tr>" in page
