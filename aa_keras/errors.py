"""Errors that are not defects of the program, and what a value must be to cause none."""

import contextlib
import importlib.util
import numbers
import operator


class UserError(ValueError):
    """A flag, field, path or file that cannot be used: its one-line message names it and says what would work.

    The command-line programs print the message alone; any other exception is a defect and keeps its traceback.
    """


class LostProcess(UserError):  # noqa: N818  says what happened
    """Another process of a run on several hosts ended or cannot be reached."""


class Terminated(Exception):  # noqa: N818  an event rather than an error
    """Training was asked to stop (SIGTERM), and stopped at the end of a step."""


def is_integer(value):
    """Whether a value is a whole number, of Python or of an array library, and not a boolean."""
    if isinstance(value, bool) or getattr(value, "ndim", 0) != 0:
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def is_number(value):
    """Whether a value is a real number and not a boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def described(error):
    """Returns an error of another library as part of a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200].removesuffix(":")


def is_out_of_memory(error):
    """Whether an error means too little memory: that of Python, TensorFlow or PyTorch (by name), or XLA's."""
    names = {kind.__name__ for kind in type(error).__mro__}
    known = {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    return bool(names & known) or "RESOURCE_EXHAUSTED" in str(error)


# Packages of the extras other than `train`, with their purpose.
_EXTRAS = {
    **dict.fromkeys(("keras_hub", "pycocotools"), ("detection", "detectors need")),
    **dict.fromkeys(("huggingface_hub", "safetensors"), ("timm", "weights of timm and of the Hugging Face Hub need")),
    **dict.fromkeys(("onnx", "onnxruntime", "tf2onnx"), ("onnx", "ONNX needs")),
    "apache_beam": ("beam", "predicting with Apache Beam needs"),
    "ai_edge_litert": ("litert", "LiteRT needs"),
    "gradio": ("demo", "the page to try a network needs"),
}
_BACKENDS = ("jax", "torch")


def missing_extra(error):
    """Words the error of a package that the library does not need but its program does, or returns None."""
    package = (error.name or "").split(".")[0]
    if package in ("", "aa_keras"):
        return None
    if package in _BACKENDS:
        return f"the package {package} is missing: pip install {package}, or set KERAS_BACKEND to another backend"
    extra, needed = _EXTRAS.get(package, ("train", "training needs"))
    return f'the package {package} is missing: pip install "aa-keras[{extra}]" installs what {needed}'


@contextlib.contextmanager
def importing_extra():
    """A context for imports of an extra: without it, ModuleNotFoundError says in one line what to install."""
    try:
        yield
    except ImportError as error:
        message = missing_extra(error)
        if message is None:
            raise
        raise ModuleNotFoundError(message, name=error.name) from None  # which the program words in the same way


def require_package(name):
    """Raises ModuleNotFoundError, as `importing_extra` does, unless a package is installed; it is not imported."""
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(missing_extra(ModuleNotFoundError(name=name)), name=name)
