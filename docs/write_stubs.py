"""Writes applications/__init__.pyi: the builders' signatures for editors, which do not import the package."""

import inspect
import pathlib

import keras

from aa_keras import applications

STUB = pathlib.Path(__file__).parents[1] / "applications" / "__init__.pyi"
HEADER = '''"""The signatures of the builders for editors and type checkers, which `make stubs` writes."""

# ruff: noqa: N802

import os

import keras

from . import botnet as botnet
from . import mnasnet as mnasnet
from . import resnet as resnet
from . import retinanet as retinanet
from . import wide_resnet as wide_resnet
from .blocks import pyramid_outputs as pyramid_outputs
from .catalogue import architecture_of as architecture_of
from .catalogue import create_model as create_model
from .catalogue import list_models as list_models
from .catalogue import weights_of as weights_of

'''


def stub():
    """Returns the text of the stub."""
    names = "".join(f'    "{name}",\n' for name in applications.__all__)
    builders = (_function(name, getattr(applications, name)) for name in applications.__all__)
    return f"{HEADER}__all__ = [\n{names}]\n\n" + "\n".join(builders)


def _function(name, builder):
    parameters = "".join(f"    {parameter},\n" for parameter in inspect.signature(builder).parameters.values())
    for shown in ("Model", "KerasTensor"):  # Keras's own modules are not public
        parameters = parameters.replace(f"{getattr(keras, shown).__module__}.{shown}", f"keras.{shown}")
    parameters = parameters.replace("'", '"')  # as ruff has them
    summary = inspect.getdoc(builder).partition("\n")[0]
    return f'def {name}(\n{parameters}) -> keras.Model:\n    """{summary}"""\n'


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
    print(f"{STUB}: {len(applications.__all__)} builders")
