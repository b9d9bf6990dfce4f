"""The folder of a run: the runs that it takes, the files that overwriting removes, and whole files."""

import json
import pathlib

import ml_collections
import pytest
from helpers.training import tiny_config

from aa_keras.errors import UserError
from aa_keras.files import read_json
from aa_keras.recipes.fields import as_dictionary, flattened
from aa_keras.tasks import Classification
from aa_keras.training.run_directory import (
    FOLDERS,
    RunDirectory,
    fingerprint,
    partial_files,
    run_files,
)

pytestmark = pytest.mark.jax

CONFIG = {
    "name": "run",
    "dataset": "digits",
    "builder": "AAWideResNet",
    "epochs": 4,
    "data_dir": "/data",
    "builder_arguments": {"depth": 10, "stages": [1, 2]},
}
DATA = {"class_names": ["cat", "dog"], "training_images": 40, "validation_images": 0, "test_images": 10}


class SomeTask(Classification):
    """A task with data of a fingerprint."""

    fingerprint = None

    def __init__(self, fingerprint):
        self.fingerprint = fingerprint


def changed(**fields):
    return {**CONFIG, **fields}


@pytest.fixture
def run(tmp_path):
    """The folder of a run that was started."""
    run = RunDirectory(tmp_path / "run")
    run.start(CONFIG, overwrite=False, data=DATA)
    return run


def listing(run):
    return sorted(path.name for path in run.path.iterdir())


def test_a_new_or_an_empty_folder_will_do(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "new", "new/and/deep"):
        run = RunDirectory(tmp_path / folder)
        run.check(CONFIG, overwrite=False)
        run.start(CONFIG, overwrite=False, data=DATA)
        assert json.loads((tmp_path / folder / "config.json").read_text()) == CONFIG


def test_checking_makes_no_folder(tmp_path):
    RunDirectory(tmp_path / "new").check(CONFIG, overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_the_same_config_resumes(run):
    run.check(CONFIG, overwrite=False)
    (run / "metrics.csv").write_text("kept")
    before = (run / "config.json").stat().st_mtime_ns
    run.start(CONFIG, overwrite=False, data=DATA)
    assert listing(run) == ["config.json", "data.json", "metrics.csv"]
    assert (run / "config.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (changed(epochs=5), "epochs is 4 there and 5 here"),
        (changed(builder_arguments={"depth": 16, "stages": [1, 2]}), "builder_arguments.depth is 10 there and 16 here"),
        (changed(builder_arguments={"stages": [1, 2]}), "builder_arguments.depth is 10 there and 'not set' here"),
        (changed(seed=1), "seed is 'not set' there and 1 here"),
        (changed(builder_arguments={"depth": 10, "stages": [2]}), r"builder_arguments.stages is \[1, 2\] there"),
    ],
)
def test_another_config_is_refused_and_the_difference_named(run, other, difference):
    with pytest.raises(UserError, match=rf"holds a run of another config: {difference}.*--overwrite") as error:
        run.check(other, overwrite=False)
    assert str(run.path) in str(error.value)
    assert "name" not in str(error.value).split(":", 1)[1].split(". Choose")[0]  # nothing that is the same
    run.check(other, overwrite=True)
    assert read_json(run / "config.json") == CONFIG


def test_all_differences_are_named(run):
    with pytest.raises(UserError, match="epochs is 4 there and 5 here; name is 'run' there and 'other' here"):
        run.check(changed(name="other", epochs=5), overwrite=False)


def test_data_may_have_moved(run):
    run.check(changed(data_dir="/elsewhere"), overwrite=False)
    run.check(changed(data_dir=None), overwrite=False)


def test_the_first_runs_did_not_name_their_task(run):
    now = changed(task="classification")
    run.check(now, overwrite=False)
    assert fingerprint(now) == fingerprint(CONFIG)
    with pytest.raises(UserError, match="task is 'not set' there and 'detection' here"):
        run.check(changed(task="detection"), overwrite=False)
    assert fingerprint(changed(task="detection")) != fingerprint(CONFIG)


# The fields of the first runs, which are read as they are: a new field belongs into `LATER`.
FIRST_FIELDS = (
    *("batch_size", "builder", "builder_arguments", "corrupt_files_limit", "crop_padding", "cutmix_alpha", "data_dir"),
    *("dataset", "decay_epochs", "distribution", "ema_momentum", "epochs", "export", "horizontal_flip", "image_size"),
    *("jit_compile", "label_smoothing", "learning_rate_per_256", "mixup_alpha", "momentum", "name", "precision"),
    *("rand_augment_magnitude", "rand_augment_operations", "seed", "shuffle_buffer", "steps_per_epoch"),
    *("test_fraction", "test_split", "validation_examples", "warmup_fraction", "weight_decay"),
)


def test_runs_from_before_a_field_go_on(tmp_path):
    now = as_dictionary(tiny_config())
    first = {name: now[name] for name in FIRST_FIELDS}
    RunDirectory(tmp_path).start(first, overwrite=False, data=DATA)
    RunDirectory(tmp_path).check(now, overwrite=False)
    assert fingerprint(first) == fingerprint(now)
    for name, other in {"optimizer": "adam", "clip_norm": 1.0, "input_size": (64, 64)}.items():
        with pytest.raises(UserError, match=f"{name} is .* there and .* here"):
            RunDirectory(tmp_path).check(as_dictionary(tiny_config(**{name: other})), overwrite=False)


def test_an_image_folder_is_another_data_set_elsewhere(run):
    run.start(changed(dataset="image_folder"), overwrite=True, data=DATA)
    run.check(changed(dataset="image_folder"), overwrite=False)
    with pytest.raises(UserError, match="data_dir is '/data' there and '/elsewhere' here"):
        run.check(changed(dataset="image_folder", data_dir="/elsewhere"), overwrite=False)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"training_images": 41}, "training images were 40 and are 41"),
        ({"test_images": 0, "validation_images": 10}, "validation .* 0 and are 10; test images were 10 and are 0"),
        ({"class_names": ["cat", "fox"]}, "classes were added or removed: dog, fox. "),
    ],
)
def test_other_data_is_refused_and_the_difference_named(run, other, difference):
    run.check_data(SomeTask(DATA), overwrite=False)
    with pytest.raises(UserError, match=rf"holds a run on other data: {difference}.*--overwrite"):
        run.check_data(SomeTask({**DATA, **other}), overwrite=False)
    run.check_data(SomeTask({**DATA, **other}), overwrite=True)
    run.start(CONFIG, overwrite=True, data={**DATA, **other})
    run.check_data(SomeTask({**DATA, **other}), overwrite=False)


def test_what_a_run_saw_is_not_known_before_it_started(tmp_path):
    RunDirectory(tmp_path / "new").check_data(SomeTask(DATA), overwrite=False)


WRITTEN_INTO = {"checkpoints": "epoch_0001", "tensorboard": "train", "saved_model": "variables"}


def test_overwriting_removes_what_runs_write_and_nothing_else(run):
    for name in (*run_files(), *partial_files()):
        (run / name).write_text("old")
    for name in FOLDERS:
        (run / name / WRITTEN_INTO[name]).mkdir(parents=True)
        (run / name / WRITTEN_INTO[name] / "file").write_text("old")
    mine = [
        "notes.txt",
        "other/model.keras",
        "thesis.partial.tex",
        "labels.partial.txt",
        "checkpoints/epoch_best.h5",
        "tensorboard/train.txt",
    ]
    for name in mine:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    run.start(changed(epochs=9), overwrite=True, data=DATA)
    left = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert left == {"config.json", "data.json", *mine}
    assert not (run / "saved_model").exists()
    assert read_json(run / "config.json")["epochs"] == 9


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["thesis.partial.tex", "curves.partial.png", "notes.partial", ".partial", "model.partial.keras.bak"]
)
def test_a_name_that_only_looks_like_one_of_a_run_is_somebodys(tmp_path, name, overwrite):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="new or empty folder"):
        RunDirectory(tmp_path).check(CONFIG, overwrite)


@pytest.mark.parametrize(
    ("name", "kind"), [("tensorboard", "folder"), ("checkpoints", "folder"), ("curves.png", "file")]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_where_a_folder_should_be_is_named(run, name, kind, overwrite):
    (run / name).write_text("mine") if kind == "folder" else (run / name).mkdir()
    with pytest.raises(UserError, match=rf"{name} must be a {kind} of the run, and is a"):
        run.check(CONFIG, overwrite)


def test_a_config_that_may_not_be_read_is_not_called_foreign(run, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(run / "config.json"))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refused)
    with pytest.raises(PermissionError, match=r"config\.json"):
        run.check(CONFIG, overwrite=True)


@pytest.mark.parametrize("content", [[], {}, {**DATA, "class_names": 3}, {**DATA, "test_images": "ten"}])
def test_data_that_no_run_wrote_is_named(run, content):
    (run / "data.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"data\.json was not written by train\.py: its field '(class_n|test_im)"):
        run.check_data(SomeTask(DATA), overwrite=False)


def test_equal_configs_have_equal_fingerprints(run):
    assert fingerprint(CONFIG) == fingerprint(changed(data_dir="/elsewhere"))
    others = changed(seed=1), changed(builder_arguments={"depth": 10, "stages": [2]}), changed(dataset="image_folder")
    assert len({fingerprint(config) for config in (CONFIG, *others)}) == 4
    assert fingerprint(changed(dataset="image_folder")) != fingerprint(changed(dataset="image_folder", data_dir="/x"))


@pytest.mark.parametrize("path", ["gs://bucket/run", "gs:/bucket/run", "file:///tmp/run", "", " "])
def test_what_is_no_path_of_this_machine_is_refused(path):
    with pytest.raises(UserError, match=r"^--workdir must be a path.*Received: --workdir="):
        RunDirectory(path)


def test_the_home_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert str(RunDirectory("~/run").path) == "/home/me/run"


def test_overwriting_does_not_follow_links(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("mine")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    run.start(CONFIG, overwrite=True, data=DATA)
    assert listing(run) == ["config.json", "data.json"]
    assert (tmp_path / "elsewhere" / "file").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_things_in_it_is_refused(tmp_path, overwrite):
    (tmp_path / "holiday.jpg").write_text("mine")
    with pytest.raises(UserError, match=r"new or empty folder.*holds holiday\.jpg"):
        RunDirectory(tmp_path).check(CONFIG, overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_refused(tmp_path, overwrite):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"must be a folder\. Received: --workdir=.*file, which is a file"):
        RunDirectory(tmp_path / "file").check(CONFIG, overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_damaged_config_is_named_and_nothing_is_overwritten(run, overwrite):
    (run / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json was not written by train\.py"):
        run.check(CONFIG, overwrite)


def test_configs_are_compared_as_json_makes_them():
    config = ml_collections.ConfigDict({"stages": (1, 2), "rate": 0.5, "builder_arguments": {"width": 1}})
    assert as_dictionary(config) == {"stages": [1, 2], "rate": 0.5, "builder_arguments": {"width": 1}}
    assert flattened({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}


def test_an_image_folder_means_the_same_wherever_a_program_is_called_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = {"dataset": "image_folder", "data_dir": str(tmp_path / "images")}
    for data_dir in ("images", "./images/", "x/../images", str(tmp_path / "images")):
        config = ml_collections.ConfigDict({"dataset": "image_folder", "data_dir": data_dir})
        assert as_dictionary(config) == there
    config = ml_collections.ConfigDict({"dataset": "cifar100", "data_dir": "images"})
    assert as_dictionary(config)["data_dir"] == "images"


@pytest.mark.parametrize("content", ['{"hidden_size": 3}', "[1, 2]", "no JSON", b"\xff\xfe"])
def test_a_foreign_folder_with_a_config_of_its_own_is_refused_and_kept(tmp_path, content):
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "config.json").write_bytes(content)
    (tmp_path / "labels.txt").write_text("mine")
    with pytest.raises(UserError, match="new or empty folder"):
        RunDirectory(tmp_path).check(CONFIG, overwrite=True)
    assert (tmp_path / "config.json").read_bytes() == content


def test_what_a_kill_left_half_written_is_in_nobodys_way(tmp_path):
    run = RunDirectory(tmp_path)
    for name in ("config.partial.json", "model.partial.keras"):
        (tmp_path / name).write_text("half")
    run.check(CONFIG, overwrite=False)
    run.start(CONFIG, overwrite=True, data=DATA)
    assert listing(run) == ["config.json", "data.json"]


def test_overwriting_removes_last_what_marks_a_folder_as_a_runs():
    assert run_files()[-1] == "config.json"


def test_two_processes_do_not_share_a_folder(tmp_path):
    run = RunDirectory(tmp_path)
    in_use = pytest.raises(UserError, match=f"--workdir={tmp_path} is in use by another process")
    with run.held(), in_use, run.held():
        pytest.fail("the folder was held twice")
    with run.held():  # it is free again
        pass
