"""The page as a folder of its own."""

import ast
import importlib.metadata
import os
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from helpers.demo import shifting_predictor, write_image
from helpers.exports import marked

from aa_keras.demo.space import save_space
from aa_keras.errors import UserError
from aa_keras.export import Servable, export_servable, load_predictor

pytest.importorskip("gradio")
IMAGE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor():
    return shifting_predictor()


@pytest.fixture(scope="module")
def saved(tmp_path_factory, predictor):
    folder = tmp_path_factory.mktemp("of") / "page"
    (folder.parent / "examples").mkdir()
    write_image(folder.parent / "examples" / "noise.png")
    folder.mkdir()  # an empty one may be there
    assert save_space(folder, predictor, 'It\'s a "page"', "- What it is", folder.parent / "examples") == folder
    return folder


def probabilities(predictor):
    return predictor.predict([IMAGE])[0]["probabilities"]


def test_it_holds_the_page_the_network_and_the_library(saved, predictor):
    names = {"README.md", "aa_keras", "about.md", "app.py", "examples", "network", "requirements.txt"}
    assert {path.name for path in saved.iterdir()} == names
    loaded = load_predictor(saved / "network")
    np.testing.assert_allclose(probabilities(loaded), probabilities(predictor), rtol=1e-6)
    assert loaded.spec == predictor.spec
    assert (saved / "about.md").read_text(encoding="utf-8") == "- What it is\n"
    assert [path.name for path in (saved / "examples").iterdir()] == ["01_noise.png"]
    library = saved / "aa_keras"
    assert (library / "applications" / "labels" / "cifar100.txt").is_file()
    assert not (library / "applications").is_symlink()
    assert not list(saved.rglob("__pycache__"))
    assert not (library / "applications" / "trained").exists()  # 12 MB
    assert "Apache License" in (library / "LICENSE").read_text(encoding="utf-8")


def test_the_program_is_short_and_has_the_title(saved):
    text = (saved / "app.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 20
    call = ast.parse(text).body[-1].value
    assert ast.unparse(call.func) == "serve"
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert ast.literal_eval(keywords["title"]) == 'It\'s a "page"'
    assert keywords["examples"] == "folder / 'examples'"


def test_its_requirements_are_what_the_page_needs_in_these_versions(saved):
    lines = (saved / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = dict(line.split("==") for line in lines)
    assert {"keras", "tensorflow", "gradio", "pillow", "numpy"} <= set(required)
    assert not {"pytest", "mkdocs-material", "tf2onnx", "apache-beam"} & set(required)
    assert required == {name: importlib.metadata.version(name) for name in required}


def test_a_space_reads_its_readme(saved):
    _, header, text = (saved / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in header.splitlines())
    assert fields["title"] == '"It\'s a \\"page\\""'
    assert (fields["sdk"], fields["sdk_version"]) == ("gradio", importlib.metadata.version("gradio"))
    assert fields["python_version"] == f'"{sys.version_info.major}.{sys.version_info.minor}"'
    assert (saved / fields["app_file"]).is_file()
    assert "python app.py" in text


@pytest.mark.parametrize("kind", [marked("saved_model"), marked("onnx"), marked("litert")])
def test_exports_are_copied(kind, tmp_path, predictor):
    path = tmp_path / {"saved_model": "exported", "onnx": "of.onnx", "litert": "of.tflite"}[kind]
    export_servable(Servable(predictor.model, predictor.spec), str(path), kind)
    exported = load_predictor(path)
    folder = save_space(tmp_path / "page", exported, "page", "", None, (kind, path))
    network = {"saved_model": "network", "onnx": "network.onnx", "litert": "network.tflite"}[kind]
    assert f'load_predictor(folder / "{network}")' in (folder / "app.py").read_text(encoding="utf-8")
    assert "examples=None" in (folder / "app.py").read_text(encoding="utf-8")
    np.testing.assert_allclose(probabilities(load_predictor(folder / network)), probabilities(exported), rtol=1e-6)
    runtime = {"saved_model": "tensorflow", "onnx": "onnxruntime", "litert": "ai-edge-litert"}[kind]
    assert f"{runtime}==" in (folder / "requirements.txt").read_text(encoding="utf-8")


def test_nothing_is_overwritten(tmp_path, predictor):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "mine.txt").write_text("mine")
    (tmp_path / "new.partial").mkdir()  # as files are called while they are written
    for folder in (tmp_path / "page", tmp_path / "page" / "mine.txt"):
        with pytest.raises(UserError) as raised:
            save_space(folder, predictor, "page", "")
        assert str(raised.value) == f"save must be a new folder, or an empty one. Received: save={folder}"
    assert (tmp_path / "page" / "mine.txt").read_text() == "mine"
    save_space(tmp_path / "new", predictor, "page", "")
    assert {path.name for path in tmp_path.iterdir()} == {"page", "new", "new.partial"}


def test_what_fails_leaves_nothing(tmp_path, predictor):
    with pytest.raises(UserError):
        save_space(tmp_path / "page", predictor, "page", "", tmp_path / "missing")
    assert not list(tmp_path.iterdir())


def test_a_library_that_is_not_installed(tmp_path, predictor, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.metadata", missing)
    with pytest.raises(UserError, match="save needs this version of the library to be installed"):
        save_space(tmp_path / "page", predictor, "page", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_starts_elsewhere_and_ends_when_asked(saved, tmp_path):
    """With the copy of the library, from another folder; SIGTERM removes what was uploaded."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GRADIO_SERVER_PORT": "17860", "PYTHONPATH": str(saved)}
    where = [sys.executable, "-c", "import aa_keras.demo.page, aa_keras.export; print(aa_keras.__file__)"]
    completed = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == str(saved / "aa_keras" / "__init__.py")
    program = [sys.executable, str(saved / "app.py")]
    with subprocess.Popen(program, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "The page is at http://127.0.0.1:17860/ (Ctrl-C ends it)\n"
            assert list(tmp_path.glob("aa_keras_demo_*"))
            with urllib.request.urlopen("http://127.0.0.1:17860/") as response:
                assert "What it is" in response.read().decode()
            process.terminate()
            assert process.stdout.readline() == "The page has ended, and the uploaded files are removed\n"
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert not list(tmp_path.glob("aa_keras_demo_*"))
