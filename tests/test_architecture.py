"""Imports run one way, without circles, and light modules import little."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# A module may import those of its own package, and of the lines above in this list, but no other in its own line.
ROOMS = [
    ("errors", "_startup", "_keras_compat"),
    ("files", "attention"),
    ("data",),
    ("layers",),
    ("applications", "complexity", "conversion"),
    ("recipes",),
    ("explain",),
    ("evaluation", "export", "configs"),
    ("tasks",),
    ("training", "demo"),
    ("commands",),
    ("cli",),
    ("__main__",),
]
LINE = {room: line for line, rooms in enumerate(ROOMS) for room in rooms}
HEAVY = {"keras", "tensorflow", "tensorflow_datasets", "jax", "torch", "matplotlib", "numpy"}


def modules():
    """Every module of the library by its name, with its syntax tree."""
    files = {path: path.relative_to(ROOT) for path in (ROOT / "aa_keras").rglob("*.py")}
    files |= {path: "aa_keras" / path.relative_to(ROOT) for path in (ROOT / "applications").rglob("*.py")}
    found = {}
    for path, relative in files.items():
        parts = relative.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(name, nodes):
    """The modules, of whatever package, that some nodes of a module's tree import."""
    package = name if any(other.startswith(f"{name}.") for other in MODULES) else name.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*([package] if node.level else []), *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in MODULES else base


def room_of(name):
    return name.split(".")[1] if "." in name else "aa_keras"


OF_ROOMS = sorted(name for name in MODULES if name != "aa_keras")


def test_every_room_has_its_line_and_the_root_few_modules():
    assert {room_of(name) for name in OF_ROOMS} == set(LINE)
    assert len(list((ROOT / "aa_keras").glob("*.py"))) <= 9


@pytest.mark.parametrize("name", OF_ROOMS)
def test_no_import_runs_up(name):
    """Imports within functions count too."""
    for imported in imports(name, ast.walk(MODULES[name])):
        if imported.split(".")[0] == "aa_keras" and imported != "aa_keras":
            same, lower = room_of(imported) == room_of(name), LINE[room_of(imported)] < LINE[room_of(name)]
            assert same or lower, f"{name} imports {imported}"


def test_there_are_no_circles():
    graph = {
        name: {imported for imported in imports(name, ast.walk(tree)) if imported in MODULES and imported != name}
        for name, tree in MODULES.items()
    }
    # Names of a package that its own modules import are those of modules above: the packages' files export alone.
    assert tuple(graphlib.TopologicalSorter(graph).static_order())


def test_applications_import_each_other_relatively():
    for name in OF_ROOMS:
        if room_of(name) == "applications":
            absolute = [node for node in ast.walk(MODULES[name]) if isinstance(node, ast.ImportFrom) and not node.level]
            assert not [node.module for node in absolute if node.module.startswith("aa_keras.applications")]


def test_private_parts_of_keras_are_used_in_one_file():
    """Those that the file has."""
    used = {
        name: {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for name, tree in MODULES.items()
    }
    private = {name for name in used.pop("aa_keras._keras_compat") if re.match("_[a-z]", name)}
    assert len(private) >= 6
    assert {name: found & private for name, found in used.items() if found & private} == {}


# What may depend on the task: the tasks, and the specs of what they serve.
OF_TASKS = ("aa_keras.tasks", "aa_keras.export.classification_spec", "aa_keras.export.detection_spec")
KINDS = {"classification", "detection"}
# Classes and attributes that only one task has.
TYPES = {
    *("Classification", "Detection", "ClassificationSpec", "DetectionSpec", "Evaluation", "DetectionEvaluation"),
    *("RetinaNet", "ImageDataset", "DetectionDataset", "Preprocessing", "DetectionPreprocessing"),
}
ATTRIBUTES = {"decode_predictions", "backbone", "image_encoder", "prediction_decoder", "label_encoder", "categories"}


def is_branch_on_the_task(node):
    """Whether a node compares something with the name of a task, looks it up by that, or checks for one task's type."""
    inside = list(ast.walk(node))
    texts = {each.value for each in inside if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    names = {each.id for each in inside if isinstance(each, ast.Name)}
    names |= {each.attr for each in inside if isinstance(each, ast.Attribute)}
    if isinstance(node, (ast.Compare, ast.Match)):
        return bool(KINDS & texts)
    if isinstance(node, ast.Dict):
        keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
        return bool(keys) and keys <= KINDS
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        asked = {"hasattr": ATTRIBUTES & texts, "isinstance": TYPES & names}
        return bool(asked.get(node.func.id))
    return False


def branches_on_the_task(trees):
    for name, tree in trees.items():
        if not name.startswith(OF_TASKS):
            yield from (f"{name}, line {node.lineno}" for node in ast.walk(tree) if is_branch_on_the_task(node))


def test_no_branch_on_the_task_outside_of_tasks():
    assert list(branches_on_the_task(MODULES)) == []


@pytest.mark.parametrize(
    ("line", "is_branch"),
    [
        ('if spec.task == "detection": pass', True),
        ('x = 1 if "classification" != config.task else 2', True),
        ('if task in ("classification", None): pass', True),
        ('names = {"classification": ("probabilities",), "detection": ("boxes",)}[task]', True),
        ('if hasattr(model, "decode_predictions"): pass', True),
        ("if isinstance(spec, (DetectionSpec, int)): pass", True),
        ("if isinstance(results, evaluation.Evaluation): pass", True),
        ('match task:\n    case "detection": pass', True),
        ("if config.task in TASKS: pass", False),
        ('default = "classification"', False),
        ('if hasattr(model, "builder"): pass', False),
    ],
)
def test_a_branch_on_the_task_is_found(line, is_branch):
    assert bool(list(branches_on_the_task({"aa_keras.commands.new": ast.parse(line)}))) == is_branch


@pytest.mark.parametrize(
    "room", ["recipes", "cli", "files", "errors", "_startup", "__main__", "help_pages", "command_line"]
)
def test_what_the_help_needs_imports_nothing_heavy(room):
    if room == "recipes":  # `checks` is for those who have Keras already
        names = ["aa_keras.recipes", "aa_keras.recipes.fields", "aa_keras.recipes.files"]
    elif room in ("help_pages", "command_line"):
        names = ["aa_keras.commands", f"aa_keras.commands.{room}"]
    else:
        names = [f"aa_keras.{room}"]
    for name in names:
        assert not HEAVY & {imported.split(".")[0] for imported in imports(name, MODULES[name].body)}


@pytest.mark.parametrize("command", [["-m", "aa_keras", "train", "--help"], ["train.py", "--help"], ["-m", "aa_keras"]])
def test_the_help_imports_nothing_heavy(command):
    program = [sys.executable, "-X", "importtime", *command]
    completed = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in completed.stderr.splitlines()}
    assert "absl" in imported
    assert not HEAVY & imported
    assert "Usage: " in completed.stdout
