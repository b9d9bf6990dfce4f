"""The examples of README and of the documentation, each alone in a fresh process, from the installed wheel."""

import re
import shutil

import pytest
from odd_images import encode, picture
from wheel_helpers import ROOT, build, environment_in, install, run

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
TRAINING = "aa-keras train --workdir=runs/digits"
# The examples that take more than about ten seconds.
LONG = (TRAINING, "aa-keras evaluate --workdir=runs/digits")
# The exports of this run that pages load.
EXPORTS = {"digits.onnx": "onnx", "digits.tflite": "litert", "runs/digits/saved_model": "saved_model"}
# It installs the clone instead of the wheel.
INSTALLATION = 'pip install ".[train]"'


def examples(page, language):
    """The blocks of a language in a page, with their lines for the names of tests."""
    text = page.read_text(encoding="utf-8")
    blocks = re.finditer(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [
        pytest.param(block[1], id=f"{page.stem}-{text.count(chr(10), 0, block.start()) + 2}")
        for block in blocks
        if not block[1].startswith(INSTALLATION)
    ]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with the wheel."""
    python = environment_in(tmp_path_factory.mktemp("environment"))
    install(python, build(tmp_path_factory.mktemp("built"))[0])
    return python


@pytest.fixture(scope="module")
def run_in(python):
    """A function that runs a command in a folder, with the wheel, and with Keras's files outside of the folder."""
    settings = {"KERAS_HOME": str(python.parents[1] / "keras"), "TF_CPP_MIN_LOG_LEVEL": "3", "AA_KERAS_DATA": ""}
    return lambda folder, *command: run(command, folder, PATH=f"{python.parent}:/usr/bin:/bin", **settings)


@pytest.fixture(scope="module")
def shell(run_in):
    """A function that runs lines of shell in a folder."""
    return lambda lines, folder: run_in(folder, "bash", "-euc", lines)


@pytest.fixture(scope="module")
def prepared(shell, tmp_path_factory):
    """A folder with a short run of the digits, and photographs."""
    folder = tmp_path_factory.mktemp("prepared")
    shell(f"{TRAINING} --config.epochs=1 --config.export=False", folder)
    (folder / "photographs").mkdir()
    for name in ("seven", "eight"):
        (folder / "photographs" / f"{name}.png").write_bytes(encode(picture(20, 30), "PNG"))
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of it, for one example."""
    return shutil.copytree(prepared, tmp_path / "folder")


@pytest.mark.parametrize("lines", examples(README, "python"))
def test_python(lines, run_in, tmp_path):
    run_in(tmp_path, "python", "-c", lines)


@pytest.mark.parametrize("lines", [each for each in examples(README, "sh") if not each.values[0].startswith(LONG)])
def test_shell(lines, shell, folder):
    before = set(folder.rglob("*"))
    printed = shell(lines, folder)
    assert printed
    assert set(folder.rglob("*")) > before or "predict" in lines


@pytest.mark.slow
def test_training_and_evaluation(shell, tmp_path):
    blocks = [each.values[0] for each in examples(README, "sh") if each.values[0].startswith(LONG)]
    assert len(blocks) == len(LONG)
    for lines in blocks:
        assert re.search(r"Test: top-1 9[89]", shell(lines, tmp_path))
    assert (tmp_path / "runs" / "digits" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("lines", [each for page in PAGES for each in examples(page, "python")])
def test_python_of_the_pages(lines, run_in, shell, folder):
    for path, export_format in EXPORTS.items():
        if path in lines:
            shell(f"aa-keras export --workdir=runs/digits --format={export_format} --output={path}", folder)
    run_in(folder, "python", "-c", lines)


def test_there_are_examples():
    assert len(examples(README, "python")) == 5
    assert len(examples(README, "sh")) == 5
    assert sum(len(examples(page, "python")) for page in PAGES) > 10
