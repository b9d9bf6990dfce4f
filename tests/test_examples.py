"""The examples of README and of the documentation, each alone in a process of its own, from the installed wheel."""

import ast
import importlib.util
import re
import shlex
import shutil

import pytest
from helpers.programs import WarmPython
from helpers.wheel import ROOT, built, environment_in, install, run

README = ROOT / "README.md"
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TRAINING = "aa-keras train --workdir=runs/digits"
# The examples that take more than about ten seconds.
LONG = (TRAINING, "aa-keras evaluate --workdir=runs/digits")
# A block that begins with it says what it needs, such as a download, and is not run.
NEEDS = "# needs "
# README's installs the clone instead of the wheel.
NOT_RUN = (NEEDS, 'pip install ".[train]"')


def examples(page, *languages):
    """The blocks of some languages in a page, (language, lines), with their places for the names of tests."""
    text = page.read_text(encoding="utf-8")
    blocks = re.finditer(rf"^```({'|'.join(languages)})\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [
        pytest.param(block[1], block[2], id=f"{page.stem}-{text.count(chr(10), 0, block.start()) + 2}")
        for block in blocks
        if not block[2].startswith(NOT_RUN)
    ]


def stated(lines):
    """A pattern of what a block of Python prints: the comments behind its calls of `print`."""
    patterns = []
    for statement in ast.parse(lines).body:
        comment = lines.splitlines()[statement.end_lineno - 1].partition("  # ")[2]
        if ast.unparse(statement).startswith("print("):
            patterns.append(re.escape(comment).replace(r"\.\.\.", ".*?") or ".*")
        else:
            assert not re.match(r"[\[({\d'\"]|array", comment), f"A comment with a value needs a print: {comment}"
    return "".join(f"{pattern}\n" for pattern in patterns)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with the wheel."""
    python = environment_in(tmp_path_factory.mktemp("environment"))
    install(python, built(tmp_path_factory)[0])
    return python


@pytest.fixture(scope="module")
def settings(python):
    """The environment of examples: with Keras's files outside of their folders."""
    return {"KERAS_HOME": str(python.parents[1] / "keras"), "TF_CPP_MIN_LOG_LEVEL": "3", "AA_KERAS_DATA": ""}


@pytest.fixture(scope="module")
def run_python(python, settings):
    """A function that runs what would stand behind `python` in a folder, and returns what it printed."""
    warm = WarmPython(python, **settings, PYTHONPATH=None, PYTHONSAFEPATH=None)

    def run_python(folder, *command):
        if "KERAS_BACKEND" in command[-1]:  # which is warm on TensorFlow alone
            return run([python, *command], folder, **settings)
        completed = warm.run(*command, folder=folder)
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    yield run_python
    warm.close()


@pytest.fixture(scope="module")
def shell(python, settings, run_python):
    """A function that runs lines of shell in a folder: those of the program alone in a process that is warm."""

    def shell(lines, folder):
        words = shlex.split(lines, comments=True)
        if words[0] == "aa-keras" and lines.count("\n") == 1:
            return run_python(folder, "-m", "aa_keras", *words[1:])
        return run(["bash", "-euc", lines], folder, PATH=f"{python.parent}:/usr/bin:/bin", **settings)

    return shell


@pytest.fixture(scope="module")
def prepared(shell, tmp_path_factory):
    """A folder with a short run of the digits."""
    folder = tmp_path_factory.mktemp("prepared")
    shell(f"{TRAINING} --config.epochs=1 --config.export=False\n", folder)
    return folder


@pytest.fixture(scope="module")
def trained(shell, tmp_path_factory):
    """A folder with the run that README's first command makes."""
    folder = tmp_path_factory.mktemp("trained")
    shell(f"{TRAINING}\n", folder)
    return folder


def check_python(lines, run_python, folder):
    printed = run_python(folder, "-c", lines)
    printed = re.sub(r"^(.*(\x08|/step).*)?\n", "", printed, flags=re.MULTILINE)  # Keras's progress bars
    assert re.fullmatch(stated(lines), printed.replace("'", '"'), flags=re.DOTALL), printed


@pytest.mark.parametrize(("_", "lines"), examples(README, "python"))
def test_python(_, lines, run_python, tmp_path):
    check_python(lines, run_python, tmp_path)


def test_shell(shell, prepared):
    """In their order, after a short run."""
    for each in examples(README, "sh"):
        if not each.values[1].startswith(LONG):
            before = set(prepared.rglob("*"))
            assert shell(each.values[1], prepared)
            assert set(prepared.rglob("*")) > before


@pytest.mark.slow
def test_training_and_evaluation(shell, tmp_path):
    blocks = [each.values[1] for each in examples(README, "sh") if each.values[1].startswith(LONG)]
    assert len(blocks) == len(LONG)
    for lines in blocks:
        assert re.search(r"Test: top-1 9[89]", shell(lines, tmp_path))
    assert (tmp_path / "runs" / "digits" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if examples(page, "python", "sh")], ids=lambda page: page.stem)
def test_a_page(page, run_python, shell, trained, tmp_path):
    """Its blocks in their order, in a folder with the run that README's first command makes."""
    folder = shutil.copytree(trained, tmp_path / "folder")
    for each in examples(page, "python", "sh"):
        language, lines = each.values
        if any(
            importlib.util.find_spec(name) is None for name in re.findall(r"^import (\w+)", lines, flags=re.MULTILINE)
        ):
            continue  # such as PyTorch, which the tests can do without
        if language == "python":
            check_python(lines, run_python, folder)
        else:
            assert shell(lines, folder), lines


def test_there_are_examples():
    assert len(examples(README, "python")) == 5
    assert len(examples(README, "sh")) == 5
    of_pages = [each.values[0] for page in PAGES for each in examples(page, "python", "sh")]
    assert of_pages.count("python") > 10
    assert of_pages.count("sh") >= 6
