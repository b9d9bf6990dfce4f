"""The two programs as they are called: one line for a mistake, and no output of TensorFlow."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from aa_keras import _startup

ROOT = pathlib.Path(__file__).parents[2]
RECIPE = """
from aa_keras.recipes import default_config

def get_config():
    config = default_config()
    config.name = "mine"
    config.dataset = "digits"
    config.builder = "WideResNet"
    config.builder_arguments.depth = 10
    config.builder_arguments.width = 1
    config.epochs = 1
    config.batch_size = 300
    config.steps_per_epoch = 1
    config.learning_rate_per_256 = 0.1
    return config
"""

FUSED = ".width = 1\n    config.builder_arguments.implementation = 'fused'\n    config.builder_arguments.num_heads = 2"

FOLDER_RECIPE = "train.py --config=configs/image_folder.py --config.image_size=32 --config.batch_size=2"

JPEG = b"\xff\xd8\xff\xe0 never decoded"

# The contents of the line for each command; {folder} is the one that the programs are called from.
MISTAKES = {
    "train.py --epochs=3": ["Unknown", "epochs"],
    "train.py --config.epoch=3": ["config.epoch", "Did you mean"],
    "train.py --config.builder_arguments.depht=16": ["config.builder_arguments", "Received: depht"],
    "train.py --config.epochs=many": ["--config.epochs must be an integer. Received: --config.epochs=many"],
    "train.py --config.warmup_fraction=x": ["--config.warmup_fraction must be a number. Received: --config.warmup_"],
    "train.py --config.export=perhaps": ["--config.export must be true or false. Received: --config.export=perhaps"],
    "train.py --num_processes=two": ["--num_processes must be an integer. Received: --num_processes=two"],
    "train.py --config=configs/missing.py": ["--config", "configs/missing.py", "aa-keras recipes"],
    "train.py --config": ["--config"],
    "train.py --config=nameless.py": ["config.name must be set"],
    "train.py --config.epochs=0": ["config.epochs must be a whole number, at least 1", "epochs=0"],
    "train.py --config.builder=ResNet51": ["config.builder", "ResNet51", "AAWideResNet28_10"],
    "train.py --config.builder_arguments.depth=11": ["depth", "11"],
    "train.py --config.dataset=cifar100 --config.data_dir=/missing": ["config.data_dir", "/missing"],
    "train.py --workdir={folder}/recipe.py": ["--workdir", "which is a file"],
    "train.py --workdir={folder}": ["--workdir", "new or empty folder"],
    "train.py --workdir=/proc/none": ["/proc/none"],
    "train.py --config=recipe.py configs/cifar100_aa_wide_resnet16_2.py": ["configs/cifar100_aa_wide_resnet16_2.py"],
    "train.py --config.name=a/b": ["config.name", "a/b"],
    "train.py --config.precision=float8": ["config.precision", "float8", "mixed_bfloat16"],
    "train.py --config.batch_size=2000": ["config.batch_size", "1257", "2000"],
    "train.py --config.validation_examples=10": ["config.validation_examples", "10", "digits"],
    "train.py --config.learning_rate_per_256=-1": ["config.learning_rate_per_256", "-1"],
    "train.py --config.warmup_fraction=1": ["config.warmup_fraction", "below 1"],
    "train.py --config.decay_epochs=(3,2)": ["config.decay_epochs", "ascending"],
    "train.py --config.builder_arguments.num_heads=64": ["num_heads", "64", "filters"],
    "train.py --config.builder_arguments.width=0": ["width", "0", "positive"],
    "train.py --config.builder_arguments.pooling=avg": ["config.builder_arguments", "Received: pooling"],
    "train.py --config.dataset=cifar1000": ["config.dataset", "cifar1000", "image_folder"],
    "train.py --config.dataset=imagenet2012 --config.image_size=64 --config.data_dir={folder}/empty": [
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
    ],
    f"{FOLDER_RECIPE}": ["config.data_dir", "None"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/nowhere": ["config.data_dir", "nowhere"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/empty": ["empty", "two classes"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/one_class": ["one_class", "only that of 'cat'"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/no_images": ["no_images/dog", "no images"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/few": ["few", "config.test_fraction"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/stranger": ["stranger/validation/fox", "without training images"],
    f"{FOLDER_RECIPE} --config.data_dir={{folder}}/few --config.test_split=holdout": ["config.test_split", "holdout"],
    "train.py --config.epochs=3 --config.seed=7 --config.zzz=nan": [
        "train.py: flags: the recipe has no field config.zzz."
    ],
    "train.py --config.builder_arguments.key_ratio=nan": ["key_ratio", "Received: key_ratio='nan'"],
    "train.py --config.builder_arguments.attention_stages=(4,)": ["attention_stages", "(4,)"],
    "train.py --config.epochs=3 --config.seed=x7 --config.export=False": ["--config.seed", "x7"],
    "train.py --config=recipe.py --config.builder_arguments=3": ["config.builder_arguments", "'3'"],
    "train.py --config=bug.py": ["bug.py: line 6 of the recipe raises AttributeError: ", "'nope'"],
    "train.py --config=bug.py --config.epochs=3": ["line 6 of the recipe raises AttributeError"],
    "train.py --config=key.py": ["key.py: line 6 of the recipe raises KeyError: 'none'"],
    "train.py --config=syntax.py": ["syntax.py: line 2 of the recipe raises SyntaxError"],
    "train.py --config=leaves.py": ["leaves.py: line 6 of the recipe raises SystemExit"],
    "train.py --config=typed.py": ["typed.py: line 11 of the recipe raises TypeError: ", "epochs"],
    "train.py --config=empty.py": ["empty.py: the recipe has no function get_config"],
    "train.py --config=returns_none.py": ["get_config must return a changed", "It returned None"],
    "train.py --config=returns_dict.py --config.epochs=3": ["get_config must return a changed", "{{'epochs': 3}}"],
    "train.py --config=returns_other.py": ["What it returned lacks bad_boxes, batch_size, benchmark_precision"],
    "train.py --config=fused.py": ["No fused kernel computes this attention", "implementation='fused'"],
    "train.py --config.rand_augment_operations=100000000": ["config.rand_augment_operations", "at most 16"],
    "train.py --config.image_size=100000000000000000000": ["config.image_size", "at most 8,192"],
    "train.py --config.epochs=100000000000000000000": ["config.epochs", "at most 1,000,000"],
    "train.py --config.shuffle_buffer=100000000000000000000000": ["config.shuffle_buffer", "1,000,000,000"],
    "train.py --config.crop_padding=2000000000": ["config.crop_padding", "at most 1,024"],
    "train.py --config.mixup_alpha=1e300": ["config.mixup_alpha", "at most 100", "1e+300"],
    "train.py --config.builder_arguments.depth=100000000000000": ["depth", "1,204"],
    "train.py --workdir=gs://bucket/run": ["--workdir must be a path on this machine", "gs://bucket/run"],
    "train.py --workdir=": ["--workdir must be a path", "empty"],
    "evaluate.py --workdir=gs://bucket/run": ["--workdir must be a path on this machine", "gs://bucket/run"],
    "evaluate.py --saved_model=": ["--saved_model must be a path", "empty"],
    "evaluate.py --workdir={folder}/empty --config.epochs=3": ["--config.epochs needs --config"],
    "evaluate.py --weights={folder}/recipe.py --config=recipe.py": ["recipe.py", "weights"],
    "evaluate.py --saved_model={folder}/empty": ["--saved_model", "empty"],
    "evaluate.py": ["--workdir", "--weights", "--saved_model"],
    "evaluate.py --workdir={folder}/empty": ["empty", "no config.json"],
    "evaluate.py --workdir={folder}/missing": ["missing"],
    "evaluate.py --weights=some.weights.h5": ["--config"],
    "evaluate.py --weights=some.weights.h5 --config=recipe.py": ["some.weights.h5"],
    "evaluate.py --overwrite --workdir={folder}/empty": ["overwrite"],
    "evaluate.py {folder}/empty": ["{folder}/empty"],
}


# Recipes with a defect of their own, whose line 6 is the first of the function's.
DEFECTS = {
    "bug.py": "os.nope",
    "key.py": "{}['none']",
    "leaves.py": "raise SystemExit(3)",
    "returns_none.py": "return None",
    "returns_dict.py": "return {'epochs': 3}",
    "returns_other.py": "return ml_collections.ConfigDict({'epochs': 3})",
}


PROGRAM = """
import tensorflow as tf
from aa_keras.commands import command_line

def main(_):
    {statement}

command_line.run(main)
"""

# Errors that are not defects, and the contents of their line.
ERRORS = {
    "tf.zeros((2**31, 2**31))": ["out of memory", "--config.batch_size", "--config.image_size"],
    "raise tf.errors.ResourceExhaustedError(None, None, 'OOM when\\nallocating')": [
        "batch_size",
        "OOM when allocating",
    ],
    "raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory')": ["out of memory", "--config.batch_size"],
    "raise MemoryError('Unable to allocate 3 TiB')": ["out of memory", "3 TiB"],
    "raise tf.errors.ResourceExhaustedError(None, None, 'x; No space left on device')": ["No space left on device: x"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the programs are called from, outside of the checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "recipe.py").write_text(RECIPE)
    (folder / "nameless.py").write_text(RECIPE.replace('config.name = "mine"', ""))
    (folder / "fused.py").write_text(RECIPE.replace("WideResNet", "AAWideResNet").replace(".width = 1", FUSED))
    (folder / "empty.py").write_text("")
    (folder / "syntax.py").write_text("def get_config():\n    return (\n")
    (folder / "typed.py").write_text(RECIPE.replace("config.epochs = 1", "config.epochs = 'four'"))
    for name, statement in DEFECTS.items():
        (folder / name).write_text(f"import os\nimport ml_collections\n\n\ndef get_config():\n    {statement}\n")
    (folder / "empty").mkdir()
    for path in (
        "one_class/cat/1.jpg",
        *("no_images/cat/1.jpg", "no_images/dog/notes.txt"),
        *("few/cat/1.jpg", "few/dog/1.jpg"),
        *("stranger/train/cat/1.jpg", "stranger/train/dog/1.jpg", "stranger/validation/fox/1.jpg"),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(JPEG)
    return folder


def environment():
    """As in a shell that knows nothing of tests."""
    return {key: value for key, value in os.environ.items() if key not in ("TF_CPP_MIN_LOG_LEVEL", "AA_KERAS_DATA")}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_in_one_line(warm_python, folder, mistake):
    before = {path for path in folder.rglob("*") if "__pycache__" not in path.parts}
    program, *arguments = mistake.format(folder=folder).split(" ")
    completed = warm_python.run(ROOT / program, *arguments, folder=folder)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert completed.stderr.endswith("\n")
    (line,) = completed.stderr.splitlines()
    assert line.startswith(mistake.split()[0] + ": ")
    for part in MISTAKES[mistake]:
        assert part.format(folder=folder) in line, line
    # Nothing is left of it.
    assert {path for path in folder.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize("statement", ERRORS)
def test_too_little_memory_or_disk_is_reported_in_one_line(warm_python, tmp_path, statement):
    (tmp_path / "program.py").write_text(PROGRAM.format(statement=statement))
    completed = warm_python.run(tmp_path / "program.py")
    assert (completed.returncode, completed.stdout) == (1, "")
    (line,) = completed.stderr.splitlines()
    assert all(part in line for part in ERRORS[statement])


@pytest.mark.parametrize("statement", ["import aa_keras.nothing", "raise ValueError('a defect')"])
def test_a_defect_keeps_its_traceback(warm_python, tmp_path, statement):
    (tmp_path / "program.py").write_text(PROGRAM.format(statement=statement))
    completed = warm_python.run(tmp_path / "program.py")
    assert completed.returncode
    assert f"    {statement}\n" in completed.stderr
    assert completed.stderr.splitlines()[-1].startswith(("ModuleNotFoundError: ", "ValueError: a defect"))


@pytest.mark.parametrize("statement", ["print('line')", "print('line', flush=True)"])
def test_a_reader_that_goes_ends_a_program_without_a_word(tmp_path, statement):
    """As `train.py | head` does."""
    (tmp_path / "program.py").write_text(PROGRAM.format(statement=statement).replace("import tensorflow as tf", ""))
    command = [sys.executable, tmp_path / "program.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}  # which is imported sooner
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 141)
    process.stderr.close()


@pytest.mark.parametrize("program", ["train.py", "evaluate.py"])
def test_ctrl_c_while_libraries_are_imported_is_one_line(program, tmp_path):
    process = subprocess.Popen(
        [sys.executable, ROOT / program],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        # Programs that a script starts in the background ignore Ctrl-C: the tests may be such a program.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    while "numpy" not in maps.read_text():  # which is imported before TensorFlow
        time.sleep(0.01)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, f"{program}: interrupted\n")


def test_ctrl_c_keeps_another_meaning():
    """It is ignored by programs that a script starts in the background."""
    before = signal.getsignal(signal.SIGINT)
    try:
        for meaning, is_kept in ((signal.SIG_IGN, True), (signal.default_int_handler, False)):
            signal.signal(signal.SIGINT, meaning)
            _startup.prepare_program()
            assert (signal.getsignal(signal.SIGINT) is meaning) == is_kept
    finally:
        signal.signal(signal.SIGINT, before)


def run(program, *arguments, folder):
    return subprocess.run(
        [sys.executable, ROOT / program, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_both_programs_work_from_anywhere_and_print_nothing_but_their_own(tmp_path):
    """A recipe of the folder that the program is called from, and a run in the folder runs/ there."""
    folder = tmp_path
    (folder / "recipe.py").write_text(RECIPE)
    trained = run("train.py", "--config=recipe.py", "--config.seed=3", folder=folder)
    assert (trained.returncode, trained.stderr) == (0, "")
    lines = trained.stdout.splitlines()
    assert lines[0].startswith("mine: 1,257 training, 180 validation and 360 test images of 8x8x1, 10 classes")
    # 81,140 for 100 classes and RGB images, less 90 classes of 65 and two channels of 9 * 16.
    assert lines[1].startswith("WideResNet: 75,002 parameters, ")
    assert lines[2] == "Training images of a class: 115 (2) to 137 (3)"
    assert lines[3].startswith("Epoch 1/1, ")
    assert lines[4].startswith("Test: top-1 ")
    assert lines[5].startswith("No test image of these classes was recognized: ")
    assert lines[6].startswith(os.path.join("runs", "mine") + ": ")
    assert len(lines) == 7
    result = json.loads((folder / "runs" / "mine" / "result.json").read_text())
    assert json.loads((folder / "runs" / "mine" / "config.json").read_text())["seed"] == 3

    evaluated = run("evaluate.py", "--workdir=runs/mine", "--output=out", folder=folder)
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    assert evaluated.stdout.splitlines()[0] == lines[4]
    assert json.loads((folder / "out" / "evaluation.json").read_text())["top1"] == result["top1"]
