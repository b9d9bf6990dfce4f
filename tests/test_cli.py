"""The program `aa-keras`: its commands, its help, and one line for a mistake."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import aa_keras
from aa_keras import applications, cli
from aa_keras.recipes import fields, find_recipe, list_recipes

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def printed(warm_python):
    """A function that runs a command and returns what it prints."""

    def printed(*arguments, **environment):
        completed = warm_python.run("-m", "aa_keras", *arguments, **environment)
        assert (completed.returncode, completed.stderr) == (0, "")
        return completed.stdout

    return printed


def test_without_a_command_there_is_an_overview(printed):
    overview = printed()
    assert overview == printed("--help") == printed("help")
    assert re.findall(r"^  (\w+) ", overview, flags=re.MULTILINE) == list(cli.COMMANDS)
    assert printed("--version").strip() == aa_keras.__version__


def test_the_help_lists_flags_recipes_and_fields(printed):
    page = printed("train", "--help", COLUMNS="100")
    assert page.startswith("Usage: aa-keras train ")
    for flag in ("--config=RECIPE", "--config.FIELD=VALUE", "--workdir=", "--overwrite", "--process_id="):
        assert f"  {flag}" in page
    for name, summary in list_recipes().items():
        assert f"  {name} " in page
        assert summary.split()[0] in page
    # What does not fit into a line goes on below where it began.
    (first, more) = re.search(r"^(  --config=RECIPE +)\S.*\n( +)\S", page, flags=re.MULTILINE).groups()
    assert len(first) == len(more)
    words = re.findall(r"^    (\w+)  ", page, flags=re.MULTILINE)
    assert set(fields.FIELDS) <= set(words)
    assert re.search(r"^    momentum +momentum of SGD, beta_1 of Adam and AdamW \(0\.9\)$", page, flags=re.MULTILINE)
    assert re.search(r"^    epochs +number of epochs \(set by the recipe\)$", page, flags=re.MULTILINE)
    assert "--config" not in printed("models", "--help")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("trian", "aa-keras: there is no command 'trian'. Did you mean \"train\"?"),
        (
            "x",
            "aa-keras: there is no command 'x'. The commands are train, evaluate, export, predict, explain, demo, "
            "models, recipes.",
        ),
        ("train --epochs=3", "aa-keras train: flags: Unknown command line flag 'epochs'"),
        ("train --config=digits_of_pi", "Received: --config=digits_of_pi"),
        ("train --config=../digits_aa_wide_resnet10_2", "Received: --config=../digits_aa_wide_resnet10_2"),
        ("train --config=__init__", "Received: --config=__init__"),
        ("models --config=digits", "aa-keras models: flags: Unknown command line flag 'config'"),
        ("export --format=tflite", "flags: flag --format=tflite: value should be one of <saved_model|onnx|litert>"),
        ("predict --top=0 x", "aa-keras predict: flags: flag --top=0: 0 is not a positive integer"),
        ("recipes --show=nothing", "aa-keras recipes: --show must be the file of a recipe"),
        ("recipes image_folder", "aa-keras recipes: every option must begin with --. Received: image_folder"),
    ],
)
def test_a_mistake_is_reported_in_one_line(warm_python, command, words, tmp_path):
    completed = warm_python.run("-m", "aa_keras", *command.split(), folder=tmp_path)
    assert (completed.returncode, completed.stdout) == (1, "")
    (line,) = completed.stderr.splitlines()
    assert words in line


def test_recipes_are_listed_and_shown(printed):
    lines = printed("recipes").splitlines()
    assert [line.split()[0] for line in lines] == list(list_recipes())
    assert printed("recipes", "--show=image_folder") == find_recipe("image_folder").read_text(encoding="utf-8")


def test_networks_are_listed_with_their_numbers_and_weights(printed):
    header, *rows = printed("models", "--filter=*wide*").splitlines()
    assert header.split() == ["network", "parameters", "GFLOPs", "images", "weights"]
    assert rows[0] == "AAWideResNet(depth, width)"
    assert rows[1].split() == ["AAWideResNet16_4()", "2,735,156", "0.81", "32x32", "cifar100"]
    assert rows[2].split() == ["AAWideResNet28_10()", "36,054,100", "12.38", "32x32"]
    assert len(rows) == len([name for name in applications.__all__ if "Wide" in name])


DETECTOR = "export --builder=AARetinaNet50 --output=exported"
SHARED = "export --builder=AAResNet50 --weights=hf://a/b --output=exported"


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [
        ("absl", "train", "train"),
        ("matplotlib", "evaluate --workdir=nowhere", "train"),
        ("tensorflow", "train", "train"),
        ("keras_hub", DETECTOR, "detection"),
        ("huggingface_hub", SHARED, "timm"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, package, command, extra):
    (tmp_path / "packages" / package).mkdir(parents=True)
    (tmp_path / "packages" / package / "__init__.py").write_text(f"raise ModuleNotFoundError(name={package!r})")
    completed = subprocess.run(
        [sys.executable, "-m", "aa_keras", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'packages'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (completed.returncode, completed.stdout) == (1, "")
    (line,) = completed.stderr.splitlines()
    assert f"the package {package} is missing" in line
    assert f'pip install "aa-keras[{extra}]"' in line


def test_recipes_are_found_by_path_before_they_are_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = find_recipe("image_folder")
    assert inside == find_recipe("image_folder.py") == find_recipe("configs/image_folder.py")
    (tmp_path / "image_folder.py").write_text("")
    assert find_recipe("image_folder.py") == pathlib.Path("image_folder.py")
    assert find_recipe("image_folder") == inside
