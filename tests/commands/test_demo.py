"""`aa-keras demo`: its flags, and what it says about a network."""

import importlib.util
import json

import keras
import numpy as np
import pytest
from helpers.demo import write_image
from helpers.exports import small_network
from helpers.runs import CLASSES, finished_run

import aa_keras
from aa_keras.applications import AAWideResNet
from aa_keras.commands import demo, trained
from aa_keras.commands.trained import servable_of_run
from aa_keras.demo.description import as_markdown
from aa_keras.errors import UserError
from aa_keras.export import Predictor, export_servable

pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = finished_run(tmp_path_factory.mktemp("of") / "animals", small_network((24, 24), classes=len(CLASSES)))
    (folder / "result.json").write_text(json.dumps({"top1": 0.75, "top5": 1.0, "test_examples": 1234}))
    return folder


@pytest.fixture
def served(monkeypatch):
    """What the page is made of, instead of a page."""
    calls = []
    names = ("predictor", "title", "about", "examples", "host", "port")
    monkeypatch.setattr(demo, "serve", lambda *values: calls.append(dict(zip(names, values, strict=True))))
    return calls


def test_a_run_has_its_name_its_accuracy_and_its_classes(run, served):
    demo.serve_page(workdir=str(run))
    (call,) = served
    assert call["title"] == "animals"
    lines = call["about"].splitlines()
    assert lines[0] == "- **Network**: animals"  # and no path of this machine
    assert str(run.parent) not in call["about"]
    assert lines[1] == "- **Accuracy**: top-1 75.00% (1,234 test images)"
    model = keras.models.load_model(run / "model.keras")
    parameters = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert lines[2:] == [
        f"- **Parameters**: {parameters:,}",
        "- **Images**: 24x24 pixels, in color; others are resized",
        "- **Classes**: 3: cat, dog, Ölbaum",
    ]
    assert (call["host"], call["port"], call["examples"]) == ("127.0.0.1", None, None)


def test_the_file_of_a_run_has_its_accuracy_and_other_files_none(run, served):
    (run / "best.keras").write_bytes((run / "model.keras").read_bytes())
    for name in ("model.keras", "best.keras"):
        demo.serve_page(model=str(run / name), host="0.0.0.0", port=8000)
    last, best = served
    assert "top-1 75.00%" in last["about"]
    assert "**Accuracy**: not recorded" in best["about"]  # which has not been evaluated
    assert (last["host"], last["port"]) == ("0.0.0.0", 8000)


def test_a_folder_has_the_accuracy_of_its_card(tmp_path, served):
    model = AAWideResNet(10, 1, attention_stages=(1,), input_shape=(8, 8, 3), classes=2)
    scores = {"top1": 81.256, "top5": 99.0}
    aa_keras.save_pretrained(model, tmp_path / "mine", class_names=("a", "b"), scores=scores, reported="by us")
    demo.serve_page(model=str(tmp_path / "mine"))
    assert "**Accuracy**: top1 81.26 %, top5 99.00 % (by us)" in served[0]["about"]
    assert served[0]["title"] == "mine"


def test_named_weights_have_the_accuracy_of_their_card(served):
    demo.serve_page(builder="AAWideResNet16_4", weights="cifar100")
    assert served[0]["title"] == "AAWideResNet16_4"
    lines = served[0]["about"].splitlines()
    assert lines[0] == r"- **Network**: AAWideResNet16\_4, weights cifar100"
    assert lines[1] == "- **Accuracy**: top1 75.57 %, top5 93.56 %"
    assert lines[2] == "- **Parameters**: 2,735,156"
    assert lines[4].startswith(r"- **Classes**: 100: apple, aquarium\_fish, ")
    assert lines[4].endswith(", ...")


def test_an_export_has_its_size(run, served, tmp_path):
    servable = servable_of_run(str(run))
    export_servable(servable, str(tmp_path / "exported"), "saved_model")
    demo.serve_page(saved_model=str(tmp_path / "exported"))
    lines = served[0]["about"].splitlines()
    size = sum(path.stat().st_size for path in (tmp_path / "exported").rglob("*") if path.is_file())
    assert lines[:3] == ["- **Network**: exported", "- **Accuracy**: not recorded", f"- **Size**: {size / 1e6:.1f} MB"]
    assert lines[3] == "- **Images**: 24x24 pixels, in color; others are resized"


def test_a_path_may_begin_with_the_users_home(run, served, monkeypatch):
    monkeypatch.setenv("HOME", str(run.parent))
    demo.serve_page(workdir=f"~/{run.name}")
    assert "top-1 75.00%" in served[0]["about"]
    monkeypatch.setattr(trained, "load_export", lambda *_: Predictor(servable_of_run(str(run)).spec, None))
    (run / "large.onnx").write_bytes(bytes(2_600_000))
    demo.serve_page(onnx=f"~/{run.name}/large.onnx")
    assert "- **Size**: 2.6 MB" in served[1]["about"].splitlines()


def test_save_writes_the_page_and_starts_none(run, served, tmp_path, capsys):
    write_image(tmp_path / "noise.png")
    demo.serve_page(workdir=str(run), examples=str(tmp_path), save=str(tmp_path / "page"))
    assert not served
    names = "README.md, aa_keras, about.md, app.py, examples, network, requirements.txt"
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'page'}: {names}\n")
    assert "top-1 75.00%" in (tmp_path / "page" / "about.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of --workdir, --model, --builder, --saved_model, --onnx and --litert must be given"),
        ({"onnx": "a", "litert": "b"}, "exactly one of --workdir, "),
        ({"onnx": "missing.onnx"}, "--onnx must be a file"),
        ({"onnx": "a", "labels": "b"}, "--dataset and --labels go with --model or --builder"),
        ({"builder": "AAWideResNet10", "save": "a", "port": 1}, "--host and --port go without --save"),
        ({"workdir": "RUN", "save": "RUN"}, "--save must be a new folder, or an empty one. Received: --save="),
        ({"workdir": "RUN", "examples": ""}, "--examples must be a path"),
        ({"workdir": "RUN", "save": "https://huggingface.co/spaces/a/b"}, "--save must be a path on this machine"),
    ],
)
def test_flags_that_cannot_be_used(run, served, arguments, message):
    arguments = {name: str(run) if value == "RUN" else value for name, value in arguments.items()}
    with pytest.raises(UserError) as raised:
        demo.serve_page(**arguments)
    assert message in str(raised.value)
    assert not served


def test_the_address_is_named_by_its_flag(run):
    with pytest.raises(UserError, match=r"--host must be an address of this machine. Received: --host=203.0.113.7"):
        demo.serve_page(workdir=str(run), host="203.0.113.7")


def test_no_character_of_a_name_has_a_meaning():
    assert as_markdown("[a](http://b) <img> *c* `d` $e$\n# f_g") == (
        r"\[a\](http://b) \<img\> \*c\* \`d\` \$e\$ \# f\_g"
    )
    assert as_markdown("Ölbaum's 5 %: a.b-c/d °") == "Ölbaum's 5 %: a.b-c/d °"


def test_the_page_without_its_extra(served, monkeypatch):
    """Before the network is loaded."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "gradio" else found(name, *rest)
    )
    with pytest.raises(ModuleNotFoundError, match=r'pip install "aa-keras\[demo\]" installs what the page'):
        demo.serve_page(builder="AAResNet50")
    assert not served
