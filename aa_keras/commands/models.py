"""Lists the networks of the library."""

import inspect

import keras

from aa_keras import applications
from aa_keras.applications import list_models, paper
from aa_keras.applications.converters.timm_hub import ARCHITECTURES
from aa_keras.applications.pretrained import PRETRAINED
from aa_keras.complexity import model_complexity
from aa_keras.errors import UserError

HEADER = ("network", "parameters", "GFLOPs", "images", "weights")


def print_models(filter: str = "*", pretrained: bool = False):  # noqa: A002
    """Prints a table of the builders: parameters, FLOPs of an image, the size of the images, trained weights.

    Args:
        filter: pattern that names must match: see `aa_keras.applications.list_models`.
        pretrained: whether to leave out those without trained weights.

    Raises:
        UserError: if no network matches.
    """
    names = list_models(filter, pretrained)
    if not names:
        raise UserError(f"--filter must match a network, such as 'AA*'. Received: --filter={filter}")
    rows = [HEADER, *map(_row, names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells, weights in rows:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=False))
        print(f"{name:<{widths[0]}}  {'  '.join(numbers)}  {weights}".rstrip())


def _row(name):
    builder = getattr(applications, name)
    weights = ", ".join(entry.name for entry in PRETRAINED if entry.builder == name)
    if name in ARCHITECTURES:
        weights = f"timm/{ARCHITECTURES[name]}.*"
    required = [
        argument
        for argument, parameter in inspect.signature(builder).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    if required:
        return (f"{name}({', '.join(required)})", "", "", "", weights)
    parameters, gflops, shape = _numbers(name, builder)
    return (f"{name}()", f"{parameters:,}", f"{gflops:.2f}", "x".join(map(str, shape[:2])), weights)


def _numbers(name, builder):
    """Returns parameters, GFLOPs and the shape of the images: those of the paper's row, or counted."""
    for spec in (*paper.CLASSIFIERS, *paper.DETECTORS):
        if spec.builder == name and not spec.arguments:
            return spec.parameters, spec.gflops, spec.dataset.input_shape
    with keras.StatelessScope(initialize_variables=False):  # no weights need to be drawn
        model = builder()
        complexity = model_complexity(model)
    keras.utils.clear_session()
    return complexity.parameters, complexity.flops / 1e9, model.input_shape[1:]
